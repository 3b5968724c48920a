"""Orthographic pictures of meshes with their skeletons inside: arrays in, RGB out, the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUPERSAMPLING = 2
BACKGROUND = (0.043, 0.055, 0.071)
BONE = (1.0, 0.97, 0.88)
KEY_LIGHT = (-0.45, -0.6, 0.66)
# Twelve colours that stay apart on black and beside each other.
PALETTE = (
    "#5b9bff", "#ffb13d", "#47cf8b", "#f2637e", "#b58cff", "#3fd0d6",
    "#ffd95a", "#ff8a5c", "#8fd14f", "#e77bd3", "#7aa6c2", "#c9a27c",
)  # fmt: skip
# Backs of surfaces are set back by so many pixels.
BACK_BIAS_PX = 4.0
# Sides from which a box is looked at, tried on a sketch so many times smaller.
TURNS_DEGREES = (32.0, 122.0, 212.0, 302.0)
SKETCH = 4
GOLDEN = 0.618033988749895


@dataclass(frozen=True)
class Solid:
    """One object to draw.

    colour : red, green, blue in [0, 1].
    vertices_nm : (n, 3); faces : (m, 3) indices; either may be empty.
    bones_nm : (k, 3); bone_edges : (l, 2) indices; empty where there is no skeleton.
    """

    colour: tuple[float, float, float]
    vertices_nm: NDArray[np.floating]
    faces: NDArray[np.integer]
    bones_nm: NDArray[np.floating]
    bone_edges: NDArray[np.integer]

    @property
    def points_nm(self) -> NDArray[np.float64]:
        """(n, 3) all its points, for choosing a view."""
        return np.concatenate([self.vertices_nm, self.bones_nm]).astype(np.float64)


@dataclass(frozen=True)
class Camera:
    """An orthographic view: rows of `axes` are right, down and towards the viewer; `scale` is pixels per nm."""

    axes: NDArray[np.float64]
    centre_nm: NDArray[np.float64]
    scale: float
    size_px: tuple[int, int]

    def project(self, points_nm: NDArray[np.floating], sampling: int) -> NDArray[np.float64]:
        """(n, 3) pixel x, pixel y, depth (nearer is larger), in a picture `sampling` times as fine."""
        seen = (np.asarray(points_nm, dtype=np.float64) - self.centre_nm) @ self.axes.T * (self.scale * sampling)
        seen[:, 0] += self.size_px[0] * sampling / 2
        seen[:, 1] += self.size_px[1] * sampling / 2
        return seen


def label_colours(labels: NDArray[np.unsignedinteger], ranked: Sequence[int]) -> NDArray[np.float64]:
    """(n, 3) colours in [0, 1] of labels (n,): the palette for the labels of `ranked`, in turn, muted ones for others.

    A muted colour depends on its label alone.
    """
    import colorsys

    place = {label: PALETTE[rank % len(PALETTE)] for rank, label in enumerate(ranked)}
    out = np.empty((len(labels), 3))
    for row, label in enumerate(int(v) for v in labels):
        if label in place:
            out[row] = [int(place[label][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        else:
            hue = (label % 2**32 + (label >> 32) * 7919) * GOLDEN % 1.0
            out[row] = colorsys.hls_to_rgb(hue, 0.5 + 0.12 * (label % 3), 0.35)
    return out


def principal_camera(points_nm: NDArray[np.floating], size_px: tuple[int, int], margin: float = 0.08) -> Camera:
    """A view along the thinnest direction of a point cloud, its longest one across, all of it in the picture."""
    points = np.asarray(points_nm, dtype=np.float64)
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    right, down = vectors[:, 2], vectors[:, 1]
    # Eigenvectors have no sign of their own; the largest component decides it.
    right = right * np.sign(right[np.argmax(np.abs(right))])
    down = down * np.sign(down[np.argmax(np.abs(down))])
    return _fit(points, np.stack([right, down, np.cross(down, right)]), size_px, margin)


def box_camera(
    corners_nm: NDArray[np.floating], size_px: tuple[int, int], turn_degrees: float = 32.0, margin: float = 0.06
) -> Camera:
    """A view of a box from above, z upwards; turned about z, 0 has x run to the right."""
    turn, tilt = np.deg2rad(turn_degrees), np.deg2rad(24.0)
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    towards = np.array([np.sin(turn) * np.cos(tilt), -np.cos(turn) * np.cos(tilt), np.sin(tilt)])
    return _fit(corners_nm, np.stack([right, -np.cross(towards, right), towards]), size_px, margin)


def clearest_camera(solids: Sequence[Solid], corners_nm: NDArray[np.floating], size_px: tuple[int, int]) -> Camera:
    """The view of a box, from one of its four sides, in which the objects hide each other least.

    The measure is the sum of the square roots of the areas seen: many objects seen in part beat one seen whole.
    """
    sketch_px = (size_px[0] // SKETCH, size_px[1] // SKETCH)
    areas = []
    for turn in TURNS_DEGREES:
        owners = _surfaces(solids, box_camera(corners_nm, sketch_px, turn), 1)[2]
        areas.append(np.bincount(owners[owners >= 0], minlength=max(1, len(solids))))
    return box_camera(corners_nm, size_px, TURNS_DEGREES[int(np.argmax([np.sqrt(area).sum() for area in areas]))])


def _fit(points_nm: NDArray[np.floating], axes: NDArray[np.float64], size_px: tuple[int, int], margin: float) -> Camera:
    seen = np.asarray(points_nm, dtype=np.float64) @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    extent = np.maximum(high - low, 1.0)
    scale = float(min(size_px[0] / extent[0], size_px[1] / extent[1]) * (1 - 2 * margin))
    return Camera(axes, (low + high) / 2 @ axes, scale, size_px)


def render(
    solids: Sequence[Solid],
    camera: Camera,
    *,
    bones: bool = True,
    frame_nm: NDArray[np.floating] | None = None,
) -> NDArray[np.uint8]:
    """Draw solids, their skeletons shining through, and the frame of a box; (height, width, 3) uint8.

    frame_nm : (24, 3) ends of the twelve edges of a box, drawn behind what stands before it.
    """
    from ophiolite.report.raster_loops import fill_segments

    sampling = SUPERSAMPLING
    depth, normal, owners = _surfaces(solids, camera, sampling)
    colours = np.array([solid.colour for solid in solids]).reshape(-1, 3)
    picture = _shade(depth, normal, owners, colours, sampling)
    if frame_nm is not None:
        lines = np.full(owners.shape, -1, dtype=np.int32)
        ends = camera.project(frame_nm, sampling)
        fill_segments(ends, np.arange(len(ends)).reshape(-1, 2), 0.7 * sampling, 0, depth.copy(), lines)
        picture[lines == 0] = 0.45
    if bones:
        _draw_bones(picture, solids, camera, sampling, owners)
    height, width = camera.size_px[1], camera.size_px[0]
    small = picture.reshape(height, sampling, width, sampling, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(np.clip(small, 0, 1) * 255), dtype=np.uint8)


def _surfaces(
    solids: Sequence[Solid], camera: Camera, sampling: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Depth, normal and number of the nearest object at every sample; -inf, 0 and -1 where there is none."""
    from ophiolite.report.raster_loops import fill_triangles

    shape = (camera.size_px[1] * sampling, camera.size_px[0] * sampling)
    depth = np.full(shape, -np.inf, dtype=np.float32)
    normal = np.zeros((*shape, 3), dtype=np.float32)
    owners = np.full(shape, -1, dtype=np.int32)
    for number, solid in enumerate(solids):
        if len(solid.faces):
            points = camera.project(solid.vertices_nm, sampling)
            normals = _normals(points, solid.faces)
            fill_triangles(points, normals, solid.faces, number, BACK_BIAS_PX * sampling, depth, normal, owners)
    return depth, normal, owners


