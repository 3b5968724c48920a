"""The reference engine: kimimaro (Silversmith et al. 2021, doi:10.5281/zenodo.5539913), called as a package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeletonize.options import SkeletonOptions

Lines = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]


def trace_with_kimimaro(
    numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], options: SkeletonOptions
) -> dict[int, Lines]:
    """Voxel indices (n, 3), edges and radii of each number's centrelines: the one place that calls the engine."""
    import kimimaro

    parameters = {
        "scale": options.scale,
        "const": options.const_nm,
        "pdrf_scale": options.pdrf_scale,
        "pdrf_exponent": options.pdrf_exponent,
        "soma_detection_threshold": options.soma_detect_nm,
        "soma_acceptance_threshold": options.soma_accept_nm,
        "soma_invalidation_scale": options.soma_scale,
        "soma_invalidation_const": options.soma_const_nm,
        "max_paths": options.max_paths,
    }
    skeletons = kimimaro.skeletonize(
        numbers,
        teasar_params=parameters,
        anisotropy=resolution_nm,
        dust_threshold=0,
        progress=False,
        fix_branching=options.fix_branching,
        # The engine fails on faces of a single voxel; the ends of a row of voxels are traced to without it.
        fix_borders=options.fix_borders and sum(n > 1 for n in numbers.shape) > 1,
        fix_avocados=options.fix_avocados,
        parallel=1,
    )
    return {
        number: (
            np.rint(skeleton.vertices / np.array(resolution_nm)).astype(np.int64),
            skeleton.edges.astype(np.uint32),
            skeleton.radii.astype(np.float32),
        )
        for number, skeleton in skeletons.items()
        if len(skeleton.edges)
    }
