"""From the config and the headers of the sources to the plan; one layer that cannot be planned spoils no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ophiolite.config.model import AnnotationLayer, Config, Dataset, ImageLayer, Layer, SegmentationLayer
from ophiolite.errors import LayerError, OphioliteError, PlanError, explain
from ophiolite.geometry.box import mul, prod
from ophiolite.kernels.downsample import sum_dtype
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store, open_store
from ophiolite.plan.costs import SECONDS_PER_MVX
from ophiolite.plan.digests import annotation_digests, project_digests, volume_digests
from ophiolite.plan.estimate import Speeds, annotation_costs, volume_costs
from ophiolite.plan.fragments import estimate_labels, plan_fragments
from ophiolite.plan.model import (
    VERSION,
    AnnotationPlan,
    DatasetPlan,
    FragmentPlan,
    JobsPlan,
    LayerPlan,
    ProjectPlan,
    Refused,
    ResolutionNm,
    RoundPlan,
    ScalePlan,
    SourcePlan,
    VolumePlan,
)
from ophiolite.plan.pyramid import Volume, plan_pyramid, times_decoded
from ophiolite.precomputed.encoding import ChunkEncoding, check_encoding, unreadable_by
from ophiolite.sources import open_source
from ophiolite.sources.fetch import DATA, require_fetched
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.relabel import relabelled
from ophiolite.sources.source import Source

LABEL_TYPE = "uint64"
LABELS_PER_PART = 4_000_000
DECODED_TOO_OFTEN = 2
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
    return ProjectPlan(
        version=VERSION,
        project=config.project,
        store=config.store,
        results=config.tracked,
        config=config.model_dump(mode="json"),
        jobs=JobsPlan(threads=config.jobs.threads, memory_mb=config.jobs.memory_mb),
        datasets=datasets,
        digests=project_digests(config, datasets),
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
        return _plan_volume(config, layer, dataset, base, place, speeds)
    except OphioliteError as error:
        return Refused(kind="refused", error=f"{place}: {error}")


def _refuse_foreign(store: Store, paths: LayerPaths) -> None:
    """Raise LayerError where a layer's folder holds files but no plan of ours ever claimed it."""
    if store.folder.local(paths.receipts).is_dir():
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


def _resolution(source: Source, place: str) -> ResolutionNm:
    if source.resolution_nm is None:
        raise PlanError(
            explain(
                f"{place}.resolution_nm",
                f"is not known: {source.path} does not say how large a voxel is",
                expected="[x, y, z] in nanometres",
                do="Write it into the config",
            )
        )
    return source.resolution_nm


