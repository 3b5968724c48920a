"""Pyramid quality from files to table, figures and page: exact layers pass, a broken file is flagged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_pyramid_stages import plan_of, run_layer

from ophiolite.errors import PlanError, StoreError
from ophiolite.geometry import Box
from ophiolite.geometry.grid import indices
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import EncodingPlan, ProjectPlan, ScalePlan, VolumePlan
from ophiolite.precomputed.encoding import ChunkEncoding, encode_chunk
from ophiolite.precomputed.volume_info import chunk_name
from ophiolite.report.page import render_sections
from ophiolite.report.pyramid_quality_figures import draw_deviation, draw_drift
from ophiolite.stages.job import Job
from ophiolite.stages.pyramid_quality import SLAB_VX, is_lossless, measure_slab, slab_items, slab_of
from ophiolite.stages.pyramid_quality_section import pyramid_section
from ophiolite.stages.pyramid_quality_table import (
    COLUMNS,
    DRIFTED,
    WRONG,
    WRONG_CODED,
    rows_of_layer,
    write_pyramid_table,
)
from smk_functions import RULES, smk_function

SIZE = (37, 30, 22)
OFFSET = [7, -3, 1001]
PYRAMID: dict[str, Any] = {"factors": [(2, 2, 1), (2, 2, 2)], "chunk_vx": (16, 16, 16), "sharded": False, "gzip": False}


def measured(folder: Path, kind: str, break_mip: int | None = None, **pyramid: Any) -> tuple[ProjectPlan, Store]:
    """A layer made by the stages and measured from its files, one of which may be broken by a single byte before."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    if kind == "image":
        array = rng.integers(20, 230, SIZE).astype(np.uint8)
    else:
        cells = rng.integers(1, 9, tuple(-(-n // 6) for n in SIZE)).astype(np.uint64)
        array = np.kron(cells, np.ones((6, 6, 6), np.uint64))[: SIZE[0], : SIZE[1], : SIZE[2]]
        array[3, 3, 3] = 77
    plan = plan_of(folder, array, kind, OFFSET, PYRAMID | pyramid, 1)
    volume = run_layer(plan, folder)
    store = Store(folder / "results" / "p")
    if break_mip is not None:
        chunk = next(store.list(f"d/layers/v/{volume.scales[break_mip].key}"))
        data = bytearray(store.read(chunk))
        data[100] ^= 64
        store.write(chunk, bytes(data))
    measure_slab(Job(plan, store, "pyramid_quality", "d", "v", "0-1", 1))
    write_pyramid_table(plan, store)
    return plan, store


def rows_of(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(store.local("tables/pyramid_quality.parquet")).to_pylist()
    return rows


def test_an_exact_image_passes(tmp_path: Path) -> None:
    _, store = measured(tmp_path, "image", encoding="png")
    rows = rows_of(store)
    assert list(rows[0]) == list(COLUMNS)
    assert [(r["mip"], r["objects"], r["flag"], r["wrong_voxels"]) for r in rows] == [
        (m, "all", "", 0) for m in (0, 1, 2)
    ]
    assert [r["deviation_bound"] for r in rows] == [0, 0.5, 0.5]
    assert all(0.2 < r["deviation_abs_mean"] < 0.3 and r["deviation_max"] <= 0.5 for r in rows[1:])
    assert all(abs(r["drift"]) < 0.02 for r in rows)
    assert rows[0]["mean_value"] == pytest.approx(124.5, abs=2)
    text = store.read("tables/pyramid_quality.csv").decode()
    assert len(text.splitlines()) == 1 + len(rows)


def test_one_broken_byte_of_an_image_is_flagged(tmp_path: Path) -> None:
    _, store = measured(tmp_path, "image", break_mip=1, encoding="raw")
    assert [(r["flag"], r["wrong_voxels"]) for r in rows_of(store)] == [("", 0), (WRONG, 1), ("", 0)]


def test_a_broken_mip_0_makes_the_mips_above_it_wrong(tmp_path: Path) -> None:
    _, store = measured(tmp_path, "image", break_mip=0, encoding="raw")
    assert [r["flag"] for r in rows_of(store)] == ["", WRONG, WRONG]


def test_a_lossy_image_is_judged_by_what_its_encoding_takes(tmp_path: Path) -> None:
    plan, store = measured(tmp_path, "image", encoding="jpeg", quality=85)
    rows = rows_of(store)
    assert [(r["lossless"], r["flag"], r["deviation_bound"]) for r in rows] == [(False, "", None)] * 3
    assert all(r["deviation_max"] > 1 for r in rows[1:])
    assert all(0.5 < r["deviation_abs_mean"] / r["deviation_expected"] < 2 for r in rows[1:])
    judgements = [row[-1] for row in pyramid_section(plan, store).tables[0].rows]
    assert judgements == ["", "as its encoding", "as its encoding"]


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (np.zeros_like, WRONG_CODED),
        (lambda mip: np.roll(mip, 1, axis=0), WRONG_CODED),
        (lambda mip: mip - np.minimum(mip, 9), DRIFTED),
    ],
    ids=["black", "shifted", "darker"],
)
def test_a_broken_lossy_mip_is_flagged(
    tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]], flag: str
) -> None:
    plan, store = measured(tmp_path, "image", encoding="jpeg", quality=85)
    volume = plan.datasets["d"].layers["v"]
    assert isinstance(volume, VolumePlan)
    scale = volume.scales[1]
    folder = f"d/layers/v/{scale.key}"
    changed = np.asfortranarray(change(VolumeReader(store, "d/layers/v", 1).read(scale.box)))
    for cell in indices(Box((0, 0, 0), scale.chunks.shape)):
        box = scale.chunks.cell(cell)
        piece = np.asfortranarray(changed[box.slices(scale.box.start)])
        store.write(f"{folder}/{chunk_name(box)}", encode_chunk(piece, ChunkEncoding("jpeg", quality=85, gzip=False)))
    measure_slab(Job(plan, store, "pyramid_quality", "d", "v", "0-1", 1))
    write_pyramid_table(plan, store)
    assert [r["flag"] for r in rows_of(store)] == ["", flag, ""]
    assert any(flag in line for line in pyramid_section(plan, store).text)


