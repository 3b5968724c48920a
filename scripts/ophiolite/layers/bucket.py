"""A prefix of a bucket as a place for files: read by range, written whole.

One request writes a small object, and a multipart upload a large one; both appear at once and complete, or not at all.
An upload that was cut off is no object: it is aborted, or if its process was killed, swept when its layer is closed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import StoreError, explain
from ophiolite.layers.bucket_client import client, md5, md5_header, passing_on, repeated, tag_of_parts
from ophiolite.layers.bucket_ranges import at_once, together
from ophiolite.layers.files import REMAKE, Written, ends_early, inside
from ophiolite.layers.folder import Folder, fill_array, partial_of
from ophiolite.layers.scratch import scratch_root
from ophiolite.layers.stop import write_point

# A multipart upload has at most 10,000 parts of at least 5 MiB: objects of up to 320 GB.
PART_BYTES = 32 * 2**20
COPY_BYTES = 8 * 2**20
SENT_BYTES = 256 * 2**10


@dataclass(frozen=True)
class Stream:
    """A request's answer: `part` is its Content-Range, None where the object comes whole; `close` gives it up."""

    size_bytes: int
    length: int
    part: str | None
    tag: str
    pieces: Iterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class Bucket:
    """Objects under `s3://bucket/prefix` or `gs://bucket/prefix`.

    damaged : None where every write is sent; else the paths of which that is so, while other objects stay that are, by
    size and the store's own checksum, what would be written.
    """

    url: str
    damaged: frozenset[str] | None = None

    def place(self, path: str) -> str:
        """Where a file lies, for messages."""
        return f"{self.url}/{path}"

    def size(self, path: str) -> int | None:
        """Bytes of a finished object, None where there is none."""
        state = self._state(path)
        return state[0] if state else None

    def tag(self, path: str) -> str:
        """The store's own checksum (ETag) of an object, empty where there is none."""
        state = self._state(path)
        return state[1] if state else ""

    def _state(self, path: str) -> tuple[int, str] | None:
        """Bytes and ETag of an object, None where there is none."""
        try:
            head = self._call("head_object", path, "read")
            return int(head["ContentLength"]), str(head["ETag"]).strip('"')
        except KeyError:
            return None

    def read(self, path: str) -> bytes:
        """All bytes of an object; raises StoreError where it cannot be read."""
        return self._get(path)

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """All bytes of every one of some small objects, several at once."""
        return at_once(self.read, paths)

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of every (offset, size), near ones in one request, several requests at once."""
        groups = together(ranges)
        wholes = at_once(lambda span: self._range(path, *span), [span for span, _ in groups])
        found = [b""] * len(ranges)
        for (span, members), whole in zip(groups, wholes, strict=True):
            for number in members:
                offset, size = ranges[number]
                found[number] = whole[offset - span[0] : offset - span[0] + size]
        return found

    def read_spans(self, spans: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """The bytes of every (path, offset, size), several requests at once; StoreError where one is shorter."""
        return at_once(lambda span: self._range(*span), spans)

    def stream(self, path: str, span: str | None) -> Stream:
        """An object as it comes, or the part of it that an HTTP `Range` header asks for.

        Raises KeyError where there is no such object, IndexError where it ends before the range, StoreError where the
        store refuses.
        """
        answer = self._call("get_object", path, "read", **({"Range": span} if span else {}))
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return Stream(
            size_bytes=int(total or answer["ContentLength"]),
            length=int(answer["ContentLength"]),
            part=answer.get("ContentRange"),
            tag=str(answer["ETag"]),
            pieces=passing_on(answer["Body"].iter_chunks(SENT_BYTES), self.place(path)),
            close=answer["Body"].close,
        )

    def checksum(self, path: str) -> str:
        """The sha256 of an object, read in parts."""
        digest = hashlib.sha256()
        for part in self._parts(path):
            digest.update(part)
        return digest.hexdigest()

    def local_copy(self, path: str, folder: Path) -> Path:
        """A copy of an object in `folder`, made once; as few as a job maps, never a whole dataset."""
        copy = folder / inside(path).replace("/", "+")
        if not copy.exists():
            folder.mkdir(parents=True, exist_ok=True)
            partial = copy.with_suffix(".partial")
            with open(partial, "wb") as file:
                for part in self._parts(path):
                    file.write(part)
            os.replace(partial, copy)
        return copy

    def write(self, path: str, data: bytes | Iterable[bytes]) -> Written:
        """Write an object; raises StoreError where the store refuses, leaving nothing visible behind."""
        there = None if self.damaged is None or path in self.damaged else self._state(path)
        if there is None:
            return self._send(path, data)
        with _on_disk(path), tempfile.TemporaryFile() as spool:
            written, tag = _spooled(path, data, spool)
            if (written.size_bytes, tag) == there:
                return written
            spool.seek(0)
            return self._send(path, iter(lambda: spool.read(PART_BYTES), b""))

    def _send(self, path: str, data: bytes | Iterable[bytes]) -> Written:
        digest, size = hashlib.sha256(), 0
        parts = _cut((data,) if isinstance(data, bytes) else data)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            write_point("fsync", path)
            write_point("rename", path)
            self._call("put_object", path, "written", Body=first, ContentMD5=md5_header(first))
            return Written(path, len(first), hashlib.sha256(first).hexdigest())
        upload, tags = _Upload(self, path), 0
        try:
            for part in _chain(first, second, parts):
                tags += 1
                upload.add(tags, part)
                digest.update(part)
                size += len(part)
            write_point("fsync", path)
            write_point("rename", path)
            upload.complete()
        except BaseException:
            upload.abort()
            raise
        return Written(path, size, digest.hexdigest())

    def write_array(
        self, path: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> Written:
        """Write a Fortran-ordered .npy filled through a memory map among the temporary files, then uploaded."""
        scratch = Folder(scratch_root(self.url))
        scratch.sweep_files([path])  # of killed tries on this machine
        draft = partial_of(scratch.local(path))
        try:
            with _on_disk(str(draft)):
                draft.parent.mkdir(parents=True, exist_ok=True)
                fill_array(draft, shape, dtype, fill)
                with open(draft, "rb") as file:
                    return self.write(path, iter(lambda: file.read(PART_BYTES), b""))
        finally:
            draft.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        """Remove an object that may be absent."""
        try:
            self._call("delete_object", path, "removed")
        except KeyError:
            return

    def delete_folder(self, folder: str) -> int:
        """Remove all objects below a prefix, and the object of its very name; returns the bytes that were listed."""
        found = list(self.sizes(folder))
        own = self.size(folder)
        if own is not None:
            found.append((folder, own))
        at_once(self.delete, [path for path, _ in found])
        return sum(size for _, size in found)

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all objects below a prefix, sorted."""
        return self.walk(folder)

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all objects below a prefix, as the store lists them: sorted."""
        for page in self._pages(folder):
            for entry in page.get("Contents", ()):
                yield self._path(entry["Key"]), int(entry["Size"])

    def folders(self, folder: str) -> list[str]:
        """Names of what lies directly below a prefix, sorted."""
        names = set()
        for page in self._pages(folder, Delimiter="/"):
            names |= {self._path(entry["Prefix"]).rstrip("/") for entry in page.get("CommonPrefixes", ())}
            names |= {self._path(entry["Key"]) for entry in page.get("Contents", ())}
        return sorted(name.rsplit("/", 1)[-1] for name in names)

    def sweep(self, folder: str, keep: tuple[str, ...]) -> None:
        """Abort uploads that killed writers left below a prefix, except of objects whose path begins as in `keep`."""
        for path, upload in self._uploads(f"{folder}/"):
            if not path.startswith(keep):
                _Upload(self, path, upload).abort()

    def _uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(path, upload id) of unfinished multipart uploads."""
        markers: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", None, "listed", Prefix=self._key(prefix), **markers)
            for entry in page.get("Uploads", ()):
                yield self._path(entry["Key"]), entry["UploadId"]
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _pages(self, folder: str, **options: Any) -> Iterator[dict[str, Any]]:
        prefix = self._key(f"{folder.rstrip('/')}/" if folder else "")
        while True:
            page = self._call("list_objects_v2", None, "listed", Prefix=prefix, **options)
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _range(self, path: str, offset: int, size: int) -> bytes:
        try:
            data = self._get(path, Range=f"bytes={offset}-{offset + size - 1}") if size else b""
        except IndexError:
            data = b""
        if len(data) != size:
            raise ends_early(self.place(path), offset, size, len(data))
        return data

    def _parts(self, path: str) -> Iterator[bytes]:
        """All bytes of an object, range by range."""
        size = self.size(path)
        if size is None:
            raise self._absent(path)
        for offset in range(0, size, COPY_BYTES):
            yield self._range(path, offset, min(COPY_BYTES, size - offset))

    def _get(self, path: str, **options: Any) -> bytes:
        """A body, whole: one that ends early is asked for again."""
        key, s3 = self._key(path), client(self._scheme)

        def get() -> bytes:
            body: bytes = s3.get_object(Bucket=self._bucket, Key=key, **options)["Body"].read()
            return body

        try:
            return repeated(get, self.place(path), "read")
        except KeyError:
            raise self._absent(path) from None

    def _call(self, method: str, path: str | None, doing: str, **options: Any) -> Any:
        """One request, repeated where it helps; KeyError where there is no such object."""
        if path is not None:
            options["Key"] = self._key(path)
        call = getattr(client(self._scheme), method)
        return repeated(lambda: call(Bucket=self._bucket, **options), self.place(path or ""), doing)

    def _absent(self, path: str) -> StoreError:
        return StoreError(explain(self.place(path), "cannot be read (no such object)", do=REMAKE))

    @property
    def _scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def _bucket(self) -> str:
        return urlsplit(self.url).netloc

    def _key(self, path: str) -> str:
        return f"{urlsplit(self.url).path.strip('/')}/{inside(path)}".lstrip("/")

    def _path(self, key: str) -> str:
        return key.removeprefix(self._key(""))


