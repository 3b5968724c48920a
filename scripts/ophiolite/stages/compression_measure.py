"""What one pair of encoding and second stage costs on a volume: bytes, time to write and to read, and what comes back.

All chunks of the volume go one behind the other into one file, as in a shard; writing and reading it are part of the
time, through the operating system's cache, as are cutting the volume into chunks and putting it together again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry import Box, Grid, Vec
from ophiolite.kernels.image_fidelity import psnr_db, ssim
from ophiolite.stages.compression_codecs import Pipeline


@dataclass(frozen=True)
class Fidelity:
    """How what came back differs from what was given; psnr_db and ssim of images that differ, None elsewhere."""

    different: int
    max_error: float
    psnr_db: float | None
    ssim: float | None


@dataclass
class Pass:
    """One pass over all chunks: seconds in all, those the processor gave, and of these those inside the codecs.

    Time of the processor hardly depends on what else runs on the machine.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    codec_s: float = 0.0


@dataclass
class Measured:
    """The passes and the outcome for one pipeline; `fault` says what went wrong, empty where nothing did."""

    bytes: int = 0
    chunks: int = 0
    encode: Pass = field(default_factory=Pass)
    decode: list[Pass] = field(default_factory=list)
    fidelity: Fidelity | None = None
    fault: str = ""


Span = tuple[Box, int]
"""The voxels of a chunk, relative to the volume, and its bytes in the file."""


def measure(
    volume: NDArray[Any],
    pipeline: Pipeline,
    chunk_vx: Vec,
    repeats: int,
    file: Path,
    known: dict[str, Fidelity],
) -> Measured:
    """Encode a volume `(x, y, z, c)` once and decode it `repeats` times, each after a time to warm up.

    file : where the chunks are written for the while. known : outcomes by checksum of what came back, so that a lossy
    encoding is compared once for all its second stages; added to. Bytes that cannot be made or read are a fault of the
    pipeline, not an error.
    """
    grid = Grid(Box((0, 0, 0), _shape(volume)), chunk_vx)
    measured = Measured(chunks=len(grid))
    try:
        pipeline.encode(_chunk(volume, grid.cell((0, 0, 0))))
        spans = _encode(volume, grid, pipeline, file, measured.encode)
        measured.bytes = sum(size for _, size in spans)
        measured.fidelity = _compare(volume, pipeline, spans, file, known)
        for _ in range(repeats):
            measured.decode.append(_timed_decode(volume, pipeline, spans, file))
    except FormatError as error:
        measured.fault = str(error)
    else:
        if measured.fidelity.different and not pipeline.lossy:
            measured.fault = f"{measured.fidelity.different} values came back as others"
    finally:
        file.unlink(missing_ok=True)
    return measured


def _encode(volume: NDArray[Any], grid: Grid, pipeline: Pipeline, path: Path, spent: Pass) -> list[Span]:
    spans: list[Span] = []
    start, cpu = perf_counter(), process_time()
    with open(path, "wb") as file:
        for index in grid:
            box = grid.cell(index)
            chunk = _chunk(volume, box)
            before = process_time()
            data = pipeline.encode(chunk)
            spent.codec_s += process_time() - before
            file.write(data)
            spans.append((box, len(data)))
    spent.seconds, spent.cpu_s = perf_counter() - start, process_time() - cpu
    return spans


def _timed_decode(volume: NDArray[Any], pipeline: Pipeline, spans: Sequence[Span], path: Path) -> Pass:
    spent = Pass()
    start, cpu = perf_counter(), process_time()
    for _ in _slabs(volume, pipeline, spans, path, spent):
        pass
    spent.seconds, spent.cpu_s = perf_counter() - start, process_time() - cpu
    return spent


def _slabs(
    like: NDArray[Any], pipeline: Pipeline, spans: Sequence[Span], path: Path, spent: Pass
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """One layer of chunks after the other, put together; the array is used again for the next."""
    channels = like.shape[3]
    depth = spans[0][0].shape[2]
    room = np.empty((*like.shape[:2], depth, channels), like.dtype, order="F")
    with open(path, "rb") as file:
        for number, (box, size) in enumerate(spans):
            data = file.read(size)
            before = process_time()
            chunk = pipeline.decode(data, box.shape, channels, like.dtype)
            spent.codec_s += process_time() - before
            x, y, _ = box.slices()
            room[x, y, : box.shape[2]] = chunk
            if number + 1 == len(spans) or spans[number + 1][0].start[2] != box.start[2]:
                yield box.slices()[2], room[:, :, : box.shape[2]]


def _compare(
    volume: NDArray[Any], pipeline: Pipeline, spans: Sequence[Span], path: Path, known: dict[str, Fidelity]
) -> Fidelity:
    """Compare what comes back with the volume; this pass is also the one that warms up."""
    key, different = _checked(volume, _slabs(volume, pipeline, spans, path, Pass()))
    if different == 0:
        return Fidelity(0, 0.0, None, None)
    if key not in known:
        known[key] = _difference(volume, different, _slabs(volume, pipeline, spans, path, Pass()))
    return known[key]


def _checked(volume: NDArray[Any], slabs: Iterator[tuple[slice, NDArray[Any]]]) -> tuple[str, int]:
    """Checksum of what came back, and how many values differ; on return the slab is given up before another pass."""
    digest, different = hashlib.sha256(), 0
    for z, slab in slabs:
        for got, given in _planes(slab, volume[:, :, z]):
            digest.update(got.T.data)
            different += int(np.count_nonzero(_bits(got) != _bits(given)))
    return digest.hexdigest(), different


def _difference(volume: NDArray[Any], different: int, slabs: Iterator[tuple[slice, NDArray[Any]]]) -> Fidelity:
    peak = float(np.iinfo(volume.dtype).max) - float(np.iinfo(volume.dtype).min) if volume.dtype.kind in "ui" else None
    largest, squares = 0.0, 0.0
    similar: list[float] = []
    for z, slab in slabs:
        for got, given in _planes(slab, volume[:, :, z]):
            error = np.abs(got.astype(np.float64) - given)
            largest = max(largest, float(np.fmax.reduce(error, axis=None)))
            squares += float(np.square(error, out=error).sum())
            del error
            if peak is not None and (alike := ssim(got, given, peak)) is not None:
                similar.append(alike)
    psnr = psnr_db(squares, volume.size, peak) if peak is not None else None
    return Fidelity(different, largest, psnr, float(np.mean(similar)) if similar else None)


def _planes(slab: NDArray[Any], given: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The planes `(x, y)` of two slabs, Fortran order: what is computed of one takes room for a plane, not a slab."""
    for k, c in np.ndindex(slab.shape[2:]):
        yield np.asfortranarray(slab[:, :, k, c]), np.asfortranarray(given[:, :, k, c])


def _bits(plane: NDArray[Any]) -> NDArray[Any]:
    """Values as integers of the same bits, among which NaN equals itself."""
    return plane.T.view(f"u{plane.dtype.itemsize}")


def _chunk(volume: NDArray[Any], box: Box) -> NDArray[Any]:
    return np.asfortranarray(volume[box.slices()])


def _shape(volume: NDArray[Any]) -> Vec:
    x, y, z = volume.shape[:3]
    return (x, y, z)
