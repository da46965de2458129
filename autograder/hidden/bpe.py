"""Hidden checks of the byte-pair chapter: brute force on drawn texts, and tiktoken."""
import itertools

import tiktoken
import torch

from autograder.calls import in_turn
from autograder.checks import checks, same
from autograder.inputs import whole

TEXTS = ("the cat sat on the mat that the rat spat at", "aaaaaaabaaaab", "für ein Übel über 🙂🙂 猫猫", "0110100")


def drawn(generator, alphabet, length):
    """Drawn bytes from an alphabet."""
    return bytes(alphabet[whole(generator, 0, len(alphabet) - 1)] for _ in range(length))


def joined(tokens, pair, new):
    """The oracle of `merge`, a stack: what is on it may be joined with the next token, once."""
    stack: list = []
    free = False
    for token in tokens:
        if free and (stack[-1], token) == tuple(pair):
            stack[-1], free = new, False
        else:
            stack.append(token)
            free = True
    return stack


def learned(chunks, n_merges):
    """The oracle of `learn`: the whole text, chunk after chunk, counted anew for each merge."""
    words = [list(chunk) for chunk, times in chunks.items() for _ in range(times)]
    merges: list = []
    for _ in range(n_merges):
        counts: dict = {}
        for word in words:
            for i in range(len(word) - 1):
                pair = word[i], word[i + 1]
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = sorted(counts, key=lambda pair: (-counts[pair], pair))[0]
        words = [joined(word, best, 256 + len(merges)) for word in words]
        merges.append(best)
    return merges


def sample_chunks(generator, alphabet, kinds, longest):
    """Drawn chunks with drawn counts."""
    return {drawn(generator, alphabet, whole(generator, 1, longest)): whole(generator, 1, 9) for _ in range(kinds)}


def ranks_of(merges):
    """The vocabulary of some merges."""
    spelt = {number: bytes((number,)) for number in range(256)}
    for number, pair in enumerate(merges, 256):
        spelt[number] = b"".join(spelt[part] for part in pair)
    return {piece: number for number, piece in reversed(spelt.items())}  # of two equal pieces the first counts


@checks("bpe.merge")
def it_agrees_with_a_stack(merge, generator):
    """Drawn lists over few tokens, so that pairs touch and overlap."""
    cases = []
    for size, length in 6 * [*itertools.product((1, 2, 3, 5), (0, 1, 2, 3, 7, 31, 64))]:
        tokens = [whole(generator, 0, size - 1) for _ in range(length)]
        pair = whole(generator, 0, size - 1), whole(generator, 0, size - 1)
        cases.append((tokens, pair, whole(generator, 0, size)))
    expected = [joined(*case) for case in cases]
    for found, right, (tokens, pair, _) in zip(in_turn(merge, *cases), expected, cases, strict=True):
        same(found, right, f"joining {pair} in {tokens}")


@checks("bpe.merge")
def large_numbers(merge, generator):
    """Token numbers beyond 256, where equal integers are different objects."""
    tokens = [50_000 + whole(generator, 0, 1) for _ in range(60)]
    same(merge(tokens, (50_000, 50_001), 99_999), joined(tokens, (50_000, 50_001), 99_999), "numbers as GPT-2 has them")


@checks("bpe.learn")
def it_agrees_with_counting_anew(learn, generator):
    """Drawn chunks over small and large alphabets, with ties and repetitions."""
    cases = [
        (sample_chunks(generator, alphabet, kinds, longest), n)
        for alphabet in (b"a", b"ab", b"abcde", bytes(range(256)))
        for kinds, longest, n in ((1, 12, 20), (8, 6, 5), (20, 9, 40))
    ]
    for chunks, n in cases:
        same(learn(chunks, n), learned(chunks, n), f"{n} merges of {chunks}")


@checks("bpe.learn")
def words_of_real_text(learn, generator):
    """Words in several scripts, to the last merge."""
    for text in TEXTS:
        chunks: dict = {}
        for word in text.split(" "):
            chunks[word.encode()] = chunks.get(word.encode(), 0) + whole(generator, 1, 3)
        for n in (0, 1, 7, 500):
            same(learn(chunks, n), learned(chunks, n), f"{n} merges of {text!r}")


