"""The plan: grids and formulas, decided once and read by every job; never a list of tasks.

Boxes are absolute voxel coordinates of their mip; see `ophiolite.geometry.pyramid` for how mips relate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from ophiolite.errors import PlanError
from ophiolite.geometry import Box, Grid, Vec
from ophiolite.geometry.box import add, ceildiv, floordiv, high, low, mul, sub
from ophiolite.geometry.grid import indices
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.plan.part import Part
from ophiolite.plan.slide_model import SlidesPlan

VERSION = 1
ResolutionNm = tuple[float, float, float]


class EncodingPlan(Part):
    """How the chunks of a mip are encoded."""

    name: str
    quality: int | None
    gzip: bool


class ScalePlan(Part):
    """One mip: `factor` is mip-0 voxels per voxel, `shard_chunks` the chunks along x, y, z in one shard."""

    mip: int
    key: str
    factor: Vec
    voxel_offset_vx: Vec
    size_vx: Vec
    resolution_nm: ResolutionNm
    chunk_vx: Vec
    encoding: EncodingPlan
    sharding: dict[str, Any] | None
    shard_chunks: Vec

    @property
    def box(self) -> Box:
        """The voxels of this mip."""
        return Box.of(self.voxel_offset_vx, self.size_vx)

    @property
    def chunks(self) -> Grid:
        """The chunk grid, from the voxel offset on."""
        return Grid(self.box, self.chunk_vx)


class TaskGrid(Part):
    """Tasks over a box of one mip and how many of them, along x, y, z, one block runs."""

    task_vx: Vec
    tasks: Vec
    block_tasks: Vec

    @property
    def blocks(self) -> Grid:
        """The grid of blocks; a cell is a box of task indices."""
        return Grid(Box((0, 0, 0), self.tasks), self.block_tasks)

    def block_names(self) -> list[str]:
        """Names of all blocks, x fastest."""
        grid = self.blocks
        return [grid.name(i) for i in grid]

    def tasks_of(self, block: str) -> list[Vec]:
        """Task indices of one block, in Morton order."""
        grid = self.blocks
        try:
            cell = grid.cell(grid.index(block))
        except ValueError as error:
            raise PlanError(f"--block: {error}. See the plan for the grid of blocks.") from None
        return sorted(indices(cell), key=_interleave)


def _interleave(point: Vec) -> int:
    """Morton order of small integers, for visiting tasks in."""
    return sum(((p >> b) & 1) << (3 * b + d) for d, p in enumerate(point) for b in range(21))


class RoundPlan(TaskGrid):
    """One pass that makes `mips` from the mip `input_mip` (the source, or the carry of the round before).

    `task_vx` counts voxels of the input mip. Task i covers, on each axis of every mip m of the round, the voxels
    [o_m + i T / F, o_m + (i + 1) T / F) with F the factor from the input mip to m: whole chunks, one writer each.
    `halo_vx` is what a block reads below what it owns, `before_block_vx` what a block of the round before owns, both in
    voxels of the input mip.
    """

    number: int
    input_mip: int
    mips: tuple[int, ...]
    carry: bool
    halo_vx: Vec
    before_block_vx: Vec

    def blocks_read(self, before: RoundPlan, block: str) -> list[str]:
        """Names of the blocks of the round `before` whose carries a block reads."""
        grid, index, block_vx = before.blocks, self.blocks.index(block), mul(self.task_vx, self.block_tasks)
        first = high((0, 0, 0), floordiv(sub(mul(index, block_vx), self.halo_vx), self.before_block_vx))
        first = low(first, sub(grid.shape, (1, 1, 1)))
        stop = low(grid.shape, ceildiv(mul(add(index, (1, 1, 1)), block_vx), self.before_block_vx))
        return [grid.name(i) for i in indices(Box(first, stop))]


class FragmentPlan(TaskGrid):
    """Fragments, merge jobs and shards of one product (mesh or skeleton).

    `object_jobs` are reserved for whole objects between index and merge; the objects are dealt over them by weight.
    `export_jobs` read the finished shards, an equal range each.
    """

    mip: int
    folder: str
    expected_labels: int
    sharding: dict[str, Any]
    merge_jobs: int
    options: dict[str, Any]
    object_jobs: int = 0
    export_jobs: int = 0

    def task_core(self, index: Vec, bounds: Box) -> Box:
        """The voxels of the product's mip that a task owns."""
        return Box.of(add(bounds.start, mul(index, self.task_vx)), self.task_vx).intersect(bounds)

    def job_names(self) -> list[str]:
        """Names of the merge jobs."""
        return _names(self.merge_jobs)

    def object_job_names(self) -> list[str]:
        """Names of the jobs of whole objects."""
        return _names(self.object_jobs)

    def export_job_names(self) -> list[str]:
        """Names of the jobs that read the finished shards."""
        return _names(self.export_jobs)


def _names(jobs: int) -> list[str]:
    width = len(str(jobs - 1))
    return [f"{j:0{width}d}" for j in range(jobs)]


