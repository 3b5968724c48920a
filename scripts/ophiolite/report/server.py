"""A small static server: the results with byte ranges, and the Neuroglancer client beside them, offline."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import parse_qs, unquote

from ophiolite.errors import ConfigError, OphioliteError, StoreError, explain
from ophiolite.layers.bucket import Bucket
from ophiolite.report.server_access import answers_to, check_origin, host_in_url, origin_headers
from ophiolite.report.server_listener import IDLE_S, listener
from ophiolite.report.server_objects import CONTENT_TYPES, bulk_name, content_type, send_object

CLIENT_PREFIX = "/neuroglancer/"
# The client in the wheel reads the name of its Python session from a path of this form; without it, it stops.
CLIENT_PAGE = "/neuroglancer/v/results/"
# What the client's page runs first:
# - The client listens to its Python session for events. Here there is none, and the state is in the link, so it is
#   given a connection that opens and stays silent.
# - While it restores the layers of the link, the client may write the half-restored state back to the link, namely
#   when restoring takes longer than 0.4 s; an annotation layer whose turn has not come then throws, and the layer at
#   hand is dropped without a word. So the clock stands still until the scripts of the page have run.
PREAMBLE = b"""<script>
window.EventSource = class { constructor() { setTimeout(() => this.onopen?.(), 0); } close() {} };
{
  const now = Date.now, start = now();
  Date.now = () => start;
  addEventListener("DOMContentLoaded", () => { Date.now = now; });
}
</script>"""
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
NAME = re.compile(r"[a-z0-9_]+")
HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:]+\](:\d+)?")


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, stop) of a file."""

    start: int
    stop: int


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The byte range that a `Range` header asks of a file of `size` bytes; None where the whole file is to be sent.

    Several ranges, other units and malformed headers are ignored, as RFC 9110 section 14.2 allows.
    Raises ValueError where the range lies outside the file (status 416).
    """
    match = RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if not last else min(size, int(last) + 1)
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise ValueError(f"range {header!r} lies outside {size} bytes")
    return ByteRange(start, stop)


def locate(root: Path, url_path: str) -> Path | None:
    """The regular file under `root` that a percent-encoded URL path names; None where there is none.

    Nothing outside `root` is ever found, whether by `..`, an absolute path or a symbolic link.
    """
    relative = unquote(url_path).lstrip("/")
    if "\0" in relative or "\\" in relative or ".." in relative.split("/"):
        return None
    try:
        path = (root / relative).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


Named = TypeVar("Named")


@dataclass(frozen=True)
class ObjectName:
    """A label of a segmentation layer, as an address names it."""

    dataset: str
    layer: str
    label: int


def parse_dataset(query: str) -> str | None:
    """The dataset of `name=..`; None where the query is of another form."""
    names = parse_qs(query, max_num_fields=8).get("name", [])
    return names[0] if len(names) == 1 and NAME.fullmatch(names[0]) else None


def parse_object(query: str) -> ObjectName | None:
    """The object of `dataset=..&layer=..&label=..`; None where the query is of another form, or no uint64 the label."""
    fields = parse_qs(query, max_num_fields=8)
    values = [fields.get(name, []) for name in ("dataset", "layer", "label")]
    if any(len(value) != 1 for value in values):
        return None
    dataset, layer, label = (value[0] for value in values)
    if not re.fullmatch(r"[0-9]{1,20}", label) or int(label) >= 2**64:
        return None
    return ObjectName(dataset, layer, int(label)) if NAME.fullmatch(dataset) and NAME.fullmatch(layer) else None


class ResultsServer:
    """Serves a results folder at `/`, and the Neuroglancer client at `/neuroglancer/`.

    `/` itself redirects to the link that `link(base)` returns, where `base` is the URL the browser used, and
    `/object?dataset=..&layer=..&label=..` to that of `object_link(base, name)`, None where there is no such object, and
    `/dataset?name=..` to that of `dataset_link(base, name)`.
    Bulk files come from `bucket` where there is one, range by range: no credentials leave this process.
    Pages of other origins read nothing, save those of `origins` (`https://host`).
    A context manager: serves from a thread of its own within the `with` block.
    Raises ConfigError where the address cannot be bound, the client is not installed or an origin is none.
    """

    def __init__(
        self,
        folder: Path,
        link: Callable[[str], str],
        object_link: Callable[[str, ObjectName], str | None] = lambda base, name: None,
        dataset_link: Callable[[str, str], str | None] = lambda base, name: None,
        *,
        port: int = 0,
        bind: str = "127.0.0.1",
        bucket: Bucket | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self.folder = folder.resolve(strict=True)
        self.bucket = bucket
        self.client = client_folder()
        self.link = link
        self.object_link = object_link
        self.dataset_link = dataset_link
        self.bind = bind
        self.origins = frozenset(check_origin(origin) for origin in origins)
        handler = type("Handler", (_Handler,), {"served": self})
        try:
            self._http = listener(bind, port, handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                explain(
                    f"{bind} port {port}",
                    "the server cannot listen there",
                    got=getattr(error, "strerror", None) or str(error),
                    do="Choose another port with --port (0 takes any free one), or another address with --bind",
                )
            ) from error
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The address that it listens on, however that was spelled."""
        return str(self._http.server_address[0])

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{host_in_url(self.bind)}:{self._http.server_address[1]}"

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, name="results-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    served: ResultsServer
    protocol_version = "HTTP/1.1"
    server_version = "ophiolite"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Answer GET."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer HEAD."""
        self._answer()

    def do_OPTIONS(self) -> None:
        """Answer a CORS preflight request."""
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def end_headers(self) -> None:
        """Add what every response carries."""
        asked = getattr(self, "headers", None)  # a request that cannot be read is answered too
        origin = asked.get("Origin") if asked else None
        granted = origin_headers(origin, self.served.origins, preflight=self.command == "OPTIONS")
        for name, value in granted.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: thousands of chunk requests are no news."""

    def _answer(self) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                path, _, query = self.path.partition("?")
                if answers_to(self.headers.get("Host"), self.served.bind, self.served.address):
                    self._route(path, query)
                else:
                    self._error(
                        HTTPStatus.MISDIRECTED_REQUEST,
                        "this server answers to localhost only; start it with --bind to show the results to others",
                    )
            except OphioliteError as error:  # raised before any answer began
                status = HTTPStatus.BAD_GATEWAY if isinstance(error, StoreError) else HTTPStatus.INTERNAL_SERVER_ERROR
                self._error(status, str(error))

    def _route(self, path: str, query: str) -> None:
        if path == "/":
            self._redirect(self.served.link(self._base()))
        elif path == "/object":
            self._object(query)
        elif path == "/dataset":
            self._dataset(query)
        elif path in (CLIENT_PREFIX.rstrip("/"), CLIENT_PREFIX, CLIENT_PAGE.rstrip("/")):
            # A browser keeps the fragment, and so the state, over a redirect that has none of its own.
            self._redirect(CLIENT_PAGE)
        elif path.startswith(CLIENT_PAGE):
            self._client_file(path.removeprefix(CLIENT_PAGE) or "index.html")
        elif self.served.bucket and (name := bulk_name(path)) is not None:
            send_object(self, self.served.bucket, name)
        elif (file := locate(self.served.folder, path)) is not None:
            self._send_file(file)
        else:
            self._error(HTTPStatus.NOT_FOUND, "no such file in the results")

    def _base(self) -> str:
        """The URL the browser used."""
        host = self.headers.get("Host", "")
        return f"http://{host}" if HOST.fullmatch(host) else self.served.url

    def _object(self, query: str) -> None:
        link = self.served.object_link
        self._lead(query, parse_object, link, "object?dataset=..&layer=..&label=..", "no such object in the results")

    def _dataset(self, query: str) -> None:
        absent = "no such dataset in the results, or it has no finished layer yet"
        self._lead(query, parse_dataset, self.served.dataset_link, "dataset?name=..", absent)

    def _lead(
        self,
        query: str,
        parse: Callable[[str], Named | None],
        link: Callable[[str, Named], str | None],
        form: str,
        absent: str,
    ) -> None:
        """Redirect to the viewer's link to what the query names; errors say its `form`, or that it is `absent`."""
        try:
            name = parse(query)
        except ValueError:
            name = None
        if name is None:
            self._error(HTTPStatus.BAD_REQUEST, f"expected {form}")
        elif (address := link(self._base(), name)) is None:
            self._error(HTTPStatus.NOT_FOUND, absent)
        else:
            self._redirect(address)

    def _client_file(self, name: str) -> None:
        file = locate(self.served.client, name)
        if file is None:
            self._error(HTTPStatus.NOT_FOUND, "no such file in the Neuroglancer client")
        elif name == "index.html":
            page = file.read_bytes().replace(b"<head>", b"<head>" + PREAMBLE, 1)
            self._send_bytes(HTTPStatus.OK, page, CONTENT_TYPES[".html"])
        else:
            self._send_file(file, cache="max-age=31536000, immutable")

    def _redirect(self, location: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", location)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _error(self, status: HTTPStatus, text: str) -> None:
        self._send_bytes(status, f"{status.value} {text}\n".encode(), "text/plain; charset=utf-8")

    def _send_bytes(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, path: Path, cache: str = "no-cache") -> None:
        """Send a file, or the part of it that the request's `Range` names.

        Results are made anew in place, under the same names, so the browser asks each time whether its copy still
        stands.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            self._error(HTTPStatus.FORBIDDEN, f"the file cannot be read: {error.strerror}")
            return
        with file:
            status = os.fstat(file.fileno())
            size = status.st_size
            etag = f'"{status.st_mtime_ns:x}-{size:x}"'
            if self.headers.get("If-None-Match") == etag and "Range" not in self.headers:
                self.send_response(HTTPStatus.NOT_MODIFIED)
                self.send_header("ETag", etag)
                self.send_header("Cache-Control", cache)
                self.end_headers()
                return
            try:
                part = parse_range(self.headers.get("Range"), size)
            except ValueError:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT)
            sent = part or ByteRange(0, size)
            if part is not None:
                self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", content_type(path))
            self.send_header("Content-Length", str(sent.stop - sent.start))
            self.send_header("Cache-Control", cache)
            self.send_header("ETag", etag)
            self.end_headers()
            if self.command != "HEAD":
                self._copy(file, sent)

    def _copy(self, file: BinaryIO, part: ByteRange) -> None:
        if part.stop > part.start:
            sent = self.connection.sendfile(file, part.start, part.stop - part.start)
            self.close_connection |= sent != part.stop - part.start


def client_folder() -> Path:
    """The folder of the built Neuroglancer client inside the `neuroglancer` package.

    Raises ConfigError where the package or its client is absent.
    """
    spec = importlib.util.find_spec("neuroglancer")
    places = [Path(place) / "static" / "client" for place in (spec.submodule_search_locations or [])] if spec else []
    for place in places:
        if (place / "index.html").is_file():
            return place.resolve()
    raise ConfigError(
        explain(
            "the Python package neuroglancer",
            "its built viewer is absent",
            expected="static/client/index.html inside the package",
            got=f"nothing at {places[0]}" if places else "no such package",
            do="Install the neuroglancer wheel from the package index into this environment",
        )
    )
