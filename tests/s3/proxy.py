"""An HTTP proxy before an S3 server: it counts requests, and makes those fail that a test picks."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Request:
    """What was asked: the S3 operation by its short name, the key, and the how-manieth request of all it is."""

    operation: str
    key: str
    number: int
    job: str


@dataclass(frozen=True)
class Status:
    """Answer with an error instead of asking the server."""

    code: int
    word: str


@dataclass(frozen=True)
class Slow:
    """Answer late."""

    seconds: float


@dataclass(frozen=True)
class CutUpload:
    """Pass on this share of the body, then drop both connections."""

    share: float


@dataclass(frozen=True)
class CutAnswer:
    """Send this share of the answer's body, then drop the connection."""

    share: float


@dataclass(frozen=True)
class LoseAnswer:
    """Let the server do it, then drop the connection without a word."""


@dataclass(frozen=True)
class Alter:
    """Flip one bit of the body on its way to the server."""


@dataclass(frozen=True)
class Stale:
    """Leave the objects whose keys match out of a listing."""

    keys: str


Fault = Status | Slow | CutUpload | CutAnswer | LoseAnswer | Alter | Stale


@dataclass
class Proxy:
    """Listens on a port of its own; a context manager. `pick` names the fault of a request, None for none."""

    upstream: int
    pick: Callable[[Request], Fault | None] = lambda request: None
    seen: list[Request] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._http = type("Server", (ThreadingHTTPServer,), {"daemon_threads": True})(("127.0.0.1", 0), handler)
        self.lock = threading.Lock()
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def note(self, method: str, target: str, agent: str) -> tuple[Request, Fault | None]:
        """Count a request and pick its fault."""
        address = urlsplit(target)
        query = parse_qs(address.query, keep_blank_values=True)
        operation = {"GET": "get", "PUT": "put", "HEAD": "head", "DELETE": "delete", "POST": "post"}[method]
        if "list-type" in query:
            operation = "list"
        elif "uploads" in query:
            operation = "begin" if method == "POST" else "unfinished"
        elif "uploadId" in query:
            operation = {"PUT": "part", "POST": "complete", "DELETE": "abort"}[method]
        job = re.search(r"job/(\S+)", agent)
        with self.lock:
            request = Request(operation, unquote(address.path), len(self.seen), job[1] if job else "")
            self.seen.append(request)
            fault = self.pick(request)
            if fault is not None:
                self.done[type(fault).__name__] += 1
        return request, fault


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def handle_expect_100(self) -> bool:
        """Let the client send its body; the server is not asked first."""
        self.send_response_only(100)
        self.end_headers()
        return True

    def _pass(self) -> None:
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            self._answer()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request, fault = self.proxy.note(self.command, self.path, self.headers.get("User-Agent", ""))
        if isinstance(fault, Status):
            word = f"<Error><Code>{fault.word}</Code><Message>planted</Message></Error>".encode()
            self._send(fault.code, [("Content-Type", "application/xml")], word)
            return
        if isinstance(fault, Slow):
            time.sleep(fault.seconds)
        if isinstance(fault, CutUpload):
            self._cut_upload(body[: int(len(body) * fault.share)], len(body))
            return
        if isinstance(fault, Alter) and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        status, headers, answer = self._ask(body)
        if isinstance(fault, LoseAnswer):
            self._drop()
            return
        if isinstance(fault, Stale) and request.operation == "list":
            entries = re.findall(rb"<Contents>.*?</Contents>", answer, flags=re.DOTALL)
            for entry in entries:
                if re.search(fault.keys.encode(), entry):
                    answer = answer.replace(entry, b"")
        if isinstance(fault, CutAnswer):
            self._send(status, headers, answer, share=fault.share)
            self._drop()
            return
        self._send(status, headers, answer)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
        with contextlib.closing(connection):
            self._open(connection, len(body))
            connection.send(body)
            got = connection.getresponse()
            return got.status, got.getheaders(), got.read()

    def _open(self, connection: http.client.HTTPConnection, length: int) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP | {"expect", "content-length"}:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()

    def _cut_upload(self, part: bytes, length: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
        self._open(connection, length)
        connection.send(part)
        connection.close()
        self._drop()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes, share: float = 1.0) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: int(len(body) * share)])

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
