"""The whole config file."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ophiolite.config.checks import Compression, Quality
from ophiolite.config.products import Mesh, Positive, Pyramid, Section, Skeleton
from ophiolite.config.slides import Slides
from ophiolite.errors import CREDENTIALS, redacted

NAME = r"^[a-z0-9_]+$"
# No part of a prefix is empty or begins with a dot.
BUCKET = re.compile(r"(s3|gs)://[a-z0-9][a-z0-9._-]+[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
Name = Annotated[str, Field(pattern=NAME)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
Resolution = tuple[
    Annotated[float, Field(gt=0)],
    Annotated[float, Field(gt=0)],
    Annotated[float, Field(gt=0)],
]


def _without_credentials(value: str) -> str:
    """Refuse an address with credentials: plan, logs and reports would show them."""
    if redacted(value) != value:
        raise ValueError(
            "an address in the config carries no user, password, token or signature, since plan and reports would show"
            " it; credentials belong in the environment or the provider's own files (docs/object_storage.md), and a"
            " file that needs others is downloaded by hand, to a local path or the mirror"
        )
    return value


# The schema refuses them too: what passes it, Snakemake records, and prints where a job fails.
Place = Annotated[str, AfterValidator(_without_credentials), Field(json_schema_extra={"not": {"pattern": CREDENTIALS}})]


class VolumeSource(Section):
    """What image and segmentation layers have in common: where the voxels come from."""

    source: Place = Field(
        description="`file:path-inside` | folder | glob | file | URL; relative to where snakemake runs"
    )
    format: Literal["hdf5", "tiff", "slices", "npy", "nrrd", "precomputed", "zarr", "n5"] | None = Field(
        None, description="kind of the source; detected where left out"
    )
    resolution_nm: Resolution | None = Field(
        None, description="voxel size x, y, z; needed only where the source does not say, or to correct it"
    )
    voxel_offset_vx: tuple[int, int, int] | None = Field(
        None, description="coordinate of the first voxel; replaces what the source says"
    )
    pad_vx: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (0, 0, 0), description="voxels of background added on both sides of each axis"
    )
    pyramid: Pyramid = Field(default_factory=Pyramid)


class ImageLayer(VolumeSource):
    """A grey or colour image, 1-4 channels."""

    type: Literal["image"] = Field(description="kind of layer")


class SegmentationLayer(VolumeSource):
    """Labels, and what is made of them."""

    type: Literal["segmentation"] = Field(description="kind of layer")
    relabel: Place | None = Field(
        None,
        description="table of label pairs (from, to), e.g. supervoxels to bodies, applied as the source is read: "
        "`file.h5:/path` of shape (n, 2), or .csv or .parquet with columns `from` and `to`; labels it does not name "
        "stay, pairs are not chained",
    )
    mesh: Mesh | None = Field(None, description="meshes; leave out for none")
    skeleton: Skeleton | None = Field(None, description="skeletons; leave out for none")
    properties: bool = Field(True, description="write segment properties for the viewer")
    max_inline_labels: Positive = Field(
        1_000_000, description="segment properties keep so many labels, the largest ones"
    )


class AnnotationLayer(Section):
    """Points, lines, boxes, ellipsoids from a table, or the synapses of a CREMI file."""

    type: Literal["annotations"] = Field(description="kind of layer")
    source: Place = Field(description="`file.h5:/annotations` in the CREMI layout, or a .csv or .parquet table")
    kind: Literal["point", "line", "box", "ellipsoid"] | None = Field(
        None, description="geometry of a table; CREMI synapses are always lines from pre to post"
    )
    segmentation: Name | None = Field(
        None, description="segmentation layer of this dataset in which pre and post partners are looked up"
    )
    label_columns: list[str] = Field(
        default_factory=list, description="table columns that hold labels; they become relationships"
    )
    limit: Positive = Field(1000, description="annotations per cell of the spatial index at most, on average")


Layer = Annotated[ImageLayer | SegmentationLayer | AnnotationLayer, Field(discriminator="type")]


class Download(Section):
    """A file to fetch before planning, with its pinned checksum."""

    url: Place | None = Field(None, description="public address; without one the file must be in the mirror")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="checksum of the file")


class Dataset(Section):
    """Layers that share one space."""

    downloads: dict[FileName, Download] = Field(
        default_factory=dict, description="files fetched into `data/`, by name; use the name as a layer's source"
    )
    mirror: str | None = Field(
        None,
        description="local folder searched for the downloads before their address; the environment variable "
        "`OPHIOLITE_MIRROR` gives it too, and wins",
    )
    layers: dict[Name, Layer] = Field(min_length=1, description="by name: [a-z0-9_]+")

    @model_validator(mode="after")
    def _known_segmentations(self) -> Dataset:
        labels = [name for name, layer in self.layers.items() if layer.type == "segmentation"]
        for name, layer in self.layers.items():
            if layer.type == "annotations" and layer.segmentation not in (None, *labels):
                raise ValueError(
                    f"layer {name!r}: segmentation {layer.segmentation!r} is no segmentation layer of this dataset"
                    f" (there are: {', '.join(labels) or 'none'})"
                )
        return self


class Jobs(Section):
    """How the work is cut into jobs."""

    minutes: Annotated[float, Field(gt=0)] = Field(10.0, description="wanted length of one job")
    min_blocks: Positive = Field(4, description="cut every stage into at least so many jobs where tasks allow")
    max_jobs: Positive = Field(2500, description="jobs of one stage at most; binds before `minutes`")
    memory_mb: Annotated[int, Field(ge=500)] = Field(2000, description="memory one job may use")
    threads: Positive = Field(
        1,
        description="what a job of fragments does at once, a thread each: labels of meshes, tasks of skeletons;"
        " other jobs take one",
    )


class Report(Section):
    """The report page."""

    objects: Annotated[int, Field(ge=0, le=24)] = Field(
        6, description="largest objects rendered with mesh and skeleton"
    )


class Config(Section):
    """One project: everything lands in `<store>/<project>/`."""

    project: Name = Field(description="name of the project: [a-z0-9_]+")
    store: Place = Field(
        "results",
        description="where the results of all projects lie: a folder, or `s3://bucket/prefix` or `gs://bucket/prefix`",
    )
    results: str | None = Field(
        None,
        description="where `store` is a bucket: the folder, shared by all machines, that holds receipts, tables, "
        "figures and logs; `results` where left out",
    )
    datasets: dict[Name, Dataset] = Field(default_factory=dict, description="by name: [a-z0-9_]+")
    slides: Slides | None = Field(None, description="whole-slide images, from a sheet")
    jobs: Jobs = Field(default_factory=Jobs)
    report: Report = Field(default_factory=Report)
    quality: Quality = Field(default_factory=Quality)
    compression: Compression = Field(default_factory=Compression)

    @model_validator(mode="after")
    def _one_file_per_name(self) -> Config:
        known: dict[str, Download] = {}
        for name, dataset in self.datasets.items():
            for file, download in dataset.downloads.items():
                if known.setdefault(file, download) != download:
                    raise ValueError(
                        f"dataset {name!r}: download {file!r} is another file in another dataset; all lie in data/, so "
                        "give one of them another name"
                    )
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> Config:
        if not self.datasets and self.slides is None:
            raise ValueError("datasets: is required and missing, or empty; give datasets, slides or both")
        return self

    @field_validator("store")
    @classmethod
    def _store_is_a_place(cls, value: str) -> str:
        if "://" in value and not BUCKET.fullmatch(value):
            raise ValueError(
                "expected a folder, or s3:// or gs:// with the name of a bucket and a prefix of letters, digits and"
                " ._-/; credentials and endpoint belong in the environment"
            )
        return value.rstrip("/") if "://" in value else value

    @model_validator(mode="after")
    def _one_folder(self) -> Config:
        if self.results is not None and "://" not in self.store:
            raise ValueError(f"results: has a meaning only where store is a bucket; set store: {self.results} instead")
        return self

    @property
    def tracked(self) -> str:
        """The folder of what Snakemake tracks."""
        return self.results or "results" if "://" in self.store else self.store
