"""Page faults with and without the allocator's settings."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys, threading
import numpy as np
from ophiolite.kernels.allocator import tame_page_faults
if sys.argv[1] == "tamed":
    assert tame_page_faults()
def work():
    for _ in range(20):
        [np.ones(30 << 20, np.uint8) for _ in range(3)]
if sys.argv[2] == "in a thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
@pytest.mark.parametrize("where", ["at once", "in a thread"])
def test_arrays_made_again_cost_no_new_pages(repository: Path, where: str) -> None:
    # With huge pages, which numpy asks for where the kernel has them, there are few faults to spare.
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts"), "NUMPY_MADVISE_HUGEPAGE": "0"}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, how, where], check=True, capture_output=True, text=True, env=environment
            ).stdout
        )
        for how in ("plain", "tamed")
    ]
    assert faults[1] < faults[0] / 3
