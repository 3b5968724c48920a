"""Reads damaged files, one per line of its input, within bounds of memory and time; says how each ended.

`ok`: something was read. `refused`: an error of this library, as a user meets it. Everything else is a fault, also an
error of this library that came of an allocation that failed, and memory that grew by more than such a file is worth.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ophiolite.errors import OphioliteError
from ophiolite.geometry import Box
from ophiolite.precomputed.encoding import ChunkEncoding, decode_chunk
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader
from ophiolite.sources import open_source
from ophiolite.sources.slide import SlideReading, open_slide

# Beyond what the libraries map before anything is read.
EXTRA_BYTES = 2 * 10**9
# The files are of some kilobytes, or megabytes once decoded.
MOST_BYTES = 500 * 10**6
SECONDS = 20
LARGEST_VX = 64
CHUNK_VX = (16, 16, 8)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 0,
    "hash": "identity",
    "minishard_bits": 3,
    "shard_bits": 0,
    "data_encoding": "gzip",
    "minishard_index_encoding": "gzip",
}
# Nothing before the chunks' decoders notices what is damaged.
BARE = {**SHARDING, "minishard_bits": 0, "data_encoding": "raw", "minishard_index_encoding": "raw"}
DTYPES = {"raw": "uint16", "jpeg": "uint8", "png": "uint16", "jxl": "uint8"}


def read(path: str) -> None:
    """Open a source, a slide or a shard, by its name, and read some of it."""
    name = Path(path).name
    if name.endswith(".chunks.shard"):
        _read_chunks(path, name.partition(".")[0])
    elif name.endswith(".shard"):
        _read_shard(path, SHARDING)
    elif name.startswith("slide"):
        _read_slide(path)
    else:
        _read_source(path)


def _read_shard(path: str, sharding: dict[str, object]) -> list[bytes]:
    data = Path(path).read_bytes()
    reader = ShardReader(ShardingSpec.from_json(sharding, path), lambda a, n: data[a : a + n], path, len(data))
    return [reader.get(key) or b"" for key in reader.keys().tolist()[:100]]


def _read_chunks(path: str, encoding: str) -> None:
    for chunk in _read_shard(path, BARE):
        decode_chunk(chunk, CHUNK_VX, 1, DTYPES.get(encoding, "uint64"), ChunkEncoding(encoding))


def _read_slide(path: str) -> None:
    slide = open_slide(Path(path), SlideReading(mpp=0.5, force_mpp=True))
    slide.verify()
    slide.read(_corner(slide.box))
    slide.read_level(len(slide.levels) - 1, 0, 0, (1, 1))


def _read_source(text: str) -> None:
    source = open_source(text, kind="image")
    source.read(_corner(source.box))


def _corner(box: Box) -> Box:
    stop = [a + min(LARGEST_VX, b - a) for a, b in zip(box.start, box.stop, strict=True)]
    return Box(box.start, (stop[0], stop[1], stop[2]))


def outcome(reading: Callable[[], None]) -> str:
    """How reading a file ended."""
    before = _status_bytes("VmRSS")
    signal.alarm(SECONDS)
    try:
        reading()
    except OphioliteError as error:
        failed = [cause for cause in _causes(error) if isinstance(cause, MemoryError)]
        if failed:
            return f"memory: an allocation failed at {_place(failed[0])}"
        found = "refused"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]!r} at {_place(error)}"
    else:
        found = "ok"
    finally:
        signal.alarm(0)
    # The peak is that of the whole process, so that who is told of one too high has to start another.
    grown = _status_bytes("VmHWM") - before
    return found if grown < MOST_BYTES else f"memory: {grown // 10**6} MB"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(where.filename).name}:{where.lineno}"


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found
    return int(found[1]) * 1024


def main() -> None:
    """Serve until the input ends."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + EXTRA_BYTES,) * 2)
    for line in sys.stdin:
        print(outcome(partial(read, line.strip())), flush=True)


if __name__ == "__main__":
    main()
