"""From the sheet to the plan: every slide becomes a dataset of ordinary layers; a row at fault spoils no other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ophiolite.config.model import Config
from ophiolite.config.slides import Slides
from ophiolite.errors import OphioliteError, PlanError, explain
from ophiolite.layers.paths import LayerPaths
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.model import DatasetPlan, LayerPlan, Refused, VolumePlan
from ophiolite.plan.slide_digests import batch_digests, cohort_digests, rules_of_layers, slide_layer_digests
from ophiolite.plan.slide_layers import mask_reading, plan_slide, row_plan, slide_reading
from ophiolite.plan.slide_model import SlideBatch, SlideRowPlan, SlidesPlan
from ophiolite.plan.slide_outlines import OUTLINES, outline_layers
from ophiolite.sources.slide_layers import open_slide_layer
from ophiolite.sources.slide_sheet import BadRow, SheetRow, read_sheet, refuse_duplicates

if TYPE_CHECKING:
    from ophiolite.sources.slide import SlideSource

PATCHES_PER_BATCH = 200
IN_REPORT = 6
# Patches whose scale nobody knows are read as if a pixel were a micron.
UNKNOWN_MPP = 1.0
# Folders of a project that are no datasets.
TAKEN = ("slides", "tables", "figures", "logs", "benchmarks", "receipts", "quality", "healing")


@dataclass(frozen=True)
class Expanded:
    """The slides of a project: their datasets by name, and what the plan keeps of them."""

    datasets: dict[str, DatasetPlan]
    slides: SlidesPlan | None


def slide_rows(options: Slides, base: Path) -> list[SheetRow | BadRow]:
    """The rows of the sheet, or of the folder of the KPIs challenge, that the config names."""
    if options.sheet is not None:
        return read_sheet(base / options.sheet)
    from ophiolite.sources.kpis import read_kpis_folder

    folder = base / str(options.folder)
    return refuse_duplicates(list(read_kpis_folder(folder)), str(folder))


def dataset_names(rows: list[SheetRow | BadRow], others: Mapping[str, object]) -> list[str]:
    """The name of every row's dataset: its id in [a-z0-9_].

    Slides whose ids make the same name share it, to be refused. `row_<line>` is the name of rows without an id, of
    those whose name is another dataset's or a folder of the project, and of patches named like a slide.
    """
    names = [_plain(row.slide_id) for row in rows]
    slides = {name for row, name in zip(rows, names, strict=True) if not _is_patch(row)}
    taken = {*names, *others, *TAKEN}
    return [
        _free(f"row_{row.line}", taken)
        if name in ("", *others, *TAKEN) or (_is_patch(row) and name in slides)
        else name
        for row, name in zip(rows, names, strict=True)
    ]


def _plain(slide_id: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", slide_id.lower())


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def slide_datasets(config: Config, base: Path) -> list[str]:
    """The names of the datasets of all rows that are slides."""
    rows = slide_rows(config.slides, base) if config.slides else []
    names = dataset_names(rows, config.datasets)
    return sorted({name for row, name in zip(rows, names, strict=True) if not _is_patch(row)})


def expand_slides(config: Config, base: Path, speeds: Speeds, claim: Callable[[LayerPaths], None]) -> Expanded:
    """Plan every row of the sheet, if the config names one.

    base : the folder that the paths of the config start from. claim : raises where a layer's folder is not ours.
    """
    options = config.slides
    if options is None:
        return Expanded({}, None)
    dumped = options.model_dump(mode="json")
    rows, layers = _plan_rows(config, options, slide_rows(options, base), speeds, claim)
    made = {row.dataset: _digests(layers[row.dataset]) for row in rows if row.dataset}
    batches = tuple(
        SlideBatch(name=name, first=first, stop=stop, digests=batch_digests(dumped, _good(rows[first:stop]), made))
        for name, first, stop in deal(rows)
    )
    slides = SlidesPlan(
        options=dumped,
        rows=tuple(rows),
        batches=batches,
        rules=rules_of_layers(),
        shown=tuple(row.dataset for row in rows if row.dataset)[:IN_REPORT] if options.viewer else (),
        digests=cohort_digests(dumped, rows, made, batches),
    )
    return Expanded({name: DatasetPlan(layers=layers[name]) for name in sorted(layers)}, slides)


def _plan_rows(
    config: Config,
    options: Slides,
    found: list[SheetRow | BadRow],
    speeds: Speeds,
    claim: Callable[[LayerPaths], None],
) -> tuple[list[SlideRowPlan], dict[str, dict[str, LayerPlan]]]:
    """The plan of every row, and the layers of the datasets of slides and of refused rows."""
    names = dataset_names(found, config.datasets)
    share = Counter(name for row, name in zip(found, names, strict=True) if not _is_patch(row))
    rows: list[SlideRowPlan] = []
    layers: dict[str, dict[str, LayerPlan]] = {}
    for row, name in zip(found, names, strict=True):
        try:
            if isinstance(row, BadRow):
                raise PlanError(row.message)
            if row.kind == "patch":
                rows.append(_patch(row, options))
                continue
            _check_name(row, name, share[name], config)
            planned, of_row = plan_slide(config, options, row, name, speeds)
            for layer in (*of_row, *OUTLINES):
                claim(LayerPaths(name, layer))
        except OphioliteError as error:
            where = f"{options.sheet or options.folder}: row {row.line}, {row.slide_id}"
            text = str(error) if isinstance(row, BadRow) else f"{where}: {error}"
            rows.append(_refused(row, text))
            layers[name] = {"slide": Refused(kind="refused", error=_joined(layers.get(name), text))}
            continue
        rows.append(planned)
        with_digests = dict(_with_digests(options, planned, of_row))
        layers[name] = {**with_digests, **outline_layers(with_digests)}
    return rows, layers


def _with_digests(
    options: Slides, row: SlideRowPlan, layers: dict[str, VolumePlan]
) -> Iterator[tuple[str, VolumePlan]]:
    """The layers of a slide, with the digests of the rules of slides."""
    digests = slide_layer_digests(options.model_dump(mode="json"), row, {key: v.digests for key, v in layers.items()})
    for key, layer in layers.items():
        yield key, layer.model_copy(update={"digests": digests[key]})


def _digests(layers: Mapping[str, LayerPlan]) -> dict[str, dict[str, str]]:
    return {key: layer.digests for key, layer in layers.items() if isinstance(layer, VolumePlan)}


def deal(rows: list[SlideRowPlan]) -> Iterator[tuple[str, int, int]]:
    """The batches (name, first, stop) of rows: one slide, or neighbouring patches, at most PATCHES_PER_BATCH."""
    first, numbers = 0, {"patches": count(), "refused": count()}
    while first < len(rows):
        stop = first + 1
        if rows[first].kind == "patch":
            most = min(len(rows), first + PATCHES_PER_BATCH)
            while stop < most and rows[stop].kind == "patch":
                stop += 1
        kind = "patches" if rows[first].kind == "patch" else "refused"
        # Names of datasets have no hyphens.
        yield rows[first].dataset or f"{kind}-{next(numbers[kind])}", first, stop
        first = stop


def _good(rows: list[SlideRowPlan]) -> list[SlideRowPlan]:
    return [row for row in rows if row.error is None]


def _is_patch(row: SheetRow | BadRow) -> bool:
    return isinstance(row, SheetRow) and row.kind == "patch"


def _check_name(row: SheetRow, name: str, share: int, config: Config) -> None:
    """Raise PlanError where the name of a slide's dataset is not its own."""
    wanted = _plain(row.slide_id)
    if name != wanted:
        got = "a dataset of the config" if wanted in config.datasets else "a folder that every project has"
        raise PlanError(explain("slide_id", f"its dataset would be {wanted!r}", got=got, do="Rename it"))
    if share > 1:
        raise PlanError(
            explain(
                "slide_id",
                f"its dataset would be {name!r}, as that of another row",
                expected="ids that differ in letters and digits, whatever their case",
                do="Rename one of them",
            )
        )


