"""Published files come from the cache, else from where they were published, and are what they were."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mpclean.errors import UserError
from mpclean.sources.downloads import fetch
from mpclean.sources.versions import Files

CONTENT = {"a_train.json": b'["mp-1"]', "a_test.json": b'["mp-2"]'}
WAY_OUT = "build with --split random"


class Server(ThreadingHTTPServer):
    """Serves `files` on loopback and remembers what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(CONTENT)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/lists/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.removeprefix("/lists/")
        self.server.asked.append(name)
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT[name])))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pinned(url):
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    return Files(repository="somebody/something", commit="0123456", url=url, sha256=sha256)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def fails(files):
    """The message of a fetch that cannot succeed."""
    with pytest.raises(UserError) as caught:
        fetch("v", files, WAY_OUT)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(files.url + "a_train.json: ")
    for part in ("put it into", "MPCLEAN_CACHE", WAY_OUT):
        assert part in message
    return message


def test_downloaded_once(server, cache):
    folder = fetch("v", pinned(server.url), WAY_OUT)
    assert folder == cache / "v"
    assert contents(folder) == CONTENT
    assert server.asked == list(CONTENT)
    assert fetch("v", pinned(server.url), WAY_OUT) == folder
    assert server.asked == list(CONTENT)


def test_files_in_the_cache_need_no_network(server, cache):
    (cache / "v").mkdir(parents=True)
    for name, content in CONTENT.items():
        (cache / "v" / name).write_bytes(content)
    assert fetch("v", pinned("http://127.0.0.1:9/lists/"), WAY_OUT) == cache / "v"
    assert fetch("v", pinned(server.url), WAY_OUT) == cache / "v"
    assert server.asked == []


@pytest.mark.parametrize("value", ["", None])
def test_default_cache(server, tmp_path, monkeypatch, value):
    monkeypatch.setenv("MPCLEAN_CACHE", "") if value == "" else monkeypatch.delenv("MPCLEAN_CACHE", False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "system" / project)
    assert fetch("v", pinned(server.url), WAY_OUT) == tmp_path / "system" / "mpclean" / "v"


def test_a_file_that_changed_in_the_cache_is_fetched_again(server, cache):
    fetch("v", pinned(server.url), WAY_OUT)
    (cache / "v" / "a_test.json").write_bytes(b"[]")
    fetch("v", pinned(server.url), WAY_OUT)
    assert contents(cache / "v") == CONTENT
    assert server.asked == [*CONTENT, "a_test.json"]


def test_no_network(cache):
    assert str(cache / "v") in fails(pinned("http://127.0.0.1:9/lists/"))
    assert contents(cache / "v") == {}


def test_no_network_and_another_file_in_the_cache(cache):
    (cache / "v").mkdir(parents=True)
    (cache / "v" / "a_train.json").write_bytes(b"[]")
    assert "the one in the cache has another sha256" in fails(pinned("http://127.0.0.1:9/lists/"))
    assert contents(cache / "v") == {"a_train.json": b"[]"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "404"),
        (b'["mp-3"]', "does not match the known hash"),
        (b'["mp', "download failed"),  # cut off: fewer bytes than announced
    ],
)
def test_what_the_server_may_do(server, cache, body, says):
    server.files["a_train.json"] = body
    assert says in fails(pinned(server.url))
    assert contents(cache / "v") == {}


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "file"))
    fails(pinned(server.url))
    assert server.asked == []
