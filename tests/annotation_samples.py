"""Seeded annotation tables of every kind, for the tests of the layer and of its readers."""

from __future__ import annotations

import numpy as np

from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related

PROPERTIES = (
    Property("kind", "uint8", "what it is", (0, 1, 2), ("a", "b", "c")),
    Property("score", "float32"),
    Property("colour", "rgb"),
    Property("level", "int16"),
)


def sample(kind: AnnotationType, count: int, seed: int = 5) -> AnnotationTable:
    """`count` annotations in a box of 6 x 5 x 3 micrometres off the origin, with properties and two relationships."""
    rng = np.random.default_rng(seed)
    place = np.array([-700, 12_000, 40]) + rng.uniform(0, [6000, 5000, 3000], (count, 3))
    points = None
    if kind is AnnotationType.POINT:
        geometry = place
    elif kind is AnnotationType.POLYLINE:
        lengths = rng.integers(2, 6, count)
        points = np.concatenate([[0], np.cumsum(lengths)])
        geometry = np.repeat(place, lengths, axis=0) + rng.normal(0, 80, (int(points[-1]), 3))
    elif kind is AnnotationType.ELLIPSOID:
        geometry = np.stack([place, rng.uniform(0, 150, (count, 3))], axis=1)
    else:
        geometry = np.stack([place, place + rng.normal(0, 120, (count, 3))], axis=1)
    columns = {
        "kind": rng.integers(0, 3, count),
        "score": rng.normal(size=count),
        "colour": rng.integers(0, 256, (count, 3)),
        "level": rng.integers(-500, 500, count),
    }
    few, many = rng.integers(0, 9, count), rng.integers(2**60, 2**60 + 300, (count, 2))
    relationships = {
        "pre segment": Related.of_columns(few.astype(np.uint64)),
        "neighbours": Related.of_columns(*many.astype(np.uint64).T),
    }
    ids = rng.permutation(np.arange(count, dtype=np.uint64)) * np.uint64(2**40 + 3)
    return AnnotationTable(kind, geometry, ids, PROPERTIES, columns, relationships, points)