@pytest.mark.parametrize("method", ["mean", "max"])
def test_sound_mips_above_a_lossy_one_pass_whatever_the_method(tmp_path: Path, method: str) -> None:
    _, store = measured(tmp_path, "image", encoding="png", method=method, mips={0: {"encoding": "jpeg", "quality": 85}})
    assert [r["flag"] for r in rows_of(store)] == ["", "", ""]


def test_labels_are_followed_by_size(tmp_path: Path) -> None:
    _, store = measured(tmp_path, "segmentation", encoding="compresso")
    rows = rows_of(store)
    whole = [r for r in rows if r["objects"] == "all"]
    assert [(r["flag"], r["labels"], r["labels_lost"]) for r in whole] == [("", 9, 0), ("", 9, 1), ("", 9, 1)]
    assert whole[0]["changed_share"] == 0 < whole[1]["changed_share"] < whole[2]["changed_share"] < 0.5
    single = [r for r in rows if r["min_object_vx"] == 1]
    assert [(r["labels"], r["labels_lost"], r["volume_change_median"]) for r in single] == [
        (1, 0, 0),
        (1, 1, -1),
        (1, 1, -1),
    ]
    assert {r["objects"] for r in single} == {"1 to 9 voxels"}
    assert all(r["voxels"] is None and r["flag"] is None for r in single)


def test_a_broken_byte_of_labels_is_flagged(tmp_path: Path) -> None:
    _, store = measured(tmp_path, "segmentation", break_mip=2, encoding="raw")
    assert [r["flag"] for r in rows_of(store) if r["objects"] == "all"] == ["", "", WRONG]


