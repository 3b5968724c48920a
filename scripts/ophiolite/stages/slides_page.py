"""The page of the dataset of slides: its card, panels of every group, splits, and a way into the viewer."""

from __future__ import annotations

from pathlib import Path

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.report.page import Figure, Section, human_bytes, render_sections
from ophiolite.report.slide_card import Card, card_tables, left_out
from ophiolite.stages.slide_card import build_card
from ophiolite.stages.slide_panels import groups_of, panel_path, panel_rows
from ophiolite.stages.slide_tables import FOLDER, table_path

MOST_LINKS = 500
FILES = (
    ("card.md", f"{FOLDER}/card.md"),
    ("card.json", f"{FOLDER}/card.json"),
    ("croissant.json", f"{FOLDER}/croissant.json"),
    *((f"{name}.csv", table_path(name, "csv")) for name in ("items", "structures", "splits", "sizes", "objects")),
)


def build_slides_page(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> str:
    """The page as HTML text."""
    card = build_card(plan, slides, store)
    tables = card_tables(card)

    def section(key: str, title: str, *names: str, text: tuple[str, ...] = (), **more: object) -> Section:
        return Section(key, title, text, [tables[name] for name in names if name in tables], **more)  # type: ignore[arg-type]

    files = [(text, address) for text, address in FILES if store.exists(address)]
    told = (card.given["description"],) if card.given["description"] else ()
    sections = [
        section("dataset", "The dataset", "dataset", "sizes", text=told, links=files),
        section("structures", "Structures", "structures", "objects"),
        Section("panels", "Slides", _way_in(plan, slides), figures=_figures(slides, store), links=_links(slides)),
        section("splits", "Splits and leakage", "splits", "checks"),
        Section("left_out", "Left out", left_out(card)),
    ]
    shown = [s for s in sections if s.text or s.tables or s.figures]
    return render_sections(card.title, "Ophiolite dataset of slides", _facts(card), shown)


def _facts(card: Card) -> list[tuple[str, str]]:
    items = card.readable
    kinds = [
        (sum(item["kind"] == kind for item in items), name)
        for kind, name in (("slide", "slides"), ("patch", "patches"))
    ]
    facts = [(f"{count:,}", name) for count, name in kinds if count]
    facts.append((f"{len({item['case_id'] for item in items}):,}", "cases"))
    facts.append((f"{len({item['group'] for item in items}):,}", "groups"))
    objects = sum(item["objects"] or 0 for item in items)
    if objects:
        facts.append((f"{objects:,}", "objects"))
    pixels = sum(item["width_px"] * item["height_px"] for item in items)
    facts.append((f"{pixels / 1e6:,.4g}", "million pixels"))
    facts.append((human_bytes(sum((i["file_bytes"] or 0) + (i["mask_bytes"] or 0) for i in items)), "images and masks"))
    return facts


def _way_in(plan: ProjectPlan, slides: SlidesPlan) -> tuple[str, ...]:
    if not slides.options["viewer"] or not any(row.dataset for row in slides.rows):
        return ()
    return (
        "The links open a slide in the viewer. They work when this page is served by"
        f" make view RESULTS={plan.folder}, at /slides.html.",
    )


def _figures(slides: SlidesPlan, store: Store) -> list[Figure]:
    rows, count = slides.planned(), slides.options["panels"]
    figures = []
    for group in groups_of(rows) if count else []:
        shown = panel_rows(rows, group, count)
        of_group = sum(row.group == group for row in rows)
        figures.append(
            Figure(
                f"{group}: image, mask and overlay" if any(row.mask for row in shown) else f"{group}: images",
                f"{len(shown)} of {of_group:,}, drawn by the hash of their ids.",
                Path(store.local(panel_path(group))),
                links=[(row.slide_id, f"dataset?name={row.dataset}") for row in shown if _viewable(slides, row)],
            )
        )
    return figures


def _links(slides: SlidesPlan) -> list[tuple[str, str]]:
    """A way into the viewer for every slide, where the figures do not show all; as long as they are not too many."""
    planned, count = slides.planned(), slides.options["panels"]
    shown = sum(len(panel_rows(planned, group, count)) for group in groups_of(planned))
    rows = [row for row in planned if _viewable(slides, row)] if shown < len(planned) else []
    return [(row.slide_id, f"dataset?name={row.dataset}") for row in rows[:MOST_LINKS]]


def _viewable(slides: SlidesPlan, row: SlideRowPlan) -> bool:
    return row.dataset is not None and bool(slides.options["viewer"])