def _plan_volume(
    config: Config, layer: ImageLayer | SegmentationLayer, dataset: Dataset, base: Path, place: str, speeds: Speeds
) -> VolumePlan:
    padded = open_padded(layer, dataset, base)
    source = padded.source
    label = isinstance(layer, SegmentationLayer)
    data_type = LABEL_TYPE if label else str(source.dtype)
    volume = Volume(
        where=place,
        box=padded.box,
        resolution_nm=_resolution(source, place),
        channels=source.channels,
        source_bytes=source.dtype.itemsize,
        layer_bytes=8 if label else source.dtype.itemsize,
        is_label=label,
        cache_bytes=source.cache_bytes,
        alignment_vx=source.alignment_vx,
    )
    scales, rounds = plan_pyramid(volume, layer.pyramid, config.jobs, SECONDS_PER_MVX[f"pyramid_blocks.{layer.type}"])
    warnings = _check_encodings(scales, data_type, source.channels, place) + _decoding(source, rounds[0])
    _check_method(layer, source, scales, place)
    cache: dict[str, int] = {}

    def labels() -> int:
        if "n" not in cache:
            cache["n"] = estimate_labels(padded.box, source.alignment_vx, padded.read)
        return cache["n"]

    products: dict[str, FragmentPlan | None] = {"mesh": None, "skeleton": None}
    if isinstance(layer, SegmentationLayer):
        for product, options in (("mesh", layer.mesh), ("skeleton", layer.skeleton)):
            if options is not None:
                products[product] = plan_fragments(product, options, scales, config.jobs, labels, f"{place}.{product}")
    expected = max((p.expected_labels for p in products.values() if p), default=0) or (labels() if label else 0)
    plan = VolumePlan(
        kind=layer.type,
        source=SourcePlan(
            text=resolve_source(layer.source, dataset, base),
            format=layer.format,
            relabel=_relabel(layer, dataset, base),
            dtype=str(source.dtype),
            channels=source.channels,
            shape_vx=source.shape_vx,
            voxel_offset_vx=source.voxel_offset_vx,
            pad_vx=padded.pad_vx,
            fingerprint=source.fingerprint(),
            alignment_vx=source.alignment_vx,
            cache_bytes=source.cache_bytes,
        ),
        data_type=data_type,
        method=_method(layer),
        sparse=layer.pyramid.sparse,
        sharded=layer.pyramid.sharded,
        scales=tuple(scales),
        rounds=tuple(rounds),
        stats_parts=max(1, expected // LABELS_PER_PART) if label else 0,
        mesh=products["mesh"],
        skeleton=products["skeleton"],
        properties=isinstance(layer, SegmentationLayer) and layer.properties,
        max_inline_labels=layer.max_inline_labels if isinstance(layer, SegmentationLayer) else 0,
        costs=(),
        digests={},
        warnings=tuple(warnings),
    )
    costs, more = volume_costs(plan, config.jobs, speeds)
    return plan.model_copy(
        update={
            "costs": costs,
            "digests": volume_digests(plan, config.quality, config.compression, config.jobs.memory_mb),
            "warnings": (*plan.warnings, *more),
        }
    )


def _method(layer: ImageLayer | SegmentationLayer) -> str:
    if layer.pyramid.method != "auto":
        return layer.pyramid.method
    return "mode" if layer.type == "segmentation" else "mean"


def _check_method(
    layer: ImageLayer | SegmentationLayer, source: Source, scales: Sequence[ScalePlan], place: str
) -> None:
    """Refuse a downsampling method that has no meaning for the voxels."""
    method = _method(layer)
    if layer.type == "segmentation" and method == "mean":
        raise PlanError(
            explain(
                f"{place}.pyramid.method",
                "would average labels",
                expected="mode, min, max or stride",
                got=method,
                do="Use mode",
            )
        )
    if method == "mode" and (source.channels > 1 or source.dtype.kind != "u"):
        raise PlanError(
            explain(
                f"{place}.pyramid.method",
                "takes the mode of unsigned integers of one channel",
                expected="mean, min, max or stride for this image",
                got=f"mode of {source.dtype}, {source.channels} channel(s)",
                do="Choose another method",
            )
        )
    if method == "mean" and len(scales) > 1:
        sum_dtype(source.dtype, prod(scales[-1].factor))
    if layer.pyramid.sparse and method not in ("mean", "mode"):
        raise PlanError(
            explain(
                f"{place}.pyramid.sparse",
                f"has no meaning for {method}",
                expected="method mean or mode",
                got=method,
                do="Remove it",
            )
        )


def _check_encodings(scales: Any, data_type: str, channels: int, place: str) -> list[str]:
    """Refuse encodings that cannot hold the data; say which readers cannot open those that can."""
    warnings: list[str] = []
    for scale in scales:
        encoding = ChunkEncoding(name=scale.encoding.name, quality=scale.encoding.quality, gzip=scale.encoding.gzip)
        check_encoding(encoding, data_type, channels, f"{place}.pyramid mip {scale.mip}")
        readers = unreadable_by(encoding, data_type, channels)
        if readers:
            warnings.append(f"mip {scale.mip}: {scale.encoding.name} cannot be opened by {', '.join(readers)}")
    return warnings


def _decoding(source: Source, first: RoundPlan) -> list[str]:
    """Say so where several jobs decode the same slices or chunks of a source."""
    block = mul(first.task_vx, first.block_tasks)
    times = times_decoded(source.alignment_vx, block, source.shape_vx)
    if times < DECODED_TOO_OFTEN:
        return []
    part, job = (" x ".join(map(str, size)) for size in (source.alignment_vx, block))
    return [
        f"the source decodes {part} voxels at a time, jobs cover {job}: each part is"
        f" decoded about {times:.1f} times; longer jobs (jobs.minutes) decode less"
    ]


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
