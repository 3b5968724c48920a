"""Run in Igneous's environment: an HDF5 dataset to a Precomputed mip 0, by CloudVolume.

`igneous image create` does just this, but takes the axes as they come: z first where HDF5 files of the field have it.
"""

from __future__ import annotations

import argparse

import h5py
import numpy as np
from cloudvolume import CloudVolume


def main() -> None:
    """Read the whole dataset, as `igneous image create` does, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("dataset")
    parser.add_argument("layer", help="where to write it, as file:///...")
    parser.add_argument("--type", choices=("image", "segmentation"))
    parser.add_argument("--encoding")
    parser.add_argument("--resolution", type=int, nargs=3)
    parser.add_argument("--chunk", type=int, nargs=3)
    args = parser.parse_args()
    with h5py.File(args.file, "r") as file:
        array = np.array(file[args.dataset]).T
    CloudVolume.from_numpy(
        array,
        args.layer,
        resolution=args.resolution,
        voxel_offset=(0, 0, 0),
        chunk_size=args.chunk,
        layer_type=args.type,
        encoding=args.encoding,
        compress=False,
    )


if __name__ == "__main__":
    main()