class _Upload:
    """A multipart upload; its object appears when it is completed."""

    def __init__(self, bucket: Bucket, path: str, upload: str = "") -> None:
        self._bucket, self._path = bucket, path
        self._id = upload or bucket._call("create_multipart_upload", path, "written")["UploadId"]
        self._parts: list[dict[str, Any]] = []
        self._sums = b""

    def add(self, number: int, data: bytes) -> None:
        """Send part `number`, from 1."""
        sent = self._call("upload_part", PartNumber=number, Body=data, ContentMD5=md5_header(data))
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._sums += md5(data)

    def complete(self) -> None:
        """Make the object appear."""
        try:
            self._call("complete_multipart_upload", MultipartUpload={"Parts": self._parts})
        except StoreError:
            # Where only the answer was lost, the upload is no more but the object is there.
            if self._bucket.tag(self._path) != tag_of_parts(self._sums, len(self._parts)):
                raise

    def abort(self) -> None:
        """Give up, as far as the store can be reached; what remains is swept later."""
        try:
            self._call("abort_multipart_upload")
        except (StoreError, KeyError):
            return

    def _call(self, method: str, **options: Any) -> Any:
        return self._bucket._call(method, self._path, "written", UploadId=self._id, **options)


@contextmanager
def _on_disk(name: str) -> Iterator[None]:
    """Work with a temporary file; raises StoreError where its disk refuses."""
    try:
        yield
    except OSError as error:
        do = "Free some space or set TMPDIR to a larger disk, then run again: finished work is kept"
        raise StoreError(explain(name, f"cannot be written ({error.strerror})", do=do)) from None


def _spooled(path: str, data: bytes | Iterable[bytes], spool: IO[bytes]) -> tuple[Written, str]:
    """Put what is to be written into a local file; returns what a write of it would leave, and its ETag.

    Stores that encrypt give other ETags: their objects are written again.
    """
    digest, size, sums, count = hashlib.sha256(), 0, b"", 0
    for part in _cut((data,) if isinstance(data, bytes) else data):
        spool.write(part)
        digest.update(part)
        size += len(part)
        sums += md5(part)
        count += 1
    tag = tag_of_parts(sums, count) if count > 1 else (sums or md5(b"")).hex()
    return Written(path, size, digest.hexdigest()), tag


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as parts of PART_BYTES, the last one shorter."""
    held = bytearray()
    for piece in pieces:
        for start in range(0, len(piece), PART_BYTES):
            held += memoryview(piece)[start : start + PART_BYTES]
            if len(held) > PART_BYTES:
                yield bytes(memoryview(held)[:PART_BYTES])
                held = held[PART_BYTES:]
    if held:
        yield bytes(held)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest
