"""Slices too wide for one task: every slice is decoded once all the same, and a job covers as much of it as it may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ophiolite.__main__ import main
from ophiolite.config.model import Jobs
from ophiolite.errors import SourceError
from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import ceildiv, prod
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.pyramid import block_shape, decoded_voxels, shared_tasks, times_decoded
from ophiolite.sources import slices
from ophiolite.sources.cache import ArrayCache

SIZE: Vec = (256, 192, 24)


def test_what_falls_out_of_memory_is_read_from_the_folder(tmp_path: Path) -> None:
    made: list[int] = []

    def array(key: int) -> np.ndarray:
        return np.asarray(np.arange(6).reshape(3, 2) + 10 * key, order="CFC"[key])[:: 2 if key == 2 else 1]

    def make(key: int) -> np.ndarray:
        made.append(key)
        return array(key)

    cache = ArrayCache(1)
    cache.overflow_to(tmp_path)
    for key in [0, 1, 2, 0, 1, 2, 2, 0]:
        assert np.array_equal(cache.get(key, lambda key=key: make(key)), array(key))
    assert made == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 1


@given(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 100)), max_size=40))
def test_a_cache_holds_no_more_than_its_limit_or_one_array(limit: int, wanted: list[tuple[int, int]]) -> None:
    sizes = dict(wanted)
    cache = ArrayCache(limit)
    for key, _ in wanted:
        found = cache.get(key, lambda key=key: np.full(sizes[key], key, np.uint8))
        assert found.tolist() == [key] * sizes[key]
        held = [a.nbytes for a in cache._arrays.values()]
        assert sum(held) == cache._held_bytes
        assert sum(held) <= limit or len(held) == 1


def test_a_folder_that_cannot_be_written_ends_in_a_sentence(tmp_path: Path) -> None:
    cache = ArrayCache(1)
    cache.overflow_to(tmp_path / "missing")
    cache.get(0, lambda: np.zeros(4))
    with pytest.raises(SourceError, match="decoded slices cannot be kept"):
        cache.get(1, lambda: np.zeros(4))


def test_every_slice_of_a_block_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.random.default_rng(5).integers(0, 255, SIZE, dtype=np.uint8)
    (tmp_path / "stack").mkdir()
    for z in range(SIZE[2]):
        Image.fromarray(voxels[:, :, z].T).save(tmp_path / "stack" / f"s{z:03}.png")
    layer = {
        "type": "image",
        "source": f"{tmp_path}/stack",
        "resolution_nm": [8, 8, 8],
        "pyramid": {"factors": [[2, 2, 2]], "chunk_vx": [32, 32, 4], "task_vx": [64, 64, 8]},
    }
    config = {"project": "p", "store": str(tmp_path / "results"), "datasets": {"d": {"layers": {"em": layer}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    decoded: list[str] = []
    decode = slices.decode_image

    def counted(file: Path) -> np.ndarray:
        decoded.append(file.name)
        return decode(file)

    monkeypatch.setattr(slices, "decode_image", counted)
    monkeypatch.setattr(slices, "ArrayCache", lambda _: ArrayCache(1))
    plan = tmp_path / "results" / "p" / "plan.json"
    command = ["--plan", str(plan), "--dataset", "d", "--layer", "em"]
    assert main(["make_plan", "--config", str(tmp_path / "config.yaml")]) == 0
    assert main(["layer_info", *command]) == 0
    blocks = sorted({"r0.0-0-0", "r0.0-0-1", "r0.0-0-2"})
    for block in blocks:
        assert main(["pyramid_blocks", *command, "--block", block]) == 0
    assert sorted(decoded) == [f"s{z:03}.png" for z in range(SIZE[2])]
    reader = VolumeReader(Store(plan.parent), "d/layers/em", 0)
    assert np.array_equal(reader.read(Box.of((0, 0, 0), SIZE))[..., 0], voxels)
    assert list((plan.parent / "d" / "work").rglob("decoded")) == []


@given(st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 12)] * 3), st.floats(0.01, 100))
def test_tasks_that_share_slices_come_into_one_job_as_far_as_its_length_allows(
    tasks: Vec, shared: Vec, seconds: float
) -> None:
    jobs = Jobs(minutes=1, min_blocks=50)
    block = block_shape(tasks, seconds, jobs, shared)
    alone = block_shape(tasks, seconds, jobs, (1, 1, 1))
    whole = all(b >= min(s, t) for b, s, t in zip(block, shared, tasks, strict=True))
    assert whole or prod(block) * seconds * 2 > 60
    assert prod(block) == 1 or prod(block) * seconds <= 60
    if shared == (1, 1, 1):
        assert block == alone


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 20)] * 3))
def test_times_decoded_counts_the_jobs_that_touch_a_part(alignment: Vec, block: Vec, size: Vec) -> None:
    def mean_touches(part: int, step: int, length: int) -> float:
        starts = range(0, length, part)
        return float(np.mean([len({v // step for v in range(a, min(a + part, length))}) for a in starts]))

    expected = np.prod([mean_touches(*axis) for axis in zip(alignment, block, size, strict=True)])
    assert times_decoded(alignment, block, size) == pytest.approx(expected)
    assert shared_tasks(alignment, block) == ceildiv(alignment, block)


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 20)] * 3))
def test_decoded_voxels_bound_the_parts_that_a_block_touches(alignment: Vec, block: Vec, size: Vec) -> None:
    most = 1
    for part, step, length in zip(alignment, block, size, strict=True):
        touched = [
            sum(min(a + part, length) - a for a in range(0, length, part) if a < start + step and a + part > start)
            for start in range(0, length, step)
        ]
        most *= max(touched)
    counted = decoded_voxels(alignment, block, size)
    assert counted >= most
    if all(b % a == 0 and n % a == 0 for a, b, n in zip(alignment, block, size, strict=True)):
        assert counted == most
