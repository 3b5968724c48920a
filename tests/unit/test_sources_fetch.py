"""Pinned downloads: the mirror first, then what was fetched before, then the address; never a file with another sum."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ophiolite.errors import SourceError
from ophiolite.sources.fetch import fetch

CONTENT = b"a pinned volume" * 1000


@dataclass(frozen=True)
class Pinned:
    url: str
    sha256: str = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "v.h5").write_bytes(CONTENT)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/v.h5"
        http.shutdown()
        thread.join()


def test_downloads_once_and_keeps_the_file(tmp_path: Path, server: str) -> None:
    file = fetch("v.h5", Pinned(server), None, tmp_path / "cache")
    assert (file, file.read_bytes()) == (tmp_path / "cache" / "v.h5", CONTENT)
    assert fetch("v.h5", Pinned("http://127.0.0.1:9/gone"), None, tmp_path / "cache") == file


def test_the_mirror_comes_first(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "v.h5").write_bytes(CONTENT)
    entry = Pinned("http://127.0.0.1:9/gone")
    assert fetch("v.h5", entry, tmp_path / "mirror", tmp_path / "cache") == tmp_path / "mirror" / "v.h5"
    assert not (tmp_path / "cache").exists()
    (tmp_path / "mirror" / "v.h5").write_bytes(CONTENT[:-1])
    with pytest.raises(SourceError, match=r"mirror/v\.h5: this is not the pinned file.*Expected SHA-256"):
        fetch("v.h5", entry, tmp_path / "mirror", tmp_path / "cache")


def test_a_file_that_is_not_in_the_mirror_is_downloaded(tmp_path: Path, server: str) -> None:
    (tmp_path / "mirror").mkdir()
    file = fetch("v.h5", Pinned(server), tmp_path / "mirror", tmp_path / "cache")
    assert file == tmp_path / "cache" / "v.h5"


def test_a_changed_publication_leaves_nothing_behind(tmp_path: Path, server: str) -> None:
    with pytest.raises(SourceError, match="not the pinned file"):
        fetch("v.h5", Pinned(server, "0" * 64), None, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_changed_cache_is_refused(tmp_path: Path, server: str) -> None:
    fetch("v.h5", Pinned(server), None, tmp_path / "cache").write_bytes(b"cut")
    with pytest.raises(SourceError, match="Delete it, and it is fetched again"):
        fetch("v.h5", Pinned(server), None, tmp_path / "cache")


def test_an_address_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be downloaded.*`mirror`"):
        fetch("v.h5", Pinned("http://127.0.0.1:9/v.h5"), None, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
