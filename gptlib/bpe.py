r"""Byte-pair encoding: spell any text in pieces that were frequent where the vocabulary was learned.

A text is cut into chunks by a pattern, each chunk is UTF-8 bytes, and the merges that training found join bytes into
longer pieces. Tokens are numbers: 0 to 255 are the bytes, 256 + i is what merge number i made. No text is unknown,
because every text is bytes. `GPT2` is the pattern of GPT-2.

Axes:
    V: vocabulary
"""
import heapq
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import regex

Pair = tuple[int, int]
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BYTES = tuple(bytes([byte]) for byte in range(256))  # what spelling begins with
FORMAT = "gptlib.bpe"
REMEMBERED = 1 << 18  # chunks whose tokens a tokenizer keeps: words come again and again


def pre_tokenise(text: str, pattern: str = GPT2) -> list[str]:
    """Cut a text into chunks that no merge may cross: words, numbers, marks, spaces (given; no exercise).

    Source:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2, and its code.
    """
    return regex.findall(pattern, text)


def count_chunks(text: str, pattern: str = GPT2) -> Counter[bytes]:
    """Count the chunks of a text, as UTF-8 bytes (given; no exercise)."""
    return Counter({chunk.encode(): times for chunk, times in Counter(pre_tokenise(text, pattern)).items()})


def merge(tokens: Sequence[int], pair: Pair, new: int) -> list[int]:
    """Replace every occurrence of a pair by one new token, from left to right.

    Occurrences do not overlap: a token that has been merged is used up, so three equal tokens hold one pair of them.

    Args:
        tokens: token numbers.
        pair: the two neighbours to look for, in this order.
        new: the number that replaces them.

    Returns:
        A new list; the given tokens stay as they are.

    Raises:
        ValueError: `pair` is not two tokens.

    Source:
        Gage 1994, "A New Algorithm for Data Compression".
    """
    if len(pair) != 2:
        raise ValueError(f"pair must be two tokens, got {pair!r}")
    # YOUR CODE HERE
    raise NotImplementedError("bpe.merge")


def learn(chunks: Mapping[bytes, int], n_merges: int) -> list[Pair]:
    """Learn merges: again and again join the pair of neighbours that occurs most often.

    Each chunk begins as its bytes and counts as often as it occurs. A pair is counted at every position where it
    stands, so `aaa` holds the pair `aa` twice. Of pairs that occur equally often the smallest wins, compared as Python
    compares tuples of numbers: first the left token, then the right one.

    Args:
        chunks: how often each chunk of the text occurs, at least once.
        n_merges: how many merges to learn, at least 0.

    Returns:
        The pairs in the order in which they were joined; pair number i became token 256 + i. Fewer than `n_merges`
        when no pair is left: every chunk is one token then.

    Raises:
        ValueError: `n_merges` is negative, or a chunk occurs less than once.

    Source:
        Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1;
        on bytes: Radford et al. 2019, section 2.2.
    """
    if n_merges < 0:
        raise ValueError(f"n_merges must not be negative, got {n_merges}")
    if chunks and min(chunks.values()) < 1:
        raise ValueError(f"chunks must each occur at least once, got a count of {min(chunks.values())}")
    # YOUR CODE HERE
    raise NotImplementedError("bpe.learn")


class PairIndex:
    """How often each pair stands in the chunks, and in which of them, kept up to date (given; no exercise).

    A merge touches only the chunks that hold its pair, and there only the neighbours of the pair. That makes training
    fast: counting anew after each merge does the whole text's work every time.
    """

    def __init__(self, chunks: Mapping[bytes, int]):
        self.words = [list(chunk) for chunk in chunks]
        self.times = list(chunks.values())
        self.counts: dict[Pair, int] = defaultdict(int)
        self.holders: dict[Pair, set[int]] = defaultdict(set)  # which chunks hold a pair
        for i, word in enumerate(self.words):
            for pair in pairwise(word):
                self.counts[pair] += self.times[i]
                self.holders[pair].add(i)

    def join(self, pair: Pair, new: int) -> set[Pair]:
        """Join a pair wherever it stands, keep the counts right, and return the pairs that are new."""
        left, right = pair
        counts, holders, born = self.counts, self.holders, set()
        for i in holders.pop(pair):  # of these words some may have lost the pair meanwhile
            word, times = self.words[i], self.times[i]
            at, last = 0, len(word) - 1
            while at < last:
                if word[at] == left and word[at + 1] == right:
                    if at > 0:
                        counts[word[at - 1], left] -= times
                        now = word[at - 1], new
                        counts[now] += times
                        holders[now].add(i)
                        born.add(now)
                    if at + 1 < last:
                        counts[right, word[at + 2]] -= times
                        now = new, word[at + 2]
                        counts[now] += times
                        holders[now].add(i)
                        born.add(now)
                    word[at : at + 2] = [new]
                    last -= 1
                at += 1
        del counts[pair]
        return {now for now in born if counts[now]}  # in `aaaa`, a pair is born and gone again


