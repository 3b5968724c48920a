"""The page of the quality report: a section for pyramids, meshes and skeletons each, from their tables and figures."""

from __future__ import annotations

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.report.page import render_sections
from ophiolite.stages.mesh_quality_section import mesh_section
from ophiolite.stages.pyramid_quality_section import pyramid_section
from ophiolite.stages.report import with_refusals
from ophiolite.stages.skeleton_quality_section import skeleton_section

SECTIONS = {"pyramid": pyramid_section, "mesh": mesh_section, "skeleton": skeleton_section}


def build_quality_page(plan: ProjectPlan, store: Store) -> str:
    """The page as HTML text; parts that no layer has (any more), or whose table was not asked for, are left out."""
    kinds = _kinds(plan)
    made = [
        build(plan, store)
        for kind, build in SECTIONS.items()
        if kind in kinds and store.exists(f"tables/{kind}_quality.parquet")
    ]
    return render_sections(plan.project, "Ophiolite quality report", [], with_refusals(plan, made))


def _kinds(plan: ProjectPlan) -> set[str]:
    """What the layers of a plan give rise to: pyramids, and the products that some layer has."""
    volumes = [v for data in plan.datasets.values() for v in data.layers.values() if isinstance(v, VolumePlan)]
    return {kind for volume in volumes for kind in ("pyramid", *(name for name, _ in volume.products()))}
