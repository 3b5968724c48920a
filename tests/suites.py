"""Which tests share a worker: those of one finished run, one server, one cluster, or one module's fixtures."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

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