def _normals(points: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n, 3) unit normals of vertices, the mean of their faces' weighted by area, turned towards the viewer."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    of_faces = np.cross(b - a, c - a)
    out = np.stack(
        [
            sum(np.bincount(faces[:, i], weights=of_faces[:, d], minlength=len(points)) for i in range(3))
            for d in range(3)
        ],
        axis=1,
    )
    length: NDArray[np.float64] = np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(out / np.maximum(length, 1e-12))


def _shade(
    depth: NDArray[np.float32],
    normal: NDArray[np.float32],
    owners: NDArray[np.int32],
    colours: NDArray[np.float64],
    sampling: int,
) -> NDArray[np.float64]:
    """Colour of every sample, (height, width, 3) in [0, 1]."""
    picture = np.empty((*depth.shape, 3))
    picture[:] = BACKGROUND
    drawn = owners >= 0
    if not drawn.any():
        return picture
    towards = normal[drawn].astype(np.float64)
    towards *= np.where(towards[:, 2:] < 0, -1.0, 1.0)
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    key = np.asarray(KEY_LIGHT) / np.linalg.norm(KEY_LIGHT)
    lit = np.clip(towards @ key, 0, 1)
    facing = towards[:, 2]
    brightness = 0.30 + 0.50 * lit + 0.28 * facing
    # Edges that turn away are darkened: they draw the outline.
    brightness *= 0.45 + 0.55 * np.clip(facing * 2.2, 0, 1)
    brightness *= _occlusion(depth, drawn, sampling)[drawn]
    half = key + np.array([0.0, 0.0, 1.0])
    gloss = 0.18 * np.clip(towards @ (half / np.linalg.norm(half)), 0, 1) ** 30
    picture[drawn] = colours[owners[drawn]] * brightness[:, None] + gloss[:, None]
    return picture


