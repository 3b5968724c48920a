"""The page headers of a TIFF file, walked to the end, so that a truncated file or an odd page is noticed early."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ophiolite.errors import SourceError, explain

_WIDTH, _HEIGHT, _BITS, _SAMPLES, _FORMAT = 256, 257, 258, 277, 339
_OFFSETS, _COUNTS = (273, 324), (279, 325)
_WANTED = {_WIDTH, _HEIGHT, _BITS, _SAMPLES, _FORMAT, *_OFFSETS, *_COUNTS}
_NUMPY = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_KINDS = {1: "uint", 2: "int", 3: "float"}


@dataclass(frozen=True)
class PageHead:
    """Size and type of one page; `dtype` is a numpy name, or words where numpy has no such type."""

    width: int
    height: int
    samples: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.width} x {self.height} x {self.samples} {self.dtype}"


def walk_pages(path: str, file: Path, *, first_only: bool = False, headers_only: bool = False) -> list[PageHead]:
    """The headers of all pages in file order (TIFF 6.0, BigTIFF); only the first one for `first_only`.

    SourceError where the file is no TIFF, its chain of pages breaks, or a page's data lie behind the end of the file
    (not for `headers_only`).
    """
    with file.open("rb") as stream:
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) == 16 else 0
        if order is None or version not in (42, 43):
            problem = "the file is empty" if not head else "this is not a TIFF file"
            raise SourceError(
                explain(path, problem, do="Give a complete TIFF file, or the right `format:` in the config")
            )
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _walk(path, data, order, big=version == 43, first_only=first_only, headers_only=headers_only)


def _walk(path: str, data: mmap.mmap, order: str, *, big: bool, first_only: bool, headers_only: bool) -> list[PageHead]:
    count_format, link_format, entry_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    count_bytes = 8 if big else 2
    link = struct.unpack_from(order + link_format, data, 8 if big else 4)[0]
    pages: list[PageHead] = []
    seen: set[int] = set()
    while link and link not in seen and not (first_only and pages):
        seen.add(link)
        try:
            entries = struct.unpack_from(order + count_format, data, link)[0]
            tags = dict(_entry(data, link + count_bytes + i * entry_bytes, order, big=big) for i in range(entries))
            link = struct.unpack_from(order + link_format, data, link + count_bytes + entries * entry_bytes)[0]
        except (struct.error, ValueError) as error:
            raise _truncated(path, len(pages), f"its header at byte {link} lies behind the end", len(data)) from error
        offsets, counts = (next((tags[t] for t in kind if t in tags), None) for kind in (_OFFSETS, _COUNTS))
        if offsets is not None and counts is not None and len(offsets) == len(counts):
            end = int((offsets + counts).max(initial=0))
            if end > len(data) and not headers_only:
                raise _truncated(path, len(pages), f"its data end at byte {end}", len(data))
        pages.append(_page_head(path, len(pages), tags))
    if not pages:
        raise SourceError(explain(path, "the TIFF file holds no pages", do="The file is damaged; write it again"))
    return pages


def _entry(
    data: mmap.mmap, at: int, order: str, *, big: bool
) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
    none = np.zeros(0, np.uint64)
    if tag not in _WANTED or kind not in _NUMPY:
        return (0, none)
    stored = np.dtype(order + _NUMPY[kind])
    inline = at + (12 if big else 8)
    if count * stored.itemsize > (8 if big else 4):
        inline = struct.unpack_from(order + ("Q" if big else "I"), data, inline)[0]
    return (tag, np.frombuffer(data, stored, count, inline).astype(np.uint64))


def _page_head(path: str, page: int, tags: dict[int, np.ndarray[tuple[int], np.dtype[np.uint64]]]) -> PageHead:
    def one(tag: int, default: int) -> int:
        values = tags.get(tag)
        return int(values[0]) if values is not None and values.size else default

    width, height = one(_WIDTH, 0), one(_HEIGHT, 0)
    if not width or not height:
        raise SourceError(
            explain(path, f"page {page} of the TIFF file has no size", do="The file is damaged; write it again")
        )
    bits, kind = one(_BITS, 1), _KINDS.get(one(_FORMAT, 1), "unknown")
    dtype = f"{kind}{bits}" if bits in (8, 16, 32, 64) else f"{bits}-bit {kind}"
    return PageHead(width, height, one(_SAMPLES, 1), dtype)


def _truncated(path: str, page: int, what: str, size: int) -> SourceError:
    return SourceError(
        explain(
            path,
            f"the TIFF file is truncated at page {page} (counted from 0): {what}",
            expected="a complete file",
            got=f"{size} bytes",
            do="Copy or write the file again; its end is missing",
        )
    )
