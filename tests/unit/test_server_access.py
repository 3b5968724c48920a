"""What the results server refuses: pages of other origins, names of strangers, silence, crowds; and how it says so."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_client import Answer, ask, connect

from ophiolite.errors import ConfigError, LayerError, StoreError
from ophiolite.report import server_listener
from ophiolite.report.server import CLIENT_PAGE, ResultsServer
from ophiolite.report.server_access import answers_to, check_origin

SHARD = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    layer = folder / "d/layers/em"
    layer.mkdir(parents=True)
    (layer / "0.shard").write_bytes(SHARD)
    (layer / "info").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[ResultsServer]:
    with ResultsServer(root, lambda base: base) as running:
        yield running


FRIEND = "https://viewer.example.org"


@pytest.fixture(scope="module")
def open_server(root: Path) -> Iterator[ResultsServer]:
    with ResultsServer(root, str, origins=[f"{FRIEND}/", "http://localhost:8080"]) as running:
        yield running


def preflight(server: ResultsServer, origin: str) -> Answer:
    return ask(
        server,
        "/d/layers/em/0.shard",
        "OPTIONS",
        Origin=origin,
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="range",
        Access_Control_Request_Private_Network="true",
    )


def test_pages_of_other_origins_read_nothing(server: ResultsServer) -> None:
    for answer in (
        preflight(server, "https://example.org"),
        ask(server, "/d/layers/em/0.shard", Origin="https://example.org"),
        ask(server, "/d/layers/em/0.shard", Origin="null"),
        ask(server, "/nothing", Origin="https://example.org"),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("origin", [FRIEND, "http://localhost:8080"])
def test_pages_of_a_named_origin_read_ranges(open_server: ResultsServer, origin: str) -> None:
    answer = preflight(open_server, origin)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert "range" in answer.headers["access-control-allow-headers"].lower()
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    for path in ("/d/layers/em/0.shard", "/nothing"):
        got = ask(open_server, path, Origin=origin, Range="bytes=0-4")
        assert (got.headers["access-control-allow-origin"], got.headers["vary"]) == (origin, "Origin")
        assert "Content-Range" in got.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin",
    ["http://viewer.example.org", "https://viewer.example.org.evil.org", "https://localhost:8080", "*", "null"],
)
def test_and_no_page_of_a_similar_one(open_server: ResultsServer, origin: str) -> None:
    assert "access-control-allow-origin" not in ask(open_server, "/d/layers/em/info", Origin=origin).headers
    assert "access-control-allow-private-network" not in preflight(open_server, origin).headers


@pytest.mark.parametrize("origin", ["*", "null", "example.org", "https://example.org/page", "https://a b", "file://"])
def test_what_is_no_origin_is_refused(root: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="--allow-origin: is no origin"):
        ResultsServer(root, str, origins=[origin])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://h.org:443/", "https://h.org"),
        ("http://h.org:80", "http://h.org"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://h.org:80", "https://h.org:80"),
        ("http://h.org:8080", "http://h.org:8080"),
    ],
)
def test_an_origin_is_taken_as_browsers_send_it(given: str, sent: str) -> None:
    assert check_origin(given) == sent


@pytest.mark.parametrize("host", ["evil.example.org", "192.0.2.1:8000", "localhost.evil.org", "[2001:db8::1]", "[", ""])
def test_a_strangers_name_for_this_machine_is_not_answered(server: ResultsServer, host: str) -> None:
    """DNS rebinding: the browser takes the server for a part of the stranger's site."""
    for path in ("/", "/d/layers/em/0.shard", CLIENT_PAGE):
        answer = ask(server, path, Host=host)
        assert answer.status == 421
        assert b"--bind" in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000"])
def test_this_machines_own_names_are_answered(server: ResultsServer, host: str) -> None:
    assert ask(server, "/d/layers/em/0.shard", Host=host).body == SHARD


