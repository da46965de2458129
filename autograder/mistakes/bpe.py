"""Mistakes that learners make in the byte-pair exercises."""
import re
from collections import Counter
from itertools import pairwise

from autograder.mistakes import mistake
from gptlib import bpe as reference

# merge

OVERLAP = "a token that has been joined is used a second time"


@mistake("bpe.merge", OVERLAP)
def moves_by_one(tokens, pair, new):
    out, i = [], 0
    while i < len(tokens):
        hit = tuple(tokens[i : i + 2]) == tuple(pair)
        out.append(new if hit else tokens[i])
        i += 1
    return out


@mistake("bpe.merge", "the last token is lost when it belongs to no pair")
def last_lost(tokens, pair, new):
    return reference.merge([*tokens, -1], pair, new)[:-2] if len(tokens) < 2 else _pairs_only(tokens, pair, new)


def _pairs_only(tokens, pair, new):
    out, i = [], 0
    while i < len(tokens) - 1:
        hit = (tokens[i], tokens[i + 1]) == tuple(pair)
        out.append(new if hit else tokens[i])
        i += 2 if hit else 1
    return out


@mistake("bpe.merge", "only the first occurrence is replaced")
def only_first(tokens, pair, new):
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == tuple(pair):
            return [*tokens[:i], new, *tokens[i + 2 :]]
    return list(tokens)


@mistake("bpe.merge", "the two tokens are matched in either order")
def either_order(tokens, pair, new):
    out, i = [], 0
    while i < len(tokens):
        hit = sorted(tokens[i : i + 2]) == sorted(pair)
        out.append(new if hit else tokens[i])
        i += 2 if hit else 1
    return out


@mistake("bpe.merge", "pairs are joined from the right")
def from_the_right(tokens, pair, new):
    return reference.merge(list(tokens)[::-1], pair[::-1], new)[::-1]


@mistake("bpe.merge", "what was just made is joined again in the same pass")
def joined_again(tokens, pair, new):
    out = []
    for token in tokens:
        if out and (out[-1], token) == tuple(pair):
            out[-1] = new
        else:
            out.append(token)
    return out


# learn


def plain(chunks, n_merges, count=None, choose=None, again=True):
    choose = choose or (lambda counts: min(counts, key=lambda p: (-counts[p], p)))
    count = count or (lambda words: _count(words))
    words, merges = [(list(c), t) for c, t in chunks.items()], []
    counts = count(words)
    while len(merges) < n_merges and counts:
        best = choose(counts)
        words = [(reference.merge(w, best, 256 + len(merges)), t) for w, t in words]
        merges.append(best)
        if again:
            counts = count(words)
        else:
            del counts[best]
    return merges


def _count(words):
    counts = Counter()
    for word, times in words:
        for pair in pairwise(word):
            counts[pair] += times
    return counts


@mistake("bpe.learn", "each chunk counts once, however often it occurs")
def frequency_ignored(chunks, n_merges):
    return plain(dict.fromkeys(chunks, 1), n_merges)


@mistake("bpe.learn", "pairs reach from one chunk into the next")
def across_chunks(chunks, n_merges):
    return plain({b"".join(chunk * times for chunk, times in chunks.items()): 1}, n_merges)


FIRST = "the first pair met wins a tie, not the smallest"


@mistake("bpe.learn", FIRST)
def first_met(chunks, n_merges):
    return plain(chunks, n_merges, choose=lambda counts: max(counts, key=counts.get))


@mistake("bpe.learn", FIRST)
def most_common(chunks, n_merges):
    return plain(chunks, n_merges, choose=lambda counts: counts.most_common(1)[0][0])


@mistake("bpe.learn", "the largest pair wins a tie, not the smallest")
def largest_wins(chunks, n_merges):
    return plain(chunks, n_merges, choose=lambda counts: max(counts, key=lambda p: (counts[p], p)))


@mistake("bpe.learn", "the pairs are counted once, at the start")
def counted_once(chunks, n_merges):
    return plain(chunks, n_merges, again=False)


@mistake("bpe.learn", "overlapping occurrences of a pair are counted as one")
def no_overlap(chunks, n_merges):
    def count(words):
        counts = Counter()
        for word, times in words:
            for pair in set(pairwise(word)):
                counts[pair] += times * (len(word) - len(reference.merge(word, pair, -1)))
        return counts

    return plain(chunks, n_merges, count=count)


@mistake("bpe.learn", "a pair counts once in a chunk, however often it stands there")
def once_a_chunk(chunks, n_merges):
    def count(words):
        counts = Counter()
        for word, times in words:
            for pair in set(pairwise(word)):
                counts[pair] += times
        return counts

    return plain(chunks, n_merges, count=count)


@mistake("bpe.learn", "the first merge becomes token 257, not 256")
def numbered_from_257(chunks, n_merges):
    merges = reference.learn(chunks, n_merges)
    return [tuple(t + (t >= 256) for t in pair) for pair in merges]


@mistake("bpe.learn", "characters are joined instead of bytes")
def characters(chunks, n_merges):
    words = {chunk: [ord(c) for c in chunk.decode("utf-8", "replace")] for chunk in chunks}
    merges, lists = [], [(word, chunks[chunk]) for chunk, word in words.items()]
    while len(merges) < n_merges and (counts := _count(lists)):
        merges.append(min(counts, key=lambda p: (-counts[p], p)))
        lists = [(reference.merge(w, merges[-1], 255 + len(merges)), t) for w, t in lists]
    return merges


# encode_chunk


def split(chunk):
    return [chunk[i : i + 1] for i in range(len(chunk))]


