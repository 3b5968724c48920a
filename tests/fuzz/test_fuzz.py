"""Damaged raw files and shards end in an error of this library: no crash, no hang, no gigabytes, no bare traceback.

Files of every kind are damaged by a seeded generator (bytes changed, cut out, doubled, set to extremes; ends cut off)
and read in a process of their own, bounded in memory and time. Chunks are damaged where no checksum of a shard would
notice it. OPHIOLITE_FUZZ_SECONDS sets how long, 60 if not set.
"""

from __future__ import annotations

import os
import platform
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from worker import BARE, CHUNK_VX, DTYPES, SHARDING

from ophiolite.precomputed.encoding import ENCODINGS, ChunkEncoding, encode_chunk
from ophiolite.precomputed.sharding import ShardingSpec, build_shard
from slide_pictures import MICRON_TAGS, picture, write_jpeg_tiff, write_plain

SEED = 2022
SECONDS = float(os.environ.get("OPHIOLITE_FUZZ_SECONDS", "60"))
HANG_SECONDS = 30.0
REPOSITORY = Path(__file__).resolve().parent.parent.parent
VOLUME: NDArray[np.uint8] = np.random.default_rng(SEED).integers(0, 255, (12, 40, 48), np.uint8)

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="memory is bounded through Linux's /proc")


def _hdf5(path: Path, **options: object) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("volumes/raw", data=VOLUME, **options).attrs["resolution"] = [40, 8, 8]
    return f"{path}:/volumes/raw"


def _tiff(path: Path, **options: object) -> str:
    tifffile.imwrite(path, VOLUME, **options)
    return str(path)


def _npy(path: Path) -> str:
    np.save(path, VOLUME)
    return str(path)


def _nrrd(path: Path) -> str:
    import nrrd

    nrrd.write(str(path), VOLUME, {"encoding": "gzip"})
    return str(path)


def _png(path: Path) -> str:
    from PIL import Image

    Image.fromarray(VOLUME[0]).save(path)
    return str(path)


def _shard(path: Path) -> str:
    entries = [(key, b"", bytes(VOLUME[key % 12, :4].ravel())) for key in range(60)]
    path.write_bytes(build_shard(ShardingSpec.from_json(SHARDING, "test"), 0, entries))
    return str(path)


def _slide_tiff(path: Path) -> str:
    """Two levels of tiles, the smaller one in a SubIFD, which OpenSlide would not see."""
    page = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", "metadata": None, **MICRON_TAGS}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(picture(200, 150), subifds=1, **page)
        tiff.write(picture(100, 75), subfiletype=1, **page)
    return str(path)


def _slide_strips(path: Path) -> str:
    write_plain(path, picture(200, 150), rowsperstrip=16, compression="lzw")
    return str(path)


def _slide_jpeg(path: Path) -> str:
    write_jpeg_tiff(path, picture(200, 150), tables=True)
    return str(path)


