"""The digests of the rules of slides: each is made anew by its options, its rows, its code, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ophiolite.plan.digest import code_digest, settings_digest
from ophiolite.plan.slide_model import SlideBatch, SlideRowPlan

Options = Mapping[str, Any]
# What of a row its rules depend on; not its line, so that a row more above it makes nothing again.
FACTS = {"line"}


@dataclass(frozen=True)
class SlideRule:
    """What a rule depends on.

    of : the layer of a slide that it runs for, `batch` (of rows) or `cohort` (all rows). options : keys of the section
    `slides`, with a dot for those inside one. upstream : rules that it reads, as `layer/rule` of its slide (of all
    slides for batches and the cohort), or the name of a rule of batches or the cohort. when : whether the options ask
    for it. refused : whether it also takes the cases of rows that the plan refused.
    """

    of: Literal["slide", "mask", "objects", "batch", "cohort"]
    options: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    when: Callable[[Options], bool] = lambda options: True
    refused: bool = False


# What says how pixels are read.
READ = ("background", "icc", "crop_to_bounds", "bad_tiles", "force_mpp", "mpp")
MASK = ("mask.binarise", "mask.structures")

SCORED = tuple(f"scores.{key}" for key in ("predictions", "compat", "stitch", "threshold", "min_iou", "min_object_px"))


def _scored(options: Options) -> bool:
    return options["scores"] is not None


def _cut(options: Options) -> bool:
    return options["patches"] is not None


# In the order in which they read each other.
RULES: dict[str, SlideRule] = {
    "slide_images": SlideRule("slide", ("icc", "label_image", "background")),
    "mask_objects": SlideRule("objects", ("mask.binarise", "mask.structures", "mask.min_object_px")),
    "slide_objects": SlideRule("objects", ("mask.structures",), ("objects/mask_objects", "slide/layer_done")),
    "slide_contours": SlideRule(
        "objects",
        ("mask.structures", "mask.max_error_px"),
        ("objects/mask_objects",),
        when=lambda options: bool(options["mask"]["contours"]),
    ),
    "slide_patches": SlideRule(
        "slide",
        ("patches", "background", "mask.structures"),
        ("slide/layer_done", "mask/layer_done"),
        when=_cut,
    ),
    "slide_ome_tiff": SlideRule("slide", ("icc",), ("slide/layer_done",), when=lambda o: "ome_tiff" in o["exports"]),
    "slide_ome_zarr": SlideRule("slide", (), ("slide/layer_done",), when=lambda o: "ome_zarr" in o["exports"]),
    "slide_facts": SlideRule("batch", (*READ, *MASK, "mask.min_object_px")),
    "slide_statistics": SlideRule("cohort", (), ("slide_facts",)),
    "slide_readable": SlideRule("cohort", (), ("slide_statistics",)),
    "patches_table": SlideRule("cohort", ("mask.structures",), ("slide/slide_patches", "slide_statistics"), when=_cut),
    "patch_faults": SlideRule("cohort", (), ("patches_table",), when=_cut),
    "slide_splits": SlideRule("cohort", ("splits",), refused=True),
    "slide_leakage": SlideRule("cohort", (), ("slide_facts", "slide_splits")),
    "slide_panels": SlideRule("cohort", (*READ, *MASK, "panels"), when=lambda options: bool(options["panels"])),
    "slide_card": SlideRule("cohort", ("card", "mask.structures"), ("slide_statistics", "slide_leakage"), refused=True),
    "slides_page": SlideRule("cohort", ("viewer",), ("slide_card", "slide_panels")),
    "score_slide": SlideRule("batch", (*MASK, "mask.min_object_px", *SCORED), ("slide/slide_patches",), when=_scored),
    "score_tables": SlideRule("cohort", ("scores.bootstrap", "scores.seed"), ("score_slide",), when=_scored),
    "score_faults": SlideRule("cohort", (), ("score_tables",), when=_scored),
    "score_panels": SlideRule(
        "cohort", (*READ, "panels"), ("score_tables",), when=lambda o: _scored(o) and o["panels"] > 0
    ),
}


def slide_layer_digests(
    options: Options, row: SlideRowPlan, layers: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """The digests of all layers of a slide, those of the rules of slides added; `layers` : layer -> rule -> digest."""
    out = {name: dict(digests) for name, digests in layers.items()}
    for name, rule in RULES.items():
        if rule.of in out and rule.when(options):
            above = {path: _of_layers(out, path) for path in rule.upstream}
            out[rule.of][name] = _digest(name, rule, options, [_facts(row)], above)
    if "objects" in out:
        shown = out["objects"]["segment_properties"], out["objects"]["slide_objects"]
        out["objects"]["segment_properties"] = settings_digest(*shown)
    return out


def batch_digests(
    options: Options, rows: Sequence[SlideRowPlan], layers: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> dict[str, str]:
    """The digests of the rules that take a batch of rows; `layers` : dataset -> layer -> rule -> digest."""
    out: dict[str, str] = {}
    mine = {row.dataset: layers[row.dataset] for row in rows if row.dataset}
    for name, rule in RULES.items():
        if rule.of == "batch" and rule.when(options):
            above = {path: out.get(path) or _of_datasets(mine, path) for path in rule.upstream}
            out[name] = _digest(name, rule, options, [_facts(row) for row in rows], above)
    return out


def cohort_digests(
    options: Options,
    rows: Sequence[SlideRowPlan],
    layers: Mapping[str, Mapping[str, Mapping[str, str]]],
    batches: Sequence[SlideBatch],
) -> dict[str, str]:
    """The digests of the rules that serve all slides; arguments as above, `rows` with those that were refused."""
    out: dict[str, str] = {}
    good = [_facts(row) for row in rows if row.error is None]
    refused = [(row.slide_id, row.case_id, row.group, row.split, row.error) for row in rows if row.error is not None]
    for name, rule in RULES.items():
        if rule.of == "cohort" and rule.when(options):
            above = {
                path: out.get(path) or _of_datasets(layers, path) or [b.digests.get(path) for b in batches]
                for path in rule.upstream
            }
            out[name] = _digest(name, rule, options, [*good, *refused] if rule.refused else good, above)
    return out


def rules_of_layers() -> dict[str, tuple[str, ...]]:
    """Layer -> the rules that may run once for a slide."""
    kinds = ("slide", "mask", "objects")
    return {kind: tuple(name for name, rule in RULES.items() if rule.of == kind) for kind in kinds}


def _digest(name: str, rule: SlideRule, options: Options, rows: Any, above: Any) -> str:
    settings = {path: _option(options, path) for path in rule.options}
    return settings_digest(code_digest(f"commands.{name}"), settings, rows, above)


def _facts(row: SlideRowPlan) -> dict[str, Any]:
    return row.model_dump(exclude=FACTS)


def _option(options: Any, path: str) -> Any:
    for key in path.split("."):
        options = options[key] if options is not None else None
    return options


def _of_layers(layers: Mapping[str, Mapping[str, str]], path: str) -> str | None:
    layer, _, rule = path.partition("/")
    return layers.get(layer, {}).get(rule)


def _of_datasets(layers: Mapping[str, Mapping[str, Mapping[str, str]]], path: str) -> dict[str, str | None]:
    return {dataset: _of_layers(of_slide, path) for dataset, of_slide in layers.items()} if "/" in path else {}
