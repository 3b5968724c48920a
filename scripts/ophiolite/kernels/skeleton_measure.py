"""What a finished skeleton is worth, against the voxels it was traced in: arrays in, numbers out.

Boxes of voxels are (x, y, z) and begin at an absolute voxel `start`; the centre of absolute voxel i lies at
(i + 0.5) voxel_nm. Distance fields hold, at each voxel of an object, the nm to the centre of the nearest voxel outside
it; where the volume ends there is no outside, as for the kernel that traced it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_graph_loops import component_roots
from ophiolite.kernels.skeleton_measure_loops import climb, covered, tangents

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
TANGENT_STEPS = 4


@dataclass(frozen=True)
class Bones:
    """A skeleton: vertices_nm (n, 3) float64, edges (m, 2) int64 without repeats, radius_nm (n,) float64."""

    vertices_nm: Floats
    edges: Ints
    radius_nm: Floats

    @property
    def roots(self) -> Ints:
        """(n,) the lowest vertex of each vertex's component."""
        out: Ints = component_roots(len(self.vertices_nm), self.edges)
        return out

    @property
    def degree(self) -> Ints:
        """(n,) edges at each vertex."""
        return np.bincount(self.edges.ravel(), minlength=len(self.vertices_nm))


@dataclass(frozen=True)
class GraphMeasures:
    """What a graph in space amounts to.

    terminals, branch_points : vertices of one, and of three or more edges. loops : its cycle rank, edges - vertices +
    components. centroid_nm : (3,) mean along the cable, over the vertices where there is none, NaN without vertices.
    """

    vertices: int
    cable_nm: float
    terminals: int
    branch_points: int
    components: int
    loops: int
    centroid_nm: Floats


@dataclass(frozen=True)
class PlaceMeasures:
    """How a skeleton lies in its object.

    outside : vertices whose voxel is not the object's. ridge_nm : (k,) distance of each vertex inside, other than
    branch points, to the ridge of the distance field. radius_error_nm : (n - outside,) radius attribute less the
    distance field, in the order of the vertices; radius_share : the same over the distance field. coverage : share of
    the object's voxels in the union of the vertices' balls.
    """

    outside: int
    ridge_nm: Floats
    radius_error_nm: Floats
    radius_share: Floats
    coverage: float


@dataclass(frozen=True)
class ComponentMeasures:
    """Components of a skeleton against the 26-connected components of its object.

    missed : components of the object of at least the asked voxels and length without a vertex; short : the others
    without one. split : components of the skeleton beyond the first in the same component of the object.
    """

    objects: int
    missed: int
    split: int
    short: int = 0


def graph_measures(bones: Bones) -> GraphMeasures:
    """Measure the graph alone."""
    n, edges = len(bones.vertices_nm), bones.edges
    lengths = np.linalg.norm(bones.vertices_nm[edges[:, 0]] - bones.vertices_nm[edges[:, 1]], axis=1)
    cable = float(lengths.sum())
    components = len(np.unique(bones.roots))
    centroid = np.full(3, np.nan)
    if cable > 0:
        centroid = (bones.vertices_nm[edges].mean(axis=1) * lengths[:, None]).sum(axis=0) / cable
    elif n:
        centroid = bones.vertices_nm.mean(axis=0)
    return GraphMeasures(
        vertices=n,
        cable_nm=cable,
        terminals=int((bones.degree == 1).sum()),
        branch_points=int((bones.degree > 2).sum()),
        components=components,
        loops=len(edges) - n + components,
        centroid_nm=centroid,
    )


def voxels_of(points_nm: Floats, start_vx: tuple[int, int, int], voxel_nm: Floats) -> Ints:
    """(n, 3) voxels that points lie in, relative to `start_vx`; float32 centres of voxels are no risk, planes are."""
    cells: Ints = np.floor(points_nm / voxel_nm).astype(np.int64) - np.array(start_vx)
    return cells


def inside_box(voxels: Ints, shape: tuple[int, ...]) -> Mask:
    """(n,) which voxels (n, 3) lie in a box."""
    return np.asarray(((voxels >= 0) & (voxels < np.array(shape))).all(axis=1))


def sample(field: NDArray[Any], voxels: Ints) -> NDArray[Any]:
    """(n,) values of a field (x, y, z) at voxels (n, 3), 0 outside it."""
    out = np.zeros(len(voxels), field.dtype)
    inside = inside_box(voxels, field.shape)
    out[inside] = field[tuple(voxels[inside].T)]
    return out


def distance_field(mask: Mask, voxel_nm: Floats) -> NDArray[np.float32]:
    """(x, y, z) float32 nm to the nearest voxel outside, exact (Meijster et al. 2000); open at the ends of the box."""
    import edt

    x, y, z = (float(n) for n in voxel_nm)
    if mask.all():
        raise ValueError("the whole box is the object: a distance to its outside is not defined")
    out: NDArray[np.float32] = edt.edt(mask, anisotropy=(x, y, z), black_border=False, parallel=1)
    return out


