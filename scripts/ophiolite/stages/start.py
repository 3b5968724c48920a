"""What must be set before numpy and numba are imported."""

from __future__ import annotations

import os
from collections.abc import Sequence

LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def limit_threads(argv: Sequence[str]) -> None:
    """Set the thread limits of OpenMP, BLAS and numba to the command's `--threads`, where it is given."""
    if "--threads" in argv[:-1]:
        for name in LIMITS:
            os.environ[name] = argv[list(argv).index("--threads") + 1]
