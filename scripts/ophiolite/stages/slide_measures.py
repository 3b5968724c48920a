"""What rule mask_objects found, as the rules after it read it: runs and measures of a slide's objects."""

from __future__ import annotations

import io
import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import PlanError
from ophiolite.kernels.object_measures import ObjectMeasures
from ophiolite.parquet import read_parquet
from ophiolite.plan.model import VolumePlan
from ophiolite.stages.job import Job


def measures_path(job: Job) -> str:
    """Where the measures of a mask's objects lie."""
    return f"{job.paths.work}/mask_objects_measures.npz"


def slide_table_path(job: Job) -> str:
    """Where the object table of a slide lies."""
    return f"{job.paths.objects}/slide.parquet"


def contours_path(job: Job) -> str:
    """Where the outlines lie that the annotation layers are made of."""
    return f"{job.paths.work}/slide_contours.npz"


def measures_bytes(measures: ObjectMeasures, values: NDArray[np.uint16]) -> bytes:
    """Measures, and the values of the objects' structures, as `read_measures` takes them."""
    buffer = io.BytesIO()
    np.savez(buffer, structure=values, **vars(measures))
    return buffer.getvalue()


def read_measures(job: Job) -> tuple[ObjectMeasures, NDArray[np.uint16]]:
    """The measures of the objects of a mask, in pixels, and the values of their structures; labels count from 1."""
    with np.load(io.BytesIO(job.read_work(measures_path(job), "mask_objects"))) as data:
        arrays = dict(data)
    return ObjectMeasures(**{name: array for name, array in arrays.items() if name != "structure"}), arrays["structure"]


def runs_of(job: Job) -> NDArray[np.uint32]:
    """The table of runs of a mask's objects, mapped."""
    job.require(job.paths.mask_objects, "mask_objects")
    copies = job.store.scratch(f"{job.paths.work}/{job.rule}")
    shutil.rmtree(copies, ignore_errors=True)  # of a killed try, which may have had another mask
    job.scratch.append(copies)
    return np.asarray(np.load(job.store.local_copy(job.paths.mask_objects, copies), mmap_mode="r"))


def read_slide_table(job: Job) -> dict[str, NDArray[Any]]:
    """The object table of a slide as columns, ascending by label."""
    table = read_parquet(job.store.read(slide_table_path(job)))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def structure_names(job: Job) -> dict[int, str]:
    """Value -> name of the structures of a mask."""
    return {int(value): name for value, name in job.volume.source.reading["structures"].items()}


def slide_ratio(job: Job) -> int:
    """Slide pixels per mask pixel."""
    ratio = job.project.slides.row_of(job.dataset).mask_ratio if job.project.slides else None
    if ratio is None:
        raise PlanError(f"{job.dataset}/{job.layer}: is no mask of a slide.")
    return ratio


def slide_px(job: Job, mask_px: NDArray[Any]) -> NDArray[Any]:
    """Points (..., 2), whole numbers at the corners of pixels, from pixels of the mask to pixels of the slide."""
    low = np.array(job.volume.scales[0].voxel_offset_vx[:2])
    return np.asarray((mask_px + low) * slide_ratio(job))


def pixel_um(volume: VolumePlan) -> tuple[float, float]:
    """The sides of a pixel of the mask."""
    x_nm, y_nm, _ = volume.scales[0].resolution_nm
    return x_nm / 1000, y_nm / 1000
