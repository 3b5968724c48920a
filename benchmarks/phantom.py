"""The built-in sample, as a file that Igneous can process: it cannot find labels of 2^63 and more in its fragments.

python -m benchmarks.phantom FILE
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

LABELS = "volumes/labels/neuron_ids"
TOP_BIT, NEXT_BIT = (np.uint64(1) << np.uint64(bit) for bit in (63, 62))


def write_phantom(path: Path) -> None:
    """Make the sample and, in labels of 2^63 and more, move the top bit one down; labels of 2^53 and more stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.h5")
    subprocess.run([sys.executable, "-m", "ophiolite", "make_sample", str(partial)], check=True)
    with h5py.File(partial, "r+") as file:
        labels = file[LABELS][:]
        lowered = np.where(labels & TOP_BIT, labels & ~TOP_BIT | NEXT_BIT, labels)
        assert len(np.unique(lowered)) == len(np.unique(labels))
        file[LABELS][...] = lowered
    os.replace(partial, path)


if __name__ == "__main__":
    write_phantom(Path(sys.argv[1]))