def _occlusion(depth: NDArray[np.float32], drawn: NDArray[np.bool_], sampling: int) -> NDArray[np.float64]:
    """Darkness in hollows and behind edges, by unsharp masking of the depth buffer (Luft et al., SIGGRAPH 2006)."""
    from scipy.ndimage import gaussian_filter

    # In pixels, not samples: the shadows are soft, and blurring is the dear part.
    height, width = (n // sampling for n in depth.shape)
    blocks = (height, sampling, width, sampling)
    weight = drawn.reshape(blocks).mean(axis=(1, 3))
    filled = np.where(drawn, depth, 0).astype(np.float64).reshape(blocks).mean(axis=(1, 3))
    own = filled / np.maximum(weight, 1e-6)
    out = np.ones((height, width))
    for radius_px, strength in ((3.0, 0.25), (12.0, 0.35)):
        spread, cover = (gaussian_filter(layer, radius_px, truncate=3.0) for layer in (filled, weight))
        behind = np.clip((spread / np.maximum(cover, 1e-6) - own) / (4 * radius_px * sampling), 0, 1)
        out *= 1 - strength * behind
    return out.repeat(sampling, axis=0).repeat(sampling, axis=1)


def _draw_bones(
    picture: NDArray[np.float64],
    solids: Sequence[Solid],
    camera: Camera,
    sampling: int,
    owners: NDArray[np.int32],
) -> None:
    """Draw skeletons over what they lie in: visible through their own object, hidden behind others."""
    from ophiolite.report.raster_loops import fill_segments

    bones = np.full(picture.shape[:2], -1, dtype=np.int32)
    depth = np.full(picture.shape[:2], -np.inf, dtype=np.float32)
    for number, solid in enumerate(solids):
        if not len(solid.bone_edges):
            continue
        points = camera.project(solid.bones_nm, sampling)
        fill_segments(points, solid.bone_edges, 0.9 * sampling, number, depth, bones)
        degree = np.bincount(np.ravel(solid.bone_edges), minlength=len(points))
        knots = np.flatnonzero(degree > 2)
        fill_segments(points, np.stack([knots, knots], axis=1), 2.2 * sampling, number, depth, bones)
    seen = (bones >= 0) & ((owners == bones) | (owners < 0))
    picture[seen] = 0.12 * picture[seen] + 0.88 * np.asarray(BONE)
