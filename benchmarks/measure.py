"""What a command costs, its whole tree of processes included, and what a folder weighs."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BYTES_PER_RSS = 1024  # Linux reports kibibytes


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    cpu_s : user and system time of all processes. wall_s : from start to end. peak_mb : memory of the largest process.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, max(self.peak_mb, other.peak_mb))


@dataclass(frozen=True)
class Row:
    """One line of `stages.csv`; bytes and files are those of the finished product, 0 where a stage leaves none."""

    dataset: str
    stage: str
    engine: str
    cost: Cost
    bytes: int
    files: int


def run(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None = None) -> Cost:
    """Run a command to its end and say what it cost; its output goes to `log`. Raises RuntimeError where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as file:
        print("$", shlex.join(command), file=file, flush=True)
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=dict(environment), cwd=folder)
        # wait4 counts the process and every descendant that was waited for; nothing is sampled, nothing missed.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{shlex.join(command)}\nended with {process.returncode}; {log}:\n{tail}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * BYTES_PER_RSS / 1e6)


def weight(files: Iterable[Path]) -> tuple[int, int]:
    """Bytes and number of files."""
    sizes = [file.stat().st_size for file in files if file.is_file()]
    return sum(sizes), len(sizes)
