"""The encodings and second stages that are compared, and who can read each pair of them.

A second stage lies behind the encoding of a chunk. Shards hold none or gzip, so that every reader of the encoding
reads those. Anything else exists only as chunk files served with a `Content-Encoding` header: Neuroglancer, precomputed
format, "sharded format" (data_encoding) and "HTTP Content-Encoding".
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import imagecodecs
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec
from ophiolite.precomputed.compression import gunzip_bytes, gzip_bytes
from ophiolite.precomputed.encoding import (
    ENCODINGS,
    READERS,
    ChunkEncoding,
    decode_chunk,
    encode_chunk,
    unreadable_by,
)

ANYWHERE, SERVED, NOWHERE = "shards, files", "served files", "no"
"""How a reader takes chunks: in shards and as files; as files behind HTTP with Content-Encoding only; not at all."""


@dataclass(frozen=True)
class SecondStage:
    """A lossless stage behind the encoding; `http` is its name as a Content-Encoding, empty for none."""

    name: str
    http: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Pipeline:
    """An encoding with a second stage behind it."""

    encoding: ChunkEncoding
    second: SecondStage

    @property
    def codec(self) -> str:
        """Name of the encoding for reading, with its quality where one name has several."""
        if self.encoding.name == "jxl" and self.encoding.quality == 100:
            return "jxl lossless"
        return self.encoding.name if self.encoding.quality is None else f"{self.encoding.name} {self.encoding.quality}"

    @property
    def lossy(self) -> bool:
        """True where other values than were given may come back."""
        return lossy(self.encoding)

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """Bytes of a chunk `(x, y, z, c)`; raises FormatError where the encoding cannot hold it."""
        return self.second.encode(encode_chunk(chunk, self.encoding))

    def decode(self, data: bytes, shape_vx: Vec, channels: int, dtype: DTypeLike) -> NDArray[Any]:
        """The chunk `(x, y, z, c)` of bytes that `encode` made; raises FormatError where they are damaged."""
        return decode_chunk(self.second.decode(data), shape_vx, channels, dtype, self.encoding)

    def readable_by(self, dtype: DTypeLike, channels: int) -> dict[str, str]:
        """Reader -> how it takes such chunks: `ANYWHERE`, `SERVED` or `NOWHERE`; readers sorted."""
        unable = unreadable_by(self.encoding, dtype, channels)
        able = ANYWHERE if self.second.http in ("", "gzip") else SERVED
        return {reader: NOWHERE if reader in unable else able for reader in sorted(READERS)}


def lossy(encoding: ChunkEncoding) -> bool:
    """True where an encoding may give back other values than it was given."""
    return encoding.name == "jpeg" or (encoding.name == "jxl" and encoding.quality != 100)


def pipelines(kind: str, data_type: str, channels: int) -> list[Pipeline]:
    """Every pair of encoding and second stage that can hold the voxels of an image or segmentation layer."""
    able = [e for e in CODECS[kind] if _holds(e.name, data_type, channels)]
    return [Pipeline(encoding, second) for encoding in able for second in SECOND_STAGES]


def _holds(name: str, data_type: str, channels: int) -> bool:
    counts = ENCODINGS[name].get(data_type, ())
    return counts is None or channels in counts


def _brotli(data: bytes) -> bytes:
    return bytes(imagecodecs.brotli_encode(data, level=5))


def _zstd(data: bytes) -> bytes:
    return bytes(imagecodecs.zstd_encode(data, level=3))


def _checked(name: str, decode: Callable[[bytes], Any], data: bytes) -> bytes:
    try:
        return bytes(decode(data))
    except (RuntimeError, zlib.error) as error:
        raise FormatError(
            explain(f"{name} stream", f"it is damaged ({error})", got=f"{len(data)} bytes", do="Make the file again")
        ) from error


def _same(data: bytes) -> bytes:
    return data


CODECS: dict[str, tuple[ChunkEncoding, ...]] = {
    "image": tuple(
        ChunkEncoding(name, quality, gzip=False)
        for name, quality in (("raw", None), ("jpeg", 85), ("png", 9), ("png", 1), ("jxl", 85), ("jxl", 100))
    ),
    "segmentation": tuple(
        ChunkEncoding(name, gzip=False) for name in ("raw", "png", "compressed_segmentation", "compresso", "crackle")
    ),
}
"""What is compared, per kind of layer; those that cannot hold the layer's data type are left out."""

SECOND_STAGES = (
    SecondStage("none", "", _same, _same),
    SecondStage(
        "gzip, zlib 9",
        "gzip",
        partial(gzip.compress, compresslevel=9, mtime=0),
        partial(_checked, "gzip", cast(Callable[[bytes], Any], partial(zlib.decompress, wbits=31))),
    ),
    *(
        SecondStage(f"gzip, libdeflate {level}", "gzip", partial(gzip_bytes, level=level), gunzip_bytes)
        for level in (6, 9, 12)
    ),
    SecondStage("brotli 5", "br", _brotli, partial(_checked, "brotli", imagecodecs.brotli_decode)),
    SecondStage("zstd 3", "zstd", _zstd, partial(_checked, "zstd", imagecodecs.zstd_decode)),
)
