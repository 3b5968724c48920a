"""Slides that are little more than a header: a tiled JPEG TIFF of any size, all of whose tiles are the same bytes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

SHORT, LONG, RATIONAL = 3, 4, 5
ITEM = {SHORT: "H", LONG: "I", RATIONAL: "I"}


def write_header_slide(path: Path, size_px: tuple[int, int], mpp: float | None = 0.25, tile_px: int = 512) -> None:
    """Write a slide of `size_px` in a few hundred kB at most: a TIFF with one JPEG tile that stands for all."""
    tiles = -(-size_px[0] // tile_px) * -(-size_px[1] // tile_px)
    jpeg = _jpeg(tile_px)
    resolution = [] if mpp is None else [(282, RATIONAL, (int(1e4 / mpp), 1)), (283, RATIONAL, (int(1e4 / mpp), 1))]
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (256, LONG, (size_px[0],)), (257, LONG, (size_px[1],)), (258, SHORT, (8, 8, 8)), (259, SHORT, (7,)),
        (262, SHORT, (6,)), (277, SHORT, (3,)), *resolution, (284, SHORT, (1,)), (296, SHORT, (3,)),
        (322, LONG, (tile_px,)), (323, LONG, (tile_px,)), (324, LONG, (8,) * tiles), (325, LONG, (len(jpeg),) * tiles),
        (530, SHORT, (2, 2)),
    ]  # fmt: skip
    body = bytearray(jpeg)
    entries = b"".join(_entry(body, tag, kind, values) for tag, kind, values in tags)
    body += bytes(len(body) % 2)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(body)) + bytes(body) + directory)


def _jpeg(side: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), (230, 180, 210), np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def _entry(body: bytearray, tag: int, kind: int, values: tuple[int, ...]) -> bytes:
    """A directory entry; values that do not fit into it go to the body, which starts at byte 8 of the file."""
    packed = struct.pack(f"<{len(values)}{ITEM[kind]}", *values)
    if len(packed) > 4:
        body += bytes(len(body) % 2)
        place = struct.pack("<I", 8 + len(body))
        body += packed
    else:
        place = packed.ljust(4, b"\0")
    return struct.pack("<HHI", tag, kind, len(values) // (2 if kind == RATIONAL else 1)) + place