def _joined(before: Mapping[str, LayerPlan] | None, error: str) -> str:
    """The errors of all rows of one dataset's name."""
    slide = (before or {}).get("slide")
    return f"{slide.error}\n{error}" if isinstance(slide, Refused) else error


def _refused(row: SheetRow | BadRow, error: str) -> SlideRowPlan:
    if isinstance(row, SheetRow):
        return row_plan(row, error=error)
    return SlideRowPlan(
        line=row.line,
        slide_id=row.slide_id,
        case_id=row.case_id,
        group=row.group,
        kind="slide",
        split=row.split,
        image="",
        mask=None,
        mpp=None,
        mpp_origin="",
        size_px=None,
        mask_ratio=None,
        dataset=None,
        fingerprint="",
        error=error,
    )


def _patch(row: SheetRow, options: Slides) -> SlideRowPlan:
    """The plan of a patch, from the headers of its files; raises where its mask is of another size, or none is read."""
    mpp = row.mpp or options.mpp
    reading = {
        **slide_reading(options, row),
        "mpp": mpp or UNKNOWN_MPP,
        "force_mpp": options.force_mpp or mpp is None,
    }
    image = cast("SlideSource", open_slide_layer(row.image, "slide", reading))
    width, height, _ = image.shape_vx
    if row.mask:
        mask = open_slide_layer(row.mask, "mask", mask_reading(options, image))
        if mask.shape_vx != image.shape_vx:
            raise PlanError(
                explain(
                    f"E142 {row.mask}",
                    "the mask of a patch is as large as its image",
                    expected=f"{width} x {height} pixels",
                    got="{} x {}".format(*mask.shape_vx),
                    do="Pair the right files",
                )
            )
    return row_plan(
        row,
        mpp=(mpp, mpp) if mpp else None,
        mpp_origin=("sheet" if row.mpp else "config") if mpp else "",
        size_px=(width, height),
        mask_ratio=1 if row.mask else None,
        fingerprint=_stamp(row),
    )


def _stamp(row: SheetRow) -> str:
    """Sixteen hex digits of name, size and time of a patch's files."""
    stats = [(path.name, path.stat()) for path in (row.image, row.mask) if path]
    facts = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
