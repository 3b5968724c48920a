"""Pyramids as the stages make them: any cut into tasks, blocks and rounds gives the bytes of the whole volume."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.config.load import parse_config
from ophiolite.geometry import Box
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.job import Job
from ophiolite.stages.layer import write_layer_info
from ophiolite.stages.pyramid_block import run_pyramid_block


def plan_of(
    folder: Path, array: NDArray[Any], kind: str, offset: list[int], pyramid: dict[str, Any], blocks: int
) -> ProjectPlan:
    with h5py.File(folder / "raw.h5", "w") as file:
        file["v"] = array.T
    config = {
        "project": "p",
        "store": str(folder / "results"),
        "jobs": {"min_blocks": blocks},
        "datasets": {
            "d": {
                "layers": {
                    "v": {
                        "type": kind,
                        "source": f"{folder}/raw.h5:/v",
                        "resolution_nm": [8, 8, 20],
                        "voxel_offset_vx": offset,
                        "pyramid": pyramid,
                    }
                }
            }
        },
    }
    return make_plan(parse_config(config, "test"), Path(), Speeds())


def run_layer(plan: ProjectPlan, folder: Path) -> VolumePlan:
    volume = plan.datasets["d"].layers["v"]
    assert isinstance(volume, VolumePlan), volume
    store = Store(folder / "results" / "p")
    info = Job(plan, store, "layer_info", "d", "v", "", 1)
    write_layer_info(info)
    for r in volume.rounds:
        for block in r.block_names():
            job = Job(plan, store, "pyramid_blocks", "d", "v", f"r{r.number}.{block}", 1)
            written, _, _ = run_pyramid_block(job, r.number, block)
            job.finish(written)
    return volume


def slow_means(array: NDArray[Any], box: Box, factor: tuple[int, int, int]) -> NDArray[Any]:
    """Correctly rounded means by one Python loop over coarse voxels."""
    coarse = coarse_box(box, factor)
    out = np.zeros(coarse.shape, dtype=array.dtype)
    for index in np.ndindex(*coarse.shape):
        i = tuple(a + b for a, b in zip(index, coarse.start, strict=True))
        cell = Box(
            (i[0] * factor[0], i[1] * factor[1], i[2] * factor[2]),
            ((i[0] + 1) * factor[0], (i[1] + 1) * factor[1], (i[2] + 1) * factor[2]),
        ).intersect(box)
        values = array[cell.slices(box.start)]
        total, count = int(values.sum(dtype=np.int64)), values.size
        quotient, rest = divmod(total, count)
        up = 2 * rest > count or (2 * rest == count and quotient % 2 == 1)
        out[index] = quotient + up
    return out


small = st.integers(1, 40)
offsets = st.one_of(st.integers(-70, 70), st.sampled_from([-100_001, 1_000_003]))


@settings(max_examples=12)
@given(
    size=st.tuples(small, small, small),
    offset=st.tuples(offsets, offsets, offsets),
    factors=st.lists(st.tuples(*[st.integers(1, 3)] * 3).filter(lambda f: f != (1, 1, 1)), min_size=1, max_size=3),
    chunk=st.sampled_from([(4, 4, 4), (8, 4, 5)]),
    blocks=st.integers(1, 8),
    sharded=st.booleans(),
)
def test_every_mip_is_the_rounded_mean_of_mip_0_however_it_is_cut(
    size: tuple[int, int, int],
    offset: tuple[int, int, int],
    factors: list[tuple[int, int, int]],
    chunk: tuple[int, int, int],
    blocks: int,
    sharded: bool,
) -> None:
    array = np.random.default_rng(sum(size)).integers(0, 256, size, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pyramid = {"factors": factors, "chunk_vx": chunk, "task_vx": [8, 8, 8], "sharded": sharded}
        plan = plan_of(folder, array, "image", list(offset), pyramid, blocks)
        volume = run_layer(plan, folder)
        for scale in volume.scales:
            reader = VolumeReader(Store(folder / "results" / "p"), "d/layers/v", scale.mip)
            assert reader.box == coarse_box(Box.of(offset, size), scale.factor)
            np.testing.assert_array_equal(
                reader.read(reader.box)[..., 0], slow_means(array, Box.of(offset, size), scale.factor)
            )


@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 7, 11), (-5, -1, 2)])
@pytest.mark.parametrize("method", ["mode", "stride", "max"])
def test_blocks_and_rounds_do_not_show_in_labels(tmp_path: Path, offset: tuple[int, int, int], method: str) -> None:
    rng = np.random.default_rng(5)
    array = np.asfortranarray(np.repeat(rng.integers(0, 2**60, (20, 17, 11), dtype=np.uint64), 2, axis=0))
    scales = []
    for name, pyramid, blocks in (
        ("cut", {"chunk_vx": [8, 8, 8], "task_vx": [8, 8, 8]}, 8),
        ("whole", {"chunk_vx": [8, 8, 8]}, 1),
    ):
        folder = tmp_path / name
        folder.mkdir()
        plan = plan_of(folder, array, "segmentation", list(offset), {**pyramid, "method": method}, blocks)
        volume = run_layer(plan, folder)
        store = Store(folder / "results" / "p")
        scales.append([VolumeReader(store, "d/layers/v", s.mip) for s in volume.scales])
        assert (len(volume.rounds) > 1) == (name == "cut")
    for cut, whole in zip(*scales, strict=True):
        assert cut.box == whole.box
        np.testing.assert_array_equal(cut.read(cut.box), whole.read(whole.box))
    np.testing.assert_array_equal(scales[0][0].read(scales[0][0].box)[..., 0], array)


def test_a_sparse_mean_carries_its_counts_over_rounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    array = rng.integers(1, 256, (33, 21, 18), dtype=np.uint8) * (rng.random((33, 21, 18)) < 0.3)
    pyramid = {
        "chunk_vx": [8, 8, 8],
        "task_vx": [8, 8, 8],
        "sparse": True,
        "factors": [[2, 2, 1], [2, 2, 2], [2, 1, 2]],
    }
    plan = plan_of(tmp_path, array.astype(np.uint8), "image", [5, -3, 1], pyramid, 8)
    volume = run_layer(plan, tmp_path)
    assert len(volume.rounds) > 1
    box = Box.of((5, -3, 1), (33, 21, 18))
    for scale in volume.scales:
        coarse = coarse_box(box, scale.factor)
        expected = np.zeros(coarse.shape, np.uint8)
        for index in np.ndindex(*coarse.shape):
            low = tuple((i + c) * f for i, c, f in zip(index, coarse.start, scale.factor, strict=True))
            high = tuple(a + f for a, f in zip(low, scale.factor, strict=True))
            values = array[Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).intersect(box).slices(box.start)]
            present = values[values > 0]
            expected[index] = np.round(present.sum() / present.size) if present.size else 0
        found = VolumeReader(Store(tmp_path / "results" / "p"), "d/layers/v", scale.mip).read(coarse)[..., 0]
        np.testing.assert_array_equal(found, expected)
