"""What is measured of every slide and patch: its files, pixels, scale, tissue, and the structures of its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import OphioliteError, PlanError, SourceError, explain
from ophiolite.geometry import Box
from ophiolite.kernels.area_means import StripReducer, fit_px
from ophiolite.kernels.mask_runs import RunLabeller, measure_runs
from ophiolite.kernels.perceptual_hash import HASH_SIDE, dct_hash, grey_square
from ophiolite.kernels.tissue import THUMBNAIL_PX, UM_PER_PX, tissue_mask
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.sources.mask import MaskSource
from ophiolite.stages.slide_items import check_headers, open_row, open_row_mask
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_tables import Row, batch_names, write_parts

if TYPE_CHECKING:
    from ophiolite.sources.slide import SlideSource

# Sides of the pictures that items are compared by, and that tissue is looked for in.
THUMBNAIL_SIDE = 64
LEAST_PX = 256
# Of whole tiles, a strip has at least STRIP_BYTES; no strip has more than MOST_BYTES.
STRIP_BYTES, MOST_BYTES = 24_000_000, 160_000_000
ROWS_TOGETHER = 64
COLUMN_PX = 4096


def write_facts(plan: ProjectPlan, slides: SlidesPlan, store: Store, batch: str) -> None:
    """Measure the rows of a batch and write its parts of the tables of items and structures."""
    names = batch_names(slides)
    if batch not in names:
        raise PlanError(
            explain(f"--batch {batch}", "there is no such batch", expected=", ".join(names[:9]), do="See the plan")
        )
    items: list[Row] = []
    structures: list[Row] = []
    for row in slides.rows_of(batch):
        item, of_mask = row_facts(plan, row)
        items.append(item)
        structures += of_mask
    write_parts(store, batch, items, structures)


def row_facts(plan: ProjectPlan, row: SlideRowPlan) -> tuple[Row, list[Row]]:
    """The row of the table of items and those of the table of structures; what cannot be read has an `error` alone.

    A slide whose headers are not what the plan saw is no fault of the slide: SourceError.
    """
    item: Row = {
        "slide_id": row.slide_id,
        "case_id": row.case_id,
        "group": row.group,
        "kind": row.kind,
        "split": row.split,
        "image": row.image,
        "mask": row.mask,
        "format": Path(row.image).suffix.lower().removeprefix("."),
    }
    check_headers(plan, row)
    try:
        image, mask = open_row(plan, row), open_row_mask(plan, row)
        facts = {**_file_facts(image.files), **image_facts(image, scaled=row.mpp is not None)}
        if mask is None:
            return {**item, **facts}, []
        assert plan.slides is not None
        least_px = plan.slides.options["mask"]["min_object_px"]
        found = mask_facts(mask, structures_of(plan), least_px, facts)
    except OphioliteError as error:
        return {**item, "error": str(error)}, []
    shared = {key: item[key] for key in ("slide_id", "case_id", "group", "kind")}
    return {**item, **facts, **found.item}, [{**shared, **structure} for structure in found.structures]


def _file_facts(files: Sequence[str]) -> Row:
    return {"file_bytes": sum(Path(file).stat().st_size for file in files), "file_sha256": files_sha256(files)}


def files_sha256(files: Sequence[str]) -> str:
    """The sha256 of a file; of several, that of the lines that `sha256sum` prints for them, without their folders."""
    found = [(_file_sha256(Path(file)), Path(file).name) for file in files]
    if len(found) == 1:
        return found[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in found).encode()).hexdigest()


def _file_sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise SourceError(explain(str(file), problem, do="Check its permissions and its disk")) from None


def image_facts(image: SlideSource, *, scaled: bool) -> Row:
    """Size, scale, hashes and tissue of an image, from all its pixels, read once; `scaled` : its scale is known."""
    width, height, _ = image.shape_vx
    mpp = image.mpp if scaled else None
    wanted_px = round(max(width, height) * max(mpp) / UM_PER_PX) if mpp else LEAST_PX
    most_px = int(max(width, height) * (THUMBNAIL_PX / (width * height)) ** 0.5)
    to_px = fit_px((width, height), min(max(wanted_px, LEAST_PX), most_px))
    # the hash is of the pixels, whatever file holds them
    digest = hashlib.blake2b(f"{width} x {height}\n".encode(), digest_size=32)
    reducer = StripReducer((width, height), to_px, 3)
    for strip in strips_of(image):
        digest.update(strip.data)
        for top in range(0, len(strip), ROWS_TOGETHER):
            reducer.add(strip[top : top + ROWS_TOGETHER].swapaxes(0, 1))
    picture = reducer.picture()
    tissue = tissue_mask(picture, max(mpp) * width / to_px[0]) if mpp else tissue_mask(picture)
    hashed = dct_hash(grey_square(picture, HASH_SIDE))
    return {
        "reader": image.reader,
        "width_px": width,
        "height_px": height,
        "mpp_x_um": mpp[0] if mpp else None,
        "mpp_y_um": mpp[1] if mpp else None,
        "mpp_origin": image.mpp_origin if mpp else None,
        "pixel_hash": digest.hexdigest(),
        "perceptual_hash": None if hashed is None else f"{hashed:016x}",
        "thumbnail": grey_square(picture, THUMBNAIL_SIDE).tobytes(),
        "tissue_fraction": float(tissue.mean()),
    }


def strips_of(image: SlideSource) -> Iterator[NDArray[np.uint8]]:
    """The rows of an image from the top, (rows, x, 3) in C order, of whole tiles unless these are too high."""
    width, height, _ = image.shape_vx
    x0, y0, z0 = image.box.start
    tile = image.alignment_vx[1]
    row_bytes = 3 * width
    rows = max(1, -(-STRIP_BYTES // (row_bytes * tile))) * tile
    if rows * row_bytes > MOST_BYTES:
        rows = max(1, MOST_BYTES // row_bytes)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = np.empty((bottom - top, width, 3), np.uint8)
        for left in range(0, width, COLUMN_PX):
            right = min(left + COLUMN_PX, width)
            box = Box((x0 + left, y0 + top, z0), (x0 + right, y0 + bottom, z0 + 1))
            strip[:, left:right] = image.read(box)[:, :, 0].swapaxes(0, 1)
        yield strip


@dataclass(frozen=True)
class MaskFacts:
    """What a mask adds to the row of its item, and its rows of the table of structures."""

    item: Row
    structures: list[Row]


def mask_facts(mask: MaskSource, names: Mapping[int, str], least_px: int, image: Row) -> MaskFacts:
    """Count pixels and connected objects (8 neighbours, of at least `least_px` mask pixels) of every structure.

    image : the facts of the image, whose size and scale areas are given in. The mask is read strip by strip.
    """
    labeller, runs = RunLabeller(), []
    pixels = dict.fromkeys(names, 0)
    nonbinary = 0
    for box in mask.strips():
        strip = np.asfortranarray(mask.read(box)[:, :, 0, 0])
        for value in names:
            pixels[value] += int(np.count_nonzero(strip == value))
        runs.append(labeller.add(strip, box.start[1] - mask.voxel_offset_vx[1]))
        nonbinary += mask.nonbinary(box)
    if not any(pixels.values()):
        mask.check_binarised()
    labels, values = labeller.objects(least_px)
    table = np.concatenate(runs)
    table[:, 3] = labels[table[:, 3]] if len(labels) else 0
    measures = measure_runs(np.ascontiguousarray(table[table[:, 3] > 0]), len(values))
    at_edge = (measures.start == 0).any(axis=1) | (measures.stop == mask.shape_vx[:2]).any(axis=1)
    item = {
        "mask_bytes": sum(Path(file).stat().st_size for file in mask.files),
        "mask_sha256": files_sha256(mask.files),
        "mask_ratio": mask.ratio,
        "nonbinary_px": nonbinary,
        "objects": len(values),
    }
    cell_px = mask.ratio**2
    scale = image["mpp_x_um"] * image["mpp_y_um"] if image["mpp_x_um"] is not None else None
    structures = []
    for value, name in sorted(names.items()):
        own = values == value
        covered = pixels[value] * cell_px
        structures.append(
            {
                "value": value,
                "structure": name,
                "pixels": covered,
                "area_um2": None if scale is None else covered * scale,
                "fraction": pixels[value] / (mask.shape_vx[0] * mask.shape_vx[1]),
                "objects": int(own.sum()),
                "edge_objects": int((own & at_edge).sum()),
                "object_areas_px": (measures.area[own] * cell_px).tolist(),
            }
        )
    return MaskFacts(item, structures)
