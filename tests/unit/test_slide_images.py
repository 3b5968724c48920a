"""What is kept of a slide's file beside its pixels: nothing on which a patient's name may stand, unless asked for."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from tifffile import TiffWriter

from ophiolite.config.load import parse_config
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.stages.job import Job
from ophiolite.stages.slide_images import write_slide_images

TEXT = "Aperio Image Library v12.0.16\r\n"


@pytest.mark.parametrize(
    ("options", "kept"),
    [({}, ["thumbnail"]), ({"label_image": True}, ["label", "macro", "thumbnail"])],
    ids=["default", "asked for"],
)
def test_photos_that_may_name_a_patient_are_kept_where_asked_for(
    tmp_path: Path, options: dict[str, bool], kept: list[str]
) -> None:
    pixels = np.full((256, 256, 3), 200, np.uint8)
    with TiffWriter(tmp_path / "a.svs") as tiff:
        said = f"{TEXT}256x256 (256x256)|AppMag = 20|MPP = 0.5"
        tiff.write(pixels, tile=(256, 256), photometric="rgb", description=said, metadata=None)
        for kind, name in ((0, "thumbnail"), (1, "label"), (9, "macro")):
            strips: dict[str, Any] = {"rowsperstrip": 64, "photometric": "rgb", "compression": "lzw", "metadata": None}
            tiff.write(pixels[:64, :64], subfiletype=kind, description=f"{TEXT}{name}", **strips)
    (tmp_path / "slides.tsv").write_text("slide_id\timage\na\ta.svs\n")
    slides = {"sheet": str(tmp_path / "slides.tsv"), **options}
    config = parse_config({"project": "p", "store": str(tmp_path / "results"), "slides": slides}, "test")
    job = Job(make_plan(config, Path(), Speeds()), Store(tmp_path / "out"), "slide_images", "a", "slide", "", 1)
    written, facts = write_slide_images(job)
    assert [PurePosixPath(file.path).stem for file in written] == facts["images"] == kept
