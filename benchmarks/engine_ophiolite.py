"""The work through the workflow: one snakemake run per stage, in the order in which a user could ask for them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets import (
    DRACO_LEVEL,
    MESH_MAX_ERROR,
    MESH_QUANTIZATION_BITS,
    MESH_REDUCTION,
    PROCESSES,
    REPOSITORY,
    SKELETON_CONST_NM,
    SKELETON_DUST_VX,
    SKELETON_MIN_CABLE_NM,
    SKELETON_SCALE,
    WORK,
    Dataset,
)
from benchmarks.measure import Cost, Row, run, weight

ENGINE = "ophiolite"
JOBS = "_jobs"  # how the names of rows of the commands alone, without Snakemake, end
LAYERS = {"image": "em", "label": "neurons"}
PRODUCT_FOLDER = {"mesh": "mesh", "skeleton": "skeletons"}
DATASET = "t"


@dataclass(frozen=True)
class Ophiolite:
    """The workflow on one dataset. Each method does a stage and returns its rows.

    engine : the name of its rows and of its folder; rows of jobs alone have that name and `JOBS`.
    blocks : the least number of jobs of a stage.
    """

    dataset: Dataset
    engine: str = ENGINE
    mesh_max_error_nm: float = MESH_MAX_ERROR
    blocks: int = PROCESSES

    @property
    def folder(self) -> Path:
        """Where its projects lie."""
        return WORK / self.engine / self.dataset.name

    def clear(self) -> None:
        """Start from nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def layer(self, kind: str) -> Path:
        """The finished sharded layer: `image` or `label`."""
        return self._project("sharded") / DATASET / "layers" / LAYERS[kind]

    def set_up(self) -> list[Row]:
        """Plan, and compile the kernels: once per project and machine."""
        rows = []
        for project in ("sharded", "files"):
            cost = self._snakemake("set_up", project, "warm_up")
            if project == "sharded":
                rows.append(Row(self.dataset.name, "set_up", self.engine, cost, 0, 0))
        return rows

    def pyramid(self, kind: str) -> list[Row]:
        """Sharded mips."""
        return self._pyramid(f"{kind}_pyramid", "sharded", kind)

    def pyramid_of_files(self, kind: str) -> list[Row]:
        """Mips of a file per chunk, without gzip."""
        return self._pyramid(f"{kind}_pyramid_files", "files", kind)

    def mesh(self) -> list[Row]:
        """Fragments, then sharded multi-resolution meshes."""
        return self._product("mesh")

    def meshes(self) -> Path:
        """The folder of the finished meshes."""
        return self.layer("label") / PRODUCT_FOLDER["mesh"]

    def forget_meshes(self) -> None:
        """As before `mesh`: nothing of an earlier run is left."""
        dataset = self._project("sharded") / DATASET
        for path in sorted(dataset.glob("*/**/mesh*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def skeleton(self) -> list[Row]:
        """Fragments, then sharded skeletons."""
        return self._product("skeleton")

    def _pyramid(self, stage: str, project: str, kind: str) -> list[Row]:
        layer = LAYERS[kind]
        root = self._project(project)
        receipts = root / DATASET / "receipts" / layer
        cost = self._snakemake(stage, project, f"{receipts}/layer_info.json", f"{receipts}/layer_done.json")
        scales = (f for f in (root / DATASET / "layers" / layer).iterdir() if f.name[0].isdigit())
        found = weight(file for folder in scales for file in folder.rglob("*"))
        return [
            Row(self.dataset.name, stage, self.engine, cost, *found),
            self._jobs_row(stage, project, layer, ("layer_info", "pyramid_blocks", "label_stats", "layer_done")),
        ]

    def _product(self, product: str) -> list[Row]:
        cost = self._snakemake(product, "sharded", product)
        folder = self.layer("label") / PRODUCT_FOLDER[product]
        work = self._project("sharded") / DATASET / "work" / LAYERS["label"] / f"{product}_fragments"
        fragments = self._jobs_row(f"{product}_fragments", "sharded", LAYERS["label"], (f"{product}_fragments",))
        merging = tuple(f"{product}_{part}" for part in ("index", "shards", "done"))
        merge = self._jobs_row(f"{product}_merge", "sharded", LAYERS["label"], merging)
        found = weight([folder / "info", *folder.glob("*.shard")])
        return [
            Row(fragments.dataset, fragments.stage, fragments.engine, fragments.cost, *weight(work.glob("*.frags"))),
            merge,
            Row(self.dataset.name, product, fragments.engine, fragments.cost + merge.cost, *found),
            Row(self.dataset.name, product, self.engine, cost, *found),
        ]

    def _jobs_row(self, stage: str, project: str, layer: str, rules: tuple[str, ...]) -> Row:
        """What the jobs of these rules said they took."""
        folder = self._project(project) / DATASET / "timings"
        paths = sorted(path for rule in rules for path in (folder / rule).glob(f"{layer}*.json"))
        jobs: list[dict[str, Any]] = [json.loads(path.read_text()) for path in paths]
        cost = Cost(
            sum(job["cpu_s"] for job in jobs), sum(job["seconds"] for job in jobs), max(job["peak_mb"] for job in jobs)
        )
        return Row(self.dataset.name, stage, self.engine + JOBS, cost, 0, 0)

    def _snakemake(self, name: str, project: str, *targets: str) -> Cost:
        config = self.folder / f"{project}.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(self._config(project), indent=1))
        command = ["snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), "--configfile", str(config)]
        command += ["--workflow-profile", str(REPOSITORY / "profiles" / "ci"), "--cores", str(PROCESSES)]
        command += ["--directory", str(self.folder), *targets]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        return run(command, WORK / "logs" / f"{self.dataset.name}.{self.engine}.{name}.{project}.log", environment)

    def _project(self, project: str) -> Path:
        return self.folder / project

    def _config(self, project: str) -> dict[str, Any]:
        data = self.dataset
        common = {"resolution_nm": data.resolution_nm, "voxel_offset_vx": (0, 0, 0)}
        pyramid = {"factors": [data.factor] * data.mips, "chunk_vx": data.chunk_vx, "sharded": project == "sharded"}
        place = {"mip": data.product_mip, "task_vx": data.task_vx}
        labels = {
            **common,
            "type": "segmentation",
            "source": f"{data.file}:/{data.labels}",
            "pyramid": {**pyramid, "encoding": "compressed_segmentation"},
            "mesh": {
                **place,
                "max_error_nm": self.mesh_max_error_nm,
                "reduction": MESH_REDUCTION,
                "quantization_bits": MESH_QUANTIZATION_BITS,
                "draco_level": DRACO_LEVEL,
            },
            "skeleton": {
                **place,
                "scale": SKELETON_SCALE[ENGINE],
                "const_nm": SKELETON_CONST_NM,
                "dust_vx": SKELETON_DUST_VX,
                "min_cable_nm": SKELETON_MIN_CABLE_NM,
            },
        }
        layers = {LAYERS["label"]: labels}
        if data.image:
            source = f"{data.file}:/{data.image}"
            image = {**common, "type": "image", "source": source, "pyramid": {**pyramid, "encoding": "raw"}}
            layers[LAYERS["image"]] = image
        return {
            "project": project,
            "store": str(self.folder),
            "datasets": {DATASET: {"layers": layers}},
            "jobs": {"min_blocks": self.blocks},
        }
