"""The benchmark of encodings measures what is there, and flags what comes back wrong."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry import Box, Vec
from ophiolite.precomputed.encoding import ChunkEncoding
from ophiolite.stages.compression_codec import COLUMNS, centred_box, measured_columns, pipeline_columns, table_bytes
from ophiolite.stages.compression_codecs import SECOND_STAGES, Pipeline, pipelines
from ophiolite.stages.compression_measure import Fidelity, Measured, measure

RAW = Pipeline(ChunkEncoding("raw", gzip=False), SECOND_STAGES[0])
CHUNK: Vec = (8, 6, 4)


@dataclass(frozen=True)
class OneWrong(Pipeline):
    """Gives back one voxel of every chunk as another."""

    def decode(self, data: bytes, shape_vx: Vec, channels: int, dtype: DTypeLike) -> NDArray[Any]:
        chunk = super().decode(data, shape_vx, channels, dtype).copy()
        chunk[0, 0, 0, 0] += 3
        return chunk


@dataclass(frozen=True)
class Unreadable(Pipeline):
    """Cannot read what it wrote."""

    def decode(self, data: bytes, shape_vx: Vec, channels: int, dtype: DTypeLike) -> NDArray[Any]:
        raise FormatError("the bytes are damaged")


def volume(shape: Vec = (19, 13, 9), channels: int = 1) -> NDArray[Any]:
    return np.asfortranarray(np.random.default_rng(1).integers(0, 100, (*shape, channels)).astype(np.uint8))


def run(pipeline: Pipeline, voxels: NDArray[Any], tmp_path: Path, known: dict[str, Fidelity] | None = None) -> Measured:
    found = measure(voxels, pipeline, CHUNK, 3, tmp_path / "chunks", {} if known is None else known)
    assert not (tmp_path / "chunks").exists()
    return found


def test_raw_bytes_come_back_equal(tmp_path: Path) -> None:
    voxels = volume()
    found = run(RAW, voxels, tmp_path)
    assert found.bytes == voxels.nbytes
    assert found.chunks == 3 * 3 * 3
    assert found.fidelity == Fidelity(0, 0.0, None, None)
    assert found.fault == ""
    assert len(found.decode) == 3
    for spent in (found.encode, *found.decode):
        assert 0 < spent.codec_s < spent.cpu_s
        assert spent.seconds > 0
    row = measured_columns(found, 19 * 13 * 9, voxels.nbytes)
    assert row["ratio"] == 1
    assert row["lossless"]
    assert row["decode_min_mvx_s"] <= row["decode_mvx_s"] <= row["decode_max_mvx_s"]
    assert row["codec_decode_mvx_s"] > 0


@pytest.mark.parametrize("pipeline", pipelines("image", "uint8", 3)[::3], ids=lambda p: f"{p.codec} {p.second.name}")
def test_volumes_of_several_channels_and_odd_sizes_are_put_together_right(pipeline: Pipeline, tmp_path: Path) -> None:
    found = run(pipeline, volume(channels=3), tmp_path)
    assert found.fault == ""
    assert found.fidelity is not None
    assert (found.fidelity.different == 0) != pipeline.lossy


def test_a_corrupting_codec_is_flagged(tmp_path: Path) -> None:
    voxels = volume()
    found = run(OneWrong(RAW.encoding, RAW.second), voxels, tmp_path)
    assert found.fidelity is not None
    assert found.fidelity.different == 27
    assert found.fidelity.max_error == 3
    assert found.fidelity.psnr_db == pytest.approx(10 * np.log10(255**2 * voxels.size / (27 * 9)))
    assert found.fault == "27 values came back as others"
    assert not measured_columns(found, 1, 1)["lossless"]


def test_a_codec_that_cannot_read_itself_is_flagged(tmp_path: Path) -> None:
    found = run(Unreadable(RAW.encoding, RAW.second), volume(), tmp_path)
    assert found.fault == "the bytes are damaged"
    assert found.fidelity is None
    row = {**pipeline_columns(RAW, "uint8", 1), **measured_columns(found, 1, 1)}
    table = pq.read_table(io.BytesIO(table_bytes([row]))).to_pylist()[0]
    assert table["decode_mvx_s"] is None
    assert table["lossless"] is None
    assert list(table) == list(COLUMNS)


def test_what_a_lossy_encoding_loses_is_compared_once(tmp_path: Path) -> None:
    known: dict[str, Fidelity] = {}
    jpeg = [p for p in pipelines("image", "uint8", 1) if p.codec == "jpeg 85"]
    found = [run(pipeline, volume(), tmp_path, known) for pipeline in jpeg]
    assert len(known) == 1
    assert {f.fidelity for f in found} == set(known.values())
    lost = next(iter(known.values()))
    assert lost.psnr_db is not None
    assert 20 < lost.psnr_db < 50
    assert lost.ssim is not None
    assert 0.5 < lost.ssim < 1
    assert {f.fault for f in found} == {""}


@given(
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    start=st.tuples(*[st.integers(-50, 50)] * 3),
    most=st.integers(1, 400_000),
    multiple=st.tuples(*[st.integers(1, 64)] * 3),
)
def test_the_box_lies_in_the_middle_and_is_small_enough(shape: Vec, start: Vec, most: int, multiple: Vec) -> None:
    whole = Box.of(start, shape)
    box = centred_box(whole, most, multiple)
    assert whole.contains(box)
    assert 0 < box.volume <= most
    for a in range(3):
        low, high = box.start[a] - whole.start[a], whole.stop[a] - box.stop[a]
        assert 0 <= high - low <= 1
    if whole.volume <= most:
        assert box == whole


def test_the_box_is_as_large_as_it_may_be() -> None:
    assert centred_box(Box.of((0, 0, 0), (512, 512, 512)), 256**3, (64, 64, 64)).shape == (256, 256, 256)
    assert centred_box(Box.of((0, 0, 0), (1000, 1000, 10)), 1_000_000, (1, 1, 1)).shape == (316, 316, 10)
    assert centred_box(Box.of((0, 0, 0), (1000, 1000, 10)), 1_000_000, (64, 64, 64)).shape == (256, 256, 10)


def test_an_image_with_nan_comes_back_equal(tmp_path: Path) -> None:
    voxels = volume().astype(np.float32, order="F")
    voxels[3, 4, 5] = np.nan
    found = run(RAW, voxels, tmp_path)
    assert found.fidelity == Fidelity(0, 0.0, None, None)
    assert found.fault == ""
    wrong = run(OneWrong(RAW.encoding, RAW.second), voxels, tmp_path)
    assert wrong.fault == "27 values came back as others"


@pytest.mark.parametrize("data_type", ["uint8", "uint64"])
def test_comparing_takes_a_slab_and_a_few_planes(data_type: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    voxels = np.asfortranarray(rng.integers(0, 100, (96, 96, 64, 1)).astype(data_type))
    pipeline = OneWrong(RAW.encoding, RAW.second)
    measure(voxels[:8, :8, :8], pipeline, (8, 8, 8), 1, tmp_path / "chunks", {})
    tracemalloc.start()
    measure(voxels, pipeline, (32, 32, 64), 1, tmp_path / "chunks", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    plane, chunk = 96 * 96, 32 * 32 * 64 * voxels.itemsize
    assert peak < voxels.nbytes + 8 * chunk + 128 * plane
