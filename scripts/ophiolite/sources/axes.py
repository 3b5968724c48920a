"""Axis orders, units and placements as other formats state them, turned into x, y, z and nanometres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.sources.source import Nm

_DEFAULT_AXES = {2: "yx", 3: "zyx", 4: "zyxc"}

_METRES = {
    "angstrom": 1e-10,
    "å": 1e-10,
    "pm": 1e-12,
    "picometer": 1e-12,
    "nm": 1e-9,
    "nanometer": 1e-9,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "micron": 1e-6,
    "micrometer": 1e-6,
    "mm": 1e-3,
    "millimeter": 1e-3,
    "cm": 1e-2,
    "centimeter": 1e-2,
    "m": 1.0,
    "meter": 1.0,
    "inch": 0.0254,
    "in": 0.0254,
}


@dataclass(frozen=True)
class Axes:
    """How a stored array of any axis order becomes (x, y, z, c); `names` has one letter per stored axis."""

    names: str
    shape: tuple[int, ...]

    @property
    def shape_vx(self) -> Vec:
        """Size in voxels, (x, y, z); 1 for an axis the array lacks."""
        return (self.length("x"), self.length("y"), self.length("z"))

    @property
    def channels(self) -> int:
        """Length of the channel axis, 1 where there is none."""
        return self.length("c")

    def length(self, name: str) -> int:
        """Length of one axis, 1 where the array lacks it."""
        return self.shape[self.names.index(name)] if name in self.names else 1

    def pick(self, stored: Sequence[Any], name: str, default: Any) -> Any:
        """The entry of a per-stored-axis list that belongs to one axis."""
        return stored[self.names.index(name)] if name in self.names else default

    def vector(self, stored: Sequence[int], default: int = 1) -> Vec:
        """A per-stored-axis list of integers in x, y, z order."""
        x, y, z = (int(self.pick(stored, name, default)) for name in "xyz")
        return (x, y, z)

    def select(self, box: Box) -> tuple[slice, ...]:
        """The slices of the stored array that hold `box` (counted from the first voxel), all channels."""
        by_name = dict(zip("xyz", box.slices(), strict=True))
        return tuple(by_name.get(name, slice(None)) for name in self.names)

    def arrange(self, block: NDArray[Any]) -> NDArray[Any]:
        """A block in stored order as (x, y, z, c); a view."""
        order = [self.names.index(name) for name in "xyzc" if name in self.names]
        rest = [axis for axis in range(block.ndim) if axis not in order]
        moved = block.transpose(order + rest)
        lengths = [block.shape[self.names.index(name)] if name in self.names else 1 for name in "xyzc"]
        return moved.reshape(lengths)


def stored_axes(where: str, shape: Sequence[int], names: str | None) -> Axes:
    """The axes of a stored array, by name or by the rule for its number of axes.

    Without names: 2 axes are y, x; 3 are z, y, x; 4 are z, y, x, channel. Axes besides x, y, z, c must have length 1.
    SourceError where the array is no volume.
    """
    lengths = tuple(int(n) for n in shape)
    if names is None:
        if len(lengths) not in _DEFAULT_AXES:
            raise SourceError(
                explain(
                    where,
                    f"an array of {len(lengths)} axes is no volume",
                    expected="2 axes (y, x), 3 (z, y, x) or 4 (z, y, x, channel)",
                    got=f"shape {lengths}",
                    do="Point the source at a volume, or name the axes in the file's metadata",
                )
            )
        names = _DEFAULT_AXES[len(lengths)]
    names = names.lower()
    if len(names) != len(lengths) or len(set(names)) != len(names) or "x" not in names or "y" not in names:
        raise SourceError(
            explain(
                where,
                "the axis names do not describe the array",
                expected=f"{len(lengths)} different letters with x and y among them",
                got=f"'{names}' for shape {lengths}",
                do="Correct the axis names in the file's metadata",
            )
        )
    for name, length in zip(names, lengths, strict=True):
        if name not in "xyzc" and length != 1:
            raise SourceError(
                explain(
                    where,
                    f"axis '{name}' is neither x, y, z nor a channel axis",
                    expected="length 1",
                    got=f"length {length} (axes '{names}', shape {lengths})",
                    do="Write one time point or position to a file of its own",
                )
            )
    return Axes(names, lengths)


def unit_in_nm(unit: str | None) -> float | None:
    """Nanometres per unit of length (UDUNITS, OME, ImageJ and NRRD names); None for pixels and unknown units."""
    if unit is None:
        return None
    name = unit.strip().strip('"').replace("\\u00B5", "µ").lower()
    for spelling in (name, name.removesuffix("s"), name.replace("metre", "meter").removesuffix("s")):
        if spelling in _METRES:
            return _METRES[spelling] * 1e9
    return None


def lengths_in_nm(values: Sequence[float], factor: float) -> Nm:
    """Three lengths times a unit, without the dust of binary fractions (0.235 um is 235 nm)."""
    x, y, z = (float(f"{float(v) * factor:.12g}") for v in values)
    return (x, y, z)


def checked_resolution(where: str, resolution_nm: Sequence[float]) -> Nm:
    """A voxel size as three positive finite numbers of nanometres; SourceError otherwise."""
    values = tuple(float(v) for v in resolution_nm)
    if len(values) != 3 or not all(math.isfinite(v) and v > 0 for v in values):
        raise SourceError(
            explain(
                where,
                "the resolution in the metadata cannot be",
                expected="three lengths above zero",
                got=f"{', '.join(f'{v:g}' for v in values)} nm (x, y, z)",
                do="Set `resolution_nm: [x, y, z]` for this layer in the config, which replaces what the file says",
            )
        )
    return (values[0], values[1], values[2])


def offset_in_voxels(
    where: str, offset_nm: Sequence[float], resolution_nm: Nm, *, broken: Literal["refuse", "round"]
) -> Vec:
    """A position in nanometres as whole voxels.

    `broken` says what becomes of a position more than a hundredth of a voxel off the grid: SourceError, or the nearest
    voxel (scanner and stage coordinates, which are rarely multiples of the voxel).
    """
    exact = [float(o) / r for o, r in zip(offset_nm, resolution_nm, strict=True)]
    if not np.isfinite(exact).all() or (
        broken == "refuse" and any(abs(value - round(value)) > 0.01 for value in exact)
    ):
        raise SourceError(
            explain(
                where,
                "the offset is not a whole number of voxels",
                expected=f"multiples of {', '.join(f'{r:g}' for r in resolution_nm)} nm (x, y, z)",
                got=f"{', '.join(f'{float(o):g}' for o in offset_nm)} nm = {', '.join(f'{v:g}' for v in exact)} voxels",
                do="Set `voxel_offset_vx: [x, y, z]` for this layer in the config, which replaces what the file says",
            )
        )
    x, y, z = (round(value) for value in exact)
    return (x, y, z)
