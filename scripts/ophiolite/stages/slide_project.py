"""The slides of a project, for the jobs that serve all of them."""

from __future__ import annotations

from pathlib import Path

from ophiolite.errors import PlanError, explain
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.job import open_project


def open_slides(path: Path) -> tuple[ProjectPlan, SlidesPlan, Store]:
    """A plan by its file, its slides, and the store of its project; PlanError where it has no slides."""
    plan, store = open_project(path)
    if plan.slides is None:
        problem = "the project has no slides"
        raise PlanError(explain(str(path), problem, do="Name a sheet or a folder under `slides` in the config"))
    return plan, plan.slides, store


def structures_of(plan: ProjectPlan) -> dict[int, str]:
    """Mask value -> name of the structure, ascending."""
    assert plan.slides is not None
    named = plan.slides.options["mask"]["structures"]
    return {int(value): named[value] for value in sorted(named, key=int)}