def connected(mask: Mask, connectivity: Literal[6, 8, 26]) -> tuple[NDArray[np.unsignedinteger[Any]], int]:
    """Numbers 1, 2, ... of the connected parts of a mask of 2 or 3 axes, 0 outside it, and how many there are."""
    import cc3d

    # As bytes: of booleans cc3d 4.1.1 takes one part for two, or fails, at connectivities 8 and 26.
    bits = np.asfortranarray(mask).view(np.uint8)
    parts, count = cc3d.connected_components(bits, connectivity=connectivity, return_N=True)
    return parts, int(count)


def place_measures(
    bones: Bones, mask: Mask, field: NDArray[np.float32], start_vx: tuple[int, int, int], voxel_nm: Floats
) -> PlaceMeasures:
    """Measure where the vertices lie; mask and field are boxes of one shape from `start_vx` on.

    The ridge is the height ridge of the distance field (Eberly et al. 1994, doi:10.1007/BF01262402): the points that no
    other point of the plane across the skeleton's direction overtops. A vertex's distance to it is that to the top
    reached uphill within this plane.
    """
    voxels = voxels_of(bones.vertices_nm, start_vx, voxel_nm)
    inside = sample(mask, voxels)
    across = tangents(bones.vertices_nm, bones.edges, TANGENT_STEPS)[inside]
    here = voxels[inside]
    ridge = climb(field, here, across, voxel_nm)
    depth = field[tuple(here.T)].astype(np.float64)
    error = bones.radius_nm[inside] - depth
    return PlaceMeasures(
        outside=int((~inside).sum()),
        ridge_nm=ridge[np.isfinite(ridge)],
        radius_error_nm=error,
        radius_share=error / depth,
        coverage=coverage(bones, mask, start_vx, voxel_nm),
    )


def coverage(bones: Bones, mask: Mask, start_vx: tuple[int, int, int], voxel_nm: Floats) -> float:
    """Share of a mask's voxels whose centre lies in the ball of a vertex; NaN for an empty mask."""
    total = int(np.count_nonzero(mask))
    if total == 0:
        return float("nan")
    centres = bones.vertices_nm - (np.array(start_vx) + 0.5) * voxel_nm
    order = np.argsort(centres[:, 2], kind="stable")
    # Vertices are float32: a ball of whole voxels must not lose its outermost ones to the last digit.
    grown = bones.radius_nm[order] * (1 + 1e-6)
    return int(covered(mask, np.ascontiguousarray(centres[order]), grown, voxel_nm)) / total


def plane_counts(parts: NDArray[np.unsignedinteger[Any]], count: int) -> Ints:
    """(count + 1,) voxels of each number, plane by plane: counting wants 8 bytes a voxel for a moment."""
    sizes = np.zeros(count + 1, np.int64)
    for z in range(parts.shape[2]):
        sizes += np.bincount(parts[:, :, z].ravel(order="K"), minlength=count + 1)
    return sizes


def lengths_nm(parts: NDArray[np.unsignedinteger[Any]], voxel_nm: Floats) -> Floats:
    """(count + 1,) nm, longest side of the box of each number in an array (x, y, z) of numbers 0 to count."""
    import cc3d

    ends = cc3d.statistics(parts, no_slice_conversion=True)["bounding_boxes"].astype(np.float64)
    out: Floats = ((ends[:, 1::2] - ends[:, ::2] + 1) * voxel_nm).max(axis=1)
    return out


def longest_part_nm(mask: Mask, voxel_nm: Floats) -> float:
    """Longest side of the box of any 26-connected part of a mask, nm; 0 for an empty mask."""
    parts, count = connected(mask, 26)
    return float(lengths_nm(parts, voxel_nm)[1:].max()) if count else 0.0


def component_measures(
    bones: Bones, mask: Mask, start_vx: tuple[int, int, int], voxel_nm: Floats, min_vx: float, min_nm: float = 0.0
) -> ComponentMeasures:
    """Compare components; those of the object of fewer voxels or a shorter box may be without a skeleton."""
    parts, count = connected(mask, 26)
    sizes = plane_counts(parts, count)
    home = sample(parts, voxels_of(bones.vertices_nm, start_vx, voxel_nm)).astype(np.int64)
    pairs = np.unique(np.stack([bones.roots, home], axis=1)[home > 0], axis=0)
    of_object = np.bincount(pairs[:, 1], minlength=count + 1)
    alone = (of_object == 0)[1:]
    missed = 0
    if alone.any():
        missed = int((alone & (sizes >= min_vx)[1:] & (lengths_nm(parts, voxel_nm) >= min_nm)[1:]).sum())
    return ComponentMeasures(
        objects=count,
        missed=missed,
        split=int(np.maximum(of_object[1:] - 1, 0).sum()),
        short=int(alone.sum()) - missed,
    )
