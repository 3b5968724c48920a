"""A folder in which the real workflow ran on a tiny config, and what can be asked of it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LAYERS = ("em", "neurons", "synapses")
PRODUCTS = ("image", "mesh", "skeleton", "objects", "annotations")
SWITCHES = ("OPHIOLITE_STOP_AT", "OPHIOLITE_STOP_MARK", "OPHIOLITE_STOP_HOW", "PYTHONPATH", "NUMBA_CACHE_DIR")

# Two dates of writing, times and machine facts: everything else must not depend on when and where a job ran.
UNTIMELY = re.compile(r"(^|/)(logs|timings|benchmarks)/|/provenance$|^tables/|^figures/|^report")


@dataclass(frozen=True)
class Run:
    """How a command ended and all it printed."""

    code: int
    text: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user who activated this Python's environment, and nothing of the test run's own."""
    env = {key: value for key, value in os.environ.items() if key not in SWITCHES}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return {**env, **(extra or {})}


def snakemake_command(args: Sequence[str], cwd: Path, repository: Path = REPOSITORY) -> list[str]:
    """The command line of a run in `cwd`, which holds `config.yaml`."""
    return [
        "snakemake",
        *("--snakefile", str(repository / "workflow" / "Snakefile")),
        *("--workflow-profile", str(repository / "profiles" / "ci")),
        *("--configfile", str(cwd / "config.yaml"), "--directory", str(cwd)),
        *args,
    ]


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, **options: Any) -> Run:
    """Run a command to its end; standard output and error together."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
        **options,
    )
    return Run(done.returncode, done.stdout)


def run_snakemake(args: Sequence[str], env: Mapping[str, str] | None, cwd: Path, repository: Path = REPOSITORY) -> Run:
    """Run the real workflow in a folder of its own, through the `snakemake` command."""
    return run(snakemake_command(args, cwd, repository), cwd, env)


def planned_jobs(text: str) -> dict[str, int]:
    """Jobs per rule of the last job table that a run or dry run printed; targets without outputs are left out."""
    tables = re.findall(r"^Job stats:\n[^\n]*\n[- ]+\n(.*?)^total ", text, flags=re.MULTILINE | re.DOTALL)
    if not tables:
        assert "Nothing to be done" in text, text
        return {}
    rows = [line.split() for line in tables[-1].splitlines()]
    return {rule: int(count) for rule, count in rows if rule not in (*PRODUCTS, "all")}


@dataclass(frozen=True)
class Workspace:
    """A working directory of snakemake: `config.yaml`, `results/tiny` and snakemake's own records."""

    folder: Path
    config: dict[str, Any]
    repository: Path = REPOSITORY

    @property
    def project(self) -> Path:
        """Where the results lie."""
        return self.folder / "results" / str(self.config["project"])

    @property
    def layers(self) -> Path:
        """The layers of dataset `d`."""
        return self.project / "d" / "layers"

    def write_config(self, comment: str = "") -> None:
        """Write `config.yaml`, after a comment."""
        (self.folder / "config.yaml").write_text(comment + yaml.safe_dump(self.config, sort_keys=False))

    @property
    def kernels(self) -> Path:
        """Where jobs look for compiled kernels."""
        sources = sorted((self.repository / "scripts" / "ophiolite" / "kernels").rglob("*.py"))
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
        return self.project.parent / f".numba-{platform.machine()}" / digest

    def take_kernels(self, cache: Path) -> None:
        """Let jobs find what was compiled into this cache of numba, as after the warm-up of another project."""
        shutil.copytree(cache, self.kernels)

    def changed(self, path: str, value: Any) -> Workspace:
        """This workspace with one config value changed, e.g. `datasets.d.layers.neurons.mesh.draco_level`."""
        config = copy.deepcopy(self.config)
        *above, name = path.split(".")
        part = config
        for key in above:
            part = part[key]
        part[name] = value
        workspace = replace(self, config=config)
        workspace.write_config()
        return workspace

    def snakemake(self, *args: str, env: Mapping[str, str] | None = None) -> Run:
        """Run the workflow here; products are named after `--`."""
        return run_snakemake(args, env, self.folder, self.repository)

    def plan(self) -> None:
        """Make the plan of the config as it now is."""
        done = self.snakemake("--", f"{self.config['store']}/{self.config['project']}/plan.json")
        assert done.code == 0, done.text

    def jobs(self, *targets: str) -> dict[str, int]:
        """Jobs per rule that a dry run shows."""
        done = self.snakemake("--dry-run", "--", *(targets or PRODUCTS))
        assert done.code == 0, done.text
        return planned_jobs(done.text)

    def command(self, name: str, *args: str, env: Mapping[str, str] | None = None, **options: Any) -> Run:
        """Run one command of the library as a rule does, without snakemake."""
        own = {"PYTHONPATH": str(REPOSITORY / "scripts"), "NUMBA_CACHE_DIR": str(self.kernels), **(env or {})}
        return run([sys.executable, "-m", "ophiolite", name, *args], self.folder, own, **options)

    def job(self, rule: str, layer: str, *item: str, env: Mapping[str, str] | None = None, **options: Any) -> Run:
        """Run one job of the plan; `item` is `--block x-y-z`, `--job n` or `--part n`."""
        plan = str(self.project / "plan.json")
        return self.command(rule, "--plan", plan, "--dataset", "d", "--layer", layer, *item, env=env, **options)

    def receipts(self, layer: str, *rules: str) -> list[Path]:
        """The receipts of all jobs of some rules."""
        folder = self.project / "d" / "receipts" / layer
        return sorted(path for rule in rules for path in (*folder.glob(f"{rule}.json"), *folder.glob(f"{rule}/*.json")))

    def forget(self, *receipts: Path) -> None:
        """Remove receipts and every file they name, as if their jobs had not run yet."""
        for receipt in receipts:
            for file in json.loads(receipt.read_text())["files"]:
                (self.project / file["path"]).unlink()
            receipt.unlink()

    def copy_to(self, folder: Path) -> Workspace:
        """A copy with all times kept, in which snakemake finds nothing to do."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return replace(self, folder=folder)


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def checksums(project: Path) -> dict[str, str]:
    """Checksums of everything that must not depend on when and where it was made."""
    names = [(file.relative_to(project).as_posix(), file) for file in files_below(project)]
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in names if not UNTIMELY.search(name)}


def unfinished(project: Path) -> list[str]:
    """What only a job at work, or a killed one, leaves: partial files and finished tasks."""
    names = [path.relative_to(project).as_posix() for path in sorted(project.rglob("*"))]
    return [name for name in names if name.endswith(".partial") or "/tasks-" in name]


def tiny_config() -> dict[str, Any]:
    """A config that cuts the 96 x 96 x 64 sample into several tasks and blocks, and the pyramids into two rounds.

    Each layer reads a copy of the sample of its own, `<layer>.h5` in the working directory.
    """
    pyramid = {"factors": [[2, 2, 1], [2, 2, 2]], "chunk_vx": [32, 32, 16], "task_vx": [64, 64, 32]}
    return {
        "project": "tiny",
        "store": "results",
        "jobs": {"min_blocks": 2},
        "datasets": {
            "d": {
                "layers": {
                    "em": {
                        "type": "image",
                        "source": "em.h5:/volumes/raw",
                        "pyramid": {**pyramid, "mips": {2: {"encoding": "jpeg", "quality": 85}}},
                    },
                    "neurons": {
                        "type": "segmentation",
                        "source": "neurons.h5:/volumes/labels/neuron_ids",
                        "pyramid": pyramid,
                        "mesh": {"mip": 0, "max_error_nm": 16, "task_vx": [64, 64, 64], "expected_labels": 1000},
                        "skeleton": {
                            "mip": 0,
                            "scale": 4,
                            "const_nm": 50,
                            "task_vx": [64, 64, 64],
                            "dust_vx": 300,
                            "min_cable_nm": 100,
                            "swc": True,
                        },
                    },
                    "synapses": {
                        "type": "annotations",
                        "source": "synapses.h5:/annotations",
                        "segmentation": "neurons",
                    },
                }
            }
        },
    }
