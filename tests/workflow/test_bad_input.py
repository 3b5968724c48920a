"""Bad input: a clear message, a non-zero exit, no half output, and the other layers still finish."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from workspace import Workspace, files_below

from ophiolite.__main__ import main

RESOLUTION = [8, 8, 20]
Layer = dict[str, Any]
Maker = Callable[[Path], Layer]


def hdf5(folder: Path, array: Any, name: str = "v.h5", **options: Any) -> str:
    """Write an array (z, y, x) and return its path as a config names it."""
    with h5py.File(folder / name, "w") as file:
        file.create_dataset("volumes/raw", data=array, **options)
    return f"{folder}/{name}:/volumes/raw"


def slices(folder: Path, count: int = 6) -> Path:
    """A folder of equal TIFF slices, numbered from 0."""
    stack = folder / "stack"
    stack.mkdir()
    for number in range(count):
        tifffile.imwrite(stack / f"s_{number:03d}.tif", np.full((20, 30), number, np.uint8))
    return stack


def image(source: str, **more: Any) -> Layer:
    return {"type": "image", "source": source, "resolution_nm": RESOLUTION, **more}


def labels(source: str, **more: Any) -> Layer:
    return {"type": "segmentation", "source": source, "resolution_nm": RESOLUTION, **more}


BYTES = np.zeros((10, 20, 30), np.uint8)


def missing_file(folder: Path) -> Layer:
    hdf5(folder, BYTES)
    return image(f"{folder}/w.h5:/volumes/raw")


def missing_path(folder: Path) -> Layer:
    return image(hdf5(folder, BYTES).replace("raw", "rav"))


def truncated_hdf5(folder: Path) -> Layer:
    text = hdf5(folder, np.random.default_rng(0).integers(0, 255, BYTES.shape, np.uint8))
    file = folder / "v.h5"
    file.write_bytes(file.read_bytes()[:3000])
    return image(text)


def truncated_tiff(folder: Path) -> Layer:
    file = folder / "v.tif"
    tifffile.imwrite(file, np.random.default_rng(0).integers(0, 255, BYTES.shape, np.uint8))
    file.write_bytes(file.read_bytes()[:4000])
    return image(str(file))


def slice_of_other_size(folder: Path) -> Layer:
    stack = slices(folder)
    tifffile.imwrite(stack / "s_003.tif", np.zeros((20, 31), np.uint8))
    return image(str(stack))


def slice_of_other_type(folder: Path) -> Layer:
    stack = slices(folder)
    tifffile.imwrite(stack / "s_003.tif", np.zeros((20, 30), np.uint16))
    return image(str(stack))


def gap_in_slices(folder: Path) -> Layer:
    stack = slices(folder)
    (stack / "s_003.tif").unlink()
    return image(str(stack))


def unreadable_slice(folder: Path) -> Layer:
    stack = slices(folder)
    (stack / "s_003.tif").write_bytes(b"not a picture")
    return image(str(stack))


def negative_resolution_in_the_file(folder: Path) -> Layer:
    text = hdf5(folder, BYTES)
    with h5py.File(folder / "v.h5", "r+") as file:
        file["volumes/raw"].attrs["resolution"] = [40.0, -4.0, 4.0]
    return {"type": "image", "source": text}


def no_resolution(folder: Path) -> Layer:
    return {"type": "image", "source": hdf5(folder, BYTES)}


def chunk_that_fits_no_memory(folder: Path) -> Layer:
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("volumes/raw", shape=(800, 1000, 1000), dtype="u1", chunks=(80, 100, 100))
    return image(f"{folder}/v.h5:/volumes/raw", pyramid={"chunk_vx": [1000, 1000, 800]})


def mesh_mip_that_is_not(folder: Path) -> Layer:
    return labels(hdf5(folder, BYTES), pyramid={"factors": [[2, 2, 1]]}, mesh={"mip": 4})


def folder_of_others(folder: Path) -> Layer:
    there = folder / "results" / "p" / "d" / "layers" / "bad"
    there.mkdir(parents=True)
    (there / "info").write_text("somebody's")
    return image(hdf5(folder, BYTES))


# What each message must say: where, what is wrong, and where it helps, what was expected, found, or is to be done.
REFUSED: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "missing file": (missing_file, ("w.h5", "v.h5")),
    "missing path in HDF5": (missing_path, ("/volumes/rav", "/volumes/raw")),
    "truncated HDF5": (truncated_hdf5, ("v.h5", "truncated")),
    "truncated TIFF": (truncated_tiff, ("v.tif", "truncated")),
    "slice of other size": (slice_of_other_size, ("s_003.tif", "Expected 30 x 20", "Got 31 x 20")),
    "slice of other type": (slice_of_other_type, ("s_003.tif", "uint16", "uint8")),
    "gap in slices": (gap_in_slices, ("stack", "3", "missing")),
    "unreadable slice": (unreadable_slice, ("s_003.tif",)),
    "negative resolution in the file": (negative_resolution_in_the_file, ("resolution", "-4", "resolution_nm")),
    "no resolution": (no_resolution, ("resolution_nm", "is not known", "config")),
    "float labels": (lambda f: labels(hdf5(f, BYTES.astype("f4"))), ("float32", "uint64")),
    "signed labels": (lambda f: labels(hdf5(f, BYTES.astype("i4"))), ("int32", "uint32", "signed")),
    "empty volume": (lambda f: image(hdf5(f, np.zeros((0, 20, 30), np.uint8))), ("empty", "at least one voxel")),
    "mesh mip that is not there": (mesh_mip_that_is_not, ("bad.mesh.mip", "Expected 0 to 1", "Got 4")),
    "factor that changes nothing": (
        lambda f: image(hdf5(f, BYTES), pyramid={"factors": [[2, 2, 1], [1, 1, 1]]}),
        ("bad.pyramid.factors[1]", "changes nothing"),
    ),
    "factor too large": (
        lambda f: image(hdf5(f, BYTES), pyramid={"factors": [[128, 2, 1]]}),
        ("bad.pyramid.factors[0]", "128", "64"),
    ),
    "chunk that fits no memory": (chunk_that_fits_no_memory, ("bad.pyramid", "memory", "chunks")),
    "encoding of a mip that is not there": (
        lambda f: image(hdf5(f, BYTES), pyramid={"factors": [], "mips": {3: {"encoding": "png"}}}),
        ("bad.pyramid.mips", "mip 3"),
    ),
    "encoding that cannot hold the type": (
        lambda f: image(hdf5(f, BYTES.astype("f4")), pyramid={"encoding": "jpeg"}),
        ("jpeg", "float32"),
    ),
    "labels averaged": (lambda f: labels(hdf5(f, BYTES), pyramid={"method": "mean"}), ("bad.pyramid.method", "mode")),
    "annotations that are not there": (
        lambda f: {"type": "annotations", "source": f"{f}/synapses.csv", "kind": "point"},
        ("synapses.csv", "does not exist"),
    ),
    "a folder that is not ours": (folder_of_others, ("layers/bad", "did not write", "info")),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_bad_layer_is_refused_and_leaves_the_plan_whole(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = REFUSED[case]
    good = image(hdf5(tmp_path, BYTES, "good.h5"))
    config = {"project": "p", "datasets": {"d": {"layers": {"bad": make(tmp_path), "good": good}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    before = {file: file.read_bytes() for file in files_below(tmp_path)}
    assert main(["make_plan", "--config", "config.yaml"]) == 0
    new = {file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path)} - {
        file.relative_to(tmp_path).as_posix() for file in before
    }
    assert new == {"results/p/plan.json"}
    layers = json.loads((tmp_path / "results/p/plan.json").read_text())["datasets"]["d"]["layers"]
    assert (layers["bad"]["kind"], layers["good"]["kind"]) == ("refused", "image")

    capsys.readouterr()
    plan = ["--plan", "results/p/plan.json"]
    assert main(["plan", *plan]) == 0
    assert "REFUSED" in capsys.readouterr().out
    assert main(["refuse", *plan, "--dataset", "d", "--layer", "bad"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("ophiolite refuse: datasets.d.layers.bad: ")
    assert all(text in message for text in said), message
    assert message.endswith(".\n")
    assert "Traceback" not in message


def with_layer(**more: Any) -> dict[str, Any]:
    layer = {"type": "segmentation", "source": "v.h5:/v", **more}
    return {"project": "p", "datasets": {"d": {"layers": {"v": layer}}}}


CONFIGS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "unknown key": (with_layer(skeletons={}), ("datasets.d.layers.v.skeletons", "skeleton")),
    "unknown key deep down": (
        with_layer(mesh={"max_eror_nm": 4}),
        ("datasets.d.layers.v.mesh.max_eror_nm", "max_error_nm"),
    ),
    "zero resolution": (with_layer(resolution_nm=[8, 0, 8]), ("datasets.d.layers.v.resolution_nm", "0")),
    "negative resolution": (with_layer(resolution_nm=[8, 8, -8]), ("datasets.d.layers.v.resolution_nm", "-8")),
    "zero chunk": (with_layer(pyramid={"chunk_vx": [64, 0, 64]}), ("datasets.d.layers.v.pyramid.chunk_vx", "0")),
    "zero factor": (with_layer(pyramid={"factors": [[2, 2, 0]]}), ("datasets.d.layers.v.pyramid.factors", "0")),
    "name that makes no path": ({**with_layer(), "project": "A b"}, ("project", "A b")),
    "a text for a number": (with_layer(mesh={"dust_vx": "many"}), ("datasets.d.layers.v.mesh.dust_vx", "many")),
    "no layers": ({"project": "p", "datasets": {"d": {"layers": {}}}}, ("datasets.d.layers",)),
    "a list": ([1, 2], ("config.yaml",)),
}


@pytest.mark.parametrize("case", sorted(CONFIGS))
def test_a_bad_config_is_refused_whole(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config, said = CONFIGS[case]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", "config.yaml"]) == 1
    message = capsys.readouterr().err
    assert all(text in message for text in said), message
    assert "Traceback" not in message
    assert not (tmp_path / "results").exists()


def test_a_config_that_is_no_yaml_or_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("project: [unclosed\ndatasets: {")
    assert main(["make_plan", "--config", "config.yaml"]) == 1
    assert "config.yaml" in capsys.readouterr().err
    assert main(["make_plan", "--config", "absent.yaml"]) == 1
    assert "absent.yaml" in capsys.readouterr().err


@pytest.mark.slow
def test_snakemake_names_the_nearest_key(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, with_layer(mesh={"max_eror_nm": 4}))
    workspace.write_config()
    done = workspace.snakemake("-n")
    assert done.code != 0
    assert "datasets.d.layers.v.mesh.max_eror_nm" in done.text
    assert "max_error_nm" in done.text
    assert "Traceback" not in done.text
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_bad_layers_do_not_stop_the_others(fresh: Any, tmp_path: Path) -> None:
    """Everything through the workflow: refused layers, a source that breaks later, and layers with nothing in them."""
    rng = np.random.default_rng(1)
    cube = np.zeros((20, 40, 40), np.uint64)
    cube[4:16, 5:30, 8:35] = 7
    grey = rng.integers(0, 255, cube.shape, np.uint8)
    torn = hdf5(tmp_path, grey, "torn.h5", chunks=(10, 40, 40), compression="gzip")
    with h5py.File(tmp_path / "torn.h5") as file:
        at = file["volumes/raw"].id.get_chunk_info(1).byte_offset
    with (tmp_path / "torn.h5").open("r+b") as file:
        file.seek(at)
        file.write(bytes(200))
    everything = {"mesh": {}, "skeleton": {"dust_vx": 0, "min_cable_nm": 0}}
    layers = {
        "good": image(hdf5(tmp_path, grey, "good.h5")),
        "void": labels(hdf5(tmp_path, np.zeros_like(cube), "void.h5"), **everything),
        "bare": labels(hdf5(tmp_path, cube, "bare.h5")),
        "torn": image(torn),
        "gone": image(f"{tmp_path}/gone.h5:/v"),
        "signed": labels(hdf5(tmp_path, cube.astype(np.int32), "signed.h5")),
    }
    workspace = fresh(tmp_path, {"project": "mixed", "store": "results", "datasets": {"d": {"layers": layers}}})
    done = workspace.snakemake()
    assert done.code != 0
    for layer, said in (("gone", "there is no file"), ("signed", "cannot be signed")):
        assert f"datasets.d.layers.{layer}: " in done.text
        assert said in done.text
        assert not (workspace.layers / layer).exists()
    assert "torn.h5:/volumes/raw" in done.text
    assert "cannot be decoded" in done.text
    assert "Traceback" not in done.text
    receipts = workspace.project / "d" / "receipts"
    assert not (receipts / "torn" / "layer_done.json").exists()
    assert not list((workspace.layers / "torn").glob("*/*.shard"))
    for layer in ("good", "void", "bare"):
        assert (receipts / layer / "layer_info.json").exists()
        assert (receipts / layer / "layer_done.json").exists()
    for rule in ("mesh_done", "skeleton_done", "segment_properties", "object_table/0"):
        assert (receipts / "void" / f"{rule}.json").exists()
    properties = json.loads((workspace.layers / "void" / "segment_properties" / "info").read_text())
    assert properties["inline"]["ids"] == []

    # The broken one taken away, the report is made of what is there, and says what is not.
    again = replace(workspace, config={**workspace.config, "datasets": {"d": {"layers": dict(layers)}}})
    del again.config["datasets"]["d"]["layers"]["torn"]
    again.write_config()
    assert again.snakemake().code != 0
    page = (workspace.project / "report.html").read_text()
    assert "signed" in page
