"""What a slide's file holds beside its pixels."""

from __future__ import annotations

import io
import re
from typing import Any, cast

from ophiolite.errors import PlanError
from ophiolite.layers.store import Written
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.sources.slide import SlideSource
from ophiolite.stages.job import Job
from ophiolite.stages.volume_input import open_planned

# All but these may show the slide's label: photos of the whole glass (macro) do, as Hamamatsu's scanners take them.
WITHOUT_LABEL = ("thumbnail",)


def slides_of(job: Job) -> SlidesPlan:
    """The slides of the job's project; raises PlanError where it has none."""
    if job.project.slides is None:
        raise PlanError(f"{job.rule}: the config of project {job.project.project} names no slides.")
    return job.project.slides


def write_slide_images(job: Job) -> tuple[list[Written], dict[str, Any]]:
    """Write the colour profile as it is and the photos as PNG; returns what was written and what the reader says.

    Photos of the label and of the whole glass, which may name a patient, are written only where `slides.label_image`
    asks for them; the profile only where the pixels were not converted by it.
    """
    options = slides_of(job).options
    slide = cast(SlideSource, open_planned(job.volume).source)
    folder = job.paths.associated
    written = []
    if slide.icc and options["icc"] == "keep":
        written.append(job.store.write(f"{folder}/profile.icc", slide.icc))
    kept = [name for name in sorted(slide.associated) if options["label_image"] or name.lower() in WITHOUT_LABEL]
    for name in kept:
        written.append(job.store.write(f"{folder}/{_file_name(name)}.png", _png(slide, name)))
    job.store.keep_only(folder, {file.path for file in written})
    facts = {
        "reader": slide.reader,
        "vendor": slide.vendor,
        "mpp": list(slide.mpp),
        "mpp_origin": slide.mpp_origin,
        "images": kept,
    }
    return written, facts


def _png(slide: SlideSource, name: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(slide.associated_image(name).transpose(1, 0, 2)).save(out, "PNG")
    return out.getvalue()


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "_", name.lower())
