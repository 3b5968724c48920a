"""The objects of a slide through the jobs of their rules: table, mean colours, properties, outlines, boxes, GeoJSON."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from numpy.typing import NDArray

from ophiolite.__main__ import main
from ophiolite.config.load import parse_config
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.precomputed.annotation import AnnotationType
from ophiolite.precomputed.segment_properties import NumberProperty, TagsProperty, decode_segment_properties
from ophiolite.sources.mask import MaskReading, open_mask
from ophiolite.stages.job import Job, open_project
from ophiolite.stages.layer import volume_info
from ophiolite.stages.slide_measures import runs_of
from ophiolite.stages.slide_outlines import outline_table
from ophiolite.stages.verify import verify

RATIO, SIZE = 2, (310, 205)  # of the mask
STRUCTURES = {1: "glomerulus", 3: "sclerosed one"}


def mask_values() -> NDArray[np.uint8]:
    """(x, y): discs, one with a hole that holds another structure; one pixel; two that touch at a corner."""
    x, y = np.indices(SIZE)
    out = np.zeros(SIZE, np.uint8)
    out[(x - 80) ** 2 + (y - 70) ** 2 < 40**2] = 1
    out[(x - 80) ** 2 + (y - 70) ** 2 < 20**2] = 0
    out[(x - 80) ** 2 + (y - 70) ** 2 < 8**2] = 3
    out[(x - 250) ** 2 + ((y - 150) * 2) ** 2 < 50**2] = 3
    out[200, 20] = 1
    out[5:9, 150:155] = out[9:12, 155:160] = 1
    out[300:, 190:] = 1
    return out


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The objects of a slide whose rules have all run."""
    folder = tmp_path_factory.mktemp("slide")
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (14, 21, 3))
    image = np.kron(coarse, np.ones((32, 32, 1)))[: SIZE[1] * RATIO, : SIZE[0] * RATIO].astype(np.uint8)
    tifffile.imwrite(folder / "a.tif", image, tile=(256, 256), photometric="rgb", compression="zlib")
    tifffile.imwrite(folder / "m.tif", mask_values().T, tile=(64, 64), compression="zlib")
    (folder / "s.tsv").write_text("slide_id\tcase_id\timage\tmask\tmpp\na\t1\ta.tif\tm.tif\t0.5\n")
    mask = {"binarise": None, "structures": STRUCTURES, "max_error_px": 0}
    slides = {"sheet": str(folder / "s.tsv"), "mask": mask, "pyramid": {"chunk_vx": 256, "copy_tiles": False}}
    config = {"project": "p", "store": str(folder / "r"), "slides": slides}
    project, store = made_of(folder, config)
    return Job(project, store, "slide_objects", "a", "objects", "", 1)


def made_of(folder: Path, config: dict[str, Any]) -> tuple[ProjectPlan, Store]:
    """A project in `<folder>/r/p`, its slide's rules run."""
    plan = make_plan(parse_config(config, "test"), Path(), Speeds())
    file = folder / "r" / "p" / "plan.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(plan.to_bytes())
    project, store = open_project(file)
    run_rules(file, project.datasets["a"].layers)
    return project, store


def run_rules(file: Path, layers: dict[str, Any]) -> None:
    def run(rule: str, layer: str, *more: str) -> None:
        assert main([rule, "--plan", str(file), "--dataset", "a", "--layer", layer, *more]) == 0

    def blocks(layer: str) -> None:
        plan = layers[layer]
        assert isinstance(plan, VolumePlan)
        for number, grid in enumerate(plan.rounds):
            for block in grid.block_names():
                run("pyramid_blocks", layer, "--block", f"r{number}.{block}")

    blocks("slide")
    run("mask_objects", "objects")
    blocks("objects")
    run("label_stats", "objects", "--part", "0")
    run("object_table", "objects", "--part", "0")
    run("slide_objects", "objects")
    run("slide_contours", "objects")
    run("segment_properties", "objects")
    for layer in ("contours", "boxes"):
        run("annotation_layer", layer)


def table_of(job: Job) -> dict[str, list[Any]]:
    return dict(pq.read_table(io.BytesIO(job.store.read("a/objects/objects/slide.parquet"))).to_pydict())


def pixels_of(job: Job, layer: str, mip: int) -> NDArray[Any]:
    """All pixels (x, y, c) of one mip of a layer of the slide."""
    of_layer = replace(job, layer=layer)
    reader = VolumeReader(job.store, of_layer.paths.layer_folder, mip, volume_info(of_layer.volume))
    return reader.read(reader.box)[:, :, 0]


