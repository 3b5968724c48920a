"""Config of what is made from a layer: pyramid, mesh, skeleton, properties."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
VecModel = tuple[Positive, Positive, Positive]
Auto = Literal["auto"]


def _label(value: int | str) -> int | str:
    """Refuse text beyond uint64."""
    if int(value) >= 2**64:
        raise ValueError("labels are below 2^64")
    return value


LabelId = Annotated[
    Annotated[int, Field(ge=0, lt=2**64)] | Annotated[str, Field(pattern=r"^[0-9]{1,20}$")],
    AfterValidator(_label),
    Field(description="a label; write those above 2^53 as a quoted string"),
]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Encoding(Section):
    """How the chunks of one mip are encoded; what is left out is taken from the pyramid."""

    encoding: Literal["raw", "jpeg", "png", "jxl", "compressed_segmentation", "compresso", "crackle"] | None = Field(
        None, description="chunk encoding of this mip"
    )
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(None, description="jpeg or jxl quality of this mip")


class Pyramid(Section):
    """The image or label pyramid: which mips, how they are averaged, encoded and packed."""

    factors: Auto | list[VecModel] = Field(
        "auto",
        description="downsampling factor [x, y, z] of each mip from the one before; `auto` halves the finest axes "
        "until voxels are near-isotropic, then all axes, until a mip has no more voxels than a chunk; `[]` makes mip 0 "
        "only",
    )
    method: Literal["auto", "mean", "mode", "min", "max", "stride"] = Field(
        "auto", description="`auto` is mean for images and mode for segmentations"
    )
    sparse: bool = Field(False, description="zeros do not count in mean and mode")
    encoding: Literal["auto", "raw", "jpeg", "png", "jxl", "compressed_segmentation", "compresso", "crackle"] = Field(
        "auto", description="`auto` is raw + gzip for images and compressed_segmentation + gzip for labels"
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(
        85, description="jpeg or jxl quality (jxl: 100 is lossless); other encodings ignore it"
    )
    gzip: bool = Field(True, description="second stage for raw and segmentation encodings")
    mips: dict[int, Encoding] = Field(
        default_factory=dict, description="encoding or quality of single mips, by mip number"
    )
    chunk_vx: Auto | VecModel = Field(
        "auto",
        description="chunk size; `auto` is 64, 64, 64, or 128, 128, 16 where z is over 3 times coarser than x and y",
    )
    sharded: bool = Field(True, description="pack chunks into shards; false writes a file per chunk")
    shard_mb: Positive = Field(512, description="upper bound of a shard's size before compression, in MB")
    task_vx: Auto | VecModel = Field(
        "auto", description="voxels one task holds at a time; rounded up to whole chunks of the mips it makes"
    )


class Mesh(Section):
    """Multi-resolution meshes of a segmentation layer."""

    mip: Auto | Annotated[int, Field(ge=0)] = Field(
        "auto", description="mip to mesh; `auto` is the finest whose voxels are at most twice as long as wide"
    )
    task_vx: VecModel = Field((256, 256, 256), description="voxels of the mesh mip that one meshing task covers")
    extractor: Literal["ophiolite", "zmesh", "serra"] = Field(
        "ophiolite",
        description="what extracts surfaces: marching cubes of our own or of `zmesh`, or surface nets of `serra`-mesh",
    )
    simplify: bool = Field(True, description="simplify the fragments")
    max_error_nm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        40.0, description="simplification error allowed"
    )
    reduction: Annotated[float, Field(gt=1)] = Field(100.0, description="simplify at most by this ratio of triangles")
    lods: Auto | Annotated[int, Field(ge=1, le=10)] = Field(
        "auto", description="levels of detail at most; `auto` follows face count and longest side of each object"
    )
    quantization_bits: Literal[10, 16] = Field(16, description="bits of a vertex coordinate within its fragment")
    draco_level: Annotated[int, Field(ge=0, le=10)] = Field(7, description="Draco compression level")
    dust_vx: Annotated[int, Field(ge=0)] = Field(
        0, description="objects of fewer mip-0 voxels in the whole volume are left out"
    )
    fill_holes: bool = Field(False, description="fill enclosed cavities of each label within a task before meshing")
    open_edges: bool = Field(False, description="leave meshes open where objects leave the volume")
    labels: list[LabelId] = Field(default_factory=list, description="mesh only these labels; empty means all")
    exclude_labels: list[LabelId] = Field(default_factory=list, description="labels never meshed")
    expected_labels: Auto | Positive = Field(
        "auto", description="number of objects, which fixes the shards; `auto` estimates it from a seeded sample"
    )


class Skeleton(Section):
    """Centreline skeletons of a segmentation layer (TEASAR)."""

    mip: Auto | Annotated[int, Field(ge=0)] = Field(
        "auto", description="mip to skeletonize; `auto` is the finest whose voxels are at most twice as long as wide"
    )
    task_vx: VecModel = Field((256, 256, 256), description="voxels of that mip that one task covers")
    engine: Literal["ophiolite", "kimimaro"] = Field(
        "ophiolite", description="what traces the centrelines; `kimimaro` is the slower reference"
    )
    scale: Annotated[float, Field(ge=0)] = Field(
        3.0,
        description="a path clears balls of scale x radius + const_nm about itself, exactly their union; kimimaro "
        "clears less at the same number: its 4 leaves about as much cable as 3.4 here",
    )
    const_nm: Annotated[float, Field(ge=0)] = Field(10.0, description="constant part of the invalidation radius")
    pdrf_scale: Annotated[float, Field(ge=0)] = Field(
        100_000.0, description="penalty of a path at the surface of an object, against 1 for its length"
    )
    pdrf_exponent: Annotated[int, Field(ge=0, le=16)] = Field(
        4, description="how fast that penalty falls towards the middle: (1 - distance / largest distance)^pdrf_exponent"
    )
    soma_detect_nm: Annotated[float, Field(ge=0)] = Field(1100.0, description="radius above which a soma is suspected")
    soma_accept_nm: Annotated[float, Field(ge=0)] = Field(3500.0, description="radius above which a soma is accepted")
    soma_scale: Annotated[float, Field(ge=0)] = Field(
        1.0, description="soma invalidation = soma_scale x radius + const"
    )
    soma_const_nm: Annotated[float, Field(ge=0)] = Field(300.0, description="constant part of the soma invalidation")
    max_paths: Positive | None = Field(None, description="at most so many paths per object and task")
    fix_branching: bool = Field(True, description="let paths join the skeleton already drawn")
    fix_borders: bool = Field(True, description="centre the ends on task faces so that neighbours meet")
    fix_avocados: bool = Field(
        False,
        description="merge nuclei segmented apart into their somata: within a task, and where whole objects are looked "
        "at also those that tasks cut",
    )
    fill_holes: bool = Field(False, description="fill enclosed cavities of each label within a task first")
    dust_vx: Annotated[int, Field(ge=0)] = Field(
        1000, description="objects of fewer mip-0 voxels in the whole volume are left out"
    )
    min_cable_nm: Annotated[float, Field(ge=0)] = Field(1000.0, description="components of a shorter cable are dropped")
    max_cable_nm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="objects of a longer cable are stitched but not cleaned"
    )
    tick_nm: Annotated[float, Field(ge=0)] = Field(0.0, description="terminal branches shorter than this are removed")
    whole_labels: list[LabelId] = Field(
        default_factory=list,
        description="labels traced again from the whole object in one piece, at the finest mip that one job's memory "
        "holds; that skeleton replaces all of the one traced task by task. Objects that can hold a soma need no "
        "naming: inside their somata the whole object decides anyway. `snakemake quality` writes those that it flags "
        "to tables/skeleton_whole_labels.yaml, a copy of which can be given as a second file of config",
    )
    cross_sectional_area: bool = Field(
        False, description="vertices carry the area of the object's section across the skeleton too, in nm^2"
    )
    swc: bool = Field(False, description="write the skeletons as SWC too, a file per tree")
    labels: list[LabelId] = Field(default_factory=list, description="skeletonize only these labels; empty means all")
    exclude_labels: list[LabelId] = Field(default_factory=list, description="labels never skeletonized")
    expected_labels: Auto | Positive = Field(
        "auto", description="number of objects, which fixes the shards; `auto` estimates it from a seeded sample"
    )

    @model_validator(mode="after")
    def _soma_thresholds(self) -> Skeleton:
        if self.soma_accept_nm < self.soma_detect_nm:
            raise ValueError("soma_accept_nm must not be below soma_detect_nm")
        if self.scale == 0 and self.const_nm == 0:
            raise ValueError("scale and const_nm must not both be 0: paths would clear nothing about themselves")
        return self
