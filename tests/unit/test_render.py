"""The rasterizer and the figures, against slow and obvious ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.report.figures import SlicePanel, _log_bins, draw_slices, round_length
from ophiolite.report.raster_loops import fill_segments, fill_triangles
from ophiolite.report.render import (
    BACKGROUND,
    BONE,
    PALETTE,
    Camera,
    Solid,
    box_camera,
    clearest_camera,
    label_colours,
    principal_camera,
    render,
)

NO_BONES = (np.zeros((0, 3)), np.zeros((0, 2), dtype=np.int64))
RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)
SCREEN = Camera(np.eye(3), np.zeros(3), 1.0, (40, 30))


def buffers(width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.full((height, width), -np.inf, dtype=np.float32),
        np.zeros((height, width, 3), dtype=np.float32),
        np.full((height, width), -1, dtype=np.int32),
    )


@given(st.lists(st.tuples(st.integers(-4, 20), st.integers(-4, 16), st.integers(0, 9)), min_size=3, max_size=9))
def test_triangles_against_plain_geometry(corners: list[tuple[int, int, int]]) -> None:
    """Every pixel whose centre lies in a triangle holds the nearest depth there."""
    points = np.array(corners[: len(corners) // 3 * 3], dtype=np.float64)
    faces = np.arange(len(points)).reshape(-1, 3)
    depth, normal, owners = buffers(18, 14)
    fill_triangles(points, np.zeros_like(points), faces, 3, 0.0, depth, normal, owners)
    for y in range(14):
        for x in range(18):
            found = []
            for a, b, c in points[faces]:
                matrix = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
                if abs(np.linalg.det(matrix)) < 0.5:
                    continue
                weights = np.linalg.solve(matrix, [x, y, 1])
                if (weights >= -1e-9).all():
                    found.append((weights @ [a[2], b[2], c[2]], weights.min()))
            sure = [z for z, inside in found if inside > 1e-9]
            if sure:
                assert owners[y, x] == 3
                assert max(sure) - 1e-4 <= depth[y, x] <= max(z for z, _ in found) + 1e-4
            elif not found:
                assert owners[y, x] == -1


@given(
    st.tuples(*[st.floats(-3, 20)] * 4),
    st.floats(0.5, 3),
)
def test_segments_are_round_ended_bars(ends: tuple[float, float, float, float], radius: float) -> None:
    ax, ay, bx, by = ends
    depth, _, owners = buffers(18, 14)
    fill_segments(np.array([[ax, ay, 1.0], [bx, by, 1.0]]), np.array([[0, 1]]), radius, 0, depth, owners)
    t = np.linspace(0, 1, 4001)
    for y in range(14):
        for x in range(18):
            distance = float(np.min(np.hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y)))
            if abs(distance - radius) > 0.01:
                assert (owners[y, x] == 0) == (distance < radius)


def square(z: float, colour: tuple[float, float, float], front: bool) -> Solid:
    vertices = np.array([[-15, -10, z], [15, -10, z], [15, 10, z], [-15, 10, z]], dtype=np.float64)
    # On a screen whose y runs down, with z towards the viewer, x cross y points away.
    faces = np.array([[0, 2, 1], [0, 3, 2]]) if front else np.array([[0, 1, 2], [0, 2, 3]])
    return Solid(colour, vertices, faces, *NO_BONES)


def centre_of(picture: np.ndarray) -> np.ndarray:
    return picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)


def test_the_nearer_object_is_seen() -> None:
    for order in ((0, 1), (1, 0)):
        pair = [square(9.0, RED, True), square(0.0, BLUE, True)]
        red, _, blue = centre_of(render([pair[i] for i in order], SCREEN))
        assert red > 2 * blue


def test_where_objects_touch_the_front_wins_over_the_back() -> None:
    for order in ((0, 1), (1, 0)):
        pair = [square(0.0, RED, True), square(0.0, BLUE, False)]
        red, _, blue = centre_of(render([pair[i] for i in order], SCREEN))
        assert red > 2 * blue


def test_skeletons_shine_through_their_own_object_only() -> None:
    inside = np.array([[-10.0, 0.0, -5.0], [10.0, 0.0, -5.0]])
    edge = np.array([[0, 1]])
    own = Solid(RED, square(0, RED, True).vertices_nm, square(0, RED, True).faces, inside, edge)
    bone = np.array(BONE) * 255
    assert np.abs(centre_of(render([own], SCREEN)) - bone).max() < 60
    assert np.abs(centre_of(render([own], SCREEN, bones=False)) - bone).max() > 60
    hidden = render([own, square(8.0, BLUE, True)], SCREEN)
    assert centre_of(hidden)[2] > 2 * centre_of(hidden)[0]


def test_nothing_is_background() -> None:
    picture = render([], SCREEN)
    assert picture.shape == (30, 40, 3)
    assert (picture == np.rint(np.array(BACKGROUND) * 255)).all()
    empty = Solid(RED, np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), *NO_BONES)
    assert (render([empty], SCREEN) == picture).all()


@given(st.integers(0, 2**32 - 1))
def test_a_camera_shows_all_of_what_it_was_made_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 1, (30, 3)) * [900, 50, 300] + 5e5
    for camera in (principal_camera(points, (200, 120)), box_camera(points, (200, 120))):
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-9)
        # Right, down, towards the viewer: never a mirror image.
        assert np.linalg.det(camera.axes) == pytest.approx(-1)
        seen = camera.project(points, 1)
        assert (seen[:, :2] >= 0).all()
        assert (seen[:, :2] <= (200, 120)).all()
    spread = principal_camera(points, (200, 120)).project(points, 1).std(axis=0)
    assert spread[0] >= spread[1] >= spread[2]


def test_the_scene_is_seen_from_where_most_is_seen() -> None:
    """A wall hides a small square from one side; the camera goes round it."""
    corners = np.array([[x, y, z] for x in (0, 100) for y in (0, 100) for z in (0, 100)], dtype=np.float64)

    def plate(y: float, low: float, high: float, colour: tuple[float, float, float]) -> Solid:
        vertices = np.array([[low, y, low], [high, y, low], [high, y, high], [low, y, high]], dtype=np.float64)
        return Solid(colour, vertices, np.array([[0, 1, 2], [0, 2, 3]]), *NO_BONES)

    for wall, other in ((5.0, 95.0), (95.0, 5.0)):
        pair = [plate(wall, 0, 100, RED), plate(other, 40, 60, BLUE)]
        picture = render(pair, clearest_camera(pair, corners, (160, 120))).astype(int)
        assert ((picture[..., 2] > 2 * picture[..., 0]) & (picture[..., 2] > 50)).sum() > 50


def test_one_point_can_be_looked_at() -> None:
    camera = principal_camera(np.array([[5.0, 5.0, 5.0]]), (64, 64))
    assert np.isfinite(camera.project(np.array([[5.0, 5.0, 5.0]]), 1)).all()


def test_colours_depend_on_rank_then_on_the_label_alone() -> None:
    labels = np.array([5, 2**63 + 1, 77], dtype=np.uint64)
    colours = label_colours(labels, [2**63 + 1])
    assert colours[1] == pytest.approx([int(PALETTE[0][i : i + 2], 16) / 255 for i in (1, 3, 5)])
    np.testing.assert_array_equal(label_colours(labels[[2, 0]], []), colours[[2, 0]])
    assert (colours >= 0).all()
    assert (colours <= 1).all()


@given(st.floats(1e-3, 1e9))
def test_scale_bars_are_round_and_fit(wanted: float) -> None:
    length = round_length(wanted)
    assert wanted / 2.51 < length <= wanted * (1 + 1e-6)
    mantissa = length / 10 ** math.floor(math.log10(length) + 1e-9)
    assert any(mantissa == pytest.approx(step) for step in (1, 2, 5))


@given(st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=20))
def test_bins_hold_every_value(values: list[float]) -> None:
    edges = _log_bins(np.array(values))
    assert (np.diff(edges) > 0).all()
    assert np.histogram(values, edges)[0].sum() == len(values)


def test_colour_and_anisotropic_slices_are_drawn(tmp_path: Path) -> None:
    """A red field of 20 x 10 pixels of 10 x 40 nm is shown twice as high as wide, and is red."""
    from PIL import Image

    image = np.zeros((20, 10, 3), dtype=np.uint8)
    image[..., 0] = 255
    draw_slices([SlicePanel("a", image, None, (10, 40))], [], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        red = np.asarray(picture.convert("RGB"))[..., 0] > 200
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert len(rows) / len(columns) == pytest.approx(2, rel=0.05)
