"""What lies in a results folder, as the viewer needs to know it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ophiolite.errors import LayerError, StoreError, explain
from ophiolite.kernels.label_stats import centroids_vx
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.statistics import read_stats_bytes
from ophiolite.layers.store import Store, open_store
from ophiolite.report.viewer_state import AnnotationView, LayerView, ObjectView, VolumeView, largest_segments

SELECTED_SEGMENTS = 12
CONTRAST_PERCENTILES = (0.5, 99.5)
CONTRAST_SAMPLE_VX = (512, 512, 16)
KIND_ORDER = {"image": 0, "segmentation": 1, "annotation": 2}


def read_views(folder: Path, selected: int = SELECTED_SEGMENTS, dataset: str | None = None) -> tuple[LayerView, ...]:
    """The finished layers of a project's results folder, by dataset, images first, then segmentations, annotations.

    selected : how many of the largest segments of each segmentation to select at first. dataset : the only one to read.
    Raises LayerError where the folder has none, or an `info` file cannot be read.
    """
    store = store_of_folder(folder)
    datasets = store.bulk.folders("") if dataset is None else [dataset]
    layers = [f"{d}/layers/{name}" for d in datasets for name in store.folders(f"{d}/layers")]
    layers = [layer for layer in layers if store.exists(f"{layer}/info")]
    if not layers:
        inner = sorted(path.parent.parent.name for path in folder.glob("*/*/layers"))
        raise LayerError(
            explain(
                store.bucket.url if store.bucket else str(folder),
                "there are no finished layers in this folder",
                expected="<dataset>/layers/<layer>/info under it",
                got=f"projects {', '.join(dict.fromkeys(inner))}" if inner else "none",
                do="Name the folder of one project, or run the workflow first",
            )
        )
    views = [_view(store, layer, selected) for layer in layers]
    return tuple(sorted(views, key=lambda view: (view.dataset, KIND_ORDER[_kind(view)], view.layer)))


def store_of_folder(folder: Path) -> Store:
    """The store of a results folder, with the bucket that its plan names; without a plan, the folder alone."""
    plan = _read_json(Store(folder), "plan.json") if (folder / "plan.json").is_file() else {}
    return open_store(folder, plan.get("store", ""), plan.get("project", ""))


def find_object(folder: Path, views: Sequence[LayerView], dataset: str, layer: str, label: int) -> ObjectView | None:
    """Where a label of a segmentation layer lies, by the layer's label statistics; None where there is no such label.

    views : what `read_views` found in the folder.
    """
    wanted = ("segmentation", dataset, layer)
    volumes = [v for v in views if isinstance(v, VolumeView) and (v.kind, v.dataset, v.layer) == wanted]
    store = store_of_folder(folder)
    for path in store.list(f"{LayerPaths(dataset, layer).work}/label_stats") if volumes else ():
        stats = read_stats_bytes(store.read(path))
        for row in (stats.labels == label).nonzero()[0]:
            nm = volumes[0].resolution_nm
            centre = centroids_vx(stats)[row] * nm
            extent = (stats.stop[row] - stats.start[row]) * nm
            return ObjectView(dataset, layer, label, tuple(centre.tolist()), tuple(extent.tolist()))
    return None


def _kind(view: LayerView) -> str:
    return view.kind if isinstance(view, VolumeView) else "annotation"


def _read_json(store: Store, path: str) -> Any:
    try:
        return json.loads(store.read(path))
    except (StoreError, ValueError) as error:
        raise LayerError(
            explain(store.place(path), "the file cannot be read as JSON", got=str(error), do="Make this layer again")
        ) from error


def _view(store: Store, path: str, selected: int) -> LayerView:
    info = _read_json(store, f"{path}/info")
    dataset, _, layer = path.split("/")
    try:
        if info.get("@type") == "neuroglancer_annotations_v1":
            links = _links(store, dataset, layer, info)
            return AnnotationView(dataset, layer, path, info["annotation_type"].upper(), links)
        finest = info["scales"][0]
        return VolumeView(
            dataset=dataset,
            layer=layer,
            path=path,
            kind=info["type"],
            resolution_nm=(finest["resolution"][0], finest["resolution"][1], finest["resolution"][2]),
            start_vx=tuple(finest.get("voxel_offset", (0, 0, 0))),
            size_vx=tuple(finest["size"]),
            channels=info["num_channels"],
            contrast=_contrast(store, path, info) if info["type"] == "image" else None,
            selected=_selected(store, path, info, selected) if info["type"] == "segmentation" else (),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LayerError(
            explain(
                store.place(f"{path}/info"),
                "it does not describe a Precomputed volume or annotation layer",
                got=f"{type(error).__name__}: {error}",
                do="Make this layer again",
            )
        ) from error


def _links(store: Store, dataset: str, layer: str, info: Mapping[str, Any]) -> dict[str, str]:
    """Relationship -> segmentation layer: the one that the plan names, else the only one of the dataset.

    The format itself does not say to which layer the labels belong.
    """
    plan = _read_json(store, "plan.json") if store.exists("plan.json") else {}
    layers = plan.get("datasets", {}).get(dataset, {}).get("layers", {})
    own = layers.get(layer, {})
    named = own.get("segmentation") or own.get("outlines_of")
    infos = {name: f"{dataset}/layers/{name}/info" for name in store.folders(f"{dataset}/layers")}
    labels = [n for n, i in infos.items() if store.exists(i) and _read_json(store, i).get("type") == "segmentation"]
    found = [named] if named else labels
    return {relation["id"]: found[0] for relation in info["relationships"] if len(found) == 1}


def _selected(store: Store, path: str, info: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """The largest segments, once the segment properties are there."""
    place = f"{path}/{info.get('segment_properties')}/info"
    return largest_segments(_read_json(store, place), count) if store.exists(place) else ()


def _contrast(store: Store, path: str, info: Mapping[str, Any]) -> tuple[float, float] | None:
    """Black and white of a grey image, from the middle of its finest scale; zeros, which pad, do not count.

    Coarse scales are means, so their range is narrower than what the viewer will show.

    None for colour images of 8 bits, which are shown as they are, and for encodings that TensorStore cannot decode.
    """
    import numpy as np
    import tensorstore as ts

    from ophiolite.sources.tensors import kvstore

    if info["num_channels"] == 3 and info["data_type"] == "uint8":
        return None
    try:
        volume = ts.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": kvstore(store.place(path) if store.bucket else store.local(path)),
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
