"""Config of what is measured of finished layers: their quality, and what other encodings would cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ophiolite.config.products import Positive, Section, VecModel


class Quality(Section):
    """The quality report, `snakemake quality`."""

    min_skeleton_vx: Annotated[int, Field(ge=0)] = Field(
        1000, description="skeletons of objects of fewer mip-0 voxels are not compared with thinning"
    )
    max_box_mvx: Positive = Field(
        256,
        description="objects whose box holds more million voxels of the product's mip are counted, not measured; what "
        "does not fit in `jobs.memory_mb` is not either, which may be less",
    )
    samples: Positive = Field(
        10_000,
        description="points sampled at most on a surface whose distance to another is measured, and vertices of a "
        "skeleton that are looked for in its mesh",
    )


class Compression(Section):
    """The benchmark of encodings, `snakemake compression`."""

    chunk_vx: list[VecModel] = Field([(64, 64, 64)], min_length=1, description="chunk sizes that are compared")
    max_mvx: Positive = Field(
        128, description="million voxels of each layer that are encoded at most: a box in its middle"
    )
    repeats: Positive = Field(5, description="times everything is decoded, after one time to warm up")
