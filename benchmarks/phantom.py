"""The built-in sample, as a file that Igneous can process: it cannot find labels of 2^63 and more in its fragments.

python -m benchmarks.phantom FILE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ophiolite.sample.files import truth_path
from ophiolite.stages.skeleton_quality import read_truth

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
    os.replace(truth_path(partial), truth_path(path))
    os.replace(partial, path)


def read_centrelines(path: Path) -> dict[int, tuple[list[Any], NDArray[np.float64]]]:
    """Centrelines and junctions by label, as the file at `path` has its labels and as the benchmarks place it: at voxel 0."""
    head = json.loads(truth_path(path).read_bytes())
    origin_nm = np.multiply(head["voxel_offset_vx"], head["resolution_nm"])
    found = {}
    for label, truth in read_truth(str(path)).items():
        lines = [replace(line, points_nm=line.points_nm - origin_nm) for line in truth.lines]
        lowered = label & ~int(TOP_BIT) | int(NEXT_BIT) if label & int(TOP_BIT) else label
        found[lowered] = (lines, truth.junctions_nm - origin_nm)
    return found


if __name__ == "__main__":
    write_phantom(Path(sys.argv[1]))
