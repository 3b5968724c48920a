"""Slides through the real workflow: the whole chain, rows at fault beside good ones, resuming, the same bytes again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from damage import HARMS, damage, faults_of, kinds_of, times_of
from numpy.typing import NDArray
from PIL import Image
from workspace import Run, Workspace, checksums, planned_jobs, unfinished

from ophiolite.__main__ import main
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.slide_model import SlideRowPlan
from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import viewer_state
from ophiolite.sources.slide import SlideReading, open_slide
from ophiolite.stages.job import load_plan

SLIDES = ("12_101", "11_202")
HEADER = "slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind\n"
GOOD = (
    "12-101\tc1\t56Nx\timages/12-101.tiff\tmasks/12-101_mask.png\t\t\n"
    "11-202\tc2\tnormal\timages/11-202.svs\tmasks/11-202_mask.png\t\t\n"
)
# Every kind of file that the receipts of a slide name.
KINDS = (
    "associated/slide/thumbnail.png",
    "exports/slide/*.ome.tif",
    "exports/slide/*.ome.zarr/*/c/*/*/*/*/*",
    "exports/slide/*.ome.zarr/*/zarr.json",
    "exports/slide/*.ome.zarr/zarr.json",
    "layers/boxes/by_id/*.shard",
    "layers/boxes/info",
    "layers/boxes/rel_objects/*.shard",
    "layers/boxes/spatial*/*.shard",
    "layers/contours/by_id/*.shard",
    "layers/contours/info",
    "layers/contours/rel_objects/*.shard",
    "layers/contours/spatial*/*.shard",
    "layers/mask/*/*.shard",
    "layers/mask/info",
    "layers/mask/segment_properties/info",
    "layers/objects/*/*.shard",
    "layers/objects/info",
    "layers/objects/segment_properties/info",
    "layers/slide/*/*.shard",
    "layers/slide/info",
    "objects/mask/*.parquet",
    "objects/objects/*.parquet",
    "objects/objects/contours.geojson",
    "objects/objects/slide.parquet",
    "patches/slide.parquet",
    "slides/patches/*/img/*.png",
    "slides/patches/*/mask/*.png",
    "work/mask/label_stats/*.npy",
    "work/mask/statistics/*.npy",
    "work/objects/label_stats/*.npy",
    "work/objects/mask_objects.npy",
    "work/objects/mask_objects_measures.npz",
    "work/objects/slide_contours.npz",
    "work/objects/statistics/*.npy",
)
# What figures and pages look like depends on the machine's fonts; dates of writing stand in logs and timings.
PICTURES = re.compile(r"\.(png|svg|html)$")


def config() -> dict[str, Any]:
    return {
        "project": "tiny",
        "store": "results",
        "slides": {
            "sheet": "slides.tsv",
            "mask": {"binarise": None, "structures": {1: "glomerulus", 2: "sclerosed"}},
            "patches": {"size_px": 256, "stride_px": 256, "mpp": 0.5, "min_tissue": 0.2},
            "splits": {"fractions": {"train": 0.5, "test": 0.5}},
            "exports": ["ome_tiff", "ome_zarr"],
        },
    }


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in slides at half their size; their folder."""
    folder = tmp_path_factory.mktemp("phantoms") / "slides"
    assert main(["make_slides", str(folder), "--size-px", "1000", "720"]) == 0
    return folder


def workspace_in(folder: Path, phantoms: Path, sheet: str) -> Workspace:
    """A workspace with the phantoms beside its sheet."""
    shutil.copytree(phantoms / "images", folder / "images")
    shutil.copytree(phantoms / "masks", folder / "masks")
    (folder / "slides.tsv").write_text(HEADER + sheet)
    workspace = Workspace(folder, config())
    workspace.write_config()
    return workspace


def run_slides(workspace: Workspace, *args: str) -> Run:
    return workspace.snakemake(*args, "--", "slides")


