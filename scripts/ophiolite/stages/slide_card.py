"""The card of the dataset of slides: what was measured, with what the config says, in three formats."""

from __future__ import annotations

import json
from typing import Any

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.report.croissant import CsvTable, croissant
from ophiolite.report.slide_card import Card, left_out, markdown, volume_of_data
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_tables import FOLDER, ITEMS, LISTS, SPLITS, STRUCTURES, read_slide_table, table_path

# Of the tables that the description offers: what a row is, its key, and columns that take values of another's.
OFFERED: tuple[tuple[str, dict[str, str], str, str | None, dict[str, tuple[str, str]]], ...] = (
    ("splits", SPLITS, "A case and the split that it is in.", "case_id", {}),
    ("items", ITEMS, "A slide or patch: its files, size, scale, checksums, tissue.", "slide_id",
     {"case_id": ("splits", "case_id")}),
    # no reference to items, which has one itself: mlcroissant 1.1 cannot follow two in a row
    ("structures", STRUCTURES, "A structure in the mask of a slide or patch.", None, {}),
)  # fmt: skip
# Properties of schema.org's Dataset, by the keys of the section `card`.
PROPERTIES = {"description": "description", "licence": "license", "url": "url", "citation": "citeAs"}


def build_card(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> Card:
    """The card of a project, from its tables."""
    return Card(
        project=plan.project,
        given=slides.options["card"],
        structures=structures_of(plan),
        items=read_slide_table(store, "items"),
        sizes=read_slide_table(store, "sizes"),
        occurrences=read_slide_table(store, "occurrences"),
        objects=read_slide_table(store, "objects"),
        cases=[case for case in read_slide_table(store, "splits") if case["items"]],
        checks=json.loads(store.read(f"{FOLDER}/leakage.json"))["checks"],
        refused=[(row.slide_id or f"row {row.line}", row.error) for row in slides.rows if row.error is not None],
    )


def write_card(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> None:
    """Write slides/card.md, card.json and croissant.json."""
    card = build_card(plan, slides, store)
    store.write(f"{FOLDER}/card.md", markdown(card).encode())
    store.write(f"{FOLDER}/card.json", _json(card_json(card)))
    store.write(f"{FOLDER}/croissant.json", _json(_croissant(card, store)))


def card_json(card: Card) -> dict[str, Any]:
    """The card as numbers: what is given, then what was measured."""
    return {
        "title": card.title,
        "given": dict(card.given),
        "structures": {str(value): name for value, name in card.structures.items()},
        "items": len(card.readable),
        "cases": len({item["case_id"] for item in card.readable}),
        "groups": sorted({item["group"] for item in card.readable}),
        "sizes": list(card.sizes),
        "occurrences": list(card.occurrences),
        "objects": list(card.objects),
        "splits": {row["case_id"]: row["split"] for row in card.cases},
        "leakage": list(card.checks),
        "left_out": left_out(card),
    }


def _croissant(card: Card, store: Store) -> dict[str, Any]:
    facts = {name: card.given[key] or "" for key, name in PROPERTIES.items()}
    facts["description"] = facts["description"] or f"{card.title}: {volume_of_data(card)}."
    tables = []
    for name, columns, description, key, references in OFFERED:
        path = table_path(name, "csv")
        size = store.size(path) or 0
        plain = {column: kind for column, kind in columns.items() if not column.startswith(LISTS)}
        place = path.removeprefix(f"{FOLDER}/")
        tables.append(CsvTable(name, place, size, store.checksum(path), description, plain, key, references))
    return croissant(card.title, {key: value for key, value in facts.items() if value}, tables)


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
