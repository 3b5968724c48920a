"""One job: its slice of the plan, its store, its progress, and at the end its receipt and timing."""

from __future__ import annotations

import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ophiolite import __version__
from ophiolite.errors import LayerError, PlanError, StoreError, explain
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import Receipt, write_receipt
from ophiolite.layers.store import Store, Written, open_store
from ophiolite.plan.model import AnnotationPlan, FragmentPlan, ProjectPlan, Refused, VolumePlan


def load_plan(path: Path) -> ProjectPlan:
    """Read `plan.json`; raises PlanError where it is none."""
    try:
        return ProjectPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanError(
            explain(str(path), f"cannot be read ({error.strerror})", do="Run `snakemake plan` first")
        ) from None
    except ValidationError as error:
        raise PlanError(
            explain(
                str(path), f"is no plan of this version ({error.error_count()} faults)", do="Run `snakemake plan` again"
            )
        ) from None


def open_project(path: Path) -> tuple[ProjectPlan, Store]:
    """A plan by its file, and the store of its project: the folder that holds it, and the bucket that it may name."""
    plan = load_plan(path)
    return plan, open_store(path.resolve().parent, plan.store, plan.project)


@dataclass
class Job:
    """A job of one layer; `item` is its block, merge job or part, empty where a rule runs once per layer."""

    project: ProjectPlan
    store: Store
    rule: str
    dataset: str
    layer: str
    item: str
    threads: int
    started: float = field(default_factory=time.monotonic)
    scratch: list[Path] = field(default_factory=list)

    @property
    def paths(self) -> LayerPaths:
        """Where this layer's files lie."""
        return LayerPaths(self.dataset, self.layer)

    @property
    def volume(self) -> VolumePlan:
        """The plan of this image or segmentation layer."""
        plan = self.planned
        if not isinstance(plan, VolumePlan):
            raise PlanError(f"{self.dataset}/{self.layer}: is a layer of annotations, {self.rule} needs voxels.")
        return plan

    @property
    def segmentation(self) -> VolumePlan:
        """The plan of this segmentation layer."""
        if self.volume.kind != "segmentation":
            raise PlanError(f"{self.dataset}/{self.layer}: is an image, {self.rule} needs labels.")
        return self.volume

    @property
    def annotations(self) -> AnnotationPlan:
        """The plan of this annotation layer."""
        plan = self.planned
        if not isinstance(plan, AnnotationPlan):
            raise PlanError(f"{self.dataset}/{self.layer}: is no layer of annotations.")
        return plan

    def product(self, name: str) -> FragmentPlan:
        """The plan of `mesh` or `skeleton` of this layer."""
        products = dict(self.volume.products())
        if name not in products:
            raise PlanError(
                explain(
                    f"{self.dataset}/{self.layer}",
                    f"has no {name} in the plan",
                    do=f"Add `{name}:` to the layer in the config",
                )
            )
        return products[name]

    @property
    def digest(self) -> str:
        """Digest of this rule's settings and code."""
        digests = self.volume.digests if isinstance(self.planned, VolumePlan) else self.annotations.digests
        return digests[self.rule]

    def require(self, path: str, rule: str, item: str = "") -> None:
        """Raise LayerError where an intermediate file is missing, with the command that remakes it.

        `rule` makes it, as its job `item`; no item where it can only be made with others.
        """
        if not self.store.exists(path):
            receipt = f"{self.project.folder}/{self.paths.receipt(rule, item)}"
            alone = f"snakemake --force {receipt}; after clean_work, " if item else ""
            do = f"Remake it: {alone}add --forcerun {rule} to the command"
            raise LayerError(explain(self.store.place(path), "is missing", do=do))

    def read_work(self, path: str, rule: str, item: str = "") -> bytes:
        """All bytes of an intermediate file; raises LayerError as `require` does."""
        try:
            return self.store.read(path)
        except StoreError:
            self.require(path, rule, item)
            raise

    def read_blocks(self, spans: Sequence[tuple[str, int, int]], rule: str, items: Sequence[str]) -> Sequence[bytes]:
        """The bytes of every (path, offset, size), each of the intermediate file of one of `items`; as `read_work`."""
        try:
            return self.store.read_spans(spans)
        except StoreError:
            for (path, _, _), item in zip(spans, items, strict=True):
                self.require(path, rule, item)
            raise

    def say(self, text: str) -> None:
        """A line of progress in the job's log."""
        seconds = time.monotonic() - self.started
        print(
            f"[{seconds:8.1f} s] {self.rule} {self.dataset}/{self.layer} {self.item}: {text}",
            file=sys.stderr,
            flush=True,
        )

    def finish(
        self, files: Sequence[Written], facts: dict[str, Any] | None = None, *, work: float = 0, speed_key: str = ""
    ) -> None:
        """Remove what killed tries left, write the timing, then the receipt; finished tasks go last.

        work : in the units of the rule's speed (Mvx or labels).
        """
        timing, receipt = self.paths.timing(self.rule, self.item), self.paths.receipt(self.rule, self.item)
        self.store.sweep_files([timing, receipt, *(f.path for f in files)])
        self.store.write(timing, self._timing(files, work, speed_key or self.rule))
        write_receipt(self.store, receipt, Receipt(self.rule, self.item, self.digest, files, facts or {}))
        for folder in self.scratch:
            shutil.rmtree(folder, ignore_errors=True)
        self.say(f"done: {len(files)} files, {sum(f.size_bytes for f in files) / 1e6:.2f} MB")

    def _timing(self, files: Sequence[Written], work: float, speed_key: str) -> bytes:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if platform.system() == "Darwin" else 1024
        data = {
            "dataset": self.dataset,
            "layer": self.layer,
            "rule": self.rule,
            "item": self.item,
            "digest": self.digest,
            "seconds": round(time.monotonic() - self.started, 3),
            "cpu_s": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
            "peak_mb": round(own.ru_maxrss * unit / 1e6, 1),
            "bytes": sum(f.size_bytes for f in files),
            "files": len(files),
            "work": work,
            "speed_key": speed_key,
            "threads": self.threads,
            "host": platform.node(),
            "python": platform.python_version(),
            "ophiolite": __version__,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()

    @property
    def planned(self) -> VolumePlan | AnnotationPlan:
        """The plan of this layer; raises PlanError where it was refused or is unknown."""
        dataset = self.project.datasets.get(self.dataset)
        plan = dataset.layers.get(self.layer) if dataset else None
        if plan is None:
            known = [f"{d}/{name}" for d, data in self.project.datasets.items() for name in data.layers]
            raise PlanError(
                explain(
                    f"{self.dataset}/{self.layer}",
                    "is not in the plan",
                    expected=", ".join(known),
                    do="Check the names",
                )
            )
        if isinstance(plan, Refused):
            raise PlanError(plan.error)
        return plan


def finished_tasks(job: Job, folder: str) -> Store:
    """A folder on this machine for finished tasks, named by the job's digest so that none of other settings is taken.

    It outlives a failed or killed job, so that the next try skips what is done; it goes when the job has its receipt,
    or when a job of other settings comes.
    """
    of_rule = job.store.scratch(f"{job.paths.work}/{folder}")
    own = of_rule / f"tasks-{job.digest}"
    for other in of_rule.glob("tasks-*"):
        if other != own:
            shutil.rmtree(other, ignore_errors=True)
    tasks = Store(own / (job.item or "all"))
    tasks.make_folder("")
    tasks.sweep("")
    job.scratch.append(tasks.root if job.item else own)
    return tasks
