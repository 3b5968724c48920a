"""Predictions of phantom slides with errors that are known: shrunk, too small, missed, misnamed, invented objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.sample.slide_paint import Corner, paint_owner, structure_mask
from ophiolite.sample.slide_scene import STRUCTURES, SlideObject, SlideScene

Kind = Literal["exact", "shrunk", "too small", "missed", "misnamed"]
# The third object has a hole and the first two touch: they stay exact. IoU of a disc shrunk by k is k^2.
KINDS: tuple[Kind, ...] = ("exact", "exact", "exact", "shrunk", "too small", "misnamed", "missed", "exact")
SHRUNK, TOO_SMALL = 0.87, 0.6
FALSE_UM = 12.0


@dataclass(frozen=True)
class Prediction:
    """mask (x, y) uint8 of structure values; kinds : what became of each object of the scene; counts : structure to
    found, missed and false objects at an intersection over union of 0.5.
    """

    mask: NDArray[np.uint8]
    kinds: tuple[Kind, ...]
    counts: dict[int, dict[str, int]]


def predict(scene: SlideScene, mpp: float, shape_px: Corner) -> Prediction:
    """The prediction of a scene, with one invented object in the corner of the glass."""
    kinds = tuple(KINDS[i % len(KINDS)] for i in range(len(scene.objects)))
    counts = {s: {"found": 0, "missed": 0, "false": 0} for s in STRUCTURES}
    drawn: list[SlideObject] = []
    for item, kind in zip(scene.objects, kinds, strict=True):
        guess = guessed(item, kind)
        found = kind in ("exact", "shrunk")
        counts[item.structure]["found" if found else "missed"] += 1
        if guess is not None:
            drawn.append(guess)
            counts[guess.structure]["false"] += not found
    invented = SlideObject(1, (FALSE_UM + 2, FALSE_UM + 2), FALSE_UM)
    counts[1]["false"] += 1
    shown = replace(scene, objects=(*drawn, invented))
    return Prediction(structure_mask(shown, paint_owner(shown, mpp, shape_px)), kinds, counts)


def guessed(item: SlideObject, kind: Kind) -> SlideObject | None:
    """What is predicted for one object; None where it is missed."""
    if kind == "missed":
        return None
    if kind == "misnamed":
        return replace(item, structure=3 - item.structure)
    return item.scaled({"exact": 1.0, "shrunk": SHRUNK, "too small": TOO_SMALL}[kind])
