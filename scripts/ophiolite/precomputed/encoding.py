"""Chunk encodings of Precomputed volumes: what each can hold, who reads it, array to bytes and back.

Specification: Neuroglancer, precomputed volume format, "Chunk encoding". The gzip stage behind an
encoding belongs to whoever writes the file or the shard; here bytes are always without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec, prod
from ophiolite.precomputed import image_codecs, label_codecs, segmentation_codec

DATA_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
SELF_COMPRESSED = ("jpeg", "png", "jxl")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_DEFAULT_QUALITY = {"jpeg": 85, "png": 1, "jxl": 85}
_QUALITY_RANGE = {"jpeg": (1, 100), "png": (1, 9), "jxl": (1, 100)}
_LARGEST_BLOCK_VX = 65536

Holds = dict[str, tuple[int, ...] | None]
"""Per data type the numbers of channels that work; None where any number does."""


def _all(dtypes: Iterable[str], channels: tuple[int, ...] | None) -> Holds:
    return dict.fromkeys(dtypes, channels)


ENCODINGS: dict[str, Holds] = {
    "raw": _all(DATA_TYPES, None),
    "jpeg": {"uint8": (1, 3)},
    "png": _all(("uint8", "uint16"), (1, 2, 3, 4)),
    "jxl": {"uint8": (1, 3, 4)},
    "compressed_segmentation": _all(("uint32", "uint64"), None),
    "compresso": _all(_UNSIGNED, (1,)),
    "crackle": _all(_UNSIGNED, (1,)),
}

READERS: dict[str, dict[str, Holds]] = {
    "tensorstore": {
        "raw": _all(DATA_TYPES, None),
        "jpeg": {"uint8": (1, 3)},
        "png": _all(("uint8", "uint16"), (1, 2, 3, 4)),
        "compressed_segmentation": _all(("uint32", "uint64"), None),
    },
    # CloudVolume mixes up the channels of its image codecs and knows png as 8 bit only.
    "cloudvolume": {
        "raw": _all(DATA_TYPES, None),
        "jpeg": {"uint8": (1,)},
        "png": {"uint8": (1,)},
        "jxl": {"uint8": (1,)},
        "compressed_segmentation": _all(("uint32", "uint64"), None),
        "compresso": _all(_UNSIGNED, (1,)),
        "crackle": _all(_UNSIGNED, (1,)),
    },
    # The client cuts some uint64 compresso labels of 2**32 and more to 32 bits; crackle is in no release.
    "neuroglancer": {
        "raw": _all(DATA_TYPES, None),
        "jpeg": {"uint8": (1, 3)},
        "png": _all(("uint8", "uint16"), (1, 2, 3, 4)),
        "jxl": {"uint8": (1, 3, 4)},
        "compressed_segmentation": _all(("uint32", "uint64"), None),
        "compresso": _all(("uint8", "uint16", "uint32"), (1,)),
    },
}
"""Reader -> encoding -> what it reads right; an encoding that is absent cannot be read at all."""


@dataclass(frozen=True)
class ChunkEncoding:
    """How the voxels of a chunk become bytes.

    quality : jpeg and jxl 1-100 (jxl 100 is lossless), png the zlib level 1-9 (1 is one filter and
        run-length coding: fastest, and smallest on microscopy); None becomes the encoding's default, and
        stays None where there is none.
    block_vx : block of compressed_segmentation.
    gzip : whether whoever stores the bytes gzips them; left out, whatever suits the encoding.
    """

    name: str
    quality: int | None = None
    block_vx: Vec = (8, 8, 8)
    gzip: bool = cast(bool, None)

    def __post_init__(self) -> None:
        if self.quality is None:
            object.__setattr__(self, "quality", _DEFAULT_QUALITY.get(self.name))
        if cast(object, self.gzip) is None:
            object.__setattr__(self, "gzip", self.name not in SELF_COMPRESSED)


def check_encoding(encoding: ChunkEncoding, dtype: DTypeLike, channels: int, where: str) -> None:
    """Raise FormatError, saying what would work, unless voxels of this kind can be stored this way."""
    name, data_type = encoding.name, np.dtype(dtype).name
    if name not in ENCODINGS:
        raise FormatError(
            explain(where, "unknown encoding", expected=" or ".join(ENCODINGS), got=repr(name), do="Choose one of them")
        )
    if not _holds(ENCODINGS[name], data_type, channels):
        others = [other for other, holds in ENCODINGS.items() if _holds(holds, data_type, channels)]
        raise FormatError(
            explain(
                where,
                f"encoding {name} cannot hold these voxels",
                expected=_words(ENCODINGS[name]),
                got=f"{data_type} with {channels} channel{'s' * (channels != 1)}",
                do=f"Use encoding {' or '.join(others)}" if others else f"Use data type {' or '.join(DATA_TYPES)}",
            )
        )
    low, high = _QUALITY_RANGE.get(name, (None, None))
    if low is None or high is None:
        if encoding.quality is not None:
            raise FormatError(
                explain(where, f"encoding {name} has no quality", got=str(encoding.quality), do="Remove the quality")
            )
    elif encoding.quality is None or not low <= encoding.quality <= high:
        raise FormatError(
            explain(
                where,
                f"this quality does not exist for encoding {name}",
                expected=f"{low} to {high}",
                got=str(encoding.quality),
                do="Choose a quality in that range",
            )
        )
    if min(encoding.block_vx) < 1 or prod(encoding.block_vx) > _LARGEST_BLOCK_VX:
        raise FormatError(
            explain(
                where,
                "this block size of compressed_segmentation cannot be used",
                expected=f"three positive numbers of at most {_LARGEST_BLOCK_VX} voxels together",
                got=str(encoding.block_vx),
                do="Use 8, 8, 8",
            )
        )
    if encoding.gzip and name in SELF_COMPRESSED:
        raise FormatError(
            explain(where, f"encoding {name} is compressed already", got="gzip behind it", do="Switch gzip off")
        )


def unreadable_by(encoding: ChunkEncoding, dtype: DTypeLike, channels: int) -> list[str]:
    """Names of the readers that cannot read such chunks right, or not for all values; sorted."""
    data_type = np.dtype(dtype).name
    return sorted(
        reader for reader, table in READERS.items() if not _holds(table.get(encoding.name, {}), data_type, channels)
    )


def encode_chunk(chunk: NDArray[Any], encoding: ChunkEncoding) -> bytes:
    """Encode a chunk `(x, y, z, c)`, without the gzip stage.

    Fortran-ordered chunks are passed on as they lie; only several channels of an image codec are interleaved
    (one copy), and read-only arrays are copied where a label codec asks for a writable buffer.
    Raises FormatError where the encoding cannot hold the chunk.
    """
    check_encoding(encoding, chunk.dtype, chunk.shape[3] if chunk.ndim == 4 else 0, f"{encoding.name} chunk")
    if chunk.size == 0:
        raise FormatError(
            explain(
                f"{encoding.name} chunk", "it has no voxels", got=str(chunk.shape), do="Give a box that is not empty"
            )
        )
    if chunk.dtype.byteorder == ">":
        chunk = chunk.astype(chunk.dtype.newbyteorder("<"))
    quality = cast(int, encoding.quality)
    match encoding.name:
        case "raw":
            return chunk.T.tobytes()
        case "jpeg":
            return image_codecs.encode_jpeg(chunk, quality)
        case "png":
            return image_codecs.encode_png(chunk, quality)
        case "jxl":
            return image_codecs.encode_jxl(chunk, quality)
        case "compressed_segmentation":
            return segmentation_codec.encode(chunk, encoding.block_vx)
        case "compresso":
            return label_codecs.encode_compresso(chunk)
        case _:
            return label_codecs.encode_crackle(chunk)


def decode_chunk(data: bytes, shape_vx: Vec, channels: int, dtype: DTypeLike, encoding: ChunkEncoding) -> NDArray[Any]:
    """Decode bytes without gzip stage to a chunk `(x, y, z, c)` in Fortran order; it may be read-only.

    Raises FormatError for damaged bytes and for bytes of another shape or data type. compresso and crackle are
    checked as far as their streams allow; only the gzip stage (CRC-32) finds all damage to them.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    check_encoding(replace(encoding, gzip=False), kind, channels, f"{encoding.name} chunk")
    match encoding.name:
        case "raw":
            return _decode_raw(data, shape_vx, channels, kind)
        case "jpeg":
            return image_codecs.decode_jpeg(data, shape_vx, channels)
        case "png":
            return image_codecs.decode_png(data, shape_vx, channels, kind)
        case "jxl":
            return image_codecs.decode_jxl(data, shape_vx, channels)
        case "compressed_segmentation":
            return segmentation_codec.decode(data, shape_vx, channels, kind, encoding.block_vx)
        case "compresso":
            return label_codecs.decode_compresso(data, shape_vx, kind)
        case _:
            return label_codecs.decode_crackle(data, shape_vx, kind)


def _decode_raw(data: bytes, shape_vx: Vec, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    expected = prod(shape_vx) * channels * dtype.itemsize
    if len(data) != expected:
        raise FormatError(
            explain(
                "raw chunk",
                "its length does not fit its shape",
                expected=f"{expected} bytes for {shape_vx} voxels of {channels} x {dtype.name}",
                got=f"{len(data)} bytes",
                do="Make the file again, or mend the chunk size and data type in info",
            )
        )
    return np.frombuffer(data, dtype).reshape((*shape_vx, channels), order="F")


def _holds(holds: Holds, data_type: str, channels: int) -> bool:
    if data_type not in holds or channels < 1:
        return False
    allowed = holds[data_type]
    return allowed is None or channels in allowed


def _words(holds: Holds) -> str:
    channels = next(iter(holds.values()))
    count = "any number of channels" if channels is None else f"{' or '.join(map(str, channels))} channels"
    return f"{' or '.join(holds)} with {count}"