def encode_chunk(chunk: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """Spell one chunk in tokens, joining what training joined first.

    Begin with single bytes. Of all neighbours that together are a piece of the vocabulary, join those with the lowest
    number, the leftmost of them if they stand several times; repeat until no two neighbours are a piece.

    Args:
        chunk: the bytes of one chunk.
        ranks: the vocabulary, from a piece to its number; holds all single bytes. The number is the rank: what was
            learned earlier has a lower one.

    Returns:
        The numbers of the pieces, from left to right.

    Raises:
        ValueError: `ranks` lacks a byte of the chunk.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2; the rank of a joined piece as in tiktoken.
    """
    if not all(map(ranks.__contains__, map(BYTES.__getitem__, chunk))):
        missing = next(BYTES[byte] for byte in chunk if BYTES[byte] not in ranks)
        raise ValueError(f"ranks must hold every single byte, got none for {missing!r}")
    # YOUR CODE HERE
    raise NotImplementedError("bpe.encode_chunk")


def decode(tokens: Sequence[int], pieces: Mapping[int, bytes]) -> str:
    """Turn tokens back into text. Any tokens: a model may write bytes that are no valid UTF-8.

    Args:
        tokens: token numbers.
        pieces: the bytes of each token.

    Returns:
        The text of all their bytes together, with U+FFFD (�) where they are not valid UTF-8.

    Raises:
        ValueError: a token is not in `pieces`.

    Source:
        The Unicode Standard, section 3.9, on U+FFFD for what cannot be decoded.
    """
    unknown = sorted({token for token in tokens if token not in pieces})
    if unknown:
        raise ValueError(f"tokens must be in the vocabulary, got {unknown}, which it lacks")
    # YOUR CODE HERE
    raise NotImplementedError("bpe.decode")


def split_special(text: str, special: Sequence[str]) -> list[str]:
    """Cut a text so that each special token stands alone, whole, and no chunk or merge can reach into it.

    Go from left to right. Where several special tokens begin at the same position, the longest counts.

    Args:
        text: any text.
        special: texts that are one token each, such as `<|endoftext|>`; they can hold any character.

    Returns:
        The parts in their order, special tokens and what stands between them, none of them empty. Joined they are the
        text again.

    Raises:
        ValueError: a special token is empty.

    Source:
        tiktoken, `Encoding.encode` with `allowed_special`.
    """
    if "" in special:
        raise ValueError(f"special must hold no empty text, got {list(special)}")
    # YOUR CODE HERE
    raise NotImplementedError("bpe.split_special")


class _Chunks(dict[str, tuple[int, ...]]):
    """The tokens of each chunk, spelt when it is first asked for."""

    def __init__(self, ranks: Mapping[bytes, int]):
        super().__init__()
        self.ranks = ranks

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        data = chunk.encode("utf-8", errors="replace")  # half of a surrogate pair is no character: it becomes "?"
        whole = self.ranks.get(data)
        tokens = tuple(encode_chunk(data, self.ranks)) if whole is None else (whole,)
        if len(self) >= REMEMBERED:
            self.clear()
        self[chunk] = tokens
        return tokens


class Tokenizer:
    """A vocabulary to encode and decode with (given; no exercise).

    Args:
        pieces: the bytes of tokens 0, 1, 2 …, in the order in which they were learned; all 256 single bytes are there.
        special: texts that are one token each, such as `<|endoftext|>`; they get the numbers after the pieces.
        pattern: how texts are cut into chunks.

    Raises:
        ValueError: a single byte is missing, or a special token is empty or given twice.

    `encode("…")` reads special tokens as the letters they are made of, because a text from outside must not be able to
    give orders; `encode("…", special=True)` recognises them.
    """

    def __init__(self, pieces: Sequence[bytes], special: Sequence[str] = (), pattern: str = GPT2):
        missing = sorted(set(range(256)) - {piece[0] for piece in pieces if len(piece) == 1})
        if missing:
            raise ValueError(f"pieces must hold every single byte, got none for {missing[:5]}")
        if "" in special or len(set(special)) < len(special):
            raise ValueError(f"special must be different texts, none empty, got {list(special)}")
        self.ranks: dict[bytes, int] = {}
        for number, piece in enumerate(pieces):
            self.ranks.setdefault(piece, number)  # two merges can make the same piece: the first one counts
        self.special = {text: len(pieces) + i for i, text in enumerate(special)}
        self.pieces = dict(enumerate([*pieces, *(text.encode() for text in special)]))
        self.pattern = pattern
        self._split = regex.compile(pattern).findall
        self._chunks = _Chunks(self.ranks)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, V: pieces and special tokens."""
        return len(self.pieces)

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the tokens of a text; with `special`, its special tokens become one token each."""
        tokens: list[int] = []
        for part in split_special(text, list(self.special)) if special else [text]:
            if special and part in self.special:
                tokens.append(self.special[part])
            else:
                tokens.extend(chain.from_iterable(map(self._chunks.__getitem__, self._split(part))))
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; bytes that are not valid UTF-8 become �."""
        return decode([int(token) for token in tokens], self.pieces)

    def to_json(self) -> str:
        """Return the vocabulary as JSON; bytes are written as hexadecimal digits."""
        pieces = [self.pieces[number].hex() for number in range(len(self.pieces) - len(self.special))]
        return json.dumps({"format": FORMAT, "pattern": self.pattern, "special": list(self.special), "pieces": pieces})

    @classmethod
    def from_json(cls, text: str, name: str = "text") -> "Tokenizer":
        """Read what `to_json` gave.

        Raises:
            ValueError: it is something else; the message calls it `name`.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise KeyError("format")
            return cls([bytes.fromhex(piece) for piece in content["pieces"]], content["special"], content["pattern"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name} must hold a vocabulary that Tokenizer.save wrote: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the vocabulary to a file, as JSON."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is something else.
        """
        return cls.from_json(Path(path).read_text(encoding="utf-8"), str(path))

    def to_tiktoken(self, name: str = "trained") -> Any:
        """Return a `tiktoken.Encoding` with this vocabulary: the same tokens, from compiled code."""
        import tiktoken

        return tiktoken.Encoding(
            name, pat_str=self.pattern, mergeable_ranks=self.ranks, special_tokens=self.special
        )


def pieces_of(merges: Sequence[Pair]) -> list[bytes]:
    """Return the bytes of each token: 256 single bytes, then what each merge made (given; no exercise)."""
    pieces = list(BYTES)
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return pieces


def train(text: str, vocab_size: int, special: Sequence[str] = (), pattern: str = GPT2) -> Tokenizer:
    """Learn a vocabulary from a text (given; no exercise): count chunks, `learn`, make a `Tokenizer`.

    Args:
        text: what to learn from.
        vocab_size: V, number of tokens in all, the special ones included; fewer come out when the text is too short.
        special: texts that become one token each.
        pattern: how the text is cut into chunks.

    Raises:
        ValueError: `vocab_size` is less than 256 bytes and the special tokens need.
    """
    n_merges = vocab_size - 256 - len(special)
    if n_merges < 0:
        raise ValueError(f"vocab_size must be at least {256 + len(special)} (bytes, special tokens), got {vocab_size}")
    return Tokenizer(pieces_of(learn(count_chunks(text, pattern), n_merges)), special, pattern)


def gpt2() -> Tokenizer:
    """Return GPT-2's own vocabulary: 50,257 tokens (given; no exercise). Its single bytes stand in another order."""
    from . import data

    encoding = data.load("gpt2")
    pieces = [encoding.decode_single_token_bytes(number) for number in range(encoding.n_vocab - 1)]
    return Tokenizer(pieces, ["<|endoftext|>"])
