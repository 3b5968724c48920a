"""Outlines of structures as other programs draw them: GeoJSON (QuPath) and ROIs of ImageJ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.source import decoding

Rings = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Outline:
    """A region inside an odd number of rings.

    rings : closed outlines (n, 2), x and y in pixels of the slide, whole numbers at the corners of pixels; the last
    point may repeat the first. structure : the class it was given, empty for none. name : empty for none.
    """

    rings: Rings
    structure: str
    name: str


def read_outlines(path: Path) -> list[Outline]:
    """The outlines in a .geojson, .json, .roi or .zip file, in its order; SourceError where it is none of these."""
    with decoding(str(path)):
        return _read_rois(path) if path.suffix.lower() in (".roi", ".zip") else _read_geojson(path)


def _read_geojson(path: Path) -> list[Outline]:
    """RFC 7946; the class is `properties.classification.name`, as QuPath writes it."""
    data = json.loads(path.read_bytes())
    features = data if isinstance(data, list) else data.get("features", [data])
    found = []
    for number, feature in enumerate(features):
        properties = feature.get("properties") or {}
        structure = _class_of(properties)
        geometry = feature.get("geometry", feature if {"coordinates", "geometries"} & feature.keys() else None)
        polygons = [rings for rings in _polygons_of(path, number, geometry) if rings]
        if not polygons:
            raise ValueError(f"feature {number} is empty")
        # Polygons of one geometry may overlap, so each is a region of its own.
        found += [Outline(rings, structure, str(properties.get("name") or "")) for rings in polygons]
    return found


def _class_of(properties: dict[str, Any]) -> str:
    """The name of the class; the parts of a derived one, which QuPath writes as `names`, joined as it shows them."""
    classification = properties.get("classification")
    if not isinstance(classification, dict) or not classification:
        return ""
    return ": ".join(classification["names"]) if "names" in classification else classification["name"] or ""


def _polygons_of(path: Path, number: int, geometry: dict[str, Any] | None) -> Iterator[Rings]:
    kind = geometry["type"] if geometry else None
    if geometry and kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _polygons_of(path, number, part)
        return
    if geometry is None or kind not in ("Polygon", "MultiPolygon"):
        raise SourceError(
            explain(
                str(path),
                f"feature {number} (counted from 0) encloses no area",
                expected="Polygon or MultiPolygon",
                got=kind,
                do="Remove points and lines before exporting",
            )
        )
    polygons = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    for polygon in polygons:
        yield tuple(
            _ring(path, f"feature {number}", np.array([point[:2] for point in ring], np.float64)) for ring in polygon
        )


def _read_rois(path: Path) -> list[Outline]:
    """ImageJ's ROI format, by roifile; lines and points enclose nothing and are refused."""
    import roifile

    rois = roifile.roiread(path)
    kinds = roifile.ROI_TYPE
    areas = (kinds.POLYGON, kinds.RECT, kinds.OVAL, kinds.FREEHAND, kinds.TRACED)
    found = []
    for roi in rois if isinstance(rois, list) else [rois]:
        name = roi.name or ""
        if roi.roitype not in areas:
            raise SourceError(
                explain(
                    str(path),
                    f"ROI {name!r} encloses no area",
                    expected="polygon, rectangle, oval, freehand or traced",
                    got=kinds(roi.roitype).name.lower(),
                    do="Remove lines and points from the ROI manager before saving",
                )
            )
        paths = roi.coordinates(multi=True)
        found.append(Outline(tuple(_ring(path, f"ROI {name!r}", np.asarray(p, np.float64)) for p in paths), "", name))
    return found


def _ring(path: Path, what: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise SourceError(
            explain(
                str(path),
                f"a ring of {what} is no outline",
                expected="three or more points of finite x and y",
                got=f"an array of shape {points.shape}",
                do="Draw it again",
            )
        )
    return points
