"""What lies in a results folder, as the viewer needs to know it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ophiolite.errors import LayerError, explain
from ophiolite.kernels.label_stats import centroids_vx
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.statistics import read_stats_bytes
from ophiolite.report.viewer_state import AnnotationView, LayerView, ObjectView, VolumeView, largest_segments

SELECTED_SEGMENTS = 12
CONTRAST_PERCENTILES = (0.5, 99.5)
CONTRAST_SAMPLE_VX = (512, 512, 16)
KIND_ORDER = {"image": 0, "segmentation": 1, "annotation": 2}


def read_views(folder: Path, selected: int = SELECTED_SEGMENTS) -> tuple[LayerView, ...]:
    """The finished layers of a project's results folder, by dataset, images first, then segmentations, annotations.

    selected : how many of the largest segments of each segmentation to select at first.
    Raises LayerError where the folder has none, or an `info` file cannot be read.
    """
    infos = sorted(folder.glob("*/layers/*/info"))
    if not infos:
        inner = sorted(path.parent.parent.name for path in folder.glob("*/*/layers"))
        raise LayerError(
            explain(
                str(folder),
                "there are no finished layers in this folder",
                expected="<dataset>/layers/<layer>/info under it",
                got=f"projects {', '.join(dict.fromkeys(inner))}" if inner else "none",
                do="Name the folder of one project, or run the workflow first",
            )
        )
    views = [_view(path.parent, folder, selected) for path in infos]
    return tuple(sorted(views, key=lambda view: (view.dataset, KIND_ORDER[_kind(view)], view.layer)))


def find_object(folder: Path, views: Sequence[LayerView], dataset: str, layer: str, label: int) -> ObjectView | None:
    """Where a label of a segmentation layer lies, by the layer's label statistics; None where there is no such label.

    views : what `read_views` found in the folder.
    """
    wanted = ("segmentation", dataset, layer)
    volumes = [v for v in views if isinstance(v, VolumeView) and (v.kind, v.dataset, v.layer) == wanted]
    for path in sorted((folder / LayerPaths(dataset, layer).work / "label_stats").glob("*.npy")) if volumes else []:
        stats = read_stats_bytes(path.read_bytes())
        for row in (stats.labels == label).nonzero()[0]:
            nm = volumes[0].resolution_nm
            centre = centroids_vx(stats)[row] * nm
            extent = (stats.stop[row] - stats.start[row]) * nm
            return ObjectView(dataset, layer, label, tuple(centre.tolist()), tuple(extent.tolist()))
    return None


def _kind(view: LayerView) -> str:
    return view.kind if isinstance(view, VolumeView) else "annotation"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LayerError(
            explain(str(path), "the file cannot be read as JSON", got=str(error), do="Make this layer again")
        ) from error


def _view(layer: Path, folder: Path, selected: int) -> LayerView:
    info = _read_json(layer / "info")
    dataset, path = layer.parent.parent.name, layer.relative_to(folder).as_posix()
    try:
        if info.get("@type") == "neuroglancer_annotations_v1":
            links = _links(layer, folder, info)
            return AnnotationView(dataset, layer.name, path, info["annotation_type"].upper(), links)
        finest = info["scales"][0]
        return VolumeView(
            dataset=dataset,
            layer=layer.name,
            path=path,
            kind=info["type"],
            resolution_nm=(finest["resolution"][0], finest["resolution"][1], finest["resolution"][2]),
            start_vx=tuple(finest.get("voxel_offset", (0, 0, 0))),
            size_vx=tuple(finest["size"]),
            channels=info["num_channels"],
            contrast=_contrast(layer, info) if info["type"] == "image" else None,
            selected=_selected(layer, info, selected) if info["type"] == "segmentation" else (),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LayerError(
            explain(
                str(layer / "info"),
                "it does not describe a Precomputed volume or annotation layer",
                got=f"{type(error).__name__}: {error}",
                do="Make this layer again",
            )
        ) from error


def _links(layer: Path, folder: Path, info: Mapping[str, Any]) -> dict[str, str]:
    """Relationship -> segmentation layer: the one that the plan names, else the only one of the dataset.

    The format itself does not say to which layer the labels belong.
    """
    plan = _read_json(folder / "plan.json") if (folder / "plan.json").is_file() else {}
    layers = plan.get("datasets", {}).get(layer.parent.parent.name, {}).get("layers", {})
    named = layers.get(layer.name, {}).get("segmentation")
    siblings = sorted(layer.parent.glob("*/info"))
    found = [named] if named else [p.parent.name for p in siblings if _read_json(p).get("type") == "segmentation"]
    return {relation["id"]: found[0] for relation in info["relationships"] if len(found) == 1}


def _selected(layer: Path, info: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """The largest segments, once the segment properties are there."""
    place = layer / str(info.get("segment_properties")) / "info"
    return largest_segments(_read_json(place), count) if place.is_file() else ()


def _contrast(layer: Path, info: Mapping[str, Any]) -> tuple[float, float] | None:
    """Black and white of a grey image, from the middle of its finest scale; zeros, which pad, do not count.

    Coarse scales are means, so their range is narrower than what the viewer will show.

    None for colour images of 8 bits, which are shown as they are, and for encodings that TensorStore cannot decode.
    """
    import numpy as np
    import tensorstore as ts

    if info["num_channels"] == 3 and info["data_type"] == "uint8":
        return None
    try:
        volume = ts.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": f"{layer}/"},
                "scale_index": 0,
            },
            read=True,
        ).result()
        middle = []
        for low, size, wanted in zip(volume.domain.inclusive_min, volume.shape, CONTRAST_SAMPLE_VX, strict=False):
            start = low + max(0, size - wanted) // 2
            middle.append(slice(start, start + min(size, wanted)))
        values = np.asarray(volume[tuple(middle)].read().result())
    except ValueError:
        return None
    values = values[values != 0] if values.any() else values
    black, white = (float(v) for v in np.percentile(values, CONTRAST_PERCENTILES))
    if np.issubdtype(values.dtype, np.integer):
        black, white = float(np.floor(black)), float(np.ceil(white))
    return (black, white) if black < white else None
