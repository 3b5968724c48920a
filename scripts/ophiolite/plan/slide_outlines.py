"""The annotation layers of a slide: outlines and boxes of the objects of its mask."""

from __future__ import annotations

from collections.abc import Mapping

from ophiolite.plan.digests import annotation_digests
from ophiolite.plan.estimate import annotation_costs
from ophiolite.plan.model import AnnotationPlan, VolumePlan

# Layer -> geometry of its annotations.
OUTLINES = {"contours": "polyline", "boxes": "box"}
CELL_LIMIT = 1000


def outline_layers(layers: Mapping[str, VolumePlan]) -> dict[str, AnnotationPlan]:
    """The layers that are made of what rule slide_contours traces, if asked for; `layers` : those of the slide."""
    traced = layers["objects"].digests.get("slide_contours") if "objects" in layers else None
    return {name: _plan(layers["objects"], geometry, traced) for name, geometry in OUTLINES.items() if traced}


def _plan(objects: VolumePlan, geometry: str, traced: str | None) -> AnnotationPlan:
    plan = AnnotationPlan(
        kind="annotations",
        source=objects.source.text,
        geometry=geometry,
        segmentation=None,
        outlines_of="objects",
        label_columns=(),
        limit=CELL_LIMIT,
        costs=annotation_costs(),
        digests={},
        warnings=(),
    )
    return plan.model_copy(update={"digests": annotation_digests(plan, None, traced)})
