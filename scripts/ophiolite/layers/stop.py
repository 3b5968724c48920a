"""Named write points at which tests stop a process: before fsync, before rename, before the receipt.

`OPHIOLITE_STOP_AT=<point>:<glob of the path>` makes the process kill itself, once, at the first write that matches;
`OPHIOLITE_STOP_MARK` names the file that says it has happened. Nothing else sets these variables.
"""

from __future__ import annotations

import fnmatch
import os
import signal
import time
from pathlib import Path


def write_point(point: str, path: str) -> None:
    """Stop here where a test asked for it."""
    wanted = os.environ.get("OPHIOLITE_STOP_AT")
    if not wanted:
        return
    name, _, pattern = wanted.partition(":")
    mark = Path(os.environ["OPHIOLITE_STOP_MARK"])
    if name != point or not fnmatch.fnmatch(path, pattern) or mark.exists():
        return
    mark.write_text(f"{point} {path}\n")
    if os.environ.get("OPHIOLITE_STOP_HOW") == "hang":
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)
