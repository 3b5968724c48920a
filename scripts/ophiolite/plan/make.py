"""From the config and the headers of the sources to the plan; one layer that cannot be planned spoils no other."""

from __future__ import annotations

from pathlib import Path

from ophiolite.config.model import AnnotationLayer, Config, Dataset, ImageLayer, Layer, SegmentationLayer
from ophiolite.errors import LayerError, OphioliteError, PlanError, explain
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store, open_store
from ophiolite.plan.digests import annotation_digests, project_digests
from ophiolite.plan.estimate import Speeds, annotation_costs
from ophiolite.plan.model import (
    VERSION,
    AnnotationPlan,
    DatasetPlan,
    JobsPlan,
    LayerPlan,
    ProjectPlan,
    Refused,
)
from ophiolite.plan.slides import expand_slides
from ophiolite.plan.volume import Opened, plan_volume
from ophiolite.sources import open_source
from ophiolite.sources.fetch import DATA, require_fetched
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.relabel import relabelled

NO_VOXELS = {"mesh", "skeleton", "properties", "max_inline_labels"}


def store_of(config: Config, base: Path) -> Store:
    """The store that a config names; `base` is the folder that relative paths start from."""
    return open_store(base / config.tracked / config.project, config.store, config.project)


def make_plan(config: Config, base: Path, speeds: Speeds) -> ProjectPlan:
    """The plan of a project; `base` is the folder that relative sources start from."""
    datasets = {
        name: _without_orphans(
            {key: _plan_layer(config, name, key, base, speeds) for key in sorted(dataset.layers)}, f"datasets.{name}"
        )
        for name, dataset in sorted(config.datasets.items())
    }
    store = store_of(config, base)
    slides = expand_slides(config, base, speeds, lambda paths: _refuse_foreign(store, paths))
    return ProjectPlan(
        version=VERSION,
        project=config.project,
        store=config.store,
        results=config.tracked,
        config=config.model_dump(mode="json"),
        jobs=JobsPlan(threads=config.jobs.threads, memory_mb=config.jobs.memory_mb),
        datasets=datasets | slides.datasets,
        slides=slides.slides,
        digests=project_digests(config, datasets | slides.datasets),
    )


def _without_orphans(layers: dict[str, LayerPlan], place: str) -> DatasetPlan:
    """The layers of a dataset; annotations whose partners are looked up in a refused layer are refused with it."""
    out = dict(layers)
    for name, layer in layers.items():
        needed = layers.get(layer.segmentation or "") if isinstance(layer, AnnotationPlan) else None
        if isinstance(needed, Refused):
            out[name] = Refused(
                kind="refused", error=f"{place}.layers.{name}: its segmentation was refused. {needed.error}"
            )
    return DatasetPlan(layers=out)


def planned_layers(plan: ProjectPlan) -> list[LayerPaths]:
    """The paths of every layer that was not refused."""
    layers = [(d, name, layer) for d, dataset in plan.datasets.items() for name, layer in dataset.layers.items()]
    return [LayerPaths(d, name) for d, name, layer in layers if not isinstance(layer, Refused)]


def _plan_layer(config: Config, dataset_name: str, name: str, base: Path, speeds: Speeds) -> LayerPlan:
    dataset = config.datasets[dataset_name]
    layer: Layer = dataset.layers[name]
    place = f"datasets.{dataset_name}.layers.{name}"
    try:
        _refuse_foreign(store_of(config, base), LayerPaths(dataset_name, name))
        if isinstance(layer, AnnotationLayer):
            return _plan_annotations(layer, dataset, base, place)
        opened = Opened(
            open_padded(layer, dataset, base),
            resolve_source(layer.source, dataset, base),
            layer.format,
            _relabel(layer, dataset, base),
        )
        return plan_volume(config, layer, opened, place, speeds)
    except OphioliteError as error:
        return Refused(kind="refused", error=f"{place}: {error}")


def _refuse_foreign(store: Store, paths: LayerPaths) -> None:
    """Raise LayerError where a layer's folder holds files but no plan of ours ever claimed it."""
    if store.folder.is_folder(paths.receipts):
        return
    first = next(iter(store.list(paths.layer_folder)), None)
    if first is not None:
        raise LayerError(
            explain(
                store.place(paths.layer_folder),
                "holds files that this workflow did not write",
                expected="no such folder, or one with receipts",
                got=first,
                do="Move it away, or choose another project, dataset or layer name",
            )
        )


def resolve_source(text: str, dataset: Dataset, base: Path) -> str:
    """The source as it is opened: names of downloads become files under `data/`; raises SourceError for failed ones."""
    name, colon, inside = text.partition(":")
    if name not in dataset.downloads:
        return text
    require_fetched(name, base / DATA)
    return f"{DATA}/{name}{colon}{inside}"


def open_padded(layer: ImageLayer | SegmentationLayer, dataset: Dataset, base: Path) -> PaddedSource:
    """Open a layer's source as the config places it."""
    source = open_source(
        resolve_source(layer.source, dataset, base),
        kind=layer.type,
        format=layer.format,
        base=base,
        resolution_nm=layer.resolution_nm,
        voxel_offset_vx=layer.voxel_offset_vx,
    )
    table = _relabel(layer, dataset, base)
    return PaddedSource(relabelled(source, table, base) if table else source, layer.pad_vx)


def _relabel(layer: ImageLayer | SegmentationLayer, dataset: Dataset, base: Path) -> str | None:
    """The relabel table as it is opened."""
    if isinstance(layer, SegmentationLayer) and layer.relabel is not None:
        return resolve_source(layer.relabel, dataset, base)
    return None


def _plan_annotations(layer: AnnotationLayer, dataset: Dataset, base: Path, place: str) -> AnnotationPlan:
    text = resolve_source(layer.source, dataset, base)
    file = base / text.partition(":")[0]
    if not file.is_file():
        raise PlanError(explain(f"{place}.source", f"{file} does not exist", do="Correct the path"))
    plan = AnnotationPlan(
        kind="annotations",
        source=text,
        geometry=layer.kind,
        segmentation=layer.segmentation,
        outlines_of=None,
        label_columns=tuple(layer.label_columns),
        limit=layer.limit,
        costs=annotation_costs(),
        digests={},
        warnings=(),
    )
    stat = file.stat()
    segmentation = dataset.layers.get(layer.segmentation) if layer.segmentation else None
    upstream = segmentation.model_dump(mode="json", exclude=NO_VOXELS) if segmentation else None
    return plan.model_copy(update={"digests": annotation_digests(plan, [stat.st_size, stat.st_mtime_ns], upstream)})
