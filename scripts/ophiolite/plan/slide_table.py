"""The slides of a plan as tables a person reads: a line per slide, and what the jobs of all of them take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ophiolite.plan.model import Cost, ProjectPlan, VolumePlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan

SLIDES_HEADER = ("slide", "case", "group", "size px", "mpp", "mpp from", "mips", "slide px per mask px")


def slide_lines(plan: ProjectPlan, slides: SlidesPlan) -> Iterator[tuple[str, ...]]:
    """A row of the table per slide that was not refused; patches are counted per group."""
    for row in slides.planned():
        if row.dataset is not None:
            layer = plan.datasets[row.dataset].layers["slide"]
            yield (*_names(row), str(len(layer.scales)) if isinstance(layer, VolumePlan) else "", _ratio(row))
    patches = [row for row in slides.planned() if row.kind == "patch"]
    for group in sorted({row.group for row in patches}):
        mine = [row for row in patches if row.group == group]
        cases, masks = len({row.case_id for row in mine}), sum(row.mask is not None for row in mine)
        yield (f"{len(mine)} patches", f"{cases} cases", group, "", "", "", "", f"{masks} masks")


def slide_costs(plan: ProjectPlan, slides: SlidesPlan) -> list[Cost]:
    """What every rule takes for all slides together, one cost per rule."""
    of_slides = {row.dataset for row in slides.rows if row.dataset}
    costs: dict[str, list[Cost]] = {}
    for dataset in sorted(of_slides):
        for name, layer in plan.datasets[dataset].layers.items():
            for cost in layer.costs if isinstance(layer, VolumePlan) else ():
                costs.setdefault(f"{name} {cost.rule}", []).append(cost)
    return [_joined(rule, found) for rule, found in costs.items()]


def grouped(notes: Iterable[tuple[str, str]]) -> Iterator[str]:
    """`(layer, warning)` as lines; a warning of several layers is said once, with their number."""
    layers: dict[str, list[str]] = {}
    for layer, warning in notes:
        layers.setdefault(warning, []).append(layer)
    for warning, named in layers.items():
        first = named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"
        yield f"{first}: {warning}"


def _joined(rule: str, costs: list[Cost]) -> Cost:
    jobs = sum(c.jobs for c in costs)
    return Cost(
        rule=rule,
        jobs=jobs,
        seconds=sum(c.jobs * c.seconds for c in costs) / jobs,
        memory_mb=max(c.memory_mb for c in costs),
        output_mb=sum(c.output_mb for c in costs),
        files=sum(c.files for c in costs),
        scratch_mb=max(c.scratch_mb for c in costs),
    )


def _names(row: SlideRowPlan) -> tuple[str, ...]:
    size, mpp = row.size_px or (0, 0), row.mpp or (0.0, 0.0)
    scale = f"{mpp[0]:.4g}" if mpp[0] == mpp[1] else f"{mpp[0]:.4g} x {mpp[1]:.4g}"
    return row.slide_id, row.case_id, row.group, f"{size[0]} x {size[1]}", scale, row.mpp_origin


def _ratio(row: SlideRowPlan) -> str:
    return str(row.mask_ratio) if row.mask_ratio else "no mask"