@checks("bpe.encode_chunk")
def it_agrees_with_tiktoken(encode_chunk, generator):
    """The vocabulary of drawn merges, encoded as tiktoken does."""
    cases = []
    for alphabet in (b"a", b"ab", b"abcd", "äéß".encode()):
        ranks = ranks_of(learned(sample_chunks(generator, alphabet, 12, 14), 25))
        encoding = tiktoken.Encoding("drawn", pat_str=r"(?s).+", mergeable_ranks=ranks, special_tokens={})
        for length in (1, 2, 3, 5, 8, 20, 40, 63):
            chunk = drawn(generator, alphabet, length)
            cases.append((chunk, ranks, encoding._encode_single_piece(chunk)))
    for chunk, ranks, expected in cases:
        same(encode_chunk(chunk, ranks), expected, f"the tokens of {chunk!r}")


@checks("bpe.encode_chunk")
def numbers_with_gaps(encode_chunk, generator):
    """Ranks in an order of their own, with gaps: only what is lower and higher matters."""
    base = ranks_of(learned({b"abcabcabd": 5, b"bcdab": 4, b"cda": 9}, 12))
    shuffled = torch.randperm(256, generator=generator).tolist()
    ranks = {piece: shuffled[number] if number < 256 else 3 * number + 1000 for piece, number in base.items()}
    order = {number: ranks[piece] for piece, number in base.items()}
    encoding = tiktoken.Encoding("gaps", pat_str=r"(?s).+", mergeable_ranks=base, special_tokens={})
    for length in (1, 4, 9, 30):
        chunk = drawn(generator, b"abcd", length)
        expected = [order[number] for number in encoding._encode_single_piece(chunk)]
        same(encode_chunk(chunk, ranks), expected, f"the tokens of {chunk!r}")


@checks("bpe.decode")
def bytes_of_any_kind(decode, generator):
    """Drawn bytes in drawn pieces: mostly no UTF-8, shown as Python shows them."""
    for length in (0, 1, 2, 5, 40, 200):
        pieces = {i: drawn(generator, bytes(range(256)), whole(generator, 1, 4)) for i in range(length + 1)}
        tokens = [whole(generator, 0, length) for _ in range(length)]
        expected = str(bytes(byte for token in tokens for byte in pieces[token]), "utf-8", "replace")
        same(decode(tokens, pieces), expected, f"the text of {length} tokens")


@checks("bpe.decode")
def text_cut_anywhere(decode, generator):
    """A text cut into pieces at drawn bytes comes back."""
    for text in TEXTS:
        data, cuts = text.encode(), [0]
        while cuts[-1] < len(data):
            cuts.append(min(len(data), cuts[-1] + whole(generator, 1, 3)))
        pieces = {1000 + i: data[a:b] for i, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False))}
        same(decode(list(pieces), pieces), text, "the bytes of all tokens, decoded once")


def parted(text, special):
    """The oracle of `split_special`: at each place, does a special token begin here?"""
    parts, start, i = [], 0, 0
    while i < len(text):
        found = max((mark for mark in special if text.startswith(mark, i)), key=len, default="")
        if found:
            parts += [text[start:i], found]
            start = i + len(found)
        i += len(found) or 1
    return [part for part in [*parts, text[start:]] if part]


@checks("bpe.split_special")
def it_agrees_with_looking_at_each_place(split_special, generator):
    """Drawn texts full of special tokens, halves of them, and tokens that hold others."""
    marks = ["<|end|>", "<|end|>.", "<|", ".*", "[x]", "\\d", "für", "🙂", " ", "a"]
    scraps = [*marks, "<|en", "d|>", "b", "\n", "1", "x", "Für"]
    cases = []
    for size, length in 6 * [*itertools.product((0, 1, 2, 4, len(marks)), (0, 1, 3, 12, 40))]:
        order = torch.randperm(len(marks), generator=generator).tolist()
        special = [marks[i] for i in order[:size]]
        text = "".join(scraps[whole(generator, 0, len(scraps) - 1)] for _ in range(length))
        cases.append((text, special))
    expected = [parted(*case) for case in cases]
    for found, right, (text, special) in zip(in_turn(split_special, *cases), expected, cases, strict=True):
        same(found, right, f"the parts of {text!r} with {special}")
