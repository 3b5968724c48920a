"""Page faults with and without the allocator's settings."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from ophiolite.kernels.allocator import tame_page_faults
if sys.argv[1] == "tamed":
    assert tame_page_faults()
for _ in range(20):
    np.ones(64 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_an_array_made_again_costs_no_new_pages(repository: Path) -> None:
    # With huge pages, which numpy asks for where the kernel has them, there are few faults to spare.
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts"), "NUMPY_MADVISE_HUGEPAGE": "0"}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True, env=environment
            ).stdout
        )
        for how in ("plain", "tamed")
    ]
    assert faults[1] < faults[0] / 3
