"""Kernels are compiled without what none of them needs, and inner functions keep what they promise."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numba import types
from numba.core.dispatcher import Dispatcher

import ophiolite.kernels
from ophiolite.kernels.warm_up import warm_up

KERNELS = Path(ophiolite.kernels.__file__).parent
FRESH = """
import sys
import numpy as np
from ophiolite.kernels.parts import parts_of
parts_of(np.zeros((2, 3), np.uint32), 3)
assert "scipy.linalg" not in sys.modules
from scipy.linalg import cython_blas, solve
assert cython_blas is not None and solve(np.eye(2) * 2, np.ones(2)).tolist() == [0.5, 0.5]
"""


def test_no_process_imports_scipy_for_what_kernels_do_not_do_and_may_later() -> None:
    subprocess.run([sys.executable, "-c", FRESH], check=True)


def inner_functions() -> dict[str, Any]:
    found = {}
    for path in [*sorted(KERNELS.rglob("*_loops.py")), KERNELS / "level_grid.py"]:
        name = ".".join(("ophiolite", "kernels", *path.relative_to(KERNELS).with_suffix("").parts))
        for function in vars(importlib.import_module(name)).values():
            if isinstance(function, Dispatcher) and function.targetoptions.get("_nrt") is False:
                found[f"{function.py_func.__module__}.{function.py_func.__name__}"] = function
    return found


def arrays_in(kind: Any) -> bool:
    return isinstance(kind, types.Array) or (isinstance(kind, types.BaseTuple) and any(map(arrays_in, kind.types)))


@pytest.mark.slow
def test_an_inner_function_returns_no_array() -> None:
    warm_up(("uint8",), ("uint64",), ("mesh", "skeleton"))
    found = inner_functions()
    returned = {name: [f.overloads[s].signature.return_type for s in f.signatures] for name, f in found.items()}
    assert len(found) > 20
    assert sum(map(len, returned.values())) > 0
    assert [name for name, kinds in returned.items() if any(map(arrays_in, kinds))] == []
