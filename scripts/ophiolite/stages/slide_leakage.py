"""Leakage: what a model would see both while it learns and while it is judged."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.kernels.perceptual_hash import near_pairs
from ophiolite.kernels.rectangles import overlapping_pairs
from ophiolite.layers.store import Store
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.slide_tables import (
    FOLDER,
    ITEMS,
    Row,
    read_parts,
    read_slide_table,
    table_path,
    write_slide_table,
)

# A row per pair at fault; pairs within one split are told, but are no leak (`leak` false).
LEAKAGE = {
    "check": "string", "leak": "bool", "split_a": "string", "split_b": "string", "case_a": "string",
    "case_b": "string", "slide_a": "string", "slide_b": "string", "image_a": "string", "image_b": "string",
    "bits": "int64", "correlation": "float64", "shared_px": "int64",
}  # fmt: skip
MEANING = {
    "case": "one case in two splits",
    "case name": "case ids that differ by spelling alone, in two splits",
    "file": "files of equal bytes",
    "pixels": "images of equal pixels",
    "near duplicate": "images that look alike",
    "overlap": "patches of one slide that share pixels",
}
# Of the other checks, pairs of items of one split are not looked for: neighbouring patches overlap by the thousand.
COUNTED_WITHIN = ("file", "pixels")
MOST_BITS = 4
LEAST_CORRELATION = 0.98
MOST_ROWS = 10_000
SHOWN = 5
SPELLING = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Pair:
    """Two items, by their number."""

    a: int
    b: int
    bits: int | None = None
    correlation: float | None = None
    shared_px: int | None = None


@dataclass
class Found:
    """What a check found: how many items it compared, its pairs (the first that leak and that do not), their number;
    `within` a split is None where they are not looked for."""

    compared: int
    pairs: list[Pair]
    leaks: int = 0
    within: int | None = None


def write_leakage(slides: SlidesPlan, store: Store) -> None:
    """Write the table slides/tables/leakage; SourceError (E160) afterwards where anything leaks, else leakage.json."""
    items = read_parts(store, slides, "items", [*ITEMS, "thumbnail"])
    splits = splits_of(items, read_slide_table(store, "splits"))
    found = find_leaks(items, splits, boxes_of(items))
    rows = [row for check in found for row in leak_rows(check, found[check], items, splits)]
    counts = [
        {"check": check, "compared": f.compared, "leaks": f.leaks, "within_split": f.within}
        for check, f in found.items()
    ]
    write_slide_table(store, "leakage", rows, LEAKAGE)
    if any(f.leaks for f in found.values()):
        raise SourceError(leak_message(store.place(table_path("leakage", "csv")), rows, found))
    store.write(f"{FOLDER}/leakage.json", (json.dumps({"checks": counts}, indent=1) + "\n").encode())


def splits_of(items: Sequence[Row], cases: Sequence[Row]) -> list[str | None]:
    """The split of every item: its own in the sheet, else that of its case; None where there are no splits."""
    of_case = {row["case_id"]: row["split"] for row in reversed(cases)}
    return [item["split"] or of_case.get(item["case_id"]) for item in items]


def boxes_of(items: Sequence[Row]) -> dict[int, tuple[str, tuple[int, int, int, int]]]:
    """Of patches whose names say where they were cut: number -> (slide, (x, y, width, height)).

    A slide is a case, as names of the challenge have it; or, where rows of several cases share a folder and what their
    names begin with, and their indices fit one grid, that beginning.
    """
    from ophiolite.sources.kpis import PatchName, most_likely_grid, parse_patch_name

    together: dict[str, dict[int, PatchName]] = {}
    for number, item in enumerate(items):
        name = parse_patch_name(item["image"]) if item["kind"] == "patch" and item["error"] is None else None
        if name is not None:
            together.setdefault(str(Path(item["image"]).parent / name.prefix), {})[number] = name
    found = {}
    for beginning, named in together.items():
        cases = {spelling(items[number]["case_id"]) for number in named}
        names = list(named.values())
        grid = most_likely_grid(names) if len(cases) > 1 and names[0].prefix else None
        one = grid is not None and all(grid.holds(name) for name in names if grid.judges(name))
        for number, name in named.items():
            item = items[number]
            place = (name.x, name.y, item["width_px"], item["height_px"])
            found[number] = (beginning if one else spelling(item["case_id"]), place)
    return found


def spelling(case: str) -> str:
    """A case id without what spellings differ in: `12_116`, `12-116` and `12 116` are one."""
    return SPELLING.sub("-", case.casefold()).strip("-")


def find_leaks(
    items: Sequence[Row],
    splits: Sequence[str | None],
    boxes: Mapping[int, tuple[str, tuple[int, int, int, int]]],
) -> dict[str, Found]:
    """Every check -> what it found.

    items : as in the table of items, with `thumbnail`, grey levels in a square. boxes : number of an item -> the slide
    it was cut from and x, y, width, height there.
    """
    numbers = [i for i, item in enumerate(items) if item["error"] is None]
    codes = {name: code for code, name in enumerate(sorted({s for s in splits if s is not None}))}
    code = np.array([-1 if split is None else codes[split] for split in splits], dtype=np.int64)
    out = {check: Found(len(numbers), [], within=0 if check in COUNTED_WITHIN else None) for check in MEANING}
    for pair in _cases(numbers, items, code):
        same = items[pair.a]["case_id"] == items[pair.b]["case_id"]
        _collect(out["case" if same else "case name"], [pair], code)
    for check, key in (("file", "file_sha256"), ("pixels", "pixel_hash")):
        _collect(out[check], _equal(numbers, [item[key] for item in items], code), code)
    hashed = [i for i in numbers if items[i]["perceptual_hash"] is not None]
    out["near duplicate"].compared = len(hashed)
    _collect(out["near duplicate"], _near(hashed, items, code), code)
    out["overlap"].compared = len(boxes)
    _collect(out["overlap"], _overlaps(boxes, code), code)
    return out


def _collect(found: Found, pairs: Iterable[Pair], code: NDArray[np.int64]) -> None:
    for pair in pairs:
        # Copies within a split, however many, leave room for what leaks.
        if code[pair.a] != code[pair.b]:
            before, found.leaks = found.leaks, found.leaks + 1
        else:
            before = found.within or 0
            found.within = before + 1
        if before < MOST_ROWS:
            found.pairs.append(pair)


def _cases(numbers: Sequence[int], items: Sequence[Row], code: NDArray[np.int64]) -> Iterator[Pair]:
    """Of cases in several splits, however they are spelt: the first items of each two splits."""
    firsts: dict[str, dict[tuple[str, int], int]] = {}
    for number in numbers:
        case = items[number]["case_id"]
        firsts.setdefault(spelling(case), {}).setdefault((case, int(code[number])), number)
    for members in firsts.values():
        for a, b in itertools.combinations(members.values(), 2):
            if code[a] != code[b]:
                yield Pair(a, b)


def _equal(numbers: Sequence[int], keys: Sequence[object], code: NDArray[np.int64]) -> Iterator[Pair]:
    """Of items with one key: each with the first of another split, where all are of one with the first of all."""
    together: dict[object, list[int]] = {}
    for number in numbers:
        together.setdefault(keys[number], []).append(number)
    for members in together.values():
        told = set()
        for number in members:
            other = next((m for m in members if code[m] != code[number]), members[0])
            pair = (min(other, number), max(other, number))
            if other != number and pair not in told:
                told.add(pair)
                yield Pair(*pair)


def _near(hashed: Sequence[int], items: Sequence[Row], code: NDArray[np.int64]) -> Iterator[Pair]:
    """Pairs across splits that look alike and are not equal, which another check tells."""
    hashes = np.array([int(items[i]["perceptual_hash"], 16) for i in hashed], dtype=np.uint64)
    grey = [_normed(items[i]["thumbnail"]) for i in hashed]
    where = np.array(hashed, dtype=np.int64)
    for first, second, bits in near_pairs(hashes, code[where], MOST_BITS):
        for a, b, distance in zip(first.tolist(), second.tolist(), bits.tolist(), strict=True):
            alike = float(grey[a] @ grey[b])
            i, j = hashed[a], hashed[b]
            if alike > LEAST_CORRELATION and items[i]["pixel_hash"] != items[j]["pixel_hash"]:
                yield Pair(i, j, bits=distance, correlation=alike)


def _normed(levels: bytes) -> NDArray[np.float64]:
    """Grey levels less their mean, of length 1, so that the product of two is their correlation."""
    values = np.frombuffer(levels, dtype=np.uint8).astype(np.float64)
    values -= values.mean()
    return np.asarray(values / max(float(np.sqrt(values @ values)), 1e-12))


def _overlaps(boxes: Mapping[int, tuple[str, tuple[int, int, int, int]]], code: NDArray[np.int64]) -> Iterator[Pair]:
    for slide in sorted({slide for slide, _ in boxes.values()}):
        numbers = [number for number, (of, _) in boxes.items() if of == slide]
        places = np.array([boxes[number][1] for number in numbers], dtype=np.int64)
        for first, second, shared in overlapping_pairs(places, code[numbers]):
            for a, b, pixels in zip(first.tolist(), second.tolist(), shared.tolist(), strict=True):
                yield Pair(numbers[a], numbers[b], shared_px=pixels)


def leak_rows(check: str, found: Found, items: Sequence[Row], splits: Sequence[str | None]) -> list[Row]:
    """Rows of `LEAKAGE`, leaks first."""
    rows = []
    for pair in found.pairs:
        row: Row = {
            "check": check,
            "leak": splits[pair.a] != splits[pair.b],
            "bits": pair.bits,
            "correlation": pair.correlation,
            "shared_px": pair.shared_px,
        }
        for side, number in (("a", pair.a), ("b", pair.b)):
            item = items[number]
            row[f"split_{side}"] = splits[number]
            row |= {f"case_{side}": item["case_id"], f"slide_{side}": item["slide_id"], f"image_{side}": item["image"]}
        rows.append(row)
    return sorted(rows, key=lambda row: not row["leak"])


def leak_message(place: str, rows: Sequence[Row], found: Mapping[str, Found]) -> str:
    """What leaks, check by check, with the first files of each."""
    lines = []
    for check, meaning in MEANING.items():
        own = [row for row in rows if row["check"] == check and row["leak"]]
        if own:
            shown = [_told(row, check) for row in own[:SHOWN]]
            more = [f"and {found[check].leaks - SHOWN:,} more"] if found[check].leaks > SHOWN else []
            lines.append(f"  {check}: {meaning}, {found[check].leaks:,} found\n    " + "\n    ".join(shown + more))
    what = explain(
        f"E160 {place}",
        "splits share what they must not",
        do="Put what belongs together into one split: give such items one case_id (or one split) in the sheet, or name "
        "their cases in slides.splits.lock; remove copies",
    )
    return what + "\n" + "\n".join(lines)


def _told(row: Row, check: str) -> str:
    measured = {
        "near duplicate": f" ({row['bits']} of 64 bits differ, correlation {row['correlation'] or 0:.4f})",
        "overlap": f" ({row['shared_px'] or 0:,} pixels)",
    }.get(check, "")
    sides = [f"{row[f'image_{s}']} (case {row[f'case_{s}']}, {row[f'split_{s}'] or 'no split'})" for s in "ab"]
    return f"{sides[0]} and {sides[1]}{measured}"
