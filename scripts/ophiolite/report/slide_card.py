"""The card of a dataset of slides in words: tables of what was measured, ready for a page and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ophiolite.report.page import Table, human_bytes

Rows = Sequence[Mapping[str, Any]]
# The order in which splits are told; others follow by name.
SPLITS = ("train", "training", "validation", "val", "test")
KINDS = {"slide": "slides", "patch": "patches"}
UNKNOWN = "not stated"
NONE = "–"


@dataclass(frozen=True)
class Card:
    """What is known of a dataset of slides.

    given : the section `card` of the config. structures : names by mask value. items, sizes, occurrences, objects :
    rows of the tables of these names. cases : rows of the table of splits. checks : what slide_leakage counted.
    refused : (slide id, why) of rows that were left out.
    """

    project: str
    given: Mapping[str, str | None]
    structures: Mapping[int, str]
    items: Rows
    sizes: Rows
    occurrences: Rows
    objects: Rows
    cases: Rows
    checks: Rows
    refused: Sequence[tuple[str, str]] = field(default=())

    @property
    def title(self) -> str:
        """The name of the dataset."""
        return self.given["title"] or self.project

    @property
    def readable(self) -> Rows:
        """The items that could be read."""
        return [item for item in self.items if item["error"] is None]


def volume_of_data(card: Card) -> str:
    """How much there is: 10,428 patches of 50 cases in 4 groups, 3.20 GB."""
    items = card.readable
    counts = [(sum(item["kind"] == kind for item in items), name) for kind, name in KINDS.items()]
    parts = " and ".join(f"{count:,} {name if count != 1 else name_of_one(name)}" for count, name in counts if count)
    cases, groups = len({item["case_id"] for item in items}), len({item["group"] for item in items})
    stored = sum((item["file_bytes"] or 0) + (item["mask_bytes"] or 0) for item in items)
    of_cases = f"{cases:,} case" + "s" * (cases != 1)
    in_groups = f" in {groups} groups" if groups > 1 else ""
    return f"{parts or 'nothing'} of {of_cases}{in_groups}, {human_bytes(stored)}"


def name_of_one(plural: str) -> str:
    """slide, patch."""
    return next(kind for kind, name in KINDS.items() if name == plural)


def card_tables(card: Card) -> dict[str, Table]:
    """Every table of the card that has rows, by its key."""
    tables = {
        "dataset": _dataset(card),
        "sizes": _sizes(card),
        "structures": _structures(card),
        "objects": _objects(card),
        "splits": _splits(card),
        "checks": _checks(card),
    }
    return {key: table for key, table in tables.items() if table.rows}


def _dataset(card: Card) -> Table:
    formats = sorted({item["format"] for item in card.readable})
    named = [name for _, name in sorted(card.structures.items())]
    rows = [
        ("Dimensions", "2-D, red, green and blue, 8 bits"),
        *((key.capitalize(), card.given[key] or UNKNOWN) for key in ("modality", "task", "anatomy")),
        ("Structures", f"{len(named)}: {', '.join(named)}"),
        ("Volume of data", volume_of_data(card)),
        ("File formats", ", ".join(formats) or NONE),
        ("Licence", card.given["licence"] or UNKNOWN),
        *((name, card.given[key] or "") for name, key in (("Published at", "url"), ("To cite", "citation"))),
    ]
    return Table(("", ""), [row for row in rows if row[1]], text_columns=(0, 1))


def _sizes(card: Card) -> Table:
    rows = [
        (
            row["group"],
            KINDS[row["kind"]],
            f"{row['items']:,}",
            f"{row['cases']:,}",
            f"{row['labelled']:,}",
            *(f"{row[f'{n}_width_px']:,} × {row[f'{n}_height_px']:,}" for n in ("min", "median", "max")),
            _several([row[f"{n}_mpp_um"] for n in ("min", "median", "max")], "{:.4g}"),
            _number(row["pixels"] / 1e6, "{:,.4g}"),
            _percent(row["tissue_median"]),
            human_bytes(row["image_bytes"]),
        )
        for row in card.sizes
    ]
    headers = (
        "group", "", "items", "cases", "with mask", "least (px)", "median (px)", "largest (px)", "µm/px", "Mpx",
        "tissue", "images",
    )  # fmt: skip
    unknown = sum(row["without_mpp"] for row in card.sizes if row["group"] != "all groups")
    note = (
        "Sizes are those of items that exist: ordered by pixels, the median is the lower of two middle ones. The"
        " scales are least / median / largest. Tissue: its share of an item, the median."
        + (f" Items without a scale: {unknown:,}." if unknown else "")
    )
    return Table(headers, rows, (0, 1), "Sizes", note)


def _structures(card: Card) -> Table:
    rows = [
        (
            row["structure"],
            row["group"],
            KINDS[row["kind"]],
            f"{row['labelled']:,}",
            f"{row['items_with']:,}",
            _percent(row["occurrence_ratio"]),
            f"{row['objects']:,}",
            _number(row["area_mm2"], "{:,.4g}"),
            _percent(row["fraction_median"]),
        )
        for row in sorted(card.occurrences, key=lambda row: _order(card, row))
    ]
    headers = (
        "structure", "group", "", "with mask", "occurrences", "ratio", "objects", "area (mm²)", "median share",
    )  # fmt: skip
    note = (
        "Occurrences: items in whose mask the structure is, and their ratio to items with a mask. Objects are connected"
        " over sides and corners."
    )
    return Table(headers, rows, (0, 1, 2), "Occurrences", note)


def _objects(card: Card) -> Table:
    rows = [
        (
            row["structure"],
            row["group"],
            KINDS[row["kind"]],
            f"{row['objects']:,}",
            f"{row['edge_objects']:,}",
            _several([row[f"per_item_{n}"] for n in ("min", "median", "max")], "{:,}"),
            _areas(row),
            _number(row["objects_per_mm2"], "{:,.3g}"),
        )
        for row in sorted(card.objects, key=lambda row: _order(card, row))
        if row["objects"]
    ]
    headers = (
        "structure", "group", "", "objects", "cut by the edge", "per item", "area (µm²)", "per mm² of tissue",
    )  # fmt: skip
    note = (
        "Per item: least / median / most. Areas: least / lower quarter / median / upper quarter / largest; where no"
        " item of the row says its scale least / median / largest in pixels (px)."
    )
    return Table(headers, rows, (0, 1, 2), "Objects", note)


def _areas(row: Mapping[str, Any]) -> str:
    if row["area_um2_median"] is None:
        return _several([row[f"area_px_{n}"] for n in ("min", "median", "max")], "{:,}") + " px"
    return _several([row[f"area_um2_{n}"] for n in ("min", "p25", "median", "p75", "max")], "{:,.4g}")


def _several(values: Sequence[float | None], form: str) -> str:
    """Ordered values with slashes between them; one alone where they are equal."""
    if values[0] == values[-1]:
        return _number(values[0], form)
    return " / ".join(_number(value, form) for value in values)


def _splits(card: Card) -> Table:
    names = {row["split"] for row in card.cases}
    splits = sorted(names, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))
    groups = sorted({row["group"] for row in card.cases})
    rows = []
    for group in [*groups, "all groups"] if len(groups) > 1 else groups:
        own = [row for row in card.cases if group in (row["group"], "all groups")]
        cells = [group]
        for split in splits:
            here = [row for row in own if row["split"] == split]
            share = len(here) / len(own)
            cells += [f"{len(here):,}", _percent(share), f"{sum(row['items'] for row in here):,}"]
        rows.append(cells)
    headers = ["group", *(text for split in splits for text in (f"{split}: cases", "share", "items"))]
    return Table(headers, rows if splits else [], (0,), "Splits", "By case, never by item.")


def _checks(card: Card) -> Table:
    rows = [
        (row["check"], f"{row['compared']:,}", f"{row['leaks']:,}", _number(row["within_split"], "{:,}"))
        for row in card.checks
    ]
    note = (
        "Any pair across splits fails the rule slide_leakage. Copies within one split are counted, but no leak; where"
        f" there is {NONE}, they are not looked for."
    )
    return Table(("check", "items compared", "across splits", "within a split"), rows, (0,), "Leakage", note)


def left_out(card: Card) -> list[str]:
    """What is no part of the dataset, and why: rows that the plan refused, and items that cannot be read."""
    unreadable = [(item["slide_id"], item["error"]) for item in card.items if item["error"] is not None]
    return [f"{name}: {why}" for name, why in (*card.refused, *unreadable)]


def _order(card: Card, row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = [name for _, name in sorted(card.structures.items())]
    place = names.index(row["structure"]) if row["structure"] in names else len(names)
    return list(KINDS).index(row["kind"]), place, row["group"] != "all groups", row["group"]


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.3g} %"


def markdown(card: Card) -> str:
    """The card as Markdown."""
    tables = card_tables(card)
    parts = [f"# {card.title}"]
    if card.given["description"]:
        parts.append(card.given["description"])
    for table in tables.values():
        if table.title:
            parts.append(f"## {table.title}")
        parts.append(_markdown_table(table))
        if table.note:
            parts.append(table.note)
    if left_out(card):
        parts.append("## Left out\n\n" + "\n".join(f"- {line}" for line in left_out(card)))
    parts.append(
        "Measured from the files by Ophiolite; modality, task, anatomy, licence, address and citation are given."
    )
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rule = ["---" if i in table.text_columns else "---:" for i in range(len(table.headers))]
    return "\n".join([line(table.headers), line(rule), *map(line, table.rows)])