class Cost(Part):
    """What a rule will take: estimates for one job and for all its jobs; `scratch_mb` is what a job keeps meanwhile."""

    rule: str
    jobs: int
    seconds: float
    memory_mb: int
    output_mb: float
    files: int
    scratch_mb: float = 0

    @property
    def core_hours(self) -> float:
        """Core hours of all jobs."""
        return self.jobs * self.seconds / 3600


class SourcePlan(Part):
    """Where the voxels come from, and what the header says of them; `reading` is how a slide or its mask is read."""

    text: str
    format: str | None
    relabel: str | None
    reading: dict[str, Any]
    dtype: str
    channels: int
    shape_vx: Vec
    voxel_offset_vx: Vec
    pad_vx: Vec
    fingerprint: str
    alignment_vx: Vec
    cache_bytes: int


class VolumePlan(Part):
    """An image or segmentation layer."""

    kind: Literal["image", "segmentation"]
    source: SourcePlan
    data_type: str
    method: str
    sparse: bool
    sharded: bool
    scales: tuple[ScalePlan, ...]
    rounds: tuple[RoundPlan, ...]
    stats_parts: int
    mesh: FragmentPlan | None
    skeleton: FragmentPlan | None
    properties: bool
    max_inline_labels: int
    costs: tuple[Cost, ...]
    digests: dict[str, str]
    warnings: tuple[str, ...]

    def products(self) -> Iterator[tuple[str, FragmentPlan]]:
        """The fragment products this layer has, by name."""
        if self.mesh:
            yield "mesh", self.mesh
        if self.skeleton:
            yield "skeleton", self.skeleton

    def product(self, name: str) -> FragmentPlan:
        """The plan of `mesh` or `skeleton`, which must exist."""
        return dict(self.products())[name]


class AnnotationPlan(Part):
    """A layer of annotations; `outlines_of` is the layer of a slide's objects that it outlines."""

    kind: Literal["annotations"]
    source: str
    geometry: str | None
    segmentation: str | None
    outlines_of: str | None
    label_columns: tuple[str, ...]
    limit: int
    costs: tuple[Cost, ...]
    digests: dict[str, str]
    warnings: tuple[str, ...]


class Refused(Part):
    """A layer that cannot be planned, and why."""

    kind: Literal["refused"]
    error: str


LayerPlan = Annotated[VolumePlan | AnnotationPlan | Refused, Field(discriminator="kind")]


class DatasetPlan(Part):
    """The layers of one dataset."""

    layers: dict[str, LayerPlan]


class JobsPlan(Part):
    """What commands need to know of the machine."""

    threads: int
    memory_mb: int


class ProjectPlan(Part):
    """All of one project; `digests` are those of rules that serve the whole project."""

    version: int
    project: str
    store: str
    results: str
    config: dict[str, Any]
    jobs: JobsPlan
    datasets: dict[str, DatasetPlan]
    slides: SlidesPlan | None
    digests: dict[str, str]

    @property
    def folder(self) -> str:
        """The folder of this project that Snakemake knows."""
        return f"{self.results}/{self.project}"

    def to_bytes(self) -> bytes:
        """Deterministic JSON."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def task_box(scale: ScalePlan, input_scale: ScalePlan, task_vx: Vec, index: Vec) -> Box:
    """The voxels of `scale` that task `index` of a round owns; `task_vx` counts voxels of the round's input mip."""
    relative = floordiv(scale.factor, input_scale.factor)
    cell = floordiv(task_vx, relative)
    return Box.of(add(scale.voxel_offset_vx, mul(index, cell)), cell).intersect(scale.box)


def task_input(scales: list[ScalePlan], input_scale: ScalePlan, task_vx: Vec, index: Vec) -> Box:
    """The voxels of the input mip that a task reads: all that lie under what it owns at any mip of the round."""
    out: Box | None = None
    for scale in scales:
        own = task_box(scale, input_scale, task_vx, index)
        if own.empty:
            continue
        relative = floordiv(scale.factor, input_scale.factor)
        under = Box(mul(own.start, relative), mul(own.stop, relative)).intersect(input_scale.box)
        out = under if out is None else out.hull(under)
    return out if out is not None else Box(input_scale.box.start, input_scale.box.start)


def block_box(volume: VolumePlan, round_plan: RoundPlan, scale: ScalePlan, block: str) -> Box:
    """The voxels of `scale` that a block of a round owns."""
    cells = round_plan.blocks.cell(round_plan.blocks.index(block))
    relative = floordiv(scale.factor, volume.scales[round_plan.input_mip].factor)
    step = floordiv(round_plan.task_vx, relative)
    return Box(mul(cells.start, step), mul(cells.stop, step)).shift(scale.voxel_offset_vx).intersect(scale.box)


def round_tasks(scales: list[ScalePlan], input_scale: ScalePlan, task_vx: Vec) -> Vec:
    """Tasks along x, y, z so that every mip of the round is covered; a coarse mip may need one more than the input."""
    out: Vec = (1, 1, 1)
    for scale in scales:
        relative = floordiv(scale.factor, input_scale.factor)
        out = high(out, ceildiv(scale.size_vx, floordiv(task_vx, relative)))
    return out


def scale_box(box0: Box, factor: Vec) -> Box:
    """The voxels of the mip with total `factor` over a mip-0 box."""
    return coarse_box(box0, factor)
