"""`snakemake quality` and `snakemake compression` on the tiny project: sound products pass, a broken mesh is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from workspace import Workspace

from ophiolite.layers.objects import MeshReader
from ophiolite.layers.store import Store

KINDS = ("mesh", "pyramid", "skeleton")

pytestmark = pytest.mark.slow


def table(project: Path, name: str) -> dict[str, list[Any]]:
    """A table as columns; its CSV has the same rows and columns."""
    found = pq.read_table(project / "tables" / f"{name}.parquet")
    with open(project / "tables" / f"{name}.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == found.column_names
    assert len(rows) == found.num_rows > 0
    columns: dict[str, list[Any]] = found.to_pydict()
    return columns


def contents(project: Path) -> dict[str, bytes]:
    """Tables of quality, figures and page, by path."""
    paths = [p for folder in ("tables", "figures") for p in (project / folder).iterdir()] + [project / "quality.html"]
    return {p.name: p.read_bytes() for p in paths if not p.name.startswith(("timings", "stages", "paper_scale"))}


@pytest.fixture(scope="module")
def measured(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny project with its quality report."""
    workspace = finished.copy_to(tmp_path_factory.mktemp("measured"))
    done = workspace.snakemake("--", "quality")
    assert done.code == 0, done.text
    return workspace


def test_the_quality_report_finds_nothing_wrong(measured: Workspace) -> None:
    meshes = table(measured.project, "mesh_quality")
    assert set(meshes["dataset"]) == {"d"}
    assert set(meshes["layer"]) == {"neurons"}
    assert meshes["label"] == sorted(set(meshes["label"]))
    assert all(meshes["watertight"])
    for kind in ("skeleton", "pyramid"):
        table(measured.project, f"{kind}_quality")
    again = yaml.safe_load((measured.project / "tables" / "skeleton_whole_labels.yaml").read_text())
    skeletons = table(measured.project, "skeleton_quality")
    wrong = [v for v, of in zip(skeletons["label"], skeletons["gravity"], strict=True) if of]
    named = again["datasets"]["d"]["layers"]["neurons"]["skeleton"]["whole_labels"]
    assert [int(label) for label in named] == wrong
    page = (measured.project / "quality.html").read_text()
    for kind in KINDS:
        assert f'<section id="{kind}' in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_bytes(measured: Workspace) -> None:
    assert measured.jobs("quality").keys() <= {"quality"}
    before = contents(measured.project)
    done = measured.snakemake("--forcerun", *(f"{kind}_quality" for kind in KINDS), "--", "quality")
    assert done.code == 0, done.text
    after = contents(measured.project)
    assert [name for name in before if before[name] != after.get(name)] == []


def test_a_changed_sample_remeasures_meshes_only(measured: Workspace, tmp_path: Path) -> None:
    workspace = measured.copy_to(tmp_path).changed("quality", {"samples": 500})
    workspace.plan()
    jobs = workspace.jobs("quality")
    assert "mesh_quality" in jobs
    assert not {"pyramid_blocks", "mesh_fragments", "mesh_shards", "pyramid_quality"} & jobs.keys()


def test_a_broken_mesh_is_named(measured: Workspace, tmp_path: Path) -> None:
    workspace = measured.copy_to(tmp_path)
    folder = "d/layers/neurons/mesh"
    reader = MeshReader(Store(workspace.project), folder)
    labels = reader.keys().tolist()
    sizes = {label: len(reader.read(label)[1]) for label in labels}  # type: ignore[index]
    label = max(sizes, key=lambda key: sizes[key])
    path, shard = reader.shard(label)
    at = shard.location(label)
    manifest = reader.manifest(label)
    assert at is not None
    assert manifest is not None
    # The manifest stands behind its fragments; a quarter of a voxel more per step makes the object larger by half.
    file = workspace.project / path
    data = bytearray(file.read_bytes())
    shape = np.frombuffer(data, "<f4", 3, at[0]).copy()
    assert np.array_equal(shape, np.asarray(manifest.chunk_shape, np.float32))
    data[at[0] : at[0] + 12] = (shape * np.float32(1.2)).astype("<f4").tobytes()
    file.write_bytes(bytes(data))
    done = workspace.snakemake("--forcerun", "mesh_quality", "--", "quality")
    assert done.code == 0, done.text
    meshes = table(workspace.project, "mesh_quality")
    row = meshes["label"].index(label)
    assert meshes["faults"][row], json.dumps({k: str(v[row]) for k, v in meshes.items()})
    clean = [fault for i, fault in enumerate(meshes["faults"]) if i != row and fault]
    assert clean == [fault for i, fault in enumerate(table(measured.project, "mesh_quality")["faults"]) if fault]
    assert str(label) in (workspace.project / "quality.html").read_text()


def test_a_refused_layer_fails_alone_and_stands_on_the_pages(measured: Workspace, tmp_path: Path) -> None:
    workspace = measured.copy_to(tmp_path)
    (workspace.folder / "em.h5").unlink()
    workspace.changed("compression", {"chunk_vx": [[32, 32, 16]], "repeats": 1, "max_mvx": 1})
    for target in ("quality", "compression"):
        done = workspace.snakemake("--keep-going", "--", target)
        assert done.code != 0
        assert "em.h5" in done.text
        page = (workspace.project / f"{target}.html").read_text()
        assert "Layers that were refused" in page
        assert "em.h5" in page
        assert "neurons" in page


def test_a_project_with_nothing_to_measure_says_so(sample: Path, tmp_path: Path) -> None:
    layers = {"synapses": {"type": "annotations", "source": f"{sample}:/annotations"}}
    workspace = Workspace(tmp_path, {"project": "p", "store": "results", "datasets": {"d": {"layers": layers}}})
    workspace.write_config()
    done = workspace.snakemake("--", "quality", "compression")
    assert done.code == 0, done.text
    for target in ("quality", "compression"):
        assert "Nothing to measure" in (workspace.project / f"{target}.html").read_text()


def test_the_codec_benchmark_measures_every_encoding_of_both_kinds(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy_to(tmp_path).changed("compression", {"chunk_vx": [[32, 32, 16]], "repeats": 1})
    done = workspace.snakemake("--", "compression")
    assert done.code == 0, done.text
    rows = table(workspace.project, "compression")
    found: dict[str, set[str]] = {}
    for layer, codec in zip(rows["layer"], rows["codec"], strict=True):
        found.setdefault(layer, set()).add(codec.split()[0])
    assert found == {
        "em": {"raw", "jpeg", "png", "jxl"},
        "neurons": {"raw", "compressed_segmentation", "compresso", "crackle"},
    }
    assert not any(rows["fault"])
    assert "Smallest without loss" in (workspace.project / "compression.html").read_text()