@mistake("bpe.encode_chunk", "pieces are joined from left to right as they are met, not by rank")
def text_order(chunk, ranks):
    pieces = split(chunk)
    i = 0
    while i < len(pieces) - 1:
        if pieces[i] + pieces[i + 1] in ranks:
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            i = max(0, i - 1)
        else:
            i += 1
    return [ranks[p] for p in pieces]


@mistake("bpe.encode_chunk", "the longest piece that fits is taken, from the left")
def longest_match(chunk, ranks):
    out, i = [], 0
    while i < len(chunk):
        end = next(j for j in range(len(chunk), i, -1) if chunk[i:j] in ranks)
        out.append(ranks[chunk[i:end]])
        i = end
    return out


def by(chunk, ranks, key, rounds=10**9):
    pieces = split(chunk)
    for _ in range(rounds):
        known = [i for i in range(len(pieces) - 1) if pieces[i] + pieces[i + 1] in ranks]
        if not known:
            break
        i = min(known, key=lambda j: key(ranks[pieces[j] + pieces[j + 1]], j))
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


@mistake("bpe.encode_chunk", "the highest rank is joined first")
def highest_first(chunk, ranks):
    return [ranks[p] for p in by(chunk, ranks, lambda rank, i: (-rank, i))]


@mistake("bpe.encode_chunk", "the rightmost of equal pairs is joined first")
def rightmost(chunk, ranks):
    return [ranks[p] for p in by(chunk, ranks, lambda rank, i: (rank, -i))]


@mistake("bpe.encode_chunk", "joining stops after one merge")
def one_merge(chunk, ranks):
    return [ranks[p] for p in by(chunk, ranks, lambda rank, i: (rank, i), rounds=1)]


@mistake("bpe.encode_chunk", "single bytes get their own value as number, not that of the vocabulary")
def byte_values(chunk, ranks):
    return [p[0] if len(p) == 1 else ranks[p] for p in by(chunk, ranks, lambda rank, i: (rank, i))]


@mistake(
    "bpe.encode_chunk", "each pair of the text is joined once only, in one pass over the ranks of the single bytes"
)
def pairs_of_bytes(chunk, ranks):
    pieces = by(chunk, {p: r for p, r in ranks.items() if len(p) <= 2}, lambda rank, i: (rank, i))
    return [ranks[p] for p in pieces]


# decode


@mistake("bpe.decode", "each token is decoded by itself")
def token_by_token(tokens, pieces):
    return "".join(pieces[token].decode("utf-8", errors="replace") for token in tokens)


STRICT = "bytes that are no UTF-8 raise an error"


@mistake("bpe.decode", STRICT)
def strict(tokens, pieces):
    return b"".join(pieces[token] for token in tokens).decode("utf-8")


@mistake("bpe.decode", "bytes that are no UTF-8 are left out")
def ignored(tokens, pieces):
    return b"".join(pieces[token] for token in tokens).decode("utf-8", errors="ignore")


@mistake("bpe.decode", "each byte is taken for a character")
def latin(tokens, pieces):
    return b"".join(pieces[token] for token in tokens).decode("latin-1")


@mistake("bpe.decode", "spaces are put between the pieces")
def with_spaces(tokens, pieces):
    return b" ".join(pieces[token] for token in tokens).decode("utf-8", errors="replace")


@mistake("bpe.decode", "broken bytes are shown as escapes")
def escaped(tokens, pieces):
    return b"".join(pieces[token] for token in tokens).decode("utf-8", errors="backslashreplace")


# split_special


def cut(text, special, pattern=None, flags=0):
    pattern = pattern or "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    return re.split(f"({pattern})", text, flags=flags) if special else [text]


SPLIT = "a special token is left inside its text, where merges spell it in pieces"


@mistake("bpe.split_special", SPLIT)
def left_inside(text, special):
    return [text] if text else []


@mistake("bpe.split_special", SPLIT)
def only_at_the_end(text, special):
    for mark in special:
        if text.endswith(mark):
            return [part for part in (text[: -len(mark)], mark) if part]
    return [text] if text else []


@mistake("bpe.split_special", "the special tokens are read as patterns, in which | means or")
def not_escaped(text, special):
    pattern = "|".join(sorted(special, key=len, reverse=True))
    try:
        return [part for part in cut(text, special, pattern) if part]
    except re.error:
        return [text]


@mistake("bpe.split_special", "the special token given first is found, not the longest")
def as_given(text, special):
    return [part for part in cut(text, special, "|".join(map(re.escape, special))) if part]


@mistake("bpe.split_special", "the shortest special token is found, not the longest")
def shortest(text, special):
    pattern = "|".join(map(re.escape, sorted(special, key=len)))
    return [part for part in cut(text, special, pattern) if part]


@mistake("bpe.split_special", "empty parts are kept")
def empties(text, special):
    return cut(text, special)


@mistake("bpe.split_special", "the special tokens are lost, only what stands between them is left")
def lost(text, special):
    return [part for part in cut(text, special) if part and part not in special]


FIRST_ONLY = "only the first special token is found"


@mistake("bpe.split_special", FIRST_ONLY)
def first_only(text, special):
    pattern = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    return [part for part in re.split(f"({pattern})", text, maxsplit=1) if part] if special else [text]


@mistake("bpe.split_special", FIRST_ONLY)
def partition(text, special):
    for mark in sorted(special, key=len, reverse=True):
        if mark in text:
            return [part for part in text.partition(mark) if part]
    return [text] if text else []


@mistake("bpe.split_special", "the spaces beside a special token are lost")
def stripped(text, special):
    return [part for part in (p if p in special else p.strip() for p in cut(text, special)) if part]
