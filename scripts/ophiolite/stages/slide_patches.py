"""The patches of one slide: files of images and masks from the same pixels, and a table of all that were considered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.config.slides import Patches
from ophiolite.errors import ConfigError, PlanError, explain
from ophiolite.kernels.patch_grid import Patch
from ophiolite.layers.store import Written
from ophiolite.plan.model import VolumePlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.precomputed.image_codecs import encode_jpeg, encode_png
from ophiolite.stages.job import Job, finished_tasks
from ophiolite.stages.layer import volume_info
from ophiolite.stages.patch_filter import (
    Fractions,
    Thumbnail,
    none_kept,
    structure_fractions,
    tissue_fractions,
)
from ophiolite.stages.patch_frame import Frame, frame_of, read_image, read_mask
from ophiolite.stages.pyramid_quality import CachedReader
from ophiolite.stages.slide_images import slides_of
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.tables import parquet_bytes, schema_of, table_of

FOLDER = "slides/patches"
FRACTION = "fraction_"
# Arrow types; besides these, the part that each structure covers, `fraction_<name>`. A row per patch of the grid. x, y,
# w and h count pixels of patches from the first whole one of the slide on, x0 to h0 pixels of the slide's mip 0; w and
# h are smaller where a patch leaves the slide. reason : what there was too little of, empty where the patch was kept.
COLUMNS = {
    "slide_id": "string", "case_id": "string", "group": "string", "dataset": "string", "patch": "string",
    "index": "int64", "col": "int64", "row": "int64", "x_px": "int64", "y_px": "int64", "w_px": "int64",
    "h_px": "int64", "mpp_x_um": "float64", "mpp_y_um": "float64",
    "x0_px": "int64", "y0_px": "int64", "w0_px": "int64", "h0_px": "int64",
    "tissue_fraction": "float64", "label_fraction": "float64", "keep": "bool", "reason": "string",
    "image": "string", "mask": "string",
}  # fmt: skip
CACHE_BYTES = 96_000_000
PNG_IMAGE_LEVEL, PNG_MASK_LEVEL = 1, 6


@dataclass(frozen=True)
class Names:
    """How the files of a slide's patches are called."""

    row: SlideRowPlan
    options: Patches

    @property
    def folder(self) -> str:
        """The folder of the slide's patches, of the project."""
        mine = (self.row.group, self.row.case_id) if self.options.naming == "kpis2024" else (str(self.row.dataset),)
        return "/".join((FOLDER, *mine))

    def patch(self, patch: Patch) -> str:
        """The name of a patch."""
        row, kpis = self.row, self.options.naming == "kpis2024"
        slide = f"{row.group}_{row.case_id}" if kpis else row.slide_id
        return f"{slide}_{patch.index}_{patch.x}_{patch.y}"

    def image(self, patch: Patch) -> str:
        """The file of a patch's image."""
        return self._file(patch, "img", "jpg" if self.options.format == "jpeg" else "png")

    def mask(self, patch: Patch) -> str:
        """The file of a patch's mask."""
        return self._file(patch, "mask", "png")

    def _file(self, patch: Patch, kind: str, ending: str) -> str:
        name = self.patch(patch) + (f"_{kind}" if self.options.naming == "kpis2024" else "")
        return f"{self.folder}/{kind}/{name}.{ending}"


def patch_options(slides: SlidesPlan) -> Patches:
    """The section `slides.patches`; raises ConfigError where there is none."""
    if slides.options["patches"] is None:
        raise ConfigError(explain("slides.patches", "is not in the config", do="Add it to cut patches"))
    return Patches.model_validate(slides.options["patches"])


def patch_columns(structures: dict[int, str]) -> dict[str, str]:
    """The columns of the table of patches."""
    return COLUMNS | {f"{FRACTION}{name}": "float64" for name in structures.values()}


def write_slide_patches(job: Job) -> tuple[list[Written], dict[str, Any]]:
    """Write the patches that are kept, and the table of all; returns the files, and how many were left out for what.

    A retried job skips rows of patches that are done. Where none is kept, the log and `none_kept` say why (E144).
    """
    slides = slides_of(job)
    options, row = patch_options(slides), slides.row_of(job.dataset)
    place = f"slide {row.slide_id}"
    names = Names(row, options)
    _check_own(slides, row, options)
    frame = frame_of(job.volume, row.mask_ratio or 1, options, place)
    patches = frame.patches(options)
    structures = structures_of(job.project)
    fractions = _fractions(job, frame, patches, options, structures)
    fault = none_kept(place, frame, fractions, options)
    reasons = fractions.reasons(options)
    kept = [patch for patch, reason in zip(patches, reasons, strict=True) if not reason]
    job.say(fault or f"{len(kept)} of {len(patches)} patches of {frame.mpp[0]:g} microns per pixel are kept")
    written = list(_write_files(job, frame, kept, options, names, slides))
    job.store.keep_only(names.folder, {file.path for file in written})
    rows = _rows(row, frame, patches, options, names, fractions, structures, has_mask=row.mask is not None)
    table = parquet_bytes(table_of(list(rows), schema_of(patch_columns(structures))))
    written.append(job.store.write(job.paths.patches, table))
    left_out = {reason: reasons.count(reason) for reason in sorted(set(reasons) - {""})}
    facts = {"patches": len(patches), "kept": len(kept), "left_out": left_out}
    return written, facts | ({"none_kept": fault} if fault else {})


