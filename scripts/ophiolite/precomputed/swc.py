"""Trees as SWC text, one per file: what tools of neuron morphology read.

Spec: Cannon et al. 1998, doi:10.1016/S0165-0270(98)00091-0; type numbers as neuromorpho.org extends them. A line per
point: id, type, x, y, z, radius, id of the parent. Ids count from 1, parents come before their children, the root's
parent is -1. The text begins with comments `# key: value`; ours name the unit, which the format itself does not fix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain

UNDEFINED, SOMA, AXON, DENDRITE, FORK, END = 0, 1, 2, 3, 5, 6
UNITS_NM = {"micrometre": 1000.0, "nanometre": 1.0}
_COMMENT = re.compile(r"#\s*([\w ]+?)\s*:\s*(.*)")
# Nine digits tell every float32 apart, also after the change of unit.
_LINE = "%d %d %.9g %.9g %.9g %.9g %d\n"


@dataclass(frozen=True)
class SwcTree:
    """A rooted tree of n points, parents before children.

    points_nm : (n, 3) float64. radius_nm : (n,) float64. parent : (n,) int64, the place of the parent in the list, -1
    at the root. kinds : (n,) int64 of the type numbers above. comments : what the text's head says, without the unit.
    """

    points_nm: NDArray[np.float64]
    radius_nm: NDArray[np.float64]
    parent: NDArray[np.int64]
    kinds: NDArray[np.int64]
    comments: Mapping[str, str] = field(default_factory=dict)


def encode_swc(tree: SwcTree, unit: str = "micrometre") -> bytes:
    """The text of one tree, in a unit of UNITS_NM.

    Raises FormatError for arrays that do not fit together, another root than the first point, a parent after its child,
    a value that is not finite or a negative radius.
    """
    n = len(tree.points_nm)
    shapes = (tree.points_nm.shape, tree.radius_nm.shape, tree.parent.shape, tree.kinds.shape)
    if n == 0 or shapes != ((n, 3), (n,), (n,), (n,)):
        raise FormatError(_damage("arrays do not fit together", "(n, 3), (n,), (n,), (n,), n > 0", shapes))
    _check_parents(tree.parent)
    if not (np.isfinite(tree.points_nm).all() and np.isfinite(tree.radius_nm).all() and (tree.radius_nm >= 0).all()):
        raise FormatError(_damage("a coordinate or radius is no length", "finite numbers, radii from 0", "another"))
    for key, value in tree.comments.items():
        if _COMMENT.fullmatch(f"# {key}: {value}") is None or key == "unit":
            raise FormatError(_damage("a comment cannot be read back", "a line `# key: value`", f"{key}: {value!r}"))
    head = "".join(f"# {key}: {value}\n" for key, value in {**tree.comments, "unit": unit}.items())
    scale = UNITS_NM[unit]
    columns: list[list[Any]] = [list(range(1, n + 1)), tree.kinds.tolist()]
    columns += [(tree.points_nm[:, axis] / scale).tolist() for axis in range(3)]
    columns += [(tree.radius_nm / scale).tolist(), np.where(tree.parent < 0, -1, tree.parent + 1).tolist()]
    return (head + "".join(_LINE % row for row in zip(*columns, strict=True))).encode()


def decode_swc(data: bytes) -> SwcTree:
    """The tree in a text that `encode_swc` wrote, or in another's of the same order; without a unit it is micrometres.

    Raises FormatError for text of another form, ids that do not count from 1, an unknown unit, or parents as
    `encode_swc` does not take them.
    """
    comments: dict[str, str] = {}
    rows: list[list[str]] = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if line.startswith("#"):
            found = _COMMENT.fullmatch(line)
            if found:
                comments[found[1]] = found[2]
        elif line.strip():
            rows.append(line.split())
            if len(rows[-1]) != 7:
                raise FormatError(_damage(f"line {number} is no point", "7 columns", line))
    if not rows:
        raise FormatError(_damage("it has no points", "one at least", "none"))
    unit = comments.pop("unit", "micrometre")
    if unit not in UNITS_NM:
        raise FormatError(_damage("the unit is unknown", ", ".join(UNITS_NM), unit))
    try:
        whole = np.array([[row[0], row[1], row[6]] for row in rows]).astype(np.int64)
        lengths = np.array([row[2:6] for row in rows]).astype(np.float64) * UNITS_NM[unit]
    except ValueError as error:
        raise FormatError(_damage("a column is no number", "id type x y z radius parent", error)) from None
    if not np.array_equal(whole[:, 0], np.arange(1, len(rows) + 1)):
        raise FormatError(_damage("ids do not count from 1", f"1 to {len(rows)}", whole[:, 0]))
    parent = np.where(whole[:, 2] == -1, -1, whole[:, 2] - 1)
    _check_parents(parent)
    return SwcTree(lengths[:, :3], lengths[:, 3], parent, whole[:, 1], comments)


def _check_parents(parent: NDArray[np.int64]) -> None:
    """Raise FormatError unless the first point is the only root and parents come before their children."""
    places = np.arange(1, len(parent))
    if parent[0] != -1 or (parent[1:] < 0).any() or (parent[1:] >= places).any():
        raise FormatError(_damage("parents are out of order", "one root, first; parents before children", parent))


def _damage(problem: str, expected: object, got: object) -> str:
    return explain("SWC", problem, expected=expected, got=got, do="Write one tree per file, from its root outwards")
