"""The work through Igneous's command line, in its own environment."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import (
    DRACO_LEVEL,
    MESH_MAX_ERROR,
    MESH_QUANTIZATION_BITS,
    PROCESSES,
    REPOSITORY,
    SKELETON_CONST_NM,
    SKELETON_DUST_VX,
    SKELETON_MIN_CABLE_NM,
    SKELETON_SCALE,
    WORK,
    Dataset,
    Triple,
)
from benchmarks.measure import Cost, Row, run, weight

BINARIES = REPOSITORY / ".venv-igneous" / "bin"
ENGINE = "igneous"
LABELS_PER_SHARD = {"mesh": 1000, "skeleton": 2000}
PRODUCT_FOLDER = {"mesh": f"mesh_mip_{{mip}}_err_{MESH_MAX_ERROR}", "skeleton": "skeletons_mip_{mip}"}


@dataclass(frozen=True)
class Igneous:
    """Igneous on one dataset. Each method does a stage and returns its rows."""

    dataset: Dataset

    @property
    def folder(self) -> Path:
        """Where its layers lie."""
        return WORK / ENGINE / self.dataset.name

    def clear(self) -> None:
        """Start from nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def layer(self, kind: str) -> Path:
        """The finished sharded layer: `image` or `label`."""
        return self.folder / kind

    def labels(self) -> None:
        """Mip 0 of the labels alone, without shards: what meshes at mip 0 need."""
        self._import("label", self.layer("label"), _encoding("label"))

    def pyramid(self, kind: str) -> list[Row]:
        """Sharded mips: mip 0 without shards from HDF5, copied into shards, then downsampled into shards."""
        raw, layer = self.folder / f"{kind}_import", self.layer(kind)
        imported = self._import(kind, raw, "raw")
        encoding = _encoding(kind)
        copied = self._igneous(
            f"{kind}_shard", 1, "image", "xfer", _url(raw), _url(layer), "--sharded", "--encoding", encoding
        )
        reduced = self._downsample(f"{kind}_downsample", layer, 1, "--sharded", "--encoding", encoding)
        shutil.rmtree(raw)
        return [
            self._row(f"{kind}_import", imported),
            self._row(f"{kind}_shard", copied),
            self._row(f"{kind}_downsample", reduced),
            self._row(f"{kind}_pyramid", imported + copied + reduced, *_voxel_files(layer)),
        ]

    def pyramid_of_files(self, kind: str) -> list[Row]:
        """Mips of a file per chunk, without gzip."""
        layer = self.folder / f"{kind}_files"
        imported = self._import(kind, layer, _encoding(kind))
        # Tasks cover whole chunks of the last mip; along an axis that is not halved there is a task per chunk.
        tasks = 1 if self.dataset.volumetric else -(-self.dataset.size_vx[2] // self.dataset.chunk_vx[2])
        reduced = self._downsample(f"{kind}_downsample_files", layer, tasks, "--compress", "none")
        return [
            self._row(f"{kind}_import_files", imported),
            self._row(f"{kind}_downsample_files", reduced),
            self._row(f"{kind}_pyramid_files", imported + reduced, *_voxel_files(layer)),
        ]

    def mesh(self) -> list[Row]:
        """Fragments, then sharded multi-resolution meshes."""
        return self._product(
            "mesh",
            ["--max-error", str(MESH_MAX_ERROR)],
            ["--vqb", str(MESH_QUANTIZATION_BITS), "--compress-level", str(DRACO_LEVEL), *LOD_OPTIONS],
        )

    def forget_meshes(self) -> None:
        """As before `mesh`: nothing of an earlier run is left."""
        shutil.rmtree(self.meshes(), ignore_errors=True)

    def skeleton(self) -> list[Row]:
        """Fragments, then sharded skeletons."""
        return self._product(
            "skeleton",
            [
                *("--scale", str(SKELETON_SCALE[ENGINE]), "--const", str(SKELETON_CONST_NM)),
                *("--dust-threshold", str(SKELETON_DUST_VX)),
            ],
            ["--min-cable-length", str(SKELETON_MIN_CABLE_NM)],
        )

    def meshes(self) -> Path:
        """The folder of the finished meshes."""
        return self.layer("label") / PRODUCT_FOLDER["mesh"].format(mip=self.dataset.product_mip)

    def _product(self, product: str, forge: list[str], merge: list[str]) -> list[Row]:
        data, layer = self.dataset, self.layer("label")
        mip = str(data.product_mip)
        options = ["--mip", mip, "--shape", _triple(data.task_vx), "--sharded", *forge]
        forged = self._igneous(f"{product}_forge", data.tasks(), product, "forge", _url(layer), *options)
        shards = 2 ** round(math.log2(math.ceil(data.objects / LABELS_PER_SHARD[product])))
        merged = self._igneous(f"{product}_merge", shards, product, "merge-sharded", _url(layer), *merge)
        folder = layer / PRODUCT_FOLDER[product].format(mip=mip)
        found = weight([folder / "info", *folder.glob("*.shard")])
        return [
            self._row(f"{product}_fragments", forged, *weight(folder.glob("*.frags"))),
            self._row(f"{product}_merge", merged),
            self._row(product, forged + merged, *found),
        ]

    def _import(self, kind: str, layer: Path, encoding: str) -> Cost:
        data = self.dataset
        source = data.image if kind == "image" else data.labels
        assert source is not None
        return self._run(
            f"{layer.name}_import",
            [str(BINARIES / "python"), str(REPOSITORY / "benchmarks" / "import_hdf5.py"), str(data.file), source]
            + [_url(layer), "--encoding", encoding, "--type", "image" if kind == "image" else "segmentation"]
            + ["--resolution", *map(str, data.resolution_nm), "--chunk", *map(str, data.chunk_vx)],
        )

    def _downsample(self, name: str, layer: Path, tasks: int, *options: str) -> Cost:
        volumetric = ["--volumetric"] if self.dataset.volumetric else []
        mips = ["--num-mips", str(self.dataset.mips)]
        return self._igneous(name, tasks, "image", "downsample", _url(layer), *mips, *volumetric, *options)

    def _igneous(self, name: str, tasks: int, *arguments: str) -> Cost:
        """One command; a second process only where there is a second task, since each costs a start."""
        return self._run(name, [str(BINARIES / "igneous"), "-p", str(min(PROCESSES, tasks)), *arguments])

    def _run(self, name: str, command: list[str]) -> Cost:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return run(command, WORK / "logs" / f"{self.dataset.name}.{ENGINE}.{name}.log", environment)

    def _row(self, stage: str, cost: Cost, size_bytes: int = 0, files: int = 0) -> Row:
        return Row(self.dataset.name, stage, ENGINE, cost, size_bytes, files)


# Igneous adds a level for each halving of an object's shortest side down to this; its default of 256 gives none here.
LOD_OPTIONS = ("--nlod", "2", "--min-chunk-size", "64,64,64")


def _encoding(kind: str) -> str:
    return "raw" if kind == "image" else "compressed_segmentation"


def _url(folder: Path) -> str:
    return f"file://{folder}"


def _triple(values: Triple) -> str:
    return ",".join(map(str, values))


def _voxel_files(layer: Path) -> tuple[int, int]:
    """Bytes and files of the scales: folders named by a resolution."""
    return weight(file for folder in layer.iterdir() if folder.name[0].isdigit() for file in folder.rglob("*"))
