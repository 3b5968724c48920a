"""Which tests share a worker: those of one finished run, one server, one cluster, or one module's fixtures.

And what each folder of tests took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import pytest

BY_SUITE = ("workflow", "s3", "slurm")
BY_FILE = ("browser", "conformance")


def suite_of(nodeid: str) -> str:
    """The name of what a test shares a worker with; itself where it shares nothing."""
    path = PurePosixPath(nodeid.partition("::")[0])
    folder = path.parts[1] if len(path.parts) > 2 else ""
    if folder == "workflow" and "slides" in path.stem:
        return "slides"
    if folder in BY_SUITE:
        return folder
    return str(path) if folder in BY_FILE else nodeid


def time_by_part(phases: Iterable[tuple[str, float]]) -> list[tuple[str, int, float]]:
    """(folder, tests, seconds) of each folder's tests, longest first, from (nodeid, seconds) of all their phases."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set[str]] = defaultdict(set)
    for nodeid, duration in phases:
        part = str(PurePosixPath(*PurePosixPath(nodeid.partition("::")[0]).parent.parts[:2]))
        seconds[part] += duration
        tests[part].add(nodeid)
    return sorted(((part, len(tests[part]), seconds[part]) for part in tests), key=lambda row: (-row[2], row[0]))


def say_time_by_part(terminalreporter: Any) -> None:
    """The tests and minutes of each folder; workers run at once, so that the sum is more than the run takes."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    parts = time_by_part((r.nodeid, r.duration) for r in reports if isinstance(r, pytest.TestReport))
    if len(parts) > 1:
        terminalreporter.section("time by part")
        for part, tests, seconds in parts:
            terminalreporter.line(f"{part:20} {tests:5} tests {seconds / 60:6.1f} min")


def scheduler(config: Any, log: Any) -> Any:
    """Xdist's scheduler by scope, with suites as scopes, those of most tests first.

    `--dist loadgroup` would be asked for the same by marks, but loses them silently with pytest 9.2 and xdist 3.8
    (pytest-dev/pytest-xdist issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class BySuite(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return suite_of(nodeid)

    return BySuite(config, log)
