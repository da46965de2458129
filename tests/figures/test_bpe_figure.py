"""The merge player takes the steps of our Python, and ends where it ends."""
import json
import unicodedata

import pytest

from gptlib import bpe, data, figures
from gptlib.figures import bpe_figure
from tests.figures.node import run_js

TEXT = data.shakespeare()["Hamlet"][:30_000]
MERGES = bpe.learn(bpe.count_chunks(TEXT), 300)
MARKS = "the thether 'tis  it's we'll\n\n\tso 1604 für 🙂 猫"
SAMPLES = ["", "a", "To be, or not to be", MARKS, "aaaaaaa   ", TEXT[2000:2300]]


def page(expression: str):
    """The value of an expression in the figure's module."""
    return run_js(figures.module_text("bpe"), expression)


def encoded(merges, texts):
    """What the page makes of texts."""
    return page(f"((r) => {json.dumps(texts)}.map((t) => encode(t, r)))(ranksOf({json.dumps(merges)}))")


def test_tokens_are_those_of_python():
    tool = bpe.Tokenizer(bpe.pieces_of(MERGES))
    assert encoded(MERGES, SAMPLES) == [tool.encode(text) for text in SAMPLES]


def test_chunks_are_those_of_python():
    # characters that a Unicode of some years ago knew: node and the regex package may know different new ones
    marks = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) != "Cn"]
    texts = [*SAMPLES, *(f"a{mark}{mark} {mark}1{mark}b" for mark in marks[::3])]
    assert page(f"{json.dumps(texts)}.map(preTokenise)") == [bpe.pre_tokenise(text) for text in texts]


def test_each_step_joins_the_lowest_number_wherever_it_stands():
    text = "the other thee, the mother"
    ranks = bpe.Tokenizer(bpe.pieces_of(MERGES)).ranks
    call = f"(() => {{ const r = ranksOf({json.dumps(MERGES)}); return states({json.dumps(text)}, r); }})()"
    chunks = [[bytes([byte]) for byte in chunk.encode()] for chunk in bpe.pre_tokenise(text)]
    for state in page(call)[1:]:
        could = {ranks[a + b] for pieces in chunks for a, b in zip(pieces, pieces[1:], strict=False) if a + b in ranks}
        assert state["rank"] == min(could)
        numbers = [[ranks[piece] for piece in pieces] for pieces in chunks]
        left, right = MERGES[state["rank"] - 256]
        joined = [bpe.merge(row, (left, right), state["rank"]) for row in numbers]
        chunks = [[piece.encode("latin-1") for piece in pieces] for pieces in state["chunks"]]
        assert joined == [[ranks[piece] for piece in pieces] for pieces in chunks]
        assert state["times"] == sum(map(len, numbers)) - sum(map(len, joined))


def test_two_merges_that_make_the_same_piece():
    merges = [(98, 99), (97, 98), (256, 100), (257, 256), (257, 99), (97, 256), (99, 100)]  # abc can be made twice
    tool = bpe.Tokenizer(bpe.pieces_of(merges))
    texts = ["abc", "abcabcd", "ababcbcd", "abbcabc"]
    assert encoded(merges, texts) == [tool.encode(text) for text in texts]


def test_what_could_be_joined_and_the_sentences():
    ranks = f"ranksOf({json.dumps([(97, 98), (256, 99)])})"
    first, done = page(f"[0, -1].map((i) => states('ab abc', {ranks}).at(i))")
    assert page(f"candidates({json.dumps(first['chunks'])}, {ranks})") == [{"rank": 256, "piece": "ab", "times": 2}]
    assert page(f"candidates({json.dumps(done['chunks'])}, {ranks})") == []
    said = page(f"states('ab abc', {ranks}).map((s) => describe(s, s.chunks.flat().length, 6, 6))")
    assert said[0] == "Before any merge each byte is a token: 6 tokens for 6 characters (6 bytes)."
    assert said[1] == "Token 256 was joined in 2 places: “ab”. Now 4 tokens for 6 characters (6 bytes)."
    assert "one place: “abc”" in said[2]
    assert page(r"['\u00c3', ' a\n', '\u00c3\u00bc'].map(shown)") == ["‹C3›", "␣a↵", "ü"]


def test_impossible_merges_are_refused():
    with pytest.raises(ValueError, match=r"got \(256, 97\) for token 256"):
        bpe_figure([(256, 97)], "a")
    assert json.loads(bpe_figure(MERGES, "the", ["a"], 2).data)["merges"][0] == list(MERGES[0])
