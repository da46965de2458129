"""Byte-pair encoding beyond its exercises: equality with tiktoken and rustbpe's rule, special tokens, files, errors."""
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import bpe, data

END = "<|endoftext|>"
TEXT = "low lower lowest, the lowly fellow's 1234 slow  windows\n\n für Übel 🙂" * 9


@pytest.fixture(scope="module")
def real():
    return bpe.gpt2(), data.load("gpt2")


def test_gpt2_on_all_of_shakespeare(real):
    ours, theirs = real
    lines = "\n".join(data.shakespeare().values()).splitlines(keepends=True)
    assert len(lines) >= 100_000 and ours.vocab_size == 50_257
    assert [ours.encode(line) for line in lines] == theirs.encode_ordinary_batch(lines, num_threads=1)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_gpt2_on_any_unicode(real, text):
    ours, theirs = real
    tokens = ours.encode(text)
    assert tokens == theirs.encode_ordinary(text) and ours.decode(tokens) == text


def test_a_trained_vocabulary_loads_into_tiktoken_and_from_its_file(tmp_path):
    ours = bpe.train(TEXT, 330, [END])
    ours.save(tmp_path / "v.json")
    again, theirs = bpe.Tokenizer.load(tmp_path / "v.json"), ours.to_tiktoken()
    for text in (TEXT, END + " a" + END, "猫"):
        for special in (False, True):
            tokens = ours.encode(text, special)
            assert tokens == again.encode(text, special)
            assert tokens == theirs.encode(text, allowed_special="all" if special else set(), disallowed_special=())
            assert ours.decode(tokens) == text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bpe.merge([1], (1,), 2), "pair must be two tokens"),
        (lambda: bpe.learn({b"a": 1}, -1), "n_merges must not be negative, got -1"),
        (lambda: bpe.learn({b"a": 0}, 1), "got a count of 0"),
        (lambda: bpe.encode_chunk(b"a", {b"b": 1}), "got none for b'a'"),
        (lambda: bpe.decode([7], {}), "got [7]"),
        (lambda: bpe.split_special("a", [""]), "special must hold no empty text"),
        (lambda: bpe.train("a", 256, [END]), "vocab_size must be at least 257"),
        (lambda: bpe.Tokenizer([b"a"]), "pieces must hold every single byte"),
        (lambda: bpe.Tokenizer.load(__file__), "that Tokenizer.save wrote"),
    ],
)
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_what_does_not_fit_into_memory_of_words_is_spelt_again(monkeypatch):
    monkeypatch.setattr(bpe, "REMEMBERED", 3)
    tool = bpe.train(TEXT, 300)
    assert tool.encode(TEXT) == tool.to_tiktoken().encode_ordinary(TEXT) and len(tool._chunks) <= 3