def _chunks(path: Path) -> str:
    """Two chunks of an encoding, named by the file, without the checksums of gzip around them."""
    name = path.name.partition(".")[0]
    values = VOLUME.ravel()[: 2 * int(np.prod(CHUNK_VX))].reshape(2, *CHUNK_VX, 1).astype(DTYPES.get(name, "uint64"))
    chunks = [encode_chunk(np.asfortranarray(chunk // 50), ChunkEncoding(name)) for chunk in values]
    entries = [(key, b"", chunk) for key, chunk in enumerate(chunks)]
    path.write_bytes(build_shard(ShardingSpec.from_json(BARE, "test"), 0, entries))
    return str(path)


KINDS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "hdf5 contiguous": ("v.h5", _hdf5),
    "hdf5 chunked": ("v.h5", lambda path: _hdf5(path, chunks=(4, 16, 16), compression="gzip", shuffle=True)),
    "tiff contiguous": ("v.tif", _tiff),
    "tiff tiled": ("v.tif", lambda path: _tiff(path, tile=(16, 16), compression="zlib", predictor=True)),
    "tiff strips": ("v.tif", lambda path: _tiff(path, compression="lzw", rowsperstrip=8, bigtiff=True)),
    "npy": ("v.npy", _npy),
    "nrrd": ("v.nrrd", _nrrd),
    "png": ("v.png", _png),
    "slide tiff": ("slide.tif", _slide_tiff),
    "slide strips": ("slide.tif", _slide_strips),
    "slide jpeg": ("slide.tif", _slide_jpeg),
    "shard": ("0.shard", _shard),
    **{f"{name} chunks in a shard": (f"{name}.chunks.shard", _chunks) for name in ENCODINGS},
}


def _damage(data: bytes, random: np.random.Generator) -> bytes:
    """A copy with a few faults; most of them early, where headers are."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if not out:
            break
        reach = len(out) if random.random() < 0.4 else min(len(out), 512)
        at = int(random.integers(0, reach))
        fault = int(random.integers(0, 6))
        if fault == 0:
            out[at] ^= 1 << int(random.integers(0, 8))
        elif fault == 1:
            out[at : at + 4] = random.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"])
        elif fault == 2:
            del out[at : at + int(random.integers(1, 64))]
        elif fault == 3:
            out[at:at] = out[at : at + int(random.integers(1, 64))]
        elif fault == 4:
            del out[at:]
        else:
            out[at : at + 8] = random.bytes(8)
    return bytes(out)


class Reader:
    """The process that reads damaged files; started again when a file kills it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, text: str) -> str:
        """How reading a file ended, a crash and a hang included."""
        process = self._started()
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], HANG_SECONDS)[0]:
            self.stop()
            return f"hang: over {HANG_SECONDS:.0f} s"
        line = process.stdout.readline().strip()
        if line.startswith("memory"):
            self.stop()
        if line:
            return line
        code = process.wait()
        self.stop()
        return f"crash: the process ended with {code}"

    def stop(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts"), "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        return self._process

    def _command(self) -> list[str]:
        return [sys.executable, "-W", "ignore", str(Path(__file__).with_name("worker.py"))]


@pytest.fixture
def reader() -> Iterator[Reader]:
    """A process for each kind of file, so that memory which one spoils does not fail another."""
    reader = Reader()
    yield reader
    reader.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused(kind: str, reader: Reader, tmp_path: Path) -> None:
    name, write = KINDS[kind]
    until = time.monotonic() + SECONDS / len(KINDS)
    text = write(tmp_path / name)
    assert reader.outcome(text) == "ok"
    whole = (tmp_path / name).read_bytes()
    random = np.random.default_rng([SEED, *kind.encode()])
    seen: Counter[str] = Counter()
    while time.monotonic() < until:
        damaged = _damage(whole, random)
        (tmp_path / name).write_bytes(damaged)
        found = reader.outcome(text)
        seen[found] += 1
        if found not in ("ok", "refused"):
            kept = tmp_path / f"fault{list(seen).index(found)}.{name}"
            kept.write_bytes(damaged)
    faults = {outcome: count for outcome, count in seen.items() if outcome not in ("ok", "refused")}
    assert not faults, f"{tmp_path}: {faults}"
    assert seen["refused"], "no damage was noticed: the files were not read"


class Planted(Reader):
    """A process that does something else instead of reading."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def _command(self) -> list[str]:
        return [sys.executable, "-c", self._code]


HUNGRY = """
import sys
sys.path.insert(0, {folder!r})
import worker
from ophiolite.sources.source import decoding
def read(path):
    with decoding(path):
        {what}
worker.read = read
worker.main()
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("bytearray(10**10)", "memory: an allocation failed at <string>:8"),
        ("bytearray(b'x' * 375_000_000)", "memory: 7"),
        ("bytearray(b'x' * 100_000_000)", "ok"),
    ],
)
def test_memory_that_is_taken_or_asked_for_is_noticed(what: str, said: str) -> None:
    reader = Planted(HUNGRY.format(folder=str(Path(__file__).parent), what=what))
    for _ in range(2):
        assert reader.outcome("any").startswith(said)
    reader.stop()


def test_a_crash_is_noticed() -> None:
    assert Planted("import os, sys\nsys.stdin.readline()\nos.abort()").outcome("any") == (
        "crash: the process ended with -6"
    )