@pytest.mark.parametrize("bind", ["::ffff:127.0.0.1", "localhost", "127.1", "2130706433", "127.0.0.2", "::1"])
def test_however_loopback_is_spelled_strangers_names_are_not_answered(root: Path, bind: str) -> None:
    try:
        running = ResultsServer(root, str, bind=bind)
    except ConfigError as error:
        pytest.skip(f"this machine has no {bind}: {error}")
    with running:
        own = f"[{bind}]" if ":" in bind else bind
        for host, status in (("evil.example.org", 421), (f"{own}:80", 200), ("LOCALHOST.", 200), ("127.0.0.1", 200)):
            with socket.create_connection((running.address, running._http.server_address[1]), 5) as raw:
                raw.sendall(f"GET /d/layers/em/info HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                assert raw.recv(100).startswith(f"HTTP/1.1 {status}".encode()), host


def test_a_name_of_this_machine_that_leads_to_itself_is_answered() -> None:
    """As many systems list the machine's name beside 127.0.1.1."""
    assert answers_to("Microscope:8000", "microscope", "127.0.1.1")
    assert not answers_to("other:8000", "microscope", "127.0.1.1")
    assert not answers_to("", "", "127.0.1.1")
    assert answers_to("other:8000", "microscope", "192.0.2.7")
    assert answers_to("[::ffff:7f00:1]:8000", "::ffff:127.0.0.1", "::ffff:127.0.0.1")
    assert answers_to("[::ffff:192.0.2.7]", "::ffff:192.0.2.7", "::ffff:192.0.2.7")
    assert not answers_to("[::ffff:192.0.2.7]", "127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("error", [StoreError("s3://b/p: cannot be read."), LayerError("no finished layers <b>")])
def test_results_that_cannot_be_read_are_a_page_that_says_so(
    root: Path, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> str:
        raise error

    with ResultsServer(root, fails, fails) as running:
        for path in ("/", "/object?dataset=d&layer=cells&label=1"):
            answer = ask(running, path)
            assert answer.status == (502 if isinstance(error, StoreError) else 500)
            assert answer.body == f"{answer.status} {error}\n".encode()
            assert answer.headers["content-type"].startswith("text/plain")
    assert "Traceback" not in capfd.readouterr().err


def test_an_address_that_is_none_is_not_found(server: ResultsServer, capfd: pytest.CaptureFixture[str]) -> None:
    with connect(server) as raw:
        raw.sendall(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 404")
    assert "Traceback" not in capfd.readouterr().err


def test_a_silent_connection_is_closed(server: ResultsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._http.RequestHandlerClass, "timeout", 0.1)
    for said in (b"", b"GET /d/lay", b"GET /d/layers/em/info HTTP/1.1\r\nHost: localhost\r\n"):
        with connect(server) as silent:
            silent.sendall(said)
            assert silent.recv(100) == b""


def test_a_reader_that_takes_nothing_is_closed(
    server: ResultsServer, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server._http.RequestHandlerClass, "timeout", 0.1)
    with open(root / "d/layers/em/large", "wb") as file:
        file.truncate(64 * 2**20)
    with connect(server) as slow:
        slow.sendall(b"GET /d/layers/em/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        got = 0
        while piece := slow.recv(2**20):
            got += len(piece)
    assert 0 < got < 64 * 2**20
    assert "Traceback" not in capfd.readouterr().err


def test_a_connection_that_breaks_off_is_no_news(server: ResultsServer, capfd: pytest.CaptureFixture[str]) -> None:
    with connect(server) as broken:
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
        broken.sendall(b"GET /d/lay")
        time.sleep(0.05)
    time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_too_many_connections_are_turned_away_and_the_server_goes_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_listener, "MOST_CONNECTIONS", 2)
    with ResultsServer(root, str) as running:
        held = [connect(running) for _ in range(2)]
        for connection in held:
            connection.sendall(b"GET /d/layers/em/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(15).startswith(b"HTTP/1.1 200")
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            ask(running, "/d/layers/em/info")
        for connection in held:
            connection.close()
        for _ in range(50):
            time.sleep(0.02)
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                assert ask(running, "/d/layers/em/info").status == 200
                return
        raise AssertionError("no place was given back")


def test_a_connection_for_which_there_is_no_thread_leaves_its_place(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_listener, "MOST_CONNECTIONS", 1)

    def fails(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ResultsServer(root, str) as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", fails)
            with connect(running) as turned_away:
                assert turned_away.recv(1) == b""
        assert ask(running, "/d/layers/em/info").status == 200
    assert "can't start new thread" in capfd.readouterr().err
