"""Config of whole-slide images: the sheet of slides, and what is made of each and of all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ophiolite.config.products import Positive, Section

Fraction = Annotated[float, Field(ge=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]


class SlidePyramid(Section):
    """The pyramid of every slide: exact 2x means of level 0, JPEG, sharded."""

    chunk_vx: Annotated[int, Field(ge=256, le=1024, multiple_of=16)] = Field(
        512, description="side of a chunk in pixels; where JPEG tiles are copied it is the side of the source's tiles"
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(90, description="JPEG quality of what is encoded here")
    copy_tiles: bool = Field(
        True,
        description="read the JPEG tiles of level 0 directly and copy them byte for byte where the source allows it; "
        "false reads everything through the slide's library and encodes it",
    )
    shard_mb: Positive = Field(512, description="upper bound of a shard's size before compression, in MB")


class SlideMask(Section):
    """How the masks of the sheet are read, and what is made of them."""

    binarise: Byte | None = Field(
        127, description="values above it are structure 1, others background; null keeps the values as they are"
    )
    structures: dict[Annotated[int, Field(ge=1, le=65535)], str] = Field(
        default_factory=lambda: {1: "structure"}, description="mask value -> name of the structure"
    )
    ratio: Positive | None = Field(
        None,
        description="slide pixels per mask pixel, for masks so small that several fit the sizes of both; null takes "
        "the one that the mask's microns per pixel give, else the only power of two or exact one",
    )
    min_object_px: Annotated[int, Field(ge=0)] = Field(
        0, description="connected objects of fewer mask pixels are left out of the objects (not of the mask)"
    )
    contours: bool = Field(True, description="contours as polylines and boxes for the viewer, and as GeoJSON (QuPath)")
    max_error_px: Annotated[float, Field(ge=0)] = Field(
        0.5, description="contours are simplified by at most so many pixels of the mask"
    )


class Patches(Section):
    """Patches cut from every slide on a grid."""

    size_px: Positive = Field(2048, description="side of a patch in pixels at the wanted resolution")
    stride_px: Positive = Field(1024, description="step of the grid in pixels at the wanted resolution")
    mpp: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="wanted microns per pixel, by means over exact areas of level 0; within 1 % of a multiple of the "
        "slide's own it takes whole pixels; null takes `level` of the pyramid as it is",
    )
    level: Annotated[int, Field(ge=0)] = Field(0, description="level of our pyramid to cut, where no `mpp` is wanted")
    edge: Literal["drop", "snap", "pad"] = Field(
        "drop", description="patches that leave the slide are dropped, moved back inside, or padded with background"
    )
    min_tissue: Fraction = Field(0.5, description="least fraction of tissue in a patch that is kept")
    min_label: Fraction = Field(
        0.0, description="least fraction of a patch that structures cover, all together, in one that is kept"
    )
    naming: Literal["plain", "kpis2024"] = Field(
        "plain",
        description="`plain`: slides/patches/<dataset>/img|mask/<slide_id>_<index>_<x>_<y>, masks of structure values; "
        "`kpis2024`: the challenge's tree, <group>/<case>/img|mask/<group>_<case>_<index>_<x>_<y>_img|mask, masks of "
        "0 and 255 for any structure",
    )
    format: Literal["jpeg", "png"] = Field(
        "png",
        description="how images are stored; `jpeg` where left out with `naming: kpis2024`, as in the challenge; masks "
        "are always PNG",
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(95, description="JPEG quality of the patches")

    @model_validator(mode="before")
    @classmethod
    def _format_of_naming(cls, given: object) -> object:
        return {"format": "jpeg", **given} if isinstance(given, dict) and given.get("naming") == "kpis2024" else given

    @model_validator(mode="after")
    def _one_resolution(self) -> Patches:
        if self.mpp is not None and self.level:
            raise ValueError("patches: give mpp or level, not both")
        return self


class Splits(Section):
    """Training, validation and test cases; a case is never in two of them."""

    fractions: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Fraction] = Field(
        default_factory=lambda: {"train": 0.7, "validation": 0.1, "test": 0.2},
        description="name of a split -> fraction of the cases; they add up to 1",
    )
    seed: int = Field(0, description="another seed gives other splits")
    stratify: bool = Field(
        True,
        description="keep the proportions in every group, to within a case; one case more or fewer then changes the "
        "split of at most as many others as there are splits less one, without it of none",
    )
    lock: str | None = Field(
        None, description="a .csv with the columns case_id and split: these cases stay where they were put"
    )

    @model_validator(mode="after")
    def _whole(self) -> Splits:
        if abs(sum(self.fractions.values()) - 1) > 1e-6:
            raise ValueError(f"splits.fractions: expected a sum of 1, got {sum(self.fractions.values()):g}")
        return self


class Scores(Section):
    """Scores of predicted masks against the masks of the sheet (`snakemake score_slides`)."""

    predictions: str = Field(
        description="folder with a mask per slide, <slide_id>.png or .tif, or with predicted patches, <patch name>.png"
    )
    compat: Literal["none", "kpis2024"] = Field(
        "none", description="`kpis2024` follows the organisers' conventions of the KPIs challenge"
    )
    stitch: Literal["vote", "mean", "gaussian"] = Field(
        "mean", description="how predictions of overlapping patches are joined"
    )
    threshold: Fraction = Field(0.5, description="a pixel of a stitched prediction is foreground above it")
    min_iou: Fraction = Field(0.5, description="an object counts as found from this intersection over union on")
    min_object_px: Annotated[int, Field(ge=0)] = Field(0, description="smaller predicted objects are left out")
    bootstrap: Annotated[int, Field(ge=0)] = Field(1000, description="resamples for the intervals, by case")
    seed: int = Field(0, description="seed of the resampling")


class Card(Section):
    """What the dataset's card says that cannot be measured; everything else on it is counted in the files."""

    title: str | None = Field(None, description="name of the dataset; else that of the project")
    description: str | None = Field(None, description="what the dataset holds, in a few sentences")
    modality: str | None = Field(None, description="e.g. `brightfield microscopy, PAS`")
    task: str | None = Field(None, description="e.g. `segmentation`")
    anatomy: str | None = Field(None, description="organ or area, e.g. `mouse kidney`")
    licence: str | None = Field(None, description="name or address of the licence")
    url: str | None = Field(None, description="where the dataset is published")
    citation: str | None = Field(None, description="how to cite it")


