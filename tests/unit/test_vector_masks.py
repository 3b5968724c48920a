"""Outlines of GeoJSON and ImageJ as masks; the biologists' ROIs of two kidney fields."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from numpy.typing import NDArray
from PIL import Image

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.kernels.mask_runs import RunLabeller
from ophiolite.kernels.polygon_fill import fill_rings
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask

SIZE = (60, 40)
STRUCTURES = {1: "Glomerulus", 3: "Tumor"}
SQUARE = [[2, 3], [12, 3], [12, 13], [2, 13], [2, 3]]
HOLE = [[4, 5], [4, 9], [8, 9], [8, 5], [4, 5]]
FAR = [[30.5, 20], [40, 20], [40, 30], [30.5, 30], [30.5, 20]]


def mask_of(path: Path, structures: dict[int, str] | None = None, size: tuple[int, int] = SIZE) -> MaskSource:
    return open_mask(path, MaskReading(size, (250.0, 250.0, 4000.0), 127, structures or STRUCTURES))


def values(source: MaskSource) -> NDArray[Any]:
    return source.read(source.box)[:, :, 0, 0]


def feature(geometry: dict[str, Any] | None, name: str | None) -> dict[str, Any]:
    properties = {"objectType": "annotation"} | ({"classification": {"name": name}} if name else {})
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": rings}


def write(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_polygons_are_filled_without_their_holes_and_later_ones_lie_on_top(tmp_path: Path) -> None:
    many = {"type": "MultiPolygon", "coordinates": [[FAR], [[[10, 3], [14, 3], [14, 5], [10, 5], [10, 3]]]]}
    features = [feature(polygon(SQUARE, HOLE), "Glomerulus"), feature(many, "Tumor")]
    expected = np.zeros(SIZE, np.uint8)
    expected[2:12, 3:13] = 1
    expected[4:8, 5:9] = 0
    expected[30:40, 20:30] = 3  # the centre of column 30 lies on the edge, which belongs to what is right of it
    expected[10:14, 3:5] = 3
    whole = {"type": "FeatureCollection", "features": features}
    for name, data in (("a.geojson", whole), ("b.json", features)):
        source = mask_of(write(tmp_path / name, data))
        np.testing.assert_array_equal(values(source), expected)
        cut = source.read(Box((7, 4, 0), (33, 25, 1)))[:, :, 0, 0]
        np.testing.assert_array_equal(cut, expected[7:33, 4:25])
        source.check_binarised()
        assert source.nonbinary(source.box) == 0


def test_one_feature_or_geometry_is_a_file_too(tmp_path: Path) -> None:
    collection = {"type": "GeometryCollection", "geometries": [polygon(SQUARE), polygon(FAR)]}
    for number, data in enumerate((feature(polygon(SQUARE), None), polygon(SQUARE), feature(collection, None))):
        found = values(mask_of(write(tmp_path / f"{number}.geojson", data), {5: "it"}))
        assert np.count_nonzero(found == 5) == 100 + 100 * (number == 2)


def test_outlines_that_leave_the_slide_are_cut(tmp_path: Path) -> None:
    ring = [[-10, -10], [5, -10], [5, 5], [-10, 5], [-10, -10]]
    assert values(mask_of(write(tmp_path / "a.geojson", polygon(ring)), {1: "it"})).sum() == 25


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([feature(polygon(SQUARE), "Necrosis")], r"class.*Expected Glomerulus, Tumor. Got 'Necrosis'"),
        ([feature(polygon(SQUARE), None)], r"Expected Glomerulus, Tumor. Got no class"),
        ([feature({"type": "Point", "coordinates": [1, 2]}, "Tumor")], r"feature 0 .*encloses no area.*Got Point"),
        ([feature(None, "Tumor")], "feature 0 .*encloses no area"),
        ([feature(polygon([[1, 1], [2, 2]]), "Tumor")], "a ring of feature 0 is no outline"),
        ({"features": 3}, "the file is damaged"),
    ],
)
def test_what_encloses_nothing_or_is_of_no_known_class_is_refused(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        mask_of(write(tmp_path / "bad.geojson", data))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.geojson", "a.roi", "a.zip"):
        (tmp_path / name).write_bytes(b"{broken")
        with pytest.raises(SourceError, match="the file is damaged"):
            mask_of(tmp_path / name)


def test_rois_of_every_kind_that_encloses_an_area(tmp_path: Path) -> None:
    kinds = roifile.ROI_TYPE
    square = np.array(SQUARE[:-1], np.float32)
    rois = [
        roifile.ImagejRoi.frompoints(square, name="polygon"),
        roifile.ImagejRoi(roitype=kinds.RECT, name="rectangle", left=20, top=3, right=30, bottom=13),
        roifile.ImagejRoi(roitype=kinds.OVAL, name="oval", left=20, top=20, right=40, bottom=40),
    ]
    roifile.roiwrite(tmp_path / "set.zip", rois)
    found = values(mask_of(tmp_path / "set.zip", {1: "it"}))
    assert found[2:12, 3:13].all()
    assert found[20:30, 3:13].all()
    assert np.count_nonzero(found) - 200 == pytest.approx(np.pi * 100, rel=0.03)
    roifile.roiwrite(tmp_path / "one.roi", rois[0])
    assert values(mask_of(tmp_path / "one.roi", {1: "it"})).sum() == 100
    line = roifile.ImagejRoi(roitype=kinds.LINE, name="ruler", x1=1, y1=1, x2=5, y2=5)
    roifile.roiwrite(tmp_path / "line.zip", [*rois, line])
    with pytest.raises(SourceError, match=r"ROI 'ruler' encloses no area.*Got line"):
        mask_of(tmp_path / "line.zip")


@pytest.mark.parametrize(("field", "glomeruli"), [("C1", 7), ("C2", 6)])
def test_the_biologists_rois_are_their_glomeruli(data_dir: Path, field: str, glomeruli: int) -> None:
    folder = data_dir / "slides" / "glomeruli"
    if not folder.is_dir():
        pytest.skip(f"the kidney fields are absent from {folder}")
    source = mask_of(folder / f"RoiSetR22{field}.zip", {1: "glomerulus"}, (1920, 1018))
    found = values(source)
    labeller = RunLabeller()
    labeller.add(found, 0)
    assert len(labeller.objects(0)[1]) == glomeruli
    # Masks that others drew from the same ROIs, pixels on the outline included.
    drawn = np.asarray(Image.open(folder / f"derived_mask_{field}.png")).T
    assert (drawn[found > 0] > 0).mean() > 0.995
    assert np.count_nonzero((drawn > 0) & (found > 0)) / np.count_nonzero((drawn > 0) | (found > 0)) > 0.98


def test_overlapping_polygons_of_one_geometry_are_one_region(tmp_path: Path) -> None:
    corner = [[8, 9], [18, 9], [18, 19], [8, 19], [8, 9]]
    many = {"type": "MultiPolygon", "coordinates": [[SQUARE], [corner]]}
    collection = {"type": "GeometryCollection", "geometries": [polygon(SQUARE), polygon(corner)]}
    expected = np.zeros(SIZE, np.uint8)
    expected[2:12, 3:13] = expected[8:18, 9:19] = 1
    for number, data in enumerate((many, collection)):
        source = mask_of(write(tmp_path / f"{number}.geojson", data), {1: "it"})
        np.testing.assert_array_equal(values(source), expected)


def test_outlines_of_another_slide_are_refused_but_not_those_of_a_part_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", [feature(polygon(FAR), "Tumor"), feature(polygon(SQUARE), "Tumor")])
    assert values(mask_of(path, size=(20, 15))).any()
    path = write(tmp_path / "b.geojson", feature(polygon(FAR), "Tumor"))
    with pytest.raises(SourceError, match=r"E142 .*x 0 to 20, y 0 to 15.*x 30.5 to 40, y 20 to 30"):
        mask_of(path, size=(20, 15))
    nothing = write(tmp_path / "c.geojson", {"type": "FeatureCollection", "features": []})
    assert not values(mask_of(nothing)).any()


def test_a_derived_class_is_named_by_its_parts(tmp_path: Path) -> None:
    derived = feature(polygon(SQUARE), None)
    derived["properties"]["classification"] = {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}
    path = write(tmp_path / "a.geojson", derived)
    assert np.count_nonzero(values(mask_of(path, {1: "Tumor", 4: "Tumor: Positive"})) == 4) == 100


def test_filling_takes_bytes_not_words_and_any_number_of_rings() -> None:
    square = np.array([[1, 1], [900, 1], [900, 900], [1, 900]], np.float64)
    tracemalloc.start()
    inside = fill_rings([square] * 513, (0, 0), (1000, 1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert inside.sum() == 899 * 899
    assert peak < 4e6
    assert not fill_rings([square] * 512, (0, 0), (1000, 1000)).any()
