"""Kernels are compiled without what none of them needs, and inner functions keep what they promise."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

import ophiolite.kernels
from ophiolite.kernels.compiled import inner, njit

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


def is_inner(function: Any) -> bool:
    return isinstance(function, Dispatcher) and function.targetoptions.get("_nrt") is False


def inner_functions() -> dict[str, Any]:
    found = {}
    for path in sorted(KERNELS.rglob("*.py")):
        if "import inner" in path.read_text():
            name = ".".join(("ophiolite", "kernels", *path.relative_to(KERNELS).with_suffix("").parts))
            own = vars(importlib.import_module(name)).items()
            found |= {f"{path.stem}.{key}": value for key, value in own if is_inner(value)}
    return found


def promises_broken(function: Any) -> list[str]:
    """What an inner function returns that it takes elements of, so an array, and calls that is no inner function."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(function.py_func))))
    arrays = {n.value.id for n in nodes if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)}
    values = [n.value for n in nodes if isinstance(n, ast.Return)]
    parts = [part for value in values for part in (value.elts if isinstance(value, ast.Tuple) else [value])]
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    known = function.py_func.__globals__
    compiled = [name for name in sorted(called) if isinstance(known.get(name), Dispatcher)]
    out = [f"returns {p.id}" for p in parts if isinstance(p, ast.Name) and p.id in arrays]
    return out + [f"calls {name}" for name in compiled if not is_inner(known[name])]


@pytest.mark.parametrize("name", inner_functions())
def test_an_inner_function_returns_no_array_and_calls_no_others(name: str) -> None:
    assert promises_broken(inner_functions()[name]) == []


@njit(cache=True)
def _other(x: float) -> float:
    return x


@inner
def _bad(rows: Any, x: float) -> Any:
    rows[0] = _other(x)
    return x, rows


def test_functions_that_break_them_are_found() -> None:
    assert len(inner_functions()) > 20
    assert promises_broken(_bad) == ["returns rows", "calls _other"]
