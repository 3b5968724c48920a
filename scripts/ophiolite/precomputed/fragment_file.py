"""Fragment files: all labels of one block, sorted so that a merge job reads one contiguous range.

Layout, little-endian: magic `OPHFRAGS`, u32 version, u32 kind (1 mesh, 2 skeleton), u64 number of sections, then per
section (u64 merge job, u64 offset from the start of the file, u64 size), then the sections, ascending by merge job.
A section is whole in itself: u64 rows, u64 bytes of its table, the table (zstd of ROW records), then the pieces. Rows
and pieces are sorted by shard, label and origin; `offset` counts from the end of the table. A piece's `origin_vx` is
the absolute voxel of the product's mip that its int32 coordinates (1/256 voxel) are relative to.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import zstandard

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import Vec

MAGIC = b"OPHFRAGS"
VERSION = 1
KINDS = {"mesh": 1, "skeleton": 2}
HEAD = struct.Struct("<8sIIQ")
SECTION = struct.Struct("<QQQ")
SECTION_HEAD = struct.Struct("<QQ")
ROW = np.dtype([("shard", "<u4"), ("label", "<u8"), ("origin_vx", "<i8", (3,)), ("offset", "<u8"), ("size", "<u8")])
LEVEL = 3


@dataclass(frozen=True)
class Fragment:
    """One piece of one label on its way to a merge job and a shard."""

    merge_job: int
    shard: int
    label: int
    origin_vx: Vec
    data: bytes


def encode_fragment_file(kind: str, fragments: Sequence[Fragment]) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """Bytes of a fragment file, and for each merge job the (offset, size) of its section."""
    ordered = sorted(fragments, key=lambda f: (f.merge_job, f.shard, f.label, f.origin_vx))
    sections = [(job, _section(list(group))) for job, group in itertools.groupby(ordered, key=lambda f: f.merge_job)]
    offset = HEAD.size + SECTION.size * len(sections)
    ranges: dict[int, tuple[int, int]] = {}
    for job, data in sections:
        ranges[job] = (offset, len(data))
        offset += len(data)
    head = HEAD.pack(MAGIC, VERSION, KINDS[kind], len(sections))
    table = b"".join(SECTION.pack(job, *ranges[job]) for job, _ in sections)
    return b"".join([head, table, *(data for _, data in sections)]), ranges


def _section(fragments: Sequence[Fragment]) -> bytes:
    rows = np.zeros(len(fragments), dtype=ROW)
    offset = 0
    for i, f in enumerate(fragments):
        rows[i] = (f.shard, f.label, f.origin_vx, offset, len(f.data))
        offset += len(f.data)
    table = zstandard.ZstdCompressor(level=LEVEL).compress(rows.tobytes())
    return b"".join([SECTION_HEAD.pack(len(rows), len(table)), table, *(f.data for f in fragments)])


def decode_sections(kind: str, data: bytes, name: str) -> dict[int, tuple[int, int]]:
    """(offset, size) of each merge job's section, from a file's bytes or its head; FormatError if it is none."""
    if len(data) < HEAD.size:
        raise _damaged(name, f"it has {len(data)} bytes")
    magic, version, found, count = HEAD.unpack_from(data)
    if (magic, version, found) != (MAGIC, VERSION, KINDS[kind]):
        raise FormatError(
            explain(
                name,
                f"is no fragment file of a {kind} that this version reads",
                expected=(MAGIC, VERSION, KINDS[kind]),
                got=(magic, version, found),
                do="Remake it: `snakemake --force` on the receipt that names it",
            )
        )
    if len(data) < HEAD.size + count * SECTION.size:
        raise _damaged(name, "its head is cut short")
    rows = [SECTION.unpack_from(data, HEAD.size + i * SECTION.size) for i in range(count)]
    return {job: (offset, size) for job, offset, size in rows}


def decode_section(merge_job: int, data: bytes, name: str) -> Iterator[Fragment]:
    """The fragments of one section, by shard, label and origin; raises FormatError for damage."""
    try:
        count, size = SECTION_HEAD.unpack_from(data)
        table = zstandard.ZstdDecompressor().decompress(
            data[SECTION_HEAD.size : SECTION_HEAD.size + size], max_output_size=max(count * ROW.itemsize, 1)
        )
        rows = np.frombuffer(table, dtype=ROW, count=count)
    except (struct.error, zstandard.ZstdError, ValueError, OverflowError, MemoryError) as error:
        raise _damaged(name, str(error)) from None
    start = SECTION_HEAD.size + size
    if count and start + int(rows["offset"][-1] + rows["size"][-1]) != len(data):
        raise _damaged(name, "its pieces are cut short")
    for shard, label, (x, y, z), offset, length in rows.tolist():
        at = start + offset
        yield Fragment(merge_job, shard, label, (x, y, z), data[at : at + length])


def _damaged(name: str, what: str) -> FormatError:
    return FormatError(
        explain(
            name,
            f"is a damaged fragment file ({what})",
            do="Remake it: `snakemake --force` on the receipt that names it",
        )
    )
