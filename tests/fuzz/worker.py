"""Reads damaged files, one per line of its input, within bounds of memory and time; says how each ended.

`ok`: something was read. `refused`: an error of this library, as a user meets it. Everything else is a fault.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from pathlib import Path

from ophiolite.errors import OphioliteError
from ophiolite.geometry import Box
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader
from ophiolite.sources import open_source

# Beyond what the libraries map before anything is read.
EXTRA_BYTES = 2 * 10**9
SECONDS = 20
LARGEST_VX = 64
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 0,
    "hash": "identity",
    "minishard_bits": 3,
    "shard_bits": 0,
    "data_encoding": "gzip",
    "minishard_index_encoding": "gzip",
}


def read(text: str) -> None:
    """Open a source or a shard and read some of it."""
    if text.endswith(".shard"):
        data = Path(text).read_bytes()
        reader = ShardReader(ShardingSpec.from_json(SHARDING, text), lambda a, n: data[a : a + n], text, len(data))
        for key in reader.keys().tolist()[:100]:
            reader.get(key)
        return
    source = open_source(text, kind="image")
    stop = [a + min(LARGEST_VX, b - a) for a, b in zip(source.box.start, source.box.stop, strict=True)]
    source.read(Box(source.box.start, (stop[0], stop[1], stop[2])))


def outcome(text: str) -> str:
    """How reading a file ended."""
    signal.alarm(SECONDS)
    try:
        read(text)
    except OphioliteError:
        return "refused"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]!r} at {Path(where.filename).name}:{where.lineno}"
    finally:
        signal.alarm(0)
    return "ok"


def main() -> None:
    """Serve until the input ends."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + EXTRA_BYTES,) * 2)
    for line in sys.stdin:
        print(outcome(line.strip()), flush=True)


if __name__ == "__main__":
    main()
