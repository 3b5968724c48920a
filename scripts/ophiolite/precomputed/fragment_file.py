"""Fragment files: all labels of one block, sorted so that a merge job reads one contiguous range.

Layout, little-endian: magic `OPHFRAGS`, u32 version, u32 kind (1 mesh, 2 skeleton), u64 rows, u64 bytes of the table,
the table of contents (zstd of ROW records), then the pieces. Rows and pieces are sorted by merge job, shard, label and
origin. `offset` counts from the end of the table. A piece's `origin_vx` is the absolute voxel of the product's mip that
its int32 coordinates (1/256 voxel) are relative to.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import Vec

MAGIC = b"OPHFRAGS"
VERSION = 1
KINDS = {"mesh": 1, "skeleton": 2}
HEAD = struct.Struct("<8sIIQQ")
ROW = np.dtype(
    [
        ("merge_job", "<u4"),
        ("shard", "<u4"),
        ("label", "<u8"),
        ("origin_vx", "<i8", (3,)),
        ("offset", "<u8"),
        ("size", "<u8"),
    ]
)
LEVEL = 3


@dataclass(frozen=True)
class Fragment:
    """One piece of one label on its way to a merge job."""

    merge_job: int
    shard: int
    label: int
    origin_vx: Vec
    data: bytes


def encode_fragment_file(kind: str, fragments: Sequence[Fragment]) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """Bytes of a fragment file, and (offset, size) in it of what each merge job has to read."""
    ordered = sorted(fragments, key=lambda f: (f.merge_job, f.shard, f.label, f.origin_vx))
    rows = np.zeros(len(ordered), dtype=ROW)
    offset = 0
    for i, f in enumerate(ordered):
        rows[i] = (f.merge_job, f.shard, f.label, f.origin_vx, offset, len(f.data))
        offset += len(f.data)
    table = zstandard.ZstdCompressor(level=LEVEL).compress(rows.tobytes())
    head = HEAD.pack(MAGIC, VERSION, KINDS[kind], len(rows), len(table))
    start = len(head) + len(table)
    ranges: dict[int, tuple[int, int]] = {}
    for f, row in zip(ordered, rows, strict=True):
        first, size = ranges.get(f.merge_job, (start + int(row["offset"]), 0))
        ranges[f.merge_job] = (first, size + len(f.data))
    return b"".join([head, table, *(f.data for f in ordered)]), ranges


def read_table(kind: str, read: Callable[[int, int], bytes], name: str) -> tuple[NDArray[Any], int]:
    """Table of contents `(n,)` of ROW and where the pieces begin; raises FormatError for any other file."""
    magic, version, found, count, size = HEAD.unpack(read(0, HEAD.size))
    if (magic, version, found) != (MAGIC, VERSION, KINDS[kind]):
        raise FormatError(
            explain(
                name,
                f"is no fragment file of a {kind} that this version reads",
                expected=(MAGIC, VERSION, KINDS[kind]),
                got=(magic, version, found),
                do="Delete its receipt and run again",
            )
        )
    try:
        raw = zstandard.ZstdDecompressor().decompress(read(HEAD.size, size), max_output_size=count * ROW.itemsize)
        rows = np.frombuffer(raw, dtype=ROW, count=count)
    except (zstandard.ZstdError, ValueError) as error:
        raise FormatError(explain(name, f"has a damaged table ({error})", do="Delete its receipt and run again")) from None
    return rows, HEAD.size + size


def pieces_of_job(
    kind: str, read: Callable[[int, int], bytes], merge_job: int, name: str
) -> Iterator[tuple[int, int, Vec, bytes]]:
    """(shard, label, origin_vx, data) of what one merge job takes from a file, in file order; one range is read."""
    rows, start = read_table(kind, read, name)
    mine = rows[rows["merge_job"] == merge_job]
    if not len(mine):
        return
    first, last = int(mine["offset"][0]), int(mine["offset"][-1] + mine["size"][-1])
    data = memoryview(read(start + first, last - first))
    for row in mine:
        at = int(row["offset"]) - first
        x, y, z = row["origin_vx"].tolist()
        yield int(row["shard"]), int(row["label"]), (x, y, z), bytes(data[at : at + int(row["size"])])
