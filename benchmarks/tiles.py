"""A volume of a size that matters: an HDF5 volume and its labels repeated, every second time mirrored.

python -m benchmarks.tiles FILE SOURCE TIMES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import h5py
import numpy as np

DATASETS = ("volumes/raw", "volumes/labels/neuron_ids")


def write_tiles(path: Path, source: Path, times: int) -> None:
    """Repeat both datasets `times` along each axis; mirrored tiles continue each other, labels keep their numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.h5")
    with h5py.File(source, "r") as old, h5py.File(partial, "w") as new:
        for name in DATASETS:
            array, chunks = old[name][:], old[name].chunks
            for axis in range(3):
                array = np.concatenate([np.flip(array, axis) if i % 2 else array for i in range(times)], axis)
            new.create_dataset(name, data=array, chunks=chunks, compression="gzip", compression_opts=6)
            new[name].attrs["resolution"] = old[name].attrs["resolution"]
    os.replace(partial, path)


if __name__ == "__main__":
    write_tiles(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