def test_the_layer_holds_the_objects_by_their_first_pixel(job: Job) -> None:
    labels, mask = pixels_of(job, "objects", 0)[..., 0], mask_values()
    assert labels.max() == 6
    assert ((labels > 0) == (mask > 0)).all()
    firsts = [int(np.flatnonzero(labels.T.ravel() == label)[0]) for label in range(1, 7)]
    assert firsts == sorted(firsts)


def test_the_table_measures_every_object(job: Job) -> None:
    table, mask = table_of(job), mask_values()
    assert table["label"] == [1, 2, 3, 4, 5, 6]
    assert sum(table["area_px"]) == np.count_nonzero(mask)
    assert table["structure"].count("sclerosed one") == 2
    assert table["area_um2"] == pytest.approx(table["area_px"])  # a mask pixel is 1 µm wide here
    single = table["area_px"].index(1)
    assert (table["start_x_px"][single], table["stop_y_px"][single]) == (400, 42)
    assert (table["centroid_x_px"][single], table["centroid_y_px"][single]) == (401, 41)
    ring = table["area_px"].index(np.count_nonzero(mask[30:130, 20:120] == 1))
    assert table["perimeter_um"][ring] == pytest.approx(2 * np.pi * 60, rel=0.02)
    assert table["eccentricity"][ring] == pytest.approx(0, abs=0.05)


def test_mean_colours_are_those_of_the_finished_slide(job: Job) -> None:
    colours, labels = pixels_of(job, "slide", 1), pixels_of(job, "objects", 0)[..., 0]
    table = table_of(job)
    for label in table["label"]:
        mean = colours[labels == label].mean(axis=0)
        found = [table[f"mean_{name}"][label - 1] for name in ("red", "green", "blue")]
        assert found == pytest.approx(mean.tolist())


def test_the_viewer_lists_measures_and_structures(job: Job) -> None:
    data = job.store.read(f"{job.paths.layer_folder}/segment_properties/info")
    ids, properties = decode_segment_properties(data)
    table = table_of(job)
    assert ids.tolist() == table["label"]
    numbers = {p.id: p.values for p in properties if isinstance(p, NumberProperty)}
    np.testing.assert_allclose(numbers["area_um2"], table["area_um2"], rtol=1e-6)
    np.testing.assert_allclose(numbers["mean_green"], table["mean_green"], rtol=1e-6)
    tags = next(p for p in properties if isinstance(p, TagsProperty))
    assert [tags.tags[v[0]] for v in tags.values] == [s.replace(" ", "_") for s in table["structure"]]


def test_geojson_read_back_as_a_mask_is_the_mask(job: Job, tmp_path: Path) -> None:
    data = job.store.read("a/objects/objects/contours.geojson")
    features = json.loads(data)["features"]
    assert [f["properties"]["classification"]["name"] for f in features] == table_of(job)["structure"]
    for feature in features:
        rings = [np.array(ring) for ring in feature["geometry"]["coordinates"]]
        assert all((ring[0] == ring[-1]).all() for ring in rings)
    (tmp_path / "m.geojson").write_bytes(data)
    size = (SIZE[0] * RATIO, SIZE[1] * RATIO)
    source = open_mask(tmp_path / "m.geojson", MaskReading(size, (500.0, 500.0, 4000.0), None, STRUCTURES))
    expected = mask_values().repeat(RATIO, axis=0).repeat(RATIO, axis=1)
    found = source.read(source.box)[:, :, 0, 0]
    # Outlines cut the corners of mask pixels, which are pixels of the slide here: a diagonal half of each.
    corners = np.zeros(size, bool)
    step = np.diff(expected.astype(int), axis=0, append=0) != 0
    corners |= step | np.roll(step, 1, axis=0)
    assert (found == expected)[~corners].all()
    assert np.count_nonzero(found != expected) < 0.02 * np.count_nonzero(expected)
    centres = found[1::RATIO, 1::RATIO]
    assert (centres == mask_values()).mean() > 0.995


@pytest.mark.parametrize("layer", ["contours", "boxes"])
def test_annotations_carry_area_structure_and_object(job: Job, layer: str) -> None:
    info = json.loads(job.store.read(f"a/layers/{layer}/info"))
    assert info["annotation_type"] == {"contours": "POLYLINE", "boxes": "AXIS_ALIGNED_BOUNDING_BOX"}[layer]
    assert [p["id"] for p in info["properties"]] == ["area_um2", "structure"]
    assert info["properties"][1]["enum_labels"] == list(STRUCTURES.values())
    assert [r["id"] for r in info["relationships"]] == ["objects"]
    kind = AnnotationType(info["annotation_type"])
    table, objects = outline_table(replace(job, layer=layer), "objects", kind), table_of(job)
    rows = table.relationships["objects"].labels.astype(int) - 1
    np.testing.assert_allclose(table.columns["area_um2"], np.array(objects["area_um2"])[rows])
    assert [STRUCTURES[v] for v in table.columns["structure"].tolist()] == [objects["structure"][i] for i in rows]


