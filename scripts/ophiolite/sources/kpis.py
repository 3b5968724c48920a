"""Folders of the KPIs 2024 challenge (kidney slides and patches of them) as rows of a sheet of slides.

Layouts: task 1, `<group>/<case>/img|mask/<patch>.jpg`; task 2, `<group>/img/<case>.tiff` with
`<group>/mask/<case>_mask.tiff`, or both in `<group>/`. Above the group may lie any folders; train, validation and test
among them name a split. Patches are named `<group>_<case>_<index>_<x>_<y>_img`, without the group in the test set;
their masks end in `_mask`, or in `_img` like the images; cases are spelt `12_116` or `12-116`, groups `56Nx` or `56NX`.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ophiolite.errors import SourceError, explain
from ophiolite.sources.slide_sheet import BadRow, Kind, SheetRow

GROUPS = ("56Nx", "DN", "NEP25", "normal")
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
PICTURES = {".jpg", ".jpeg", ".png"}
SLIDES = {".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm"}
# The grid of the challenge; patches of other grids are tried with the strides that their places allow.
STRIDE = 1024
_PATCH = re.compile(r"(?:(.*)_)?(\d+)_(\d+)_(\d+)")
_ENDING = re.compile(r"(?i)_(img|mask|wsi)$")


@dataclass(frozen=True)
class PatchName:
    """What the name of a patch says: what comes before its numbers, its index in the grid, its first pixel."""

    prefix: str
    index: int
    x: int
    y: int


@dataclass
class _Item:
    """One image, mask, or both."""

    group: str
    case: str
    split: str | None
    kind: Kind
    name: PatchName | None
    stem: str
    files: dict[str, list[Path]] = field(default_factory=lambda: {"img": [], "mask": []})

    @property
    def slide_id(self) -> str:
        if self.kind == "slide":
            return self.case
        place = f"{self.name.index}_{self.name.x}_{self.name.y}" if self.name else self.stem
        return f"{self.group}_{self.case}_{place}"


def parse_patch_name(path: str) -> PatchName | None:
    """What the file name of a patch says, None where it is not named as in the challenge."""
    found = _PATCH.fullmatch(_ENDING.sub("", Path(path).stem))
    return PatchName(found[1] or "", *map(int, found.groups()[1:])) if found else None


def read_kpis_folder(folder: Path) -> list[SheetRow | BadRow]:
    """Read a folder in either layout: a row per slide or patch, numbered from 1, by split, group, case and place.

    Case ids are spelt `12-116`, groups as in the challenge; ids of patches are `<group>_<case>_<index>_<x>_<y>`. An
    image without a mask becomes a BadRow that names it, unless there are no masks of its kind at all; so does a mask
    without an image, a patch whose name tells another case than its folder, and one whose index is not that of its
    place.
    SourceError where the folder cannot be read or holds nothing of the kind.
    """
    items = _items(folder)
    if not items:
        raise SourceError(
            explain(
                str(folder),
                "holds no patches or slides in a layout of the KPIs challenge",
                expected="<group>/<case>/img/*.jpg, <group>/img/*.tiff or <group>/*_wsi.tiff",
                do="Correct slides.folder, or write a sheet (slides.sheet)",
            )
        )
    masked = {item.kind for item in items if item.files["mask"]}
    wrong = _wrong_places(items)
    rows: list[SheetRow | BadRow] = []
    for line, item in enumerate(items, start=1):
        fault = _fault(item, item.kind in masked) or wrong.get(id(item))
        if fault:
            rows.append(BadRow(line, item.slide_id, fault, item.case, item.group, item.split))
            continue
        mask = item.files["mask"][0] if item.files["mask"] else None
        image = item.files["img"][0]
        rows.append(SheetRow(line, item.slide_id, item.case, item.group, image, mask, None, item.kind, item.split))
    return rows


def _items(folder: Path) -> list[_Item]:
    """Everything found, images and masks of one name together, sorted."""
    found: dict[tuple[object, ...], _Item] = {}
    for file in _files(folder):
        placed = _place(folder, file)
        if placed is None:
            continue
        item, what = placed
        key = (item.split, item.group, item.case, item.kind, item.stem)
        found.setdefault(key, item).files[what].append(file)
    return [found[key] for key in sorted(found, key=lambda key: _order(found[key]))]


def _order(item: _Item) -> tuple[object, ...]:
    index = item.name.index if item.name else -1
    return (item.split or "", item.group, item.case, item.kind, index, item.stem)


def _files(folder: Path) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise SourceError(
            explain(str(folder), f"cannot be read ({error.strerror})", do="Correct slides.folder in the config")
        ) from None

    for top, inner, names in os.walk(folder, onerror=refuse, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__")))
        for name in sorted(names):
            if Path(name).suffix.lower() in PICTURES | SLIDES and not name.startswith("."):
                yield Path(top) / name


def _place(folder: Path, file: Path) -> tuple[_Item, str] | None:
    """The item that a file belongs to, and whether it is its image or mask; None where it lies in no known place."""
    above = file.relative_to(folder).parts[:-1]
    stem, name = file.stem, parse_patch_name(file.name)
    ending = _ENDING.search(stem)
    plain = _ENDING.sub("", stem)
    split = next((SPLITS[part.lower()] for part in above if part.lower() in SPLITS), None)
    inside = above[-1].lower() if above and above[-1].lower() in ("img", "mask") else None
    what = inside or ("mask" if ending and ending[1].lower() == "mask" else "img")
    is_slide = file.suffix.lower() in SLIDES and name is None
    named = [part for part in (above[:-1] if inside else above) if part.lower() not in SPLITS]
    if is_slide and named and (inside or ending):
        # Masks of slides may end in _wsi_mask.
        case = _case(_ENDING.sub("", plain))
        return _Item(_group(named[-1]), case, split, "slide", None, case), what
    if not is_slide and inside and len(named) >= 2:
        group, case = _group(named[-2]), _case(named[-1])
        key = f"{name.index}_{name.x}_{name.y}" if name and _named_by(name, group, case) else plain
        return _Item(group, case, split, "patch", name, key), what
    return None


def _case(text: str) -> str:
    return re.sub(r"[_ ]", "-", text) if re.fullmatch(r"\d+[_ ]\d+", text) else text


def _group(text: str) -> str:
    return next((known for known in GROUPS if known.lower() == text.lower()), text)


def _named_by(name: PatchName, group: str, case: str) -> bool:
    """Whether the name of a patch tells the case of its folder."""
    allowed = {case, f"{group}_{case}", f"{group}_img", f"{group}_mask", ""}
    return _spelt(name.prefix) in {_spelt(text) for text in allowed}


def _spelt(text: str) -> str:
    return text.lower().replace("_", "-")


def _fault(item: _Item, masked: bool) -> str | None:
    images, masks = item.files["img"], item.files["mask"]
    for files, what in ((images, "image"), (masks, "mask")):
        if len(files) > 1:
            listed = ", ".join(str(file) for file in files)
            return explain(listed, f"are {len(files)} {what}s of one name", do="Keep one of them")
    if not images:
        return explain(str(masks[0]), "is a mask without its image", do="Add the image, or remove the mask")
    if not masks and masked:
        return explain(str(images[0]), "is an image without its mask", do="Add the mask, or remove the image")
    if item.name and not _named_by(item.name, item.group, item.case):
        return explain(
            str(images[0]),
            "its name tells another case than its folder",
            expected=f"{item.group}_{item.case}_... or {item.case}_...",
            got=item.name.prefix,
            do="Move the file, or correct its name",
        )
    return None


def _wrong_places(items: Sequence[_Item]) -> Mapping[int, str]:
    """Faults of patches whose index is not that of their place in the grid of their case, by id of the item."""
    cases: dict[tuple[object, ...], list[_Item]] = defaultdict(list)
    for item in items:
        if item.name and _named_by(item.name, item.group, item.case):
            cases[item.split, item.group, item.case].append(item)
    out = {}
    for of_case in cases.values():
        names = [item.name for item in of_case if item.name]
        grid = most_likely_grid(names)
        for item in of_case:
            assert item.name is not None
            if grid.judges(item.name) and not grid.holds(item.name):
                file = (item.files["img"] or item.files["mask"])[0]
                out[id(item)] = explain(
                    str(file),
                    "the index in its name is not that of its place",
                    expected=f"{grid.text} for x {item.name.x}, y {item.name.y}, as most patches of its case have",
                    got=item.name.index,
                    do="Correct the name, or remove the file",
                )
    return out


@dataclass(frozen=True)
class Grid:
    """How indices follow from places: from 0 row by row, or, as the organisers' own cutter counts, from 1 with the row
    named first. Patches moved back from the border, at no multiple of the stride, are not judged."""

    stride: int
    columns: int
    rows_first: bool

    @property
    def text(self) -> str:
        """The formula."""
        first, second = ("y", "x") if not self.rows_first else ("x", "y")
        one = " + 1" if self.rows_first else ""
        return f"({first} / {self.stride}) * {self.columns} + {second} / {self.stride}{one}"

    def judges(self, name: PatchName) -> bool:
        """Whether a patch lies where the formula holds."""
        return name.x % self.stride == 0 and name.y % self.stride == 0

    def holds(self, name: PatchName) -> bool:
        """Whether the index of a patch that it judges is that of its place."""
        row, col = (name.x, name.y) if self.rows_first else (name.y, name.x)
        return name.index == row // self.stride * self.columns + col // self.stride + self.rows_first


def most_likely_grid(names: Sequence[PatchName]) -> Grid:
    """The grid that most patches of a case fit, of equally good ones the challenge's."""
    best, most = Grid(STRIDE, 1, False), -1
    for stride in _strides(names):
        for rows_first in (False, True):
            for columns in _columns(names, stride, rows_first):
                grid = Grid(stride, columns, rows_first)
                fitting = sum(grid.judges(name) and grid.holds(name) for name in names)
                if fitting > most:
                    best, most = grid, fitting
    return best


