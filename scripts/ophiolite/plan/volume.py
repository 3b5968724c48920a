"""The plan of one image or segmentation layer, from its open source and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ophiolite.config.model import Config, ImageLayer, SegmentationLayer
from ophiolite.errors import PlanError, explain
from ophiolite.geometry.box import mul, prod
from ophiolite.kernels.downsample import sum_dtype
from ophiolite.plan.costs import SECONDS_PER_MVX
from ophiolite.plan.digests import volume_digests
from ophiolite.plan.estimate import Speeds, volume_costs
from ophiolite.plan.fragments import estimate_labels, plan_fragments
from ophiolite.plan.model import FragmentPlan, ResolutionNm, RoundPlan, ScalePlan, SourcePlan, VolumePlan
from ophiolite.plan.pyramid import Volume, plan_pyramid, times_decoded
from ophiolite.precomputed.encoding import ChunkEncoding, check_encoding, unreadable_by
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.source import Source

LABEL_TYPE = "uint64"
LABELS_PER_PART = 4_000_000
DECODED_TOO_OFTEN = 2
# Sums of uint8 over up to 2^24 pixels, see kernels.downsample.sum_dtype.
SLIDE_SUM_BYTES = 4


@dataclass(frozen=True)
class Opened:
    """An open source, and all that is needed to open it again; `expected_labels` of None is estimated by reading."""

    padded: PaddedSource
    text: str
    format: str | None = None
    relabel: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)
    expected_labels: int | None = None


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


def plan_volume(
    config: Config, layer: ImageLayer | SegmentationLayer, opened: Opened, place: str, speeds: Speeds
) -> VolumePlan:
    """The plan of an image or segmentation layer; raises PlanError where its options cannot meet its source."""
    padded = opened.padded
    source = padded.source
    label = isinstance(layer, SegmentationLayer)
    # Objects of a mask are numbered here: 32 bits hold them all.
    wide = label and opened.format != "mask_objects"
    data_type = LABEL_TYPE if wide else str(source.dtype)
    volume = Volume(
        where=place,
        box=padded.box,
        resolution_nm=_resolution(source, place),
        channels=source.channels,
        source_bytes=source.dtype.itemsize,
        layer_bytes=8 if wide else source.dtype.itemsize,
        is_label=label,
        cache_bytes=source.cache_bytes,
        alignment_vx=source.alignment_vx,
        carry_bytes=SLIDE_SUM_BYTES if opened.format == "slide" else 8,
    )
    scales, rounds = plan_pyramid(volume, layer.pyramid, config.jobs, SECONDS_PER_MVX[f"pyramid_blocks.{layer.type}"])
    warnings = _check_encodings(scales, data_type, source.channels, place) + _decoding(source, rounds[0])
    _check_method(layer, source, scales, place)
    cache: dict[str, int] = {}

    def labels() -> int:
        if opened.expected_labels is not None:
            return opened.expected_labels
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
            text=opened.text,
            format=opened.format,
            relabel=opened.relabel,
            reading=opened.reading,
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
        stats_parts=max(1, -(-expected // LABELS_PER_PART)) if label else 0,
        mesh=products["mesh"],
        skeleton=products["skeleton"],
        properties=isinstance(layer, SegmentationLayer) and layer.properties,
        max_inline_labels=layer.max_inline_labels if isinstance(layer, SegmentationLayer) else 0,
        costs=(),
        digests={},
        warnings=tuple(warnings),
    )
    costs, more = volume_costs(plan, expected, config.jobs, speeds)
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