@pytest.fixture(scope="module")
def chain(phantoms: Path, kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two phantom slides, run to the end; for reading only."""
    workspace = workspace_in(tmp_path_factory.mktemp("chain"), phantoms, GOOD)
    workspace.take_kernels(kernels)
    done = run_slides(workspace)
    assert done.code == 0, done.text
    return workspace


def jobs_of(workspace: Workspace) -> dict[str, int]:
    """Jobs per rule that a dry run of the slides shows."""
    done = run_slides(workspace, "--dry-run")
    assert done.code == 0, done.text
    return {rule: count for rule, count in planned_jobs(done.text).items() if rule != "slides"}


def slides(workspace: Workspace) -> list[SlideRowPlan]:
    """The rows that were not refused."""
    plan = load_plan(workspace.project / "plan.json").slides
    assert plan is not None
    return plan.planned()


def pixels(workspace: Workspace, dataset: str, layer: str, mip: int = 0) -> NDArray[Any]:
    """All voxels of a mip of a finished layer, (x, y, c)."""
    reader = VolumeReader(Store(workspace.project), f"{dataset}/layers/{layer}", mip)
    return reader.read(reader.box)[:, :, 0]


def check_close(shown: NDArray[Any], truth: NDArray[Any]) -> None:
    """Equal but for what JPEG at quality 90 loses: no shift of place or colour."""
    assert np.abs(shown - truth).mean() < 3
    assert np.abs((shown - truth).mean((0, 1))).max() < 0.5


@pytest.mark.parametrize("dataset", SLIDES)
def test_layers_hold_the_pixels_of_the_slide_and_the_structures_of_its_mask(chain: Workspace, dataset: str) -> None:
    slide = open_slide(chain.folder / next(r.image for r in slides(chain) if r.dataset == dataset), SlideReading())
    truth = slide.read(slide.box)[:, :, 0].astype(float)
    shown = pixels(chain, dataset, "slide").astype(float)
    assert shown.shape == truth.shape
    check_close(shown, truth)
    half = truth[: truth.shape[0] // 2 * 2, : truth.shape[1] // 2 * 2]
    means = half.reshape(half.shape[0] // 2, 2, half.shape[1] // 2, 2, 3).mean((1, 3))
    coarse = pixels(chain, dataset, "slide", 1).astype(float)[: means.shape[0], : means.shape[1]]
    check_close(coarse, means)
    mask, objects = (pixels(chain, dataset, name)[..., 0] for name in ("mask", "objects"))
    assert set(np.unique(mask)) == {0, 1, 2}
    np.testing.assert_array_equal(mask > 0, objects > 0)


@pytest.mark.parametrize(("dataset", "slide"), [("12_101", "12-101"), ("11_202", "11-202")])
def test_the_objects_are_those_of_the_phantom(chain: Workspace, phantoms: Path, dataset: str, slide: str) -> None:
    truth = json.loads((phantoms / "truth.json").read_text())[slide]["objects"]
    labels, areas = np.unique(pixels(chain, dataset, "objects"), return_counts=True)
    assert sorted(areas[labels > 0].tolist()) == sorted(o["area_px"] for o in truth)


def test_a_finished_project_has_nothing_to_do_and_leaves_nothing_unfinished(chain: Workspace) -> None:
    assert jobs_of(chain) == {}
    assert unfinished(chain.project) == []


def test_the_viewer_opens_each_slide_alone(chain: Workspace) -> None:
    for dataset in SLIDES:
        state = viewer_state(read_views(chain.project, dataset=dataset), "http://localhost:1")
        assert state["layout"] == "xy"
        assert [layer["name"] for layer in state["layers"]][:3] == ["slide", "mask", "objects"]
        assert all(f"/{dataset}/layers/" in layer["source"] for layer in state["layers"])


@pytest.mark.parametrize("turn", range(len(HARMS)))
def test_each_kind_is_found_damaged_in_each_way(chain: Workspace, tmp_path: Path, turn: int) -> None:
    workspace = chain.copy_to(tmp_path)
    damaged = damage(workspace.project, "11_202", turn)
    done = workspace.command("verify", "--plan", str(workspace.project / "plan.json"), "--threads", "2")
    assert done.code == 1
    assert {path: row["fault"] for path, row in faults_of(workspace.project).items()} == damaged


def test_all_damage_of_a_slide_is_healed_and_the_rest_is_untouched(chain: Workspace, tmp_path: Path) -> None:
    workspace = chain.copy_to(tmp_path)
    assert tuple(sorted(kinds_of(workspace.project, "11_202"))) == KINDS
    before, times = checksums(workspace.project), times_of(workspace.project, "11_202")
    damaged = damage(workspace.project, "11_202", 0)
    assert workspace.snakemake("--", "verify").code != 0
    healed = workspace.snakemake("--", "heal")
    assert healed.code == 0, healed.text
    assert f"Healed: {len(KINDS)} files" in healed.text
    after, now = checksums(workspace.project), times_of(workspace.project, "11_202")
    assert {name: after[name] for name in before} == before
    assert {path for path in times if now[path] != times[path]} == {p for p in damaged if p in times}
    assert jobs_of(workspace) == {}


def test_another_folder_gets_the_same_bytes(chain: Workspace, phantoms: Path, tmp_path: Path) -> None:
    other = workspace_in(tmp_path, phantoms, GOOD)
    other.take_kernels(chain.kernels)
    for name in ("images", "masks"):  # the plan knows files by their times
        for file in (chain.folder / name).iterdir():
            shutil.copystat(file, tmp_path / name / file.name)
    done = run_slides(other)
    assert done.code == 0, done.text
    first, second = checksums(chain.project), checksums(other.project)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name] and not PICTURES.search(name)] == []


def test_a_lost_layer_is_made_again_and_nothing_of_the_other_slide(chain: Workspace, tmp_path: Path) -> None:
    workspace = chain.copy_to(tmp_path)
    before = checksums(workspace.project)
    receipts = workspace.project / "12_101/receipts/slide"
    workspace.forget(*receipts.glob("pyramid_blocks/*.json"), receipts / "layer_done.json")
    jobs = jobs_of(workspace)
    assert jobs["pyramid_blocks"] == 1
    assert jobs["slide_patches"] == 1
    assert "slide_facts" not in jobs
    assert run_slides(workspace).code == 0
    after = checksums(workspace.project)
    assert [name for name in before if after[name] != before[name] and not PICTURES.search(name)] == []


def test_another_grid_of_patches_remakes_their_tables(chain: Workspace, tmp_path: Path) -> None:
    workspace = chain.copy_to(tmp_path).changed("slides.patches.stride_px", 128)
    workspace.plan()
    jobs = jobs_of(workspace)
    assert (jobs["slide_patches"], jobs["patches_table"], jobs["patch_faults"]) == (2, 1, 1)
    assert "slide_facts" not in jobs
    assert "slide_statistics" not in jobs
    alone = workspace.snakemake("--dry-run", "--", "results/tiny/slides/patched.json")
    assert planned_jobs(alone.text)["slide_patches"] == 2, alone.text


def test_an_edited_mask_makes_its_own_slide_again(chain: Workspace, phantoms: Path, tmp_path: Path) -> None:
    workspace = chain.copy_to(tmp_path)
    shutil.copy(phantoms / "masks/12-101_mask.png", workspace.folder / "masks/11-202_mask.png")
    workspace.plan()
    jobs = jobs_of(workspace)
    assert (jobs["mask_objects"], jobs["slide_facts"], jobs["slide_objects"]) == (1, 1, 1)
    assert jobs["pyramid_blocks"] == 2  # of mask and objects; the slide's stays
    listed = run_slides(workspace, "--dry-run", "--printshellcmds").text
    assert "--dataset 11_202" in listed
    assert "--dataset 12_101" not in listed


def no_mpp(folder: Path) -> str:
    """A TIFF without resolution tags."""
    tifffile.imwrite(folder / "images/bare.tif", np.full((300, 400, 3), 200, np.uint8), photometric="rgb")
    return "bare\tx\tDN\timages/bare.tif\t\t\t\n"


def broken_svs(folder: Path) -> str:
    """An SVS of which half is missing."""
    data = (folder / "images/12-102.svs").read_bytes()
    (folder / "images/broken.svs").write_bytes(data[: len(data) // 2])
    return "broken\tx\tDN\timages/broken.svs\t\t\t\n"


def other_mask(folder: Path) -> str:
    """A mask of another slide's size."""
    Image.fromarray(np.zeros((700, 900), np.uint8)).save(folder / "masks/other.png")
    return "other\tx\tDN\timages/12-101.tiff\tmasks/other.png\t\t\n"


def duplicate(folder: Path) -> str:
    return "bad\tx\tDN\timages/12-101.tiff\t\t\t\nbad\tx\tDN\timages/11-202.svs\t\t\t\n"


def too_coarse(folder: Path) -> str:
    """A slide of fewer pixels than its patches want."""
    return "coarse\tx\tDN\timages/bare.tif\t\t1.0\t\n"


REFUSED = {
    no_mpp: "E140",
    broken_svs: "images/broken.svs",
    other_mask: "E142",
    duplicate: "'bad' is the id of rows 5, 6",
    too_coarse: "finer than their slide",
}


def torn(folder: Path) -> str:
    """A slide with a tile amid the file that no decoder takes."""
    path = folder / "images/torn.tiff"
    shutil.copy(folder / "images/12-101.tiff", path)
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages.first.dataoffsets[2], tiff.pages.first.databytecounts[2]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    return "torn\tc1\t56Nx\timages/torn.tiff\t\t\t\n"


def unnamed(folder: Path) -> str:
    """A slide whose mask holds a value that is none of the structures."""
    with Image.open(folder / "masks/11-202_mask.png") as picture:
        values = np.asarray(picture).copy()
    values[-5:, -5:] = 9
    Image.fromarray(values).save(folder / "masks/unnamed.png")
    return "unnamed\tc2\tnormal\timages/11-202.svs\tmasks/unnamed.png\t\t\n"


def glass(folder: Path) -> str:
    """A slide without tissue."""
    Image.fromarray(np.full((300, 400, 3), 240, np.uint8)).save(folder / "images/glass.png")
    return "glass\tc1\t56Nx\timages/glass.png\t\t0.5\t\n"


@pytest.fixture(scope="module")
def spoiled(chain: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run, dict[str, str]]:
    """The finished project, run again with all kinds of rows and slides at fault; how that ended; bytes before it."""
    workspace = chain.copy_to(tmp_path_factory.mktemp("spoiled"))
    bad = "".join(spoil(workspace.folder) for spoil in (*REFUSED, torn, unnamed, glass))
    (workspace.folder / "slides.tsv").write_text(HEADER + bad + GOOD)
    before = {name: value for name, value in checksums(workspace.project).items() if name.startswith(SLIDES)}
    return workspace, run_slides(workspace, "--keep-going"), before


def counts_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """What became of the patches of each slide."""
    rows = pq.read_table(workspace.project / "slides/tables/patch_counts.parquet").to_pylist()
    return {row["slide_id"]: row for row in rows}


def test_rows_and_slides_at_fault_are_named_and_the_others_go_on(
    spoiled: tuple[Workspace, Run, dict[str, str]],
) -> None:
    workspace, done, before = spoiled
    assert done.code != 0
    assert "refuse" in done.text
    for says in REFUSED.values():
        assert says in done.text
    after = checksums(workspace.project)
    # The others are not touched, and all that is made of all slides is there again, without the rows at fault.
    assert {name: after[name] for name in before} == before
    assert (workspace.project / "slides.html").is_file()
    assert [row.slide_id for row in slides(workspace)] == ["torn", "unnamed", "glass", "12-101", "11-202"]
    assert not (workspace.project / "bare/layers").exists()


def test_slides_at_fault_leave_the_others_their_patches(spoiled: tuple[Workspace, Run, dict[str, str]]) -> None:
    workspace, _, _ = spoiled
    counts = counts_of(workspace)
    assert "E143" in counts["torn"]["error"]
    assert "unnamed.png" in counts["unnamed"]["error"]
    assert "E144: none of 1 patches is kept" in counts["glass"]["none_kept"]
    assert all(counts[slide]["kept"] and not counts[slide]["error"] for slide in ("12-101", "11-202"))
    patches = pq.read_table(workspace.project / "slides/tables/patches.parquet").to_pylist()
    assert {row["slide_id"] for row in patches} == {"glass", "12-101", "11-202"}
    assert {row["slide_id"] for row in patches if row["keep"]} == {"12-101", "11-202"}
    said = (workspace.project / "logs/patch_faults.log").read_text()
    assert "3 of 5 slides have no patches" in said
    assert all(words in said for words in ("E143", "unnamed.png", "min_tissue 0 would keep 1"))
    assert not (workspace.project / "slides/patched.json").exists()
    assert "E144" not in (workspace.project / "logs/slide_readable.log").read_text()


def test_a_mended_slide_is_done_again_alone(spoiled: tuple[Workspace, Run, dict[str, str]], tmp_path: Path) -> None:
    workspace = spoiled[0].copy_to(tmp_path)
    shutil.copy(workspace.folder / "images/12-101.tiff", workspace.folder / "images/torn.tiff")
    (workspace.folder / "slides.tsv").write_text(HEADER + "torn\tc1\t56Nx\timages/torn.tiff\t\t\t\n" + GOOD)
    workspace.plan()
    jobs = jobs_of(workspace)
    assert (jobs["slide_facts"], jobs["pyramid_blocks"], jobs["slide_patches"]) == (1, 1, 1)
    done = run_slides(workspace)
    assert done.code == 0, done.text
    counts = counts_of(workspace)
    assert sorted(counts) == ["11-202", "12-101", "torn"]
    assert counts["torn"]["kept"] == counts["12-101"]["kept"] > 0
    assert jobs_of(workspace) == {}