def test_boxes_are_the_objects_boxes_through_the_section(job: Job) -> None:
    table, objects = (
        outline_table(replace(job, layer="boxes"), "objects", AnnotationType("AXIS_ALIGNED_BOUNDING_BOX")),
        table_of(job),
    )
    expected = [
        [
            (objects["start_x_px"][i] * 500, objects["start_y_px"][i] * 500, 0),
            (objects["stop_x_px"][i] * 500, objects["stop_y_px"][i] * 500, 4000),
        ]
        for i in range(len(objects["label"]))
    ]
    np.testing.assert_array_equal(table.geometry_nm, expected)


def test_outlines_are_closed_and_a_hole_is_a_ring_of_its_own(job: Job) -> None:
    table = outline_table(replace(job, layer="contours"), "objects", AnnotationType.POLYLINE)
    assert table.points is not None
    first, last = table.geometry_nm[table.points[:-1]], table.geometry_nm[table.points[1:] - 1]
    np.testing.assert_array_equal(first, last)
    assert (table.geometry_nm[:, 2] == 2000).all()
    labels, rings = np.unique(table.relationships["objects"].labels, return_counts=True)
    assert labels.tolist() == [1, 2, 3, 4, 5, 6]
    assert sorted(rings.tolist()) == [1, 1, 1, 1, 1, 2]


def test_an_empty_mask_has_no_objects_but_all_layers(job: Job, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((300, 400, 3), np.uint8), tile=(256, 256), photometric="rgb")
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((300, 400), np.uint8))
    (tmp_path / "s.tsv").write_text("slide_id\tcase_id\timage\tmask\tmpp\na\t1\ta.tif\tm.tif\t0.5\n")
    config = {"project": "p", "store": str(tmp_path / "r"), "slides": {"sheet": str(tmp_path / "s.tsv")}}
    project, store = made_of(tmp_path, config)
    assert table_of(replace(job, store=store, project=project))["label"] == []
    assert json.loads(store.read("a/objects/objects/contours.geojson"))["features"] == []


TRACED = {"mask_objects", "slide_contours"}


@pytest.mark.parametrize(
    ("layer", "damaged", "needed"),
    [
        ("objects", "layers/objects/*/0.shard", {"mask_objects"}),
        ("objects", "objects/objects/slide.parquet", {"mask_objects"}),
        ("contours", "layers/contours/info", TRACED),
        ("boxes", "layers/boxes/info", TRACED),
        ("objects", "layers/objects/segment_properties/info", set()),
    ],
)
def test_after_clean_work_heal_makes_the_objects_again_that_a_damaged_job_reads(
    job: Job, tmp_path: Path, layer: str, damaged: str, needed: set[str]
) -> None:
    root = tmp_path / "p"
    shutil.copytree(job.store.root, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert main(["clean_work", "--plan", str(root / "plan.json")]) == 0
    project, store = open_project(root / "plan.json")
    assert verify(store, project, 1, lambda text: None).faults == []
    for lost in sorted((root / "a").glob(damaged))[:1]:
        lost.unlink()
    faults = verify(store, project, 1, lambda text: None).faults
    assert {f.layer for f in faults if f.fault == "missing"} == {layer}
    assert {f.rule for f in faults if f.fault == "needed again"} == needed
    for fault in sorted(faults, key=lambda f: f.wave):
        at = ["--dataset", "a", "--layer", fault.layer, "--rule", fault.rule, "--output", str(tmp_path / "healed")]
        item = ["--item", fault.item] if fault.item else []
        assert main(["heal_job", "--plan", str(root / "plan.json"), *at, *item]) == 0
    assert lost.read_bytes() == before[lost]


def test_of_a_bucket_no_objects_are_taken_that_a_killed_try_of_another_mask_copied(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of copies outlives a killed job."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for runs in (np.full((3, 4), 7, np.uint32), np.full((2, 4), 9, np.uint32)):
        data = io.BytesIO()
        np.save(data, runs)
        monkeypatch.setattr(Bucket, "_parts", lambda self, path, data=data: [data.getvalue()])
        monkeypatch.setattr(Bucket, "size", lambda self, path: 1)
        there = replace(job, store=Store(tmp_path, Bucket("s3://data/a")), scratch=[])
        np.testing.assert_array_equal(runs_of(there), runs)
