"""What the TensorStore kinds share: metadata files by key, and a source over an open store. Heavy: import lazily."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box
from ophiolite.sources.axes import Axes
from ophiolite.sources.source import CACHE_BYTES, Header, HeaderSource

_RETRIES = {"max_retries": 5, "initial_delay": "200ms", "max_delay": "4s"}
_LISTED = 20


def kvstore(root: Path | str, key: str = "") -> Any:
    """The kvstore specification of a folder below a local folder or an http(s), gs or s3 address.

    Endpoint, region and credentials of s3 are those that `layers/bucket_client` takes too; without credentials,
    public buckets are read.
    """
    if isinstance(root, Path):
        return {"driver": "file", "path": f"{root.resolve() / key}/"}
    address = "/".join(part.strip("/") for part in (root, key) if part.strip("/")) + "/"
    if not address.startswith("s3://"):
        return address
    bucket, _, path = address.removeprefix("s3://").partition("/")
    place = {"driver": "s3", "bucket": bucket, "path": path}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        place |= {"endpoint": endpoint, "aws_region": region or "us-east-1"}
    elif region:
        place |= {"aws_region": region}
    return place | {"aws_credentials": {"type": _credentials()}}


def _credentials() -> str:
    """Where TensorStore finds AWS credentials: it complains of each place where it looks in vain."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    if "AWS_ACCESS_KEY_ID" in os.environ:
        return "environment"
    try:
        return "default" if Session().get_credentials() is not None else "anonymous"
    except BotoCoreError:
        return "anonymous"


class Tree:
    """The keys below a local folder or a server address, read one by one."""

    def __init__(self, path: str, root: Path | str) -> None:
        self.path = path
        self.root = root
        self._context = ts.Context(
            {
                "cache_pool": {"total_bytes_limit": CACHE_BYTES},
                "http_request_retries": _RETRIES,
                "gcs_request_retries": _RETRIES,
                "s3_request_retries": _RETRIES,
            }
        )
        try:
            self._store = ts.KvStore.open(self.at(""), context=self._context).result()
        except ValueError as error:
            raise self.error(f"the address cannot be opened ({_first_line(error)})") from error

    def at(self, key: str) -> Any:
        """The kvstore specification of one folder."""
        return kvstore(self.root, key)

    def json(self, key: str) -> dict[str, Any] | None:
        """A JSON object by its key, None where there is none; SourceError where it cannot be read."""
        try:
            found = self._store.read(key).result()
            if found.state != "value":
                return None
            value = json.loads(found.value)
        except (ValueError, UnicodeDecodeError) as error:
            raise self.error(f"`{key}` cannot be read ({_first_line(error)})") from error
        if not isinstance(value, dict):
            raise self.error(f"`{key}` is not a JSON object")
        return value

    def open(self, spec: dict[str, Any]) -> Any:
        """Open an array read-only, counted from zero; SourceError where TensorStore cannot."""
        spec = {**spec, "recheck_cached_data": "open", "recheck_cached_metadata": "open"}
        try:
            store = ts.open(spec, open=True, read=True, context=self._context).result()
        except ValueError as error:
            raise self.error(f"TensorStore cannot open the array ({_first_line(error)})") from error
        return store[ts.d[:].translate_to[0]]

    def children(self, marks: Sequence[str]) -> list[str]:
        """Folders up to three levels down that hold one of the marking files; empty for servers."""
        if not isinstance(self.root, Path) or not self.root.is_dir():
            return []
        found: list[str] = []
        for folder, folders, files in os.walk(self.root):
            depth = len(Path(folder).relative_to(self.root).parts)
            folders[:] = [] if depth >= 3 else sorted(folders)[: 10 * _LISTED]
            if depth and not set(marks).isdisjoint(files):
                found.append("/" + Path(folder).relative_to(self.root).as_posix())
        return found

    def nothing_there(self, inside: str, what: str, found: Sequence[str]) -> SourceError:
        """The error for a path without a volume, naming the folders that hold one."""
        listing = ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
        base = self.path.removesuffix(f":{inside}") if inside else self.path
        return SourceError(
            explain(
                self.path,
                f"there is no {what} at '{inside or '/'}'",
                got=listing or "nothing that could be listed",
                do=f"Write e.g. `source: {base}:{found[0]}`" if found else "Correct the `source` in the config",
            )
        )

    def error(self, problem: str) -> SourceError:
        """A SourceError about this source that asks to check it."""
        return SourceError(explain(self.path, problem, do="Check that the source is complete and can be reached"))


class TensorSource(HeaderSource):
    """A volume read through TensorStore, whose own cache keeps decoded chunks."""

    def __init__(self, header: Header, axes: Axes, store: Any, identity: Sequence[object]) -> None:
        super().__init__(header)
        self._axes = axes
        self._store = store
        self._identity = tuple(identity)

    def _decode(self, box: Box) -> NDArray[Any]:
        # Reading in the order that puts x densest in the result spares a transposed copy.
        order = "F" if self._axes.names.startswith("x") else "C"
        try:
            block = self._store[self._axes.select(box)].read(order=order).result()
        except ValueError as error:
            raise SourceError(
                explain(
                    self.path,
                    f"voxels {box.start} to {box.stop} cannot be read ({_first_line(error)})",
                    do="Check that the source is complete and can be reached, then run again",
                )
            ) from error
        return self._axes.arrange(block)

    def _more_facts(self) -> tuple[object, ...]:
        return self._identity


def metadata_files(tree: Tree, key: str, names: Sequence[str]) -> tuple[str, ...]:
    """The local metadata files of an array (not its chunks), for fingerprints; empty for servers."""
    if not isinstance(tree.root, Path):
        return ()
    candidates = [tree.root / key / name for name in names] + [tree.root / name for name in names]
    return tuple(str(file) for file in dict.fromkeys(candidates) if file.is_file())


def numpy_type(tree: Tree, store: Any) -> np.dtype[Any]:
    """The array's type; SourceError for types numpy lacks."""
    dtype: np.dtype[Any] = np.dtype(store.dtype.numpy_dtype)
    if dtype.kind not in "biufc":
        raise tree.error(f"voxels of type {store.dtype.name} are not read")
    return dtype


def _first_line(error: Exception) -> str:
    return str(error).split(" [tensorstore_spec=")[0].splitlines()[0]
