"""Bulk files of a project in a bucket, passed on to the browser; credentials stay in this process."""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from ophiolite.errors import StoreError
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.paths import BULK_FOLDERS

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
SPAN = re.compile(r"bytes=(?:(\d+)-(\d*)|-\d+)")


def bulk_name(url_path: str) -> str | None:
    """The bulk file of a project that a percent-encoded URL path names; None for any other path."""
    name = unquote(url_path).lstrip("/")
    parts = name.split("/")
    if len(parts) < 3 or parts[1] not in BULK_FOLDERS or not all(PART.fullmatch(part) for part in parts):
        return None
    return name


def content_type(path: Path) -> str:
    """The media type of a file, by its name."""
    if path.name == "info":
        return CONTENT_TYPES[".json"]
    return CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")


def send_object(handler: BaseHTTPRequestHandler, bucket: Bucket, name: str) -> None:
    """Answer a request with an object, or the part of it that its `Range` names, as it comes from the store.

    Where the store breaks off, so does the answer, for the browser to ask again.
    """
    asked = SPAN.fullmatch(handler.headers.get("Range", "").strip())
    if asked and asked[2] and int(asked[2]) < int(asked[1]):
        asked = None
    try:
        found = bucket.stream(name, asked[0] if asked else None)
    except KeyError:
        _refuse(handler, HTTPStatus.NOT_FOUND, "no such file in the results")
        return
    except IndexError:
        _refuse(handler, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file ends before this range")
        return
    except StoreError as error:
        _refuse(handler, HTTPStatus.BAD_GATEWAY, str(error))
        return
    with contextlib.closing(found):
        known = "Range" not in handler.headers and handler.headers.get("If-None-Match") == found.tag
        whole = HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK
        handler.send_response(HTTPStatus.PARTIAL_CONTENT if found.part else whole)
        if found.part:
            handler.send_header("Content-Range", found.part)
        if not known:
            handler.send_header("Accept-Ranges", "bytes")
            handler.send_header("Content-Type", content_type(Path(name)))
            handler.send_header("Content-Length", str(found.length))
        handler.send_header("Cache-Control", "no-cache")
        handler.send_header("ETag", found.tag)
        handler.end_headers()
        if handler.command == "HEAD" or known:
            return
        sent = 0
        with contextlib.suppress(StoreError):
            for piece in found.pieces:
                handler.wfile.write(piece)
                sent += len(piece)
        handler.close_connection |= sent != found.length


def _refuse(handler: BaseHTTPRequestHandler, status: HTTPStatus, text: str) -> None:
    body = f"{status.value} {text}\n".encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "text/plain; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Cache-Control", "no-cache")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