class Slides(Section):
    """Whole-slide images: each row of a sheet becomes a dataset with the layers `slide`, `mask` and `objects`."""

    sheet: str | None = Field(
        None,
        description="table (.tsv or .csv) with a row per slide: slide_id, case_id, group, image, mask, mpp; paths are "
        "relative to it",
    )
    folder: str | None = Field(
        None,
        description="instead of a sheet: a folder in a layout of the KPIs 2024 challenge, patches or slides; "
        "`python -m ophiolite slide_sheet` writes its sheet, to be edited",
    )
    mpp: Annotated[float, Field(gt=0)] | None = Field(
        None, description="microns per pixel of all slides whose row says nothing; wins over what files say"
    )
    force_mpp: bool = Field(False, description="accept implausible microns per pixel")
    section_nm: Annotated[float, Field(gt=0)] = Field(4000.0, description="thickness of the section, the z resolution")
    background: tuple[Byte, Byte, Byte] = Field((255, 255, 255), description="red, green, blue of what was not scanned")
    icc: Literal["keep", "srgb"] = Field(
        "keep", description="`keep` stores the colour profile beside the layer, `srgb` converts the pixels by it"
    )
    crop_to_bounds: bool = Field(
        False, description="keep the scanned region alone, at its place (`voxel_offset`), where the file names it"
    )
    label_image: bool = Field(
        False,
        description="keep the photos of the slide's label and of the whole glass (`label`, `macro`) too, which may "
        "name a patient",
    )
    bad_tiles: Literal["refuse", "fill"] = Field(
        "refuse", description="unreadable tiles fail their slide, or are filled with background and counted"
    )
    viewer: bool = Field(True, description="make the layers of every slide; false for tables and patches alone")
    exports: list[Literal["ome_tiff", "ome_zarr"]] = Field(
        default_factory=list, description="other formats to write the slides in"
    )
    pyramid: SlidePyramid = Field(default_factory=SlidePyramid)
    mask: SlideMask = Field(default_factory=SlideMask)
    patches: Patches | None = Field(None, description="cut patches; leave out for none")
    splits: Splits | None = Field(None, description="split the cases; leave out for none")
    scores: Scores | None = Field(None, description="score predictions; leave out for none")
    card: Card = Field(default_factory=Card)
    panels: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="slides per group shown on the dataset page, drawn by a seed"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Slides:
        if (self.sheet is None) == (self.folder is None):
            raise ValueError("slides: give either sheet or folder")
        return self

    @model_validator(mode="after")
    def _one_structure(self) -> Slides:
        kpis = self.scores is not None and self.scores.compat == "kpis2024"
        if kpis and (self.mask.binarise is None or len(self.mask.structures) != 1):
            raise ValueError("slides.scores.compat: kpis2024 knows masks of 0 and 255 and one structure alone")
        return self
