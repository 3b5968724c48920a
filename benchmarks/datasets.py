"""What is processed, and how: one description that both engines are given."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
WORK = REPOSITORY / "benchmarks" / "work"
RESULTS = REPOSITORY / "benchmarks" / "results"
PROCESSES = 2

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Dataset:
    """A volume and the settings of its layers; voxel sizes and shapes are x, y, z.

    image, labels : datasets inside the HDF5 file, the image may be missing.
    factor : from each mip to the next, the same for all of them: Igneous knows 2, 2, 1 and 2, 2, 2.
    mips : how many mips above mip 0.
    product_mip : the mip that meshes and skeletons are made at.
    task_vx : task of meshes and skeletons, in voxels of that mip.
    objects : how many labels there are, about.
    products : whether meshes and skeletons are made too.
    """

    name: str
    file: Path
    image: str | None
    labels: str
    size_vx: Triple
    resolution_nm: Triple
    factor: Triple
    mips: int
    product_mip: int
    task_vx: Triple
    objects: int
    chunk_vx: Triple = (64, 64, 64)
    products: bool = True

    def size_at(self, mip: int) -> Triple:
        """Size of the volume at a mip; volumes start at voxel 0."""
        x, y, z = (-(-n // f**mip) for n, f in zip(self.size_vx, self.factor, strict=True))
        return x, y, z

    def tasks(self) -> int:
        """Mesh or skeleton tasks."""
        x, y, z = (-(-n // t) for n, t in zip(self.size_at(self.product_mip), self.task_vx, strict=True))
        return x * y * z

    @property
    def volumetric(self) -> bool:
        """Every axis is halved."""
        return self.factor == (2, 2, 2)


# Options of meshes and skeletons, the same for both. Their meaning differs in two places, named in the README.
MESH_MAX_ERROR = 40
MESH_REDUCTION = 100
MESH_QUANTIZATION_BITS = 16
DRACO_LEVEL = 7
# Each engine's own default: at 3, our exact union of balls covers objects as kimimaro's does at 4.
SKELETON_SCALE = {"igneous": 4, "ophiolite": 3}
SKELETON_CONST_NM = 10
SKELETON_DUST_VX = 1000
SKELETON_MIN_CABLE_NM = 1000
# How often FIB-25 stands along each axis of the volume that shows what pyramids cost where starts no longer count.
TILES = 3


def data_folder() -> Path:
    """Where the real data lie, if they do."""
    return Path(os.environ.get("OPHIOLITE_DATA", REPOSITORY.parent / "shared" / "data"))


def volumes(task_vx: Triple = (256, 256, 256)) -> list[Dataset]:
    """The phantom, made where it is missing, and the real volumes whose files are there; tasks of products alike."""
    sample = made("phantom")
    phantom = Dataset(
        name="phantom",
        file=sample,
        image="volumes/raw",
        labels="volumes/labels/neuron_ids",
        size_vx=(256, 256, 96),
        resolution_nm=(12, 12, 40),
        factor=(2, 2, 1),
        mips=2,
        product_mip=0,
        task_vx=task_vx,
        objects=282,
    )
    fib25 = Dataset(
        name="fib25",
        file=data_folder() / "em" / "fib25_t2_cremi.h5",
        image="volumes/raw",
        labels="volumes/labels/neuron_ids",
        size_vx=(250, 250, 250),
        resolution_nm=(10, 10, 10),
        factor=(2, 2, 2),
        mips=2,
        product_mip=0,
        task_vx=task_vx,
        objects=525,
    )
    pinky40 = Dataset(
        name="pinky40",
        file=data_folder() / "em" / "pinky40_512.h5",
        image=None,
        labels="main",
        size_vx=(512, 512, 512),
        resolution_nm=(16, 16, 40),
        factor=(2, 2, 1),
        mips=3,
        product_mip=1,
        task_vx=task_vx,
        objects=2523,
    )
    return [phantom, *(d for d in (fib25, pinky40) if d.file.exists())]


def datasets(quick: bool) -> list[Dataset]:
    """The phantom with small tasks, or all volumes and one so large that starts no longer count."""
    if quick:
        return volumes((128, 128, 128))[:1]
    found = volumes()
    for fib25 in [d for d in found if d.name == "fib25"]:
        size = fib25.size_vx[0] * TILES
        tiled = replace(
            fib25,
            name="fib25_tiled",
            file=made("tiles", fib25.file, TILES),
            size_vx=(size, size, size),
            mips=3,
            products=False,
        )
        found.append(tiled)
    return found


def made(what: str, *arguments: object) -> Path:
    """The file that `benchmarks.<what> FILE ...` makes, made where it is missing."""
    path = WORK / f"{what}.h5"
    if not path.exists():
        # In a process of its own: this one stays small, or its memory would count as that of those it starts.
        command = [sys.executable, "-m", f"benchmarks.{what}", str(path), *map(str, arguments)]
        subprocess.run(command, check=True, cwd=REPOSITORY)
    return path
