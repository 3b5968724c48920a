"""The report page of a project: what was made, what it shows, what it cost."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib import metadata

import yaml

from ophiolite import __version__
from ophiolite.errors import LayerError
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import AnnotationPlan, ProjectPlan, Refused, ScalePlan, VolumePlan
from ophiolite.plan.slide_table import grouped
from ophiolite.report.page import Figure, LayerRow, Report, ScaleRow, Section, human_bytes, human_time
from ophiolite.stages.timings import cost_tables, read_timings, stages_of

TITLES = {
    "slices": ("Slices", "Middle slices at two mips; labels of a segmentation lie over the image."),
    "scene": ("Objects in their volume", "The largest objects in the frame of the volume."),
    "objects": ("Largest objects", "Each along its own axes, with its skeleton inside its mesh."),
    "sizes": ("Sizes", "How large the objects are; objects without the measure are counted apart."),
}
PACKAGES = (
    "numpy",
    "numba",
    "kimimaro",
    "DracoPy",
    "tensorstore",
    "h5py",
    "pyarrow",
    "neuroglancer",
    "snakemake",
)


def build_report(plan: ProjectPlan, store: Store) -> Report:
    """All that the page of a finished project shows."""
    rows = read_timings(plan, store)
    stages = stages_of(plan, rows)
    layers = list(_layers(plan))
    made = list(_made(plan))
    total = stages.iloc[-1] if len(stages) else None
    facts = [(str(len(made)), "layers"), (f"{_objects(plan, store):,}", "objects")]
    if total is not None:
        facts += [
            (f"{total['core_hours']:.3g}", "core-hours"),
            (human_time(float(total["wall_s"])), "wall time"),
            (human_bytes(float(total["bytes"])), "written"),
        ]
    return Report(
        project=plan.project,
        facts=facts,
        layers=layers,
        costs=cost_tables(plan, rows),
        figures=list(_figures(plan, store)),
        warnings=list(_warnings(plan)),
        view_command=f"make view RESULTS={plan.folder}",
        versions=_versions(),
        config=yaml.safe_dump(plan.config, sort_keys=False),
    )


def _made(plan: ProjectPlan) -> Iterator[tuple[str, str, VolumePlan | AnnotationPlan]]:
    """(dataset, layer, plan) of every layer that was made."""
    slides = {row.dataset for row in plan.slides.rows if row.dataset} if plan.slides else set()
    left_out = slides if plan.slides and not plan.slides.options["viewer"] else set()
    for dataset, data in plan.datasets.items():
        for name, layer in data.layers.items():
            if not isinstance(layer, Refused) and dataset not in left_out:
                yield dataset, name, layer


def _shown(plan: ProjectPlan) -> Iterator[tuple[str, str, VolumePlan | AnnotationPlan]]:
    """Those of them that the page has room for."""
    slides = {row.dataset for row in plan.slides.rows if row.dataset} if plan.slides else set()
    shown = plan.slides.shown if plan.slides else ()
    return (found for found in _made(plan) if found[0] not in slides or found[0] in shown)


def _layers(plan: ProjectPlan) -> Iterator[LayerRow]:
    for dataset, name, layer in _shown(plan):
        path = LayerPaths(dataset, name).layer_folder
        if isinstance(layer, AnnotationPlan):
            yield LayerRow(dataset, name, "annotations", "", path, layer.source)
        else:
            products = [product for product, _ in layer.products()] + ["properties"] * layer.properties
            scales = [_scale(s) for s in layer.scales]
            yield LayerRow(dataset, name, layer.kind, layer.data_type, path, layer.source.text, scales, products)


def _scale(scale: ScalePlan) -> ScaleRow:
    encoding = scale.encoding.name + (f" {scale.encoding.quality}" if scale.encoding.quality else "")
    return ScaleRow(
        mip=scale.mip,
        resolution_nm=scale.resolution_nm,
        size_vx=scale.size_vx,
        voxel_offset_vx=scale.voxel_offset_vx,
        chunk_vx=scale.chunk_vx,
        encoding=encoding + (" + gzip" if scale.encoding.gzip else ""),
        shards=1 << int(scale.sharding["shard_bits"]) if scale.sharding else None,
    )


def _objects(plan: ProjectPlan, store: Store) -> int:
    """Objects of all segmentation layers, as their tables' receipts say."""
    total = 0
    for dataset, name, layer in _made(plan):
        # The labels of a slide's mask are structures; its objects are a layer of their own.
        labelled = isinstance(layer, VolumePlan) and layer.source.format != "mask"
        for part in range(layer.stats_parts if isinstance(layer, VolumePlan) and labelled else 0):
            receipt = read_receipt(store, LayerPaths(dataset, name).receipt("object_table", str(part)))
            total += int(receipt.facts["objects"])
    return total


def _figures(plan: ProjectPlan, store: Store) -> Iterator[Figure]:
    for dataset, name, layer in _shown(plan):
        if not isinstance(layer, VolumePlan):
            continue
        for key, (title, caption) in TITLES.items():
            for ending in ("png", "svg"):
                path = f"figures/{dataset}.{name}.{key}.{ending}"
                if store.exists(path):
                    yield Figure(f"{title}: {dataset}/{name}", caption, store.local(path))
    if not store.exists("figures/stages.svg"):
        raise LayerError("figures/stages.svg: is missing. Run the workflow, which makes it.")
    yield Figure(
        "Cost of the rules",
        "Core-hours of every rule, summed over its jobs.",
        store.local("figures/stages.svg"),
        "cost",
    )


def with_refusals(plan: ProjectPlan, sections: Sequence[Section]) -> list[Section]:
    """The sections of a page about a project's layers, and one that names the layers its plan refused.

    A page without any says that there is nothing to measure.
    """
    layers = [layer for data in plan.datasets.values() for layer in data.layers.values()]
    errors = [layer.error for layer in layers if isinstance(layer, Refused)]
    out = list(sections) or [Section("nothing", "Nothing to measure", ["The project has no layer of the kind."])]
    return out + ([Section("refused", "Layers that were refused", errors)] if errors else [])


def _warnings(plan: ProjectPlan) -> Iterator[str]:
    layers = [(f"{d}/{name}", layer) for d, data in plan.datasets.items() for name, layer in data.layers.items()]
    yield from (f"refused: {layer.error}" for _, layer in layers if isinstance(layer, Refused))
    planned = [(name, layer) for name, layer in layers if not isinstance(layer, Refused)]
    yield from grouped((name, warning) for name, layer in planned for warning in layer.warnings)
    slides = sum(row.dataset is not None for row in plan.slides.rows) if plan.slides else 0
    if plan.slides and len(plan.slides.shown) < slides:
        yield f"of {slides} slides, this page shows {len(plan.slides.shown)}; slides.html is about all"


def _versions() -> dict[str, str]:
    """Of the packages in this environment: where each rule has its own, others lie in theirs, as envs/ pins them."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"ophiolite": __version__, "Python": platform.python_version(), **found}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