def _check_own(slides: SlidesPlan, row: SlideRowPlan, options: Patches) -> None:
    """Raise PlanError where another slide's patches would have the same names."""
    if options.naming != "kpis2024":
        return
    same = [r.slide_id for r in slides.planned() if (r.group, r.case_id, r.kind) == (row.group, row.case_id, "slide")]
    if len(same) > 1:
        raise PlanError(
            explain(
                f"slides.patches.naming, case {row.case_id}",
                "names of the KPIs challenge hold one slide per case",
                got=f"slides {', '.join(same)}",
                do="Choose naming: plain, or give every slide a case of its own",
            )
        )


def _reader(job: Job, layer: str, mip: int) -> CachedReader:
    of_layer = replace(job, layer=layer)
    return CachedReader(job.store, of_layer.paths.layer_folder, mip, CACHE_BYTES, volume_info(of_layer.volume))


def _has_mask(job: Job) -> bool:
    return isinstance(job.project.datasets[job.dataset].layers.get("mask"), VolumePlan)


def _fractions(
    job: Job, frame: Frame, patches: Sequence[Patch], options: Patches, structures: dict[int, str]
) -> Fractions:
    if not patches:
        return Fractions(np.zeros(0), np.zeros((0, len(structures))))
    thumbnail = Thumbnail.of(job.volume.scales)
    tissue = tissue_fractions(_reader(job, job.layer, thumbnail.mip.mip), thumbnail, frame, patches, options.size_px)
    if not _has_mask(job):
        return Fractions(tissue, np.zeros((len(patches), len(structures))))
    labels = structure_fractions(_reader(job, "mask", 0), list(structures), frame, patches, options.size_px)
    return Fractions(tissue, labels)


def _write_files(
    job: Job, frame: Frame, kept: Sequence[Patch], options: Patches, names: Names, slides: SlidesPlan
) -> Iterator[Written]:
    """The files of patches, a row of the grid at a time; rows that an earlier try finished are not made again."""
    image = _reader(job, job.layer, frame.image.mip)
    mask = _reader(job, "mask", 0) if _has_mask(job) else None
    background = tuple(slides.options["background"])
    tasks = finished_tasks(job, "slide_patches")
    for number in sorted({patch.row for patch in kept}):
        task = f"{number}.json"
        if tasks.exists(task):
            done = [Written(f["path"], f["bytes"], f["sha256"]) for f in json.loads(tasks.read(task))]
            if all(job.store.size(file.path) == file.size_bytes for file in done):
                yield from done
                continue
        written = []
        for patch in (p for p in kept if p.row == number):
            pixels = read_image(image, frame.image, patch, options.size_px, background)
            written.append(job.store.write(names.image(patch), _encoded(pixels, options)))
            if mask is not None:
                labels = read_mask(mask, frame.mask, patch, options.size_px)
                written.append(job.store.write(names.mask(patch), _encoded_mask(labels, options)))
        tasks.write(task, json.dumps([file.to_json() for file in written]).encode())
        yield from written


def _encoded(pixels: NDArray[np.uint8], options: Patches) -> bytes:
    chunk = pixels[:, :, None]
    return encode_jpeg(chunk, options.quality) if options.format == "jpeg" else encode_png(chunk, PNG_IMAGE_LEVEL)


def _encoded_mask(labels: NDArray[np.uint16], options: Patches) -> bytes:
    """A mask as PNG: values of structures, 8 bits where they fit; 255 for any structure as in the KPIs challenge."""
    if options.naming == "kpis2024":
        labels = (labels > 0) * np.uint16(255)
    narrow = labels.astype(np.uint8) if labels.max() < 256 else labels
    return encode_png(narrow[:, :, None, None], PNG_MASK_LEVEL)


def _rows(
    row: SlideRowPlan,
    frame: Frame,
    patches: Sequence[Patch],
    options: Patches,
    names: Names,
    fractions: Fractions,
    structures: dict[int, str],
    *,
    has_mask: bool,
) -> Iterator[dict[str, Any]]:
    """Rows of `patch_columns`."""
    x0, y0 = frame.finest.corners([(p.x, p.y) for p in patches])
    x1, y1 = frame.finest.corners([(p.x + p.w, p.y + p.h) for p in patches])
    reasons, label = fractions.reasons(options), fractions.label
    for n, patch in enumerate(patches):
        kept = not reasons[n]
        yield {
            "slide_id": row.slide_id,
            "case_id": row.case_id,
            "group": row.group,
            "dataset": row.dataset,
            "patch": names.patch(patch),
            "index": patch.index,
            "col": patch.col,
            "row": patch.row,
            "x_px": patch.x,
            "y_px": patch.y,
            "w_px": patch.w,
            "h_px": patch.h,
            "mpp_x_um": frame.mpp[0],
            "mpp_y_um": frame.mpp[1],
            "x0_px": int(x0[n]),
            "y0_px": int(y0[n]),
            "w0_px": int(x1[n] - x0[n]),
            "h0_px": int(y1[n] - y0[n]),
            "tissue_fraction": float(fractions.tissue[n]),
            "label_fraction": float(label[n]) if has_mask else None,
            "keep": kept,
            "reason": reasons[n],
            "image": names.image(patch) if kept else None,
            "mask": names.mask(patch) if kept and has_mask else None,
            **_covered(fractions.structures[n], structures, has_mask),
        }


def _covered(fractions: NDArray[np.float64], structures: dict[int, str], has_mask: bool) -> dict[str, float]:
    """The part that each structure covers, by column; values of one name together; none without a mask."""
    out: dict[str, float] = {}
    for name, fraction in zip(structures.values(), fractions.tolist(), strict=True):
        out[f"{FRACTION}{name}"] = out.get(f"{FRACTION}{name}", 0.0) + fraction
    return out if has_mask else {}
