"""A folder or glob of TIFF, PNG or JPEG slices, stacked in z by the natural order of their names."""

from __future__ import annotations

import glob
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.imagehead import SLICE_SUFFIXES, ImageHead, decode_image, image_head
from ophiolite.sources.source import CACHE_BYTES, NOTHING_GIVEN, Given, Header, HeaderSource

_NAMED = 12


class SliceSource(HeaderSource):
    """A stack of 2-D images of one size and type, the first at z = 0; colour becomes channels.

    The slices must be numbered without gaps, in steps of one (or, from three slices on, in any constant step). Decoded
    slices are kept up to `cache_bytes`, so a z-slab read in x, y tiles decodes each about once.
    Placement is what is `given`: image files speak of print, not of microscopy.
    SourceError for gaps, mixed names, unreadable slices, slices of different size or type.
    """

    def __init__(self, path: str, where: Path, given: Given = NOTHING_GIVEN, cache_bytes: int = CACHE_BYTES) -> None:
        self._slices = _ordered(path, _find(path, where))
        self._head = image_head(self._slices[0])
        head = self._head
        try:
            dtype = np.dtype(head.dtype)
        except TypeError as error:
            raise SourceError(
                explain(
                    str(self._slices[0]),
                    f"pixels of {head.dtype} are not read",
                    expected="8, 16 or 32 bits per sample",
                    do="Convert the slices to 8 or 16 bits per sample",
                )
            ) from error
        super().__init__(
            Header(
                path=path,
                shape_vx=(head.width, head.height, len(self._slices)),
                channels=head.samples,
                dtype=dtype,
                resolution_nm=given.resolution_nm,
                voxel_offset_vx=given.voxel_offset_vx or (0, 0, 0),
                alignment_vx=(head.width, head.height, 1),
                files=(str(where),),
                cache_bytes=max(cache_bytes, head.width * head.height * head.samples * dtype.itemsize),
            )
        )
        self._cache = ArrayCache(self.cache_bytes)

    def verify(self) -> None:
        """Read every slice's header; SourceError names the first that is unreadable or differs from slice 0."""
        for file in self._slices[1:]:
            self._compare(file, image_head(file))

    def _decode(self, box: Box) -> NDArray[Any]:
        out = np.empty((*box.shape, self.channels), self.dtype, order="F")
        x, y, z = box.slices()
        for index in range(z.start, z.stop):
            out[:, :, index - z.start] = self._plane(index)[x, y]
        return out

    def _caches(self) -> tuple[ArrayCache, ...]:
        return (self._cache,)

    def _plane(self, index: int) -> NDArray[Any]:
        """One decoded slice, (x, y, c)."""
        return self._cache.get(index, lambda: self._decode_slice(self._slices[index]))

    def _decode_slice(self, file: Path) -> NDArray[Any]:
        array = decode_image(file)
        height, width, samples = (*array.shape, 1)[:3]
        self._compare(file, ImageHead(width, height, samples, str(array.dtype.newbyteorder("="))))
        return array.reshape(height, width, samples).transpose(1, 0, 2)

    def _compare(self, file: Path, head: ImageHead) -> None:
        if head != self._head:
            raise SourceError(
                explain(
                    str(file),
                    f"this slice differs from the first one ({self._slices[0].name})",
                    expected=self._head,
                    got=head,
                    do="Give slices of one size and type; remove the odd ones from the folder or narrow the glob",
                )
            )

    def _parts(self) -> tuple[str, ...]:
        return tuple(str(file) for file in self._slices)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorting key that orders runs of digits by their number: slice_2 before slice_10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]+)", name) if part]


def _find(path: str, where: Path) -> list[Path]:
    found = list(where.iterdir()) if where.is_dir() else [Path(name) for name in glob.glob(str(where), recursive=True)]
    images = [f for f in found if f.suffix.lower() in SLICE_SUFFIXES and not f.name.startswith(".") and f.is_file()]
    if not images:
        raise SourceError(
            explain(
                path,
                "there are no slices",
                expected=f"files ending in {', '.join(SLICE_SUFFIXES)}",
                got=f"{len(found)} other files" if found else "nothing",
                do="Check the folder or the pattern; a pattern is written like `slices/*.png`",
            )
        )
    kinds = {file.suffix.lower().replace("tiff", "tif").replace("jpeg", "jpg") for file in images}
    if len(kinds) > 1:
        raise SourceError(
            explain(
                path,
                "the slices are of different file types",
                expected="one type",
                got=", ".join(sorted(kinds)),
                do=f"Name one type with a pattern, e.g. `{Path(path) / ('*' + sorted(kinds)[0])}`",
            )
        )
    return images


def _ordered(path: str, files: list[Path]) -> list[Path]:
    """The files in natural order; SourceError where their numbers have gaps or they are not one numbered series."""
    files = sorted(files, key=lambda f: (natural_key(f.stem), natural_key(str(f.parent)), f.name))
    patterns = [re.sub(r"[0-9]+", "#", file.stem) for file in files]
    if "#" not in "".join(patterns) or len(files) == 1:
        return files
    for file, pattern in zip(files, patterns, strict=True):
        if pattern != patterns[0]:
            raise SourceError(
                explain(
                    path,
                    f"the names do not follow one pattern: '{file.name}' is unlike '{files[0].name}'",
                    do="Name the slices of one stack with a pattern, e.g. `slices/section_*.png`",
                )
            )
    rows = [[int(run) for run in re.findall(r"[0-9]+", file.stem)] for file in files]
    fields = [list(field) for field in zip(*rows, strict=True)]
    numbering = [sorted(field) for field in fields if len(set(field)) == len(files)]
    if not numbering:
        raise SourceError(
            explain(
                path,
                "no number in the names tells all slices apart",
                got=f"e.g. '{files[0].name}' and '{files[1].name}'",
                do="One file per z is read; stitch tiles to whole slices first, or narrow the pattern to one series",
            )
        )
    numbers = min(numbering, key=lambda field: field[-1] - field[0])
    steps = {after - before for before, after in pairwise(numbers)}
    if steps != {1} and (len(steps) > 1 or len(files) == 2):
        missing = _missing(numbers)
        raise SourceError(
            explain(
                path,
                f"slices are missing between {numbers[0]} and {numbers[-1]}: {missing}",
                expected=f"{numbers[-1] - numbers[0] + 1} consecutive numbers",
                got=f"{len(numbers)} slices",
                do="Put the missing slices into the folder (a lost one may be a copy of its neighbour)",
            )
        )
    return files


def _missing(numbers: list[int]) -> str:
    """The gaps of a sorted list as text, e.g. `7, 12-15`."""
    gaps = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
    named = [str(a) if a == b else f"{a}-{b}" for a, b in gaps[:_NAMED]]
    return ", ".join(named) + (f" and {len(gaps) - _NAMED} gaps more" if len(gaps) > _NAMED else "")
