"""Patches cut from finished layers of slides: pixels, masks, fractions and names against slow ways; retries."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from cut_slides import SIZE, cut, join, project, store_of
from ophiolite.config.load import parse_config
from ophiolite.config.slides import Patches
from ophiolite.errors import PlanError
from ophiolite.geometry import Box
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.sources.kpis import read_kpis_folder
from ophiolite.sources.slide_sheet import SheetRow
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.patch_filter import Thumbnail
from ophiolite.stages.patch_frame import frame_of
from ophiolite.stages.slide_patches import write_slide_patches


def layer_pixels(plan: ProjectPlan, folder: Path, layer: str, mip: int = 0) -> NDArray[Any]:
    volume = plan.datasets["s0"].layers[layer]
    assert isinstance(volume, VolumePlan)
    reader = VolumeReader(store_of(folder), f"s0/layers/{layer}", mip, volume_info(volume))
    return reader.read(reader.box)[:, :, 0]


def picture(folder: Path, path: str) -> NDArray[Any]:
    return np.asarray(Image.open(store_of(folder).root / path)).swapaxes(0, 1)


def test_patches_of_mip_0_are_its_pixels(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 200, "stride_px": 150, "min_tissue": 0.3})
    rows = cut(plan, tmp_path)
    image, mask = layer_pixels(plan, tmp_path, "slide"), layer_pixels(plan, tmp_path, "mask")[..., 0]
    assert [row["index"] for row in rows] == list(range(7 * 4))
    tissue = np.zeros(SIZE, bool)
    tissue[300:900, 100:700] = True
    for row in rows:
        here = (slice(row["x_px"], row["x_px"] + 200), slice(row["y_px"], row["y_px"] + 200))
        assert (row["x0_px"], row["y0_px"], row["w0_px"], row["h0_px"]) == (row["x_px"], row["y_px"], 200, 200)
        assert (row["x_px"], row["y_px"]) == (row["col"] * 150, row["row"] * 150)
        assert row["patch"] == f"S0_{row['index']}_{row['x_px']}_{row['y_px']}"
        assert row["tissue_fraction"] == pytest.approx(tissue[here].mean(), abs=0.12)
        assert row["fraction_glomerulus"] == pytest.approx((mask[here] == 1).mean())
        assert row["fraction_sclerosed"] == pytest.approx((mask[here] == 2).mean())
        assert row["label_fraction"] == pytest.approx((mask[here] > 0).mean())
        assert row["keep"] == (row["tissue_fraction"] >= 0.3) == (row["reason"] == "") == (row["image"] is not None)
        if row["keep"]:
            assert np.array_equal(picture(tmp_path, row["image"]), image[here])
            assert np.array_equal(picture(tmp_path, row["mask"]), mask[here])
            assert (mask[here] > 0).any() == bool(row["label_fraction"])
    assert {row["reason"] for row in rows} == {"", "tissue"}
    clear = [row for row in rows if tissue[row["x_px"] :, row["y_px"] :][:200, :200].mean() in (0, 1)]
    assert all(row["keep"] == bool(tissue[row["x_px"], row["y_px"]]) for row in clear)


@pytest.mark.parametrize(("mpp", "ratio"), [(1.0, 1), (1.5, 2), (0.8, 1), (0.5, 2), (1.004, 2), (0.9, 5)])
def test_image_and_mask_of_another_resolution_are_of_the_same_area(tmp_path: Path, mpp: float, ratio: int) -> None:
    plan = project(tmp_path, {"size_px": 64, "stride_px": 64, "mpp": mpp, "min_tissue": 0.9}, ratio)
    rows = [row for row in cut(plan, tmp_path) if row["keep"]]
    image = layer_pixels(plan, tmp_path, "slide").astype(float)
    mask = layer_pixels(plan, tmp_path, "mask")[..., 0]
    assert mask.shape == (SIZE[0] // ratio, SIZE[1] // ratio)
    step = 2.0 if mpp == 1.004 else mpp / 0.5
    assert rows
    for row in rows[:4]:
        assert row["mpp_x_um"] == pytest.approx(step * 0.5)
        found, labels = picture(tmp_path, row["image"]), picture(tmp_path, row["mask"])
        for i, j in np.random.default_rng(0).integers(0, 64, (25, 2)):
            low = np.array([row["x_px"] + i, row["y_px"] + j]) * step
            assert found[i, j] == pytest.approx(area_of(image, low, step).mean(axis=0), abs=0.8)
            values = area_of(mask[..., None], low / ratio, step / ratio)[:, 0]
            counts = np.bincount(values, minlength=3)
            assert counts[labels[i, j]] >= counts.max() - 0.02 * counts.sum()
        assert abs(row["x0_px"] - row["x_px"] * step) <= 0.5
    everything = sum(row["label_fraction"] for row in rows) * 64**2
    assert everything == pytest.approx(sum((picture(tmp_path, row["mask"]) > 0).sum() for row in rows), rel=0.03)


def area_of(pixels: NDArray[Any], low: NDArray[Any], step: float) -> NDArray[Any]:
    """The values at many points of a square."""
    points = (np.arange(60) + 0.5) / 60 * step
    x, y = (np.floor(v + points).astype(int) for v in low)
    values: NDArray[Any] = pixels[np.ix_(x, y)].reshape(-1, pixels.shape[2])
    return values


def test_a_level_is_taken_as_it_is(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 100, "stride_px": 100, "level": 1, "edge": "snap"})
    rows = cut(plan, tmp_path)
    image = layer_pixels(plan, tmp_path, "slide", 1)
    assert sorted({row["x_px"] for row in rows}) == [0, 100, 200, 300, 400, 500, 505]
    assert sorted({row["y_px"] for row in rows}) == [0, 100, 200, 265]
    for row in rows:
        if row["keep"]:
            here = (slice(row["x_px"], row["x_px"] + 100), slice(row["y_px"], row["y_px"] + 100))
            assert np.array_equal(picture(tmp_path, row["image"]), image[here])
            assert row["mpp_x_um"] == 1.0


def test_padding_is_background_and_counts_as_no_tissue(tmp_path: Path) -> None:
    options = {"size_px": 900, "stride_px": 600, "edge": "pad", "min_tissue": 0}
    plan = project(tmp_path, options, background=[10, 20, 30])
    rows = cut(plan, tmp_path)
    boxes = [(row["x_px"], row["y_px"], row["w_px"], row["h_px"]) for row in rows]
    assert boxes == [(0, 0, 900, 730), (600, 0, 610, 730)]
    for row in rows:
        found, labels = picture(tmp_path, row["image"]), picture(tmp_path, row["mask"])
        assert found.shape == (900, 900, 3)
        assert (found[row["w_px"] :] == [10, 20, 30]).all()
        assert (found[:, row["h_px"] :] == [10, 20, 30]).all()
        assert not labels[:, row["h_px"] :].any()
    assert rows[0]["tissue_fraction"] == pytest.approx(600 * 600 / 900**2, abs=0.03)


def test_the_tree_of_the_kpis_challenge_is_read_back(tmp_path: Path) -> None:
    options = {"size_px": 128, "stride_px": 64, "naming": "kpis2024", "min_label": 0.01}
    plan = project(tmp_path, options)
    rows = [row for row in cut(plan, tmp_path) if row["keep"]]
    read = read_kpis_folder(store_of(tmp_path).root / "slides" / "patches")
    assert {row.slide_id for row in read} == {row["patch"] for row in rows}
    assert all(isinstance(row, SheetRow) for row in read)
    for row in read:
        assert isinstance(row, SheetRow)
        assert (row.group, row.case_id, row.kind) == ("DN", "case0", "patch")
        assert row.image.suffix == ".jpg"
        assert row.mask is not None
        assert set(np.unique(np.asarray(Image.open(row.mask))).tolist()) <= {0, 255}
    columns = (SIZE[0] - 128) // 64 + 1
    assert all(row["index"] == row["y_px"] // 64 * columns + row["x_px"] // 64 for row in rows)


def test_images_are_jpeg_where_the_challenge_names_them_unless_asked_for_otherwise() -> None:
    assert Patches.model_validate({}).format == "png"
    assert Patches.model_validate({"naming": "kpis2024"}).format == "jpeg"
    assert Patches.model_validate({"naming": "kpis2024", "format": "png"}).format == "png"
    assert Patches.model_validate({"naming": "plain", "format": "jpeg"}).format == "jpeg"


def test_two_slides_of_a_case_cannot_share_the_challenges_names(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 128, "stride_px": 64, "naming": "kpis2024"}, slides=2)
    sheet = tmp_path / "slides.tsv"
    sheet.write_text(sheet.read_text().replace("case1", "case0"))
    config = parse_config({**plan.config}, "test")
    plan = make_plan(config, Path(), Speeds())
    with pytest.raises(PlanError, match="S0, S1"):
        cut(plan, tmp_path)


def test_a_slide_without_a_mask_has_patches_without_labels(tmp_path: Path) -> None:
    rows = cut(project(tmp_path, {"size_px": 200, "stride_px": 200}, ratio=0), tmp_path)
    assert all(row["mask"] is None and row["label_fraction"] is None for row in rows)
    assert any(row["keep"] for row in rows)


def test_a_retried_job_skips_rows_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = project(tmp_path, {"size_px": 100, "stride_px": 100})
    store = store_of(tmp_path)
    job = Job(plan, store, "slide_patches", "s0", "slide", "", 1)
    whole = Store.write
    made: list[str] = []

    def failing(self: Store, path: str, data: Any) -> Any:
        if path.startswith("slides/patches") and len(made) > 7:
            raise KeyboardInterrupt
        made.append(path)
        return whole(self, path, data)

    monkeypatch.setattr(Store, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        write_slide_patches(job)
    first = set(made)
    made.clear()

    def counting(self: Store, path: str, data: Any) -> Any:
        made.append(path)
        return whole(self, path, data)

    monkeypatch.setattr(Store, "write", counting)
    rows = cut(plan, tmp_path)
    again = {path for path in first & set(made) if path.startswith("slides/patches")}
    row_of = {row[kind]: row["row"] for row in rows for kind in ("image", "mask") if row[kind]}
    unfinished = {row_of[path] for path in again}
    assert len(unfinished) <= 1
    assert {path for path in row_of if store.exists(path)} == set(row_of)
    named = {file.path for file in read_receipt(store, job.paths.receipt("slide_patches", "")).files}
    assert named == {*row_of, job.paths.patches}


def test_the_table_of_all_slides_and_what_earlier_settings_left(tmp_path: Path) -> None:
    options = {"size_px": 200, "stride_px": 150, "min_tissue": 0.3}
    plan = project(tmp_path, options, slides=2)
    store = store_of(tmp_path)
    store.write("slides/patches/gone/img/old.png", b"")
    rows = cut(plan, tmp_path) + cut(plan, tmp_path, "s1")
    counts = join(plan, tmp_path)
    assert pq.read_table(io.BytesIO(store.read("slides/tables/patches.parquet"))).to_pylist() == rows
    lines = list(csv.DictReader(io.StringIO(store.read("slides/tables/patches.csv").decode())))
    assert [line["patch"] for line in lines] == [row["patch"] for row in rows]
    assert [(c["slide_id"], c["patches"]) for c in counts] == [("S0", 28), ("S1", 28)]
    assert counts[0]["kept"] == sum(row["keep"] for row in rows[:28])
    assert counts[0]["kept"] + counts[0]["too_little_tissue"] == 28
    assert not store.exists("slides/patches/gone/img/old.png")
    assert {p for row in rows for p in (row["image"], row["mask"]) if p} == set(store.list("slides/patches"))


def test_a_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 100, "stride_px": 70, "mpp": 0.8, "format": "jpeg"})
    cut(plan, tmp_path)
    receipt = store_of(tmp_path).read("s0/receipts/slide/slide_patches.json")
    cut(plan, tmp_path)
    assert store_of(tmp_path).read("s0/receipts/slide/slide_patches.json") == receipt


def test_the_plan_says_what_patches_take(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 64, "stride_px": 32, "mpp": 1.0, "format": "jpeg"})
    volume = plan.datasets["s0"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    (cost,) = [c for c in volume.costs if c.rule == "slide_patches"]
    count = ((SIZE[0] // 2 - 64) // 32 + 1) * ((SIZE[1] // 2 - 64) // 32 + 1)
    assert (cost.jobs, cost.files) == (1, 2 * count + 1)
    assert 500 < cost.memory_mb < 700
    rows = cut(plan, tmp_path)
    assert len(rows) == count


def test_tissue_is_looked_for_in_few_pixels_whatever_the_slide(tmp_path: Path) -> None:
    volume = project(tmp_path, {"size_px": 64, "stride_px": 64}).datasets["s0"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    base = volume.scales[0]
    scales = [
        base.model_copy(
            update={
                "mip": mip,
                "size_vx": (100_000 >> mip, 90_000 >> mip, 1),
                "resolution_nm": (250.0 * 2**mip, 250.0 * 2**mip, 4000.0),
            }
        )
        for mip in range(9)
    ]
    small, huge = Thumbnail.of(volume.scales), Thumbnail.of(scales)
    assert (small.mip.mip, small.um_per_px) == (len(volume.scales) - 1, 8.0)
    coarse = Thumbnail.of([base.model_copy(update={"resolution_nm": (20_000.0, 20_000.0, 4000.0)})])
    assert (coarse.mip.mip, coarse.um_per_px) == (0, 20.0), "what is a speck follows the true scale"
    assert huge.mip.mip == 5
    assert huge.um_per_px == pytest.approx(11.86, abs=0.01)


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 2}, {"mpp": 1.0}, {"mpp": 0.85}])
def test_slides_that_were_cropped_keep_their_place(tmp_path: Path, options: dict[str, Any]) -> None:
    volume = project(tmp_path, {"size_px": 64, "stride_px": 64}).datasets["s0"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    whole = Box.of((102, 50, 0), volume.scales[0].size_vx)
    scales = []
    for mip in range(3):
        box = coarse_box(whole, (2**mip, 2**mip, 1))
        update = {"mip": mip, "factor": (2**mip, 2**mip, 1), "voxel_offset_vx": box.start, "size_vx": box.shape}
        scales.append(volume.scales[0].model_copy(update=update))
    cropped = volume.model_copy(update={"scales": tuple(scales)})
    frame = frame_of(cropped, 2, Patches(**options), "slide")
    first, stop = frame.finest.low(0, 0), frame.finest.low(*frame.size_px)
    level = options.get("level", 0)
    step = options["mpp"] / 0.5 if "mpp" in options else 2**level
    for axis in (0, 1):
        assert whole.start[axis] <= first[axis] < whole.start[axis] + step
        assert whole.stop[axis] - step < stop[axis] <= whole.stop[axis] + 1e-6
        assert frame.mask.low(3, 5)[axis] == pytest.approx(frame.finest.low(3, 5)[axis] / 2)
        assert frame.image.low(3, 5)[axis] == pytest.approx(frame.finest.low(3, 5)[axis] / 2**level)
    assert scales[level].box.contains(frame.image.box(0, 0, *frame.size_px, 0))
