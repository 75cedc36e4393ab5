"""Fetching from the hub, against a real HTTP server on this machine that can be told to misbehave."""

import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fieldguide.errors import WeightsError
from fieldguide.weights.catalog import HuggingFaceSource, WeightsFile
from fieldguide.weights.hub import fetch

MIB = 1024 * 1024
SOURCE = HuggingFaceSource("someone/some-model")


class HubStandIn:
    """Serves files by range, logs every request, and can break off, ignore ranges, move files, or make clients wait."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.breaks_off_after: int | None = None
        self.ignores_range = False
        self.open_gate = threading.Event()
        self.open_gate.set()

    def __enter__(self) -> "HubStandIn":
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open_gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]

    def publish(self, path: str, content: bytes, source: HuggingFaceSource = SOURCE) -> WeightsFile:
        """Serve a file of a repository, and describe it as the catalogue would."""
        self.files[f"/{source.repository}/resolve/{source.revision}/{path}"] = content
        return described(path, content)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.requestline.split()[1]  # as it was sent; `request.path` has double slashes mended
        asked = request.headers["Range"]
        self.requests.append((path, asked))
        if path in self.moved:
            request.send_response(302)
            request.send_header("Location", self.endpoint + self.moved[path])
            request.end_headers()
            return
        if path not in self.files:
            request.send_error(404)
            return
        content = self.files[path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and not self.ignores_range else 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        self.open_gate.wait(timeout=120)
        # A promised length that is not kept is what a broken connection looks like to the client.
        request.wfile.write(content[start:] if self.breaks_off_after is None else content[start:][: self.breaks_off_after])


def some_bytes(size: int, name: str = "some") -> bytes:
    """Always the same bytes for a name, no two stretches of them alike."""
    return hashlib.shake_256(name.encode()).digest(size)


def described(path: str, content: bytes) -> WeightsFile:
    return WeightsFile(path, len(content), hashlib.sha256(content).hexdigest())


def endpoint_where_nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def server():
    with HubStandIn() as server:
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Fetch files into the test's folder; returns the temporary path of each."""

    def get(*files: WeightsFile, source=SOURCE, endpoint=None, advance=lambda done: None) -> list[Path]:
        return [path for _, path in fetch(source, files, tmp_path, endpoint or server.endpoint, advance)]

    return get


def test_a_file_arrives_whole_under_a_temporary_name(server, get, tmp_path):
    content = some_bytes(3 * MIB)
    (path,) = get(server.publish("model.gguf", content))
    assert path == tmp_path / "model.gguf.part"
    assert path.read_bytes() == content


def test_a_file_in_a_subfolder_is_asked_for_there_and_stands_flat_on_disk(server, get, tmp_path):
    (path,) = get(server.publish("1_Pooling/config.json", b"{}"))
    assert server.requests == [("/someone/some-model/resolve/main/1_Pooling/config.json", None)]
    assert path.parent == tmp_path


def test_the_revision_of_the_source_is_asked_for(server, get):
    source = HuggingFaceSource("someone/some-model", revision="v2")
    server.publish("config.json", b"old")
    (path,) = get(server.publish("config.json", b"new", source), source=source)
    assert path.read_bytes() == b"new"


def test_an_endpoint_may_end_in_a_slash(server, get):
    (path,) = get(server.publish("config.json", b"{}"), endpoint=server.endpoint + "/")
    assert path.read_bytes() == b"{}"


def test_a_file_that_broke_off_goes_on_where_it_stopped(server, get, tmp_path):
    content = some_bytes(3 * MIB)
    file = server.publish("model.gguf", content)
    server.breaks_off_after = 2 * MIB + 1000
    with pytest.raises(WeightsError, match="cannot be reached"):
        get(file)
    kept = (tmp_path / "model.gguf.part").stat().st_size
    assert kept >= 2 * MIB

    server.breaks_off_after = None
    (path,) = get(file)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert path.read_bytes() == content


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, get, tmp_path):
    content = some_bytes(5000)
    file = server.publish("model.gguf", content)
    (tmp_path / "model.gguf.part").write_bytes(content[:2000])
    server.ignores_range = True
    (path,) = get(file)
    assert server.ranges == ["bytes=2000-"]
    assert path.read_bytes() == content


def test_a_moved_file_is_followed_with_its_range(server, get, tmp_path):
    content = some_bytes(5000)
    file = server.publish("model.gguf", content)
    server.files["/elsewhere"] = server.files.pop("/someone/some-model/resolve/main/model.gguf")
    server.moved["/someone/some-model/resolve/main/model.gguf"] = "/elsewhere"
    (tmp_path / "model.gguf.part").write_bytes(content[:2000])
    (path,) = get(file)
    assert server.requests[-1] == ("/elsewhere", "bytes=2000-")
    assert path.read_bytes() == content


def test_a_file_that_is_whole_already_is_not_asked_for(server, get, tmp_path):
    file = server.publish("config.json", b"{}")
    (tmp_path / "config.json.part").write_bytes(b"{}")
    assert get(file) == [tmp_path / "config.json.part"]
    assert server.requests == []


def test_a_missing_file_is_an_error_with_address_and_status(server, get):
    with pytest.raises(
        WeightsError, match=re.escape(f"{server.endpoint}/someone/some-model/resolve/main/lost.gguf answered 404")
    ):
        get(described("lost.gguf", b"lost"))


def test_a_missing_file_leaves_what_was_kept_untouched(server, get, tmp_path):
    (tmp_path / "lost.gguf.part").write_bytes(b"lo")
    with pytest.raises(WeightsError):
        get(described("lost.gguf", b"lost"))
    assert (tmp_path / "lost.gguf.part").read_bytes() == b"lo"


def test_a_hub_where_nobody_listens_cannot_be_reached(get):
    with pytest.raises(WeightsError, match="cannot be reached"):
        get(described("model.gguf", b"any"), endpoint=endpoint_where_nobody_listens())


def test_an_endpoint_that_is_no_web_address_cannot_be_reached(get):
    with pytest.raises(WeightsError, match="cannot be reached"):
        get(described("model.gguf", b"any"), endpoint="no web address")


def test_an_endpoint_with_an_impossible_port_cannot_be_reached(get):
    with pytest.raises(WeightsError, match="cannot be reached"):
        get(described("model.gguf", b"any"), endpoint="http://127.0.0.1:port")


def test_a_proxy_of_an_unusable_kind_is_an_error_of_this_source(get, monkeypatch):
    monkeypatch.setenv("all_proxy", "carrier-pigeon://127.0.0.1:1")
    with pytest.raises(WeightsError, match="cannot be reached"):
        get(described("model.gguf", b"any"))


def test_bytes_are_counted_over_all_files(server, get):
    counts: list[int] = []
    get(server.publish("a.bin", some_bytes(2 * MIB)), server.publish("b.bin", some_bytes(1000)), advance=counts.append)
    assert counts == sorted(counts)
    assert len(counts) > 2
    assert counts[-1] == 2 * MIB + 1000


def test_bytes_that_were_there_before_are_counted(server, get, tmp_path):
    counts: list[int] = []
    file = server.publish("model.gguf", some_bytes(5000))
    (tmp_path / "model.gguf.part").write_bytes(some_bytes(5000)[:2000])
    get(file, advance=counts.append)
    assert counts == [5000]
