"""Packs: many keyed byte strings in one file, for work that is done task by task and assembled later.

Layout, little-endian: magic `OPHPACK1`, u64 count, then per entry (u64 group, u64 key, u64 offset, u64 size), then the
bytes; offsets count from the start of the file, entries are sorted by group and key.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from ophiolite.errors import FormatError, explain

MAGIC = b"OPHPACK1"


def encode_pack(entries: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Bytes of a pack of (group, key, data); raises FormatError where a key comes twice."""
    ordered = sorted(entries, key=lambda e: (e[0], e[1]))
    keys = [(group, key) for group, key, _ in ordered]
    if len(set(keys)) != len(keys):
        raise FormatError("pack: a key comes twice in one group. Each task must own its chunks.")
    table = np.zeros((len(ordered), 4), dtype="<u8")
    offset = len(MAGIC) + 8 + table.nbytes
    for row, (group, key, data) in enumerate(ordered):
        table[row] = (group, key, offset, len(data))
        offset += len(data)
    return b"".join([MAGIC, struct.pack("<Q", len(ordered)), table.tobytes(), *(data for _, _, data in ordered)])


class Sliceable(Protocol):
    """Bytes in memory, in a memory map or in a file."""

    def __len__(self) -> int:
        """Number of bytes."""

    def __getitem__(self, part: slice, /) -> bytes:
        """A copy of some of them."""


class Pack:
    """Entries of a pack; data are copied out when asked for."""

    def __init__(self, data: Sliceable, name: str) -> None:
        self._data = data
        head = len(MAGIC) + 8
        if len(self._data) < head or self._data[: len(MAGIC)] != MAGIC:
            raise FormatError(explain(name, "is no pack", expected=MAGIC.decode(), do="Delete it and run again"))
        (count,) = struct.unpack("<Q", self._data[len(MAGIC) : head])
        end = head + count * 32
        if end > len(self._data):
            raise FormatError(
                explain(
                    name, "is truncated", expected=f"{end} bytes", got=len(self._data), do="Delete it and run again"
                )
            )
        self._table = np.frombuffer(self._data[head:end], dtype="<u8").reshape(-1, 4)
        if count and int((self._table[:, 2] + self._table[:, 3]).max()) > len(self._data):
            raise FormatError(
                explain(name, "is truncated", got=f"{len(self._data)} bytes", do="Delete it and run again")
            )

    def keys(self, group: int) -> list[int]:
        """Keys of one group, ascending."""
        found: list[int] = self._table[self._table[:, 0] == group, 1].tolist()
        return found

    def entries(self, group: int) -> Iterator[tuple[int, bytes]]:
        """(key, data) of one group, ascending by key."""
        for _, key, offset, size in self._table[self._table[:, 0] == group].tolist():
            yield key, self._data[offset : offset + size]

    def get(self, group: int, key: int) -> bytes:
        """The data of one entry, which must exist."""
        row = np.flatnonzero((self._table[:, 0] == group) & (self._table[:, 1] == key))[0]
        offset, size = self._table[row, 2:].tolist()
        return self._data[offset : offset + size]
