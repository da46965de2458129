"""Online texts: fetched in part or whole, resumed by range, compared with what the publisher states."""
import hashlib
import http.server
import json
import re
import threading

import pytest

from gptlib.data import download, online_text
from gptlib.data.download import DataError
from gptlib.data.online_text import OnlineText

STORIES = [f"Once upon a time there was a cat who had {i} fish.\nIt was a good cat." for i in range(2000)]
FILE = "".join(f"{story}\n<|endoftext|>\n" for story in STORIES).encode()
KEPT = "".join(f"{story}\n\n" for story in STORIES)


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; can break the line, forget ranges, change the file, or state a digest."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.ranges, self.breaks, self.requests = FILE, '"one"', True, [], []
        self.pointer = hashlib.sha256(FILE).hexdigest()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        if self.path == "/pointer":
            self.reply(200, f"version 1\noid sha256:{server.pointer}\nsize {len(server.content)}\n".encode(), {})
            return
        if self.path != "/file":
            self.send_error(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, server.tag)
        if wanted and server.ranges and same:
            start = int(wanted[1])
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
            more = {"Content-Range": f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"}
            self.reply(206, server.content[start:], more)
        else:
            self.reply(200, server.content, {})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in {"ETag": self.server.tag, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.path == "/file" and self.server.breaks:
            body = body[: self.server.breaks.pop(0)]
        self.wfile.write(body)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(online_text.time, "sleep", lambda _: None)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def text(server, **changes):
    return OnlineText(**{"name": "cats", "title": "Cats", "address": f"{server.url}/file", "kind": "text",
                         "licence": "none", "citation": "nobody", **changes})  # fmt: skip


def fetch(server, most=10**9, **changes):
    return online_text.fetch("cats", most, {"cats": text(server, **changes)})


def files():
    return sorted(path.name for path in download.folder().iterdir())


def test_documents_come_with_an_empty_line_between_them_and_where_they_came_from(server, capsys):
    path = fetch(server)
    assert path.read_text() == KEPT
    note = json.loads(path.with_suffix(".json").read_text())
    assert note["sha256"] == hashlib.sha256(KEPT.encode()).hexdigest() and note["address"] == f"{server.url}/file"
    assert note["sha256"] in capsys.readouterr().out and files() == [path.with_suffix(".json").name, path.name]
    count = len(server.requests)
    assert fetch(server) == path and len(server.requests) == count, "brought once only"


def test_a_part_is_cut_between_documents_and_no_more_than_it_is_brought(server):
    server.content = FILE * 400  # 60 MB, of which one block is wanted
    most = 10_000
    kept = fetch(server, most).read_text()
    assert KEPT.startswith(kept) and kept.endswith("cat.\n\n") and 0.8 * most < len(kept) <= most


def test_a_broken_line_is_taken_up_by_range_in_the_same_call(server):
    server.breaks = [50_000, 30_000]
    assert fetch(server).read_text() == KEPT
    ranges = [asked for path, asked in server.requests]
    assert ranges[0] is None and ranges[1] == "bytes=50000-" and ranges[2] == "bytes=80000-"


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server):
    server.breaks = [50_000] + [0] * online_text.TRIES
    with pytest.raises(DataError, match="(?s)50,000 bytes are kept.*run this again"):
        fetch(server)
    server.breaks, server.requests = [], []
    assert fetch(server).read_text() == KEPT and server.requests == [("/file", "bytes=50000-")]


def test_a_server_that_knows_no_ranges_begins_again(server):
    server.breaks, server.ranges = [50_000], False
    assert fetch(server).read_text() == KEPT


def test_a_file_that_changed_meanwhile_is_not_sewn_together(server):
    server.breaks = [50_000] + [0] * online_text.TRIES
    with pytest.raises(DataError):
        fetch(server)
    server.breaks, server.tag, server.content = [], '"two"', FILE.replace(b"cat", b"dog")
    assert fetch(server).read_text() == KEPT.replace("cat", "dog")


def test_a_weak_tag_is_no_ground_to_go_on(server):
    server.tag = 'W/"one"'
    server.breaks = [50_000]
    assert fetch(server).read_text() == KEPT and server.requests[1][1] is None


def test_what_is_complete_already_is_not_asked_for_twice(server):
    folder = download.folder()
    folder.mkdir(parents=True)
    (folder / "whole.part").write_bytes(FILE)
    (folder / "whole.mark").write_text(server.tag)
    assert online_text.download(text(server), folder / "whole").read_bytes() == FILE
    (folder / "long.part").write_bytes(FILE + b"more than there is")
    (folder / "long.mark").write_text(server.tag)
    assert online_text.download(text(server), folder / "long").read_bytes() == FILE


@pytest.mark.parametrize("known", ["sha256", "pointer"])
def test_a_wrong_checksum_leaves_nothing(server, known):
    changes = {"sha256": server.pointer} if known == "sha256" else {"pointer": f"{server.url}/pointer"}
    goal = download.folder() / "whole"
    assert online_text.download(text(server, **changes), goal).read_bytes() == FILE
    goal.unlink()
    server.content = FILE[:-1] + b"?"
    with pytest.raises(DataError, match="(?s)not the published file.*SHA-256 expected.*SHA-256 received"):
        online_text.download(text(server, **changes), goal)
    assert not goal.exists() and not goal.with_name("whole.part").exists()


def test_a_pointer_that_is_not_there_does_not_stand_in_the_way(server):
    goal = download.folder() / "whole"
    assert online_text.download(text(server, pointer=f"{server.url}/other"), goal).read_bytes() == FILE


@pytest.mark.parametrize("address, words", [("/other", "404"), (None, "could not be fetched")])
def test_an_address_that_does_not_answer_is_told(server, address, words):
    where = f"{server.url}{address}" if address else "http://127.0.0.1:1/file"
    with pytest.raises(DataError, match=words):
        fetch(server, address=where)


def test_lines_of_json_are_read(server):
    server.content = "".join(json.dumps({"text": story, "n": 1}) + "\n" for story in STORIES).encode()
    assert fetch(server, kind="jsonl").read_text() == KEPT


def test_parquet_asks_for_its_reader_before_it_brings_anything(server, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match="pip install pyarrow"):
        fetch(server, kind="parquet")
    assert server.requests == []


def test_parquet_is_read(server, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": STORIES, "id": list(range(len(STORIES)))}), tmp_path / "a")
    server.content = (tmp_path / "a").read_bytes()
    assert fetch(server, kind="parquet").read_text() == KEPT
    assert fetch(server, most=5000, kind="parquet").stat().st_size <= 5000


def test_nothing_that_fits_is_told(server):
    with pytest.raises(DataError, match="no document that fits"):
        fetch(server, most=20)
    with pytest.raises(ValueError, match="most_bytes"):
        fetch(server, most=0)
    with pytest.raises(ValueError, match="cats"):
        online_text.fetch("dogs", 5, {"cats": text(server)})


def test_the_published_texts_are_named_with_licence_and_source():
    bibliography = (download.Path(__file__).parents[2] / "chapters" / "references.bib").read_text()
    for name, row in online_text.TEXTS.items():
        assert row.name == name and row.licence and row.address.startswith("https://")
        assert f"{{{row.citation}," in bibliography and row.pointer != row.address