@pytest.mark.parametrize("kind", ["image", "segmentation"])
def test_figures_and_page_are_made_of_the_measures(tmp_path: Path, kind: str) -> None:
    plan, store = measured(tmp_path, kind, break_mip=1, encoding="raw")
    rows = rows_of_layer(plan, store, "d", "v")
    for again in range(2):
        for name, draw in (("deviation", draw_deviation), ("drift", draw_drift)):
            for ending in ("svg", "png"):
                path = store.local(f"figures/d.v.pyramid_{name}.{ending}")
                path.parent.mkdir(exist_ok=True)
                before = path.read_bytes() if again else None
                draw(rows, path)
                assert before in (None, path.read_bytes())
    section = pyramid_section(plan, store)
    page = render_sections("p", "quality", [], [section])
    assert "mip 1: deviates from the exact reduction by more than rounding at 1 voxel." in " ".join(section.text)
    assert "1 are exact to the rounding" in " ".join(section.text)
    assert page.count("<figure") == 2
    if kind == "segmentation":
        assert "1 of 9 objects have no voxel left at mip 2 of d/v" in " ".join(section.text)


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    plan, store = measured(tmp_path, "image", encoding="raw")
    store.delete("d/quality/v/pyramid_quality/0-1.parquet")
    with pytest.raises(StoreError, match=r"0-1\.parquet"):
        write_pyramid_table(plan, store)


@given(st.tuples(*[st.integers(1, 400_000)] * 3), st.tuples(*[st.integers(1, 40)] * 3))
def test_slabs_of_the_workflow_are_those_of_the_library(size: Any, top: Any) -> None:
    volume = volume_of(size, top)
    items = slab_items(volume)
    assert f"\nPYRAMID_SLAB_VX = {SLAB_VX:_}\n" in (RULES / "pyramid_quality_inputs.smk").read_text()
    assert smk_function("pyramid_slabs", PYRAMID_SLAB_VX=SLAB_VX)(volume.model_dump()) == items
    slabs = [slab_of(volume, item) for item in items]
    assert sum(slab.volume for slab in slabs) == volume.scales[-1].box.volume
    assert not any(slab.empty for slab in slabs)
    with pytest.raises(PlanError, match="--slab"):
        slab_of(volume, f"{len(items)}-{len(items)}")


def volume_of(size: Any, top: Any) -> VolumePlan:
    encoding = EncodingPlan(name="raw", quality=None, gzip=False)
    scales = [
        ScalePlan.model_construct(mip=mip, size_vx=vx, voxel_offset_vx=(3, -4, 5), encoding=encoding)
        for mip, vx in enumerate((size, top))
    ]
    return VolumePlan.model_construct(scales=tuple(scales))


@pytest.mark.parametrize(
    ("name", "quality", "lossless"),
    [("jpeg", 100, False), ("jxl", 99, False), ("jxl", 100, True), ("png", None, True), ("crackle", None, True)],
)
def test_which_encodings_lose_nothing(name: str, quality: int | None, lossless: bool) -> None:
    encoding = EncodingPlan(name=name, quality=quality, gzip=False)
    assert is_lossless(ScalePlan.model_construct(encoding=encoding)) is lossless


@pytest.mark.parametrize("kind", ["image", "segmentation"])
@pytest.mark.parametrize(("factors", "value"), [([], 1), ([(2, 2, 2)], 0), ([], 0)])
def test_a_layer_of_one_mip_or_of_nothing_has_its_figures(
    tmp_path: Path, kind: str, factors: list[Any], value: int
) -> None:
    array = np.full((6, 5, 4), value, np.uint8 if kind == "image" else np.uint64)
    plan = plan_of(tmp_path, array, kind, [1, 0, 0], PYRAMID | {"factors": factors}, 1)
    run_layer(plan, tmp_path)
    store = Store(tmp_path / "results" / "p")
    measure_slab(Job(plan, store, "pyramid_quality", "d", "v", "0-1", 1))
    write_pyramid_table(plan, store)
    rows = rows_of_layer(plan, store, "d", "v")
    assert not any(r.get("flag") for r in rows)
    for name, draw in (("deviation", draw_deviation), ("drift", draw_drift)):
        path = store.local(f"figures/d.v.pyramid_{name}.svg")
        path.parent.mkdir(exist_ok=True)
        draw(rows, path)
    assert render_sections("p", "quality", [], [pyramid_section(plan, store)]).count("<figure") == 2
