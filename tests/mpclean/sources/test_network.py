"""Servers that misbehave cost a bounded time, and one line; the key goes to nobody else."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from mpclean.errors import UserError
from mpclean.sources import network
from mpclean.sources.downloads import fetch
from mpclean.sources.network import BoundedAdapter, Patience, stay_on_host
from mpclean.sources.versions import Files

KEY = "0123456789abcdefghijklmnopqrstuv"


@contextmanager
def server(answer, host="127.0.0.1"):
    """Answer every question by a function of its handler; yields the address and the heads that came."""
    heads = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heads.append(dict(self.headers))
            with suppress(OSError):  # who asked has heard enough
                answer(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer((host, 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://{host}:{httpd.server_port}", heads
        httpd.shutdown()


def status(code, body=b"{}", **headers):
    def answer(handler):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def session(retries=1):
    made = requests.Session()
    patience = Patience(
        total=retries, backoff_factor=0.01, status_forcelist=(429, 503), raise_on_status=False
    )
    made.mount("http://", BoundedAdapter(max_retries=patience))
    made.hooks["response"].append(stay_on_host)
    made.headers["x-api-key"] = KEY
    return made


def trickle(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


def test_a_whole_answer_is_read():
    with server(status(200, b"hello")) as (url, heads):
        assert session().get(url, timeout=5).text == "hello"
        assert heads[0]["x-api-key"] == KEY


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_the_key_never_goes_to_another_host(code):
    with server(status(200)) as (other, heads):
        # Another name is another host, and so is another port.
        for there in (other.replace("127.0.0.1", "localhost"), other):
            refused = pytest.raises(UserError, match=f"sends on to another host, {there}, which")
            with server(status(code, Location=there)) as (url, _), refused:
                session().get(url, timeout=5)
        assert heads == []


def test_a_redirect_on_the_same_host_is_followed():
    def answer(handler):
        status(200, b"there")(handler) if handler.path == "/b" else status(302, Location="/b")(handler)

    with server(answer) as (url, _):
        assert session().get(f"{url}/a", timeout=5).text == "there"


@pytest.mark.parametrize("code", [429, 503])
def test_a_long_pause_ends_in_a_line(code):
    with server(status(code, Retry_After="99999")) as (url, heads):
        began = time.monotonic()
        with pytest.raises(UserError, match=f"answers {code} and asks to wait 99999 s, at most 120 s"):
            session().get(url, timeout=5)
        assert time.monotonic() - began < 5
        assert len(heads) == 1


def test_a_pause_is_said(capsys, monkeypatch):
    monkeypatch.setattr(network, "_UNSAID", 0.5)
    with server(status(503, Retry_After="1")) as (url, _):
        session().get(url, timeout=5)
    assert "waiting 1 s: the server asks for it (503)" in capsys.readouterr().err


def test_an_answer_that_trickles_has_a_limit_in_time(monkeypatch):
    monkeypatch.setattr(network, "LONGEST_ANSWER", 0.5)
    with server(trickle) as (url, _), pytest.raises(UserError, match=r"takes longer than 0\.5 s"):
        session().get(url, timeout=5)


def test_an_endless_answer_has_a_limit_in_size(monkeypatch):
    monkeypatch.setattr(network, "LARGEST_ANSWER", 4 << 20)
    with server(endless) as (url, _), pytest.raises(UserError, match="larger than 4 MiB"):
        session().get(url, timeout=5)


@pytest.mark.parametrize(("answer", "says"), [(trickle, "takes longer"), (endless, "larger than 4 MiB")])
def test_downloads_have_limits_too(tmp_path, monkeypatch, answer, says):
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(network, "LONGEST_ANSWER", 0.5 if answer is trickle else 60)
    monkeypatch.setattr(network, "LARGEST_ANSWER", 4 << 20)
    with server(answer) as (url, _), pytest.raises(UserError, match=says):
        fetch("v", Files("a/b", "0", f"{url}/", {"a.csv": "0" * 64}), "do without")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_nobody_answers():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(requests.ConnectionError):
        session(0).get(f"http://127.0.0.1:{port}", timeout=5)


@pytest.mark.parametrize("stated", ["../../evil", "/etc", "", "a/b", "2025\n", "x" * 40, ".."])
def test_a_stated_version_is_no_path(monkeypatch, stated):
    mp_client = pytest.importorskip("mpclean.sources.mp_client")
    with server(status(200, json.dumps({"db_version": stated}).encode())) as (url, _):
        monkeypatch.setenv("MP_API_KEY", KEY)
        client = mp_client.Client()
        client.endpoint = f"{url}/"
        with pytest.raises(UserError, match="which is none"):
            client.database_version()
