"""Sections of objects across their skeletons: against cut polygons, cylinders, xs3d; cuts by the volume's ends."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from bone_shapes import NM, ORIGIN, bones, tubes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.kernels import cross_section
from ophiolite.kernels.cross_section import section_areas
from ophiolite.kernels.cross_section_loops import areas, cut_of_box

NOWHERE = (False,) * 6


def polygon_area(normal: NDArray[np.float64], half: NDArray[np.float64], t: float) -> float:
    """Area of the plane normal . x = t in a box about 0, from the points where it crosses the box's edges."""
    points = []
    for axis in range(3):
        others = [d for d in range(3) if d != axis]
        for signs in itertools.product((-1, 1), repeat=2):
            corner = np.zeros(3)
            corner[others] = np.multiply(signs, half[others])
            if abs(normal[axis]) > 1e-12:
                corner[axis] = (t - normal @ corner) / normal[axis]
                if abs(corner[axis]) <= half[axis]:
                    points.append(corner)
    if len(points) < 3:
        return 0.0
    at = np.array(points)
    middle = at.mean(axis=0)
    first = np.cross(normal, [1.0, 0, 0] if abs(normal[0]) < 0.9 else [0, 1.0, 0])
    first /= np.linalg.norm(first)
    turned = np.arctan2((at - middle) @ np.cross(normal, first), (at - middle) @ first)
    around = at[np.argsort(turned)] - middle
    return float(np.linalg.norm(np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0)) / 2)


@given(
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda n: np.linalg.norm(n) > 0.1),
    st.tuples(*[st.floats(1, 40)] * 3),
    st.floats(0, 0.999),
)
def test_a_plane_through_a_box_is_its_polygon(normal: Any, half: Any, share: float) -> None:
    n, sides = np.array(normal), np.array(half)
    n[np.abs(n) < 1e-3] = 0
    n /= np.linalg.norm(n)
    t = share * float(np.abs(n) @ sides)
    assert cut_of_box(np.abs(n), sides, t) == pytest.approx(polygon_area(n, sides, t), rel=1e-6, abs=1e-4)


def test_a_tube_along_an_axis_is_its_voxels() -> None:
    mask = tubes((40, 21, 21), [[(-9, 10, 10), (60, 10, 10)]], 50.0)
    line = bones([[(0, 10, 10), (39, 10, 10)]])
    found = section_areas(line.vertices_nm, line.edges, mask, ORIGIN, NM, NOWHERE)
    np.testing.assert_allclose(found, np.count_nonzero(mask[5]) * 64.0)


@pytest.mark.parametrize("nm", [(8.0, 8.0, 8.0), (8.0, 8.0, 20.0)])
def test_an_oblique_cylinder_has_the_section_of_its_radius(nm: tuple[float, float, float]) -> None:
    size = np.array(nm)
    mask = tubes((70, 70, 40), [[(-10, -10, 0), (80, 80, 40)]], 90.0, size)
    line = bones([[(15, 15, 11), (55, 55, 29)]], nm=size)
    found = section_areas(line.vertices_nm, line.edges, mask, ORIGIN, size, NOWHERE)
    np.testing.assert_allclose(found[5:-5], np.pi * 90**2, rtol=0.08)


def test_a_section_is_that_of_its_own_neurite() -> None:
    mask = tubes((40, 41, 21), [[(-9, 10, 10), (60, 10, 10)]], 50.0)
    alone = np.count_nonzero(mask[5]) * 64.0
    mask |= tubes((40, 41, 21), [[(-9, 30, 10), (60, 30, 10)]], 70.0)
    line = bones([[(0, 10, 10), (39, 10, 10)]])
    np.testing.assert_allclose(section_areas(line.vertices_nm, line.edges, mask, ORIGIN, NM, NOWHERE), alone)


def test_what_the_volume_cuts_is_negative_and_what_is_outside_is_nothing() -> None:
    mask = tubes((40, 21, 21), [[(-9, 3, 10), (60, 3, 10)]], 50.0)
    line = bones([[(0, 3, 10), (39, 3, 10)]])
    whole = np.count_nonzero(mask[5]) * 64.0
    side, across = (False, False, True, False, False, False), (True, True, False, False, False, False)
    for ends, sign in ((NOWHERE, 1), (across, 1), (side, -1)):
        found = section_areas(line.vertices_nm, line.edges, mask, ORIGIN, NM, ends)
        np.testing.assert_allclose(found, sign * whole)
    outside = bones([[(0, 18, 18), (39, 18, 18)]])
    assert not section_areas(outside.vertices_nm, outside.edges, mask, ORIGIN, NM, NOWHERE).any()


def test_a_branch_point_is_as_thick_as_the_thinnest_way_across() -> None:
    lines = [[(-9, 15, 10), (60, 15, 10)], [(20, 15, 10), (20, 60, 10)]]
    mask = tubes((40, 40, 21), lines, 40.0)
    fork = bones([[(0, 15, 10), (39, 15, 10)], [(20, 15, 10), (20, 39, 10)]])
    found = section_areas(fork.vertices_nm, fork.edges, mask, ORIGIN, NM, NOWHERE)
    middle = int(np.argmax(fork.degree))
    along_y = np.count_nonzero(mask[:, 15, :]) * 64.0
    across = np.count_nonzero(mask[20]) * 64.0
    assert found[middle] == pytest.approx(min(along_y, across))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_xs3d_finds(seed: int) -> None:
    xs3d = pytest.importorskip("xs3d")
    rng = np.random.default_rng(seed)
    ends = rng.uniform(5, 45, (2, 3))
    mask = tubes((50, 50, 50), [[tuple(ends[0]), tuple(ends[1])]], 80.0)
    at = np.floor(ends.mean(axis=0))
    assert mask[tuple(at.astype(int))]
    for normal in rng.normal(size=(5, 3)):
        n = normal / np.linalg.norm(normal)
        # Its fast method misses up to a hundredth; without it all voxels of the plane count, here of one part.
        expected = xs3d.cross_sectional_area(mask, at.astype(int), n.astype("f4"), NM.astype("f4"), slow_method=True)
        flat, seen = mask.reshape(-1, order="F"), np.zeros(mask.size, np.int32)
        found = areas(flat, np.array(mask.shape), seen, ((at + 0.5) * NM)[None], n[None], NM, np.zeros(6, bool))
        assert found[0] == pytest.approx(expected, rel=1e-5)


def test_a_cut_across_the_wrong_way_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(points: Any, edges: Any, steps: int) -> Any:
        normal, owner = cuts(points, edges, steps)
        return np.roll(normal, 1, axis=1), owner

    cuts = cross_section.cuts
    monkeypatch.setattr(cross_section, "cuts", turned)
    with pytest.raises(AssertionError):
        test_a_tube_along_an_axis_is_its_voxels()
