"""Slides in DICOM, written byte by byte (PS3.5, PS3.10), since no library that the project locks writes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ROOT = "1.2.826.0.1.3680043.10.1"
UNDEFINED = b"\xff\xff\xff\xff"
LONG = ("OB", "OW", "SQ", "UN", "UT")


def element(group: int, number: int, vr: str, value: bytes | str | int, *, explicit: bool = True) -> bytes:
    """One element, its value padded to an even length; numbers are US or UL."""
    if isinstance(value, int):
        value = struct.pack("<H" if vr == "US" else "<I", value)
    data = value.encode() if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if vr in ("UI", "OB") else b" "
    tag = struct.pack("<HH", group, number)
    if not explicit:
        return tag + struct.pack("<I", len(data)) + data
    length = b"\0\0" + struct.pack("<I", len(data)) if vr in LONG else struct.pack("<H", len(data))
    return tag + vr.encode() + length + data


def sequence(group: int, number: int, item: bytes, *, explicit: bool = True) -> bytes:
    """A sequence of one item, both of undefined length."""
    head = struct.pack("<HH", group, number) + (b"SQ\0\0" if explicit else b"") + UNDEFINED
    ends = b"".join(struct.pack("<HHI", 0xFFFE, end, 0) for end in (0xE00D, 0xE0DD))
    return head + struct.pack("<HH", 0xFFFE, 0xE000) + UNDEFINED + item + ends


def part_10(data: bytes, uid: str, syntax: str = EXPLICIT) -> bytes:
    """A whole file around a data set."""
    meta = b"".join(
        (
            element(2, 1, "OB", b"\0\1"),
            element(2, 2, "UI", WHOLE_SLIDE),
            element(2, 3, "UI", uid),
            element(2, 0x10, "UI", syntax),
            element(2, 0x12, "UI", ROOT),
        )
    )
    return bytes(128) + b"DICM" + element(2, 0, "UL", len(meta)) + meta + data


def header(uid: str, series: str, referenced: str, *, explicit: bool = True) -> bytes:
    """What comes before the pixels' description: the series, after a sequence that names another one."""

    def one(group: int, number: int, vr: str, value: str) -> bytes:
        return element(group, number, vr, value, explicit=explicit)

    return b"".join(
        (
            one(8, 8, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
            one(8, 0x16, "UI", WHOLE_SLIDE),
            one(8, 0x18, "UI", uid),
            one(8, 0x60, "CS", "SM"),
            sequence(8, 0x1115, one(0x20, 0xE, "UI", referenced), explicit=explicit),
            one(0x20, 0xD, "UI", f"{ROOT}.1"),
            one(0x20, 0xE, "UI", series),
        )
    )


def write_dicom_slide(
    path: Path, pixels: NDArray[np.uint8], series: int, instance: int, tile_px: int = 64, mpp: float = 0.5
) -> None:
    """One level (h, w, 3) of a slide, tiled and not compressed; other levels are files of the same series."""
    height, width, _ = pixels.shape
    frames = tiles(pixels, tile_px)
    uid = f"{ROOT}.{series}.{instance}"
    spacing = element(0x28, 0x30, "DS", f"{mpp / 1000:.8g}\\{mpp / 1000:.8g}")
    data = b"".join(
        (
            header(uid, f"{ROOT}.{series}", f"{ROOT}.{series + 1}"),
            element(0x20, 0x9311, "CS", "TILED_FULL"),
            element(0x28, 2, "US", 3),
            element(0x28, 4, "CS", "RGB"),
            element(0x28, 6, "US", 0),
            element(0x28, 8, "IS", str(len(frames))),
            element(0x28, 0x10, "US", tile_px),
            element(0x28, 0x11, "US", tile_px),
            element(0x28, 0x100, "US", 8),
            element(0x28, 0x101, "US", 8),
            element(0x28, 0x102, "US", 7),
            element(0x28, 0x103, "US", 0),
            element(0x48, 6, "UL", width),
            element(0x48, 7, "UL", height),
            sequence(0x5200, 0x9229, sequence(0x28, 0x9110, spacing)),
            element(0x7FE0, 0x10, "OB", b"".join(frames)),
        )
    )
    path.write_bytes(part_10(data, uid))


def tiles(pixels: NDArray[np.uint8], tile_px: int) -> Sequence[bytes]:
    """The tiles of a picture row by row, full ones, as bytes."""
    height, width, _ = pixels.shape
    full = np.zeros((-(-height // tile_px) * tile_px, -(-width // tile_px) * tile_px, 3), np.uint8)
    full[:height, :width] = pixels
    corners = [(y, x) for y in range(0, height, tile_px) for x in range(0, width, tile_px)]
    return [full[y : y + tile_px, x : x + tile_px].tobytes() for y, x in corners]
