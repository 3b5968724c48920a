"""Every rule runs with nothing but the packages that its environment file lists, and gives the same bytes.

No conda channel is asked: `standin/bin/conda` makes bare virtual environments of the files' packages. Snakemake's own
part (one environment per file, its activation in each job) is real.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workspace import REPOSITORY, Run, Workspace, checksums, tiny_config

from ophiolite.__main__ import main

STANDIN = Path(__file__).parent / "standin" / "bin"
PYTHON = "3.11"
ENVS = {file.stem for file in (REPOSITORY / "envs").glob("*.yaml")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON,
        reason=f"the environments hold Python {PYTHON}; the stand-in for conda can only give the one that runs it",
    ),
]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments are made, once for all tests."""
    return tmp_path_factory.mktemp("conda")


def run(workspace: Workspace, prefix: Path, *targets: str) -> Run:
    """Run the workflow with each rule in its environment."""
    path = {"PATH": f"{STANDIN}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return workspace.snakemake("--sdm", "conda", "--conda-prefix", str(prefix), "--", *targets, env=path)


def environments(prefix: Path) -> dict[str, Path]:
    """The environments at a prefix, by the names of their files."""
    texts = {(REPOSITORY / "envs" / f"{name}.yaml").read_bytes(): name for name in ENVS}
    return {texts[file.read_bytes()]: file.with_suffix("") for file in prefix.glob("*.yaml")}


@contextmanager
def without(env: Path, package: str) -> Iterator[None]:
    """An environment that lacks a package meanwhile."""
    (place,) = env.glob(f"lib/*/site-packages/{package}")
    link = place.readlink()
    place.unlink()
    try:
        yield
    finally:
        place.symlink_to(link)


@dataclass(frozen=True)
class Ran:
    """The tiny project and one of slides, made by rules in their own environments; and what snakemake said."""

    tiny: Workspace
    slides: Workspace
    runs: list[Run]


@pytest.fixture(scope="module")
def ran(fresh: Any, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    tiny = fresh(tmp_path_factory.mktemp("tiny"), tiny_config())
    section = {"sheet": "slides/slides.tsv", "viewer": False, "mask": {"binarise": None}}
    config = {"project": "cohort", "store": "results", "slides": section}
    slides = Workspace(tmp_path_factory.mktemp("slides"), config)
    slides.write_config()
    assert main(["make_slides", str(slides.folder / "slides"), "--size-px", "1000", "720"]) == 0
    made = [
        run(tiny, prefix, "all", "quality"),
        run(tiny, prefix, "verify"),
        run(slides, prefix, "results/cohort/slides.html"),
    ]
    return Ran(tiny, slides, made)


def test_every_environment_is_made_and_its_rules_give_the_same_bytes(
    finished: Workspace, ran: Ran, prefix: Path
) -> None:
    for done in ran.runs:
        assert done.code == 0, done.text
    found, expected = checksums(ran.tiny.project), checksums(finished.project)
    assert {name: found.get(name) for name in expected} == expected
    assert set(environments(prefix)) == ENVS


@pytest.mark.parametrize(
    ("env", "package", "target"),
    [
        ("tables", "h5py", "results/tiny/d/receipts/synapses/annotation_layer.json"),
        # A script, to whose path Snakemake adds the packages of its own environment.
        ("report", "matplotlib", "results/tiny/figures/d.neurons.mesh_volume.svg"),
    ],
)
def test_a_rule_that_imports_what_its_environment_lacks_fails(
    ran: Ran, prefix: Path, env: str, package: str, target: str
) -> None:
    (ran.tiny.folder / target).unlink()
    with without(environments(prefix)[env], package):
        failed = run(ran.tiny, prefix, target)
    assert failed.code == 1
    assert f"No module named '{package}'" in failed.text, failed.text