def _columns(names: Sequence[PatchName], stride: int, rows_first: bool) -> list[int]:
    """Numbers of columns that some patch implies, the most frequent first; the least where all lie in the first row."""
    found: dict[int, int] = defaultdict(int)
    least = 1 + max(name.y if rows_first else name.x for name in names) // stride
    for name in names:
        row, col = (name.x, name.y) if rows_first else (name.y, name.x)
        before = name.index - rows_first - col // stride
        if row >= stride and not (row % stride or col % stride or before % (row // stride)):
            found[before // (row // stride)] += 1
    possible = [columns for columns in found if columns >= least]
    return sorted(possible, key=lambda columns: (-found[columns], columns))[:4] or [least]


def _strides(names: Sequence[PatchName]) -> list[int]:
    """Strides to try: the challenge's; steps between neighbours, the most frequent first, for patches moved back from
    the border lie at no multiple; divisors of all places, for grids of which little is left."""
    steps: Counter[int] = Counter()
    for places in ({name.x for name in names}, {name.y for name in names}):
        steps.update(high - low for low, high in pairwise(sorted(places)))
    frequent = sorted(steps, key=lambda step: (-steps[step], step))[:8]
    common = sorted(_divisors(math.gcd(*(value for name in names for value in (name.x, name.y)))), reverse=True)
    return list(dict.fromkeys((STRIDE, *frequent, *common[:16])))


def _divisors(number: int) -> set[int]:
    low = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0] if number else []
    return {*low, *(number // d for d in low)}
