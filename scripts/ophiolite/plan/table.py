"""The plan as a table a person reads before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator

from ophiolite.plan.model import Cost, DatasetPlan, ProjectPlan, Refused, VolumePlan
from ophiolite.plan.slide_table import SLIDES_HEADER, grouped, slide_costs, slide_lines

RULES_HEADER = ("layer", "rule", "jobs", "core-hours", "min/job", "memory MB", "output MB", "files")
MANY_JOBS = 10_000
SCALES_HEADER = ("layer", "mip", "resolution nm", "size", "offset", "chunk", "encoding", "shards")


def render_plan(plan: ProjectPlan) -> str:
    """Layers, scales, jobs, core-hours, memory, bytes and files of a plan."""
    slides = {row.dataset for row in plan.slides.rows if row.dataset} if plan.slides else set()
    listed = [(d, f"{d}/{n}", layer) for d, data in plan.datasets.items() for n, layer in data.layers.items()]
    layers = [(name, layer) for _, name, layer in listed]
    # Slides are many and alike: a line each, and their rules together.
    alone = [(name, layer) for dataset, name, layer in listed if dataset not in slides]
    scales = [row for name, layer in alone if isinstance(layer, VolumePlan) for row in _scale_rows(name, layer)]
    rules = [row for name, layer in alone if not isinstance(layer, Refused) for row in _rule_rows(name, layer.costs)]
    costs = [c for _, layer in layers if not isinstance(layer, Refused) for c in layer.costs]
    lines = [f"plan of project {plan.project}", ""]
    if plan.slides:
        lines += [*text_table(SLIDES_HEADER, list(slide_lines(plan, plan.slides))), ""]
        rules += list(_rule_rows(f"{len(slides)} slides", tuple(slide_costs(plan, plan.slides))))
    if scales:
        lines += [*text_table(SCALES_HEADER, scales), ""]
    lines += [*text_table(RULES_HEADER, [*rules, _total(costs)]), ""]
    lines.append(f"intermediate files under work/: about {work_mb(plan):.0f} MB, kept until `snakemake clean_work`")
    count = sum(c.jobs for c in costs)
    if count > MANY_JOBS:
        lines.append(
            f"note: {count} jobs are many for one run of snakemake, which then takes minutes to start; lower"
            " jobs.max_jobs, or run one product after the other: snakemake image, snakemake mesh, ..."
        )
    lines += [f"REFUSED {layer.error}" for _, layer in layers if isinstance(layer, Refused)]
    planned = [(name, layer) for name, layer in layers if not isinstance(layer, Refused)]
    notes = grouped((name, warning) for name, layer in planned for warning in layer.warnings)
    lines += [f"note: {note}" for note in notes]
    return "\n".join(lines) + "\n"


def work_mb(plan: ProjectPlan) -> float:
    """Estimated size of the intermediate files, in MB."""
    return sum(_work_of(data) for data in plan.datasets.values())


def _work_of(data: DatasetPlan) -> float:
    volumes = [layer for layer in data.layers.values() if isinstance(layer, VolumePlan)]
    fragments = sum(c.output_mb for v in volumes for c in v.costs if c.rule.endswith("_fragments"))
    carries = sum(v.scales[r.mips[-1]].box.volume * 8e-6 for v in volumes for r in v.rounds if r.carry)
    return fragments + carries


def _scale_rows(name: str, layer: VolumePlan) -> Iterator[tuple[str, ...]]:
    for s in layer.scales:
        bits = s.sharding["shard_bits"] if s.sharding else None
        yield (
            name if s.mip == 0 else "",
            str(s.mip),
            " x ".join(f"{r:g}" for r in s.resolution_nm),
            " x ".join(map(str, s.size_vx)),
            ", ".join(map(str, s.voxel_offset_vx)),
            " x ".join(map(str, s.chunk_vx)),
            s.encoding.name
            + (f" {s.encoding.quality}" if s.encoding.quality else "")
            + (" + gzip" if s.encoding.gzip else ""),
            "unsharded" if bits is None else str(2**bits),
        )


def _rule_rows(name: str, costs: tuple[Cost, ...]) -> Iterator[tuple[str, ...]]:
    for i, c in enumerate(costs):
        yield (
            name if i == 0 else "",
            c.rule,
            str(c.jobs),
            f"{c.core_hours:.3f}",
            f"{c.seconds / 60:.1f}",
            str(c.memory_mb),
            f"{c.output_mb:.1f}",
            str(c.files),
        )


def _total(costs: list[Cost]) -> tuple[str, ...]:
    return (
        "total",
        "",
        str(sum(c.jobs for c in costs)),
        f"{sum(c.core_hours for c in costs):.3f}",
        "",
        str(max((c.memory_mb for c in costs), default=0)),
        f"{sum(c.output_mb for c in costs):.1f}",
        str(sum(c.files for c in costs)),
    )


def text_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table: a header, a rule, the rows."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [header, *rows]]
    return [lines[0], "  ".join("-" * w for w in widths), *lines[1:]]
