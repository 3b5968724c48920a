"""Sheets, tori, balls, crosses and shells anywhere in a volume, turned any way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

KINDS = ("sheet", "torus", "ball", "cross", "shell")
SHAPE = (31, 28, 26)
Triple = tuple[float, float, float]


class Drawn(NamedTuple):
    """What to draw: its middle and half its size, in voxels, half its thickness, and turns about x, y, z in radians."""

    kind: str
    middle: Triple
    size: float
    thick: float
    turns: Triple


def objects(kinds: tuple[str, ...] = KINDS) -> st.SearchStrategy[Drawn]:
    """Objects that lie at least in part within SHAPE."""
    turn = st.floats(0, 3.2) | st.just(0.0)
    return st.builds(
        Drawn,
        st.sampled_from(kinds),
        st.tuples(*(st.floats(n / 4, 3 * n / 4) for n in SHAPE)),
        st.floats(4, 11),
        st.floats(0.8, 3),
        st.tuples(turn, turn, turn),
    )


def volume(drawn: Drawn, label: int = 1) -> NDArray[np.uint64]:
    """(x, y, z) of SHAPE, Fortran order: one object."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1) - np.array(drawn.middle)
    x, y, z = np.moveaxis(grid @ _turned(drawn.turns), -1, 0)
    size, thick = drawn.size, drawn.thick
    away = np.sqrt(x**2 + y**2 + z**2)
    flat = (abs(x) <= size) & (abs(y) <= size)
    mask = {
        "sheet": flat & (abs(z) <= thick),
        "torus": np.hypot(np.hypot(x, y) - size + thick, z) <= thick,
        "ball": away <= size * 0.7,
        "cross": ((abs(y) <= thick) | (abs(x) <= thick)) & flat & (abs(z) <= thick),
        "shell": abs(away - size * 0.7) <= thick,
    }[drawn.kind]
    return np.asfortranarray(np.where(mask, label, 0).astype(np.uint64))


def _turned(turns: Triple) -> NDArray[np.float64]:
    out = np.eye(3)
    for axis, turn in enumerate(turns):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[[u, v], [u, v]] = np.cos(turn)
        about[u, v], about[v, u] = -np.sin(turn), np.sin(turn)
        out = out @ about
    return out
