"""Token files: what is written reads back, and every trouble is told."""
import contextlib
import io
import json

import numpy as np
import pytest

from gptlib import bpe
from gptlib.data import token_files
from gptlib.data.download import DataError

TEXT = "To be, or not to be — that is the question.\r\n" * 40


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_written_tokens_read_back(text, tmp_path, kind):
    folder = tmp_path / kind
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert token_files.main([str(text), "--tokenizer", kind, "--out", str(folder)]) == 0
    tool, both = token_files.tokenizer_of(folder), []
    for split in token_files.SPLITS:
        data = token_files.windows(folder, split, 8, tool.vocab_size)
        assert isinstance(data.tokens, np.memmap) and data.identity["vocab_size"] == tool.vocab_size
        both.append(tool.decode(data.tokens.tolist()))
    assert "".join(both) == TEXT and "train:" in said.getvalue()
    held_out = both[1]
    wanted = len(held_out.encode()) / (len(held_out) if kind == "characters" else len(held_out.encode()))
    assert token_files.bytes_per_token(folder) == wanted
    made = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    token_files.prepare(str(text), kind, folder)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == made, "made once only"


def test_a_long_text_is_split_by_pieces(text, tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "CHUNK", 50)
    pieces = list(token_files.pieces(text))
    assert "".join(pieces) == TEXT and len(pieces) == 20 and all(p.endswith("\n") for p in pieces)
    splits = token_files.sources(str(text))
    assert list(splits["held_out"]()) == pieces[19::20]
    assert sorted([*splits["held_out"](), *splits["train"]()]) == sorted(pieces)


def test_trouble_is_told(text, tmp_path, capsys):
    folder = tmp_path / "files"
    with pytest.raises(DataError, match="holds no token files(.|\n)*python -m gptlib.data.token_files"):
        token_files.windows(folder, "train", 8)
    token_files.prepare(str(text), "characters", folder)
    with pytest.raises(ValueError, match="folder must be empty"):
        token_files.prepare(str(text), "bytes", folder)
    with pytest.raises(ValueError, match="vocab_size must be at least"):
        token_files.windows(folder, "train", 8, vocab_size=3)
    with pytest.raises(ValueError, match="got 'é'"):
        token_files.tokenizer_of(folder).encode("é")
    with pytest.raises(ValueError, match="split"):
        token_files.windows(folder, "test", 8)
    (folder / "train.bin").write_bytes((folder / "train.bin").read_bytes()[:-1])
    with pytest.raises(DataError, match="cut short"):
        token_files.windows(folder, "train", 8)
    (folder / "meta.json").write_text(json.dumps({"source": "x"}))
    with pytest.raises(DataError, match="no token files"):
        token_files.read_meta(folder)
    assert token_files.main(["nowhere.txt", "--out", str(tmp_path / "x")]) == 1
    assert "text file" in capsys.readouterr().out and not (tmp_path / "x").exists()


def test_a_vocabulary_of_more_than_two_bytes(tmp_path):
    large = token_files.Tokenizer("own", 70_000, lambda text: [69_999] * len(text), str)
    texts = {split: lambda: ["abc", "de"] for split in token_files.SPLITS}
    meta = token_files.write(tmp_path, texts, large, "made up")
    assert meta["train"]["tokens"] == 5 and token_files.windows(tmp_path, "train", 4).tokens.tolist() == [69_999] * 5


def test_a_trained_vocabulary(text, tmp_path):
    file, folder = tmp_path / "own.json", tmp_path / "own"
    own = bpe.train(TEXT, 280, ["<|end|>"])
    own.save(file)
    meta = token_files.prepare(str(text), f"bpe:{file}", folder)
    assert meta["vocab_size"] == 280 and token_files.prepare(str(text), f"bpe:{file}", folder) == meta
    both = [token_files.windows(folder, split, 8, 280).tokens.tolist() for split in token_files.SPLITS]
    cut = len(TEXT) - len(TEXT) // 20
    assert both == [own.encode(TEXT[:cut]), own.encode(TEXT[cut:])]
    bpe.train("another", 260).save(file)
    with pytest.raises(ValueError, match="of another vocabulary"):
        token_files.prepare(str(text), f"bpe:{file}", folder)
    file.unlink()
    tool = token_files.tokenizer_of(folder)
    assert tool.decode(both[0]) == TEXT[:cut] and tool.encode("<|end|>é") == own.encode("<|end|>é")
    assert token_files.bytes_per_token(folder) == len(TEXT[cut:].encode()) / len(both[1])


@pytest.mark.parametrize(
    ("name", "words"),
    [("bpe:nowhere.json", "there is none at nowhere.json"), (f"bpe:{__file__}", "Tokenizer.save wrote"),
     ("bpe:", "there is none at"), ("words", "characters, bytes, gpt2, bpe:FILE, got 'words'")],
)  # fmt: skip
def test_a_tokenizer_that_is_none(name, words, text, tmp_path, capsys):
    assert token_files.main([str(text), "--tokenizer", name, "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().out and not (tmp_path / "out").exists()
