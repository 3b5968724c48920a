"""zmesh as the extractor: the surface of our own up to diagonals, and every promise of pieces kept from it too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_promises import broken_promises
from mesh_shapes import Resolution, blobs, in_tasks
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.marching_zmesh import zmesh_surfaces
from ophiolite.kernels.mesh_topology import topology
from ophiolite.stages.mesh_pieces import EXTRACTORS

pytest.importorskip("zmesh")
ZMESH = Extractor(zmesh_surfaces)
Mesh = tuple[NDArray[np.int32], NDArray[np.int32]]


def found(extract: Any, volume: NDArray[Any]) -> dict[int, Mesh]:
    return {n: (v, f) for n, v, f in extract(volume, np.arange(int(volume.max()) + 1) > 0)}


def places(vertices: NDArray[np.int32]) -> set[tuple[int, ...]]:
    return set(map(tuple, vertices.tolist()))


@settings(max_examples=25)
@given(
    st.integers(0, 2**16),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.integers(1, 4),
    st.sampled_from([np.uint16, np.uint32]),
)
def test_it_has_the_vertices_of_our_own_and_is_closed(seed: int, shape: Vec, labels: int, dtype: Any) -> None:
    field = np.random.default_rng(seed).integers(0, labels + 1, shape)
    volume = np.asfortranarray(np.pad(field, 1).astype(dtype))
    ours, theirs = found(surfaces, volume), found(zmesh_surfaces, volume)
    assert list(ours) == list(theirs)
    for number, (v, f) in theirs.items():
        assert len(v) == len(ours[number][0])
        assert places(v) == places(ours[number][0])
        t = topology(v.astype(float), f)
        assert t.is_volume
        assert t.flat_faces == t.duplicate_faces == 0
        assert t.vertices == len(v)


def test_only_what_is_wanted_and_nothing_from_nothing() -> None:
    volume = np.zeros((8, 4, 4), np.uint16, order="F")
    volume[1, 1, 1], volume[3, 1, 1], volume[5, 1, 1] = 1, 2, 3
    assert [n for n, _, _ in zmesh_surfaces(volume, np.array([False, True, False, True]))] == [1, 3]
    assert list(zmesh_surfaces(np.ones((1, 4, 4), np.uint16, order="F"), np.array([False, True]))) == []


@pytest.mark.parametrize("axis", range(3))
def test_long_volumes_lose_no_bits_of_a_place(axis: int) -> None:
    volume = np.zeros(np.roll((1500, 4, 4), axis), np.uint16, order="F")
    end: list[Any] = [slice(1, 3)] * 3
    end[axis] = slice(1490, 1494)
    volume[tuple(end)] = 1
    assert places(found(zmesh_surfaces, volume)[1][0]) == places(found(surfaces, volume)[1][0])


@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**16),
    resolution=st.sampled_from([(8.0, 8.0, 8.0), (16.0, 16.0, 40.0)]),
    options=st.sampled_from([{}, {"simplify": False}, {"fill_holes": True}]),
)
def test_the_promises_of_pieces_are_kept(seed: int, resolution: Resolution, options: dict[str, Any]) -> None:
    labels = blobs(seed, (15, 14, 13), labels=2, sigma=1.6)
    cuts = ([7], [5], [6])
    pieces = in_tasks(labels, cuts, resolution, extractor=ZMESH, max_error_nm=20.0, **options)
    expected = {"turned", "volume", "far", "parts", "inverted"} if options.get("fill_holes") else {"turned"}
    assert broken_promises(labels, cuts, resolution, 20.0, pieces, extractor=ZMESH) <= expected


def other_diagonals(volume: NDArray[Any], wanted: NDArray[np.bool_]) -> Iterator[tuple[int, Any, Any]]:
    """Extracts one task's surfaces with one engine, those of the next with the other."""
    yield from (surfaces if volume.shape[0] % 2 else zmesh_surfaces)(volume, wanted)


def test_pieces_of_both_engines_still_meet() -> None:
    # What lies in the face of a task follows from the labels alone; handles within a cell do not.
    labels = blobs(4, (17, 16, 15), labels=2, sigma=2.0)
    pieces = in_tasks(labels, ([8], [], []), (8.0, 8.0, 8.0), extractor=Extractor(other_diagonals), max_error_nm=16.0)
    assert broken_promises(labels, ([8], [], []), (8.0, 8.0, 8.0), 16.0, pieces) <= {"turned", "parts", "inverted"}


def test_both_can_be_chosen() -> None:
    from ophiolite.config.products import Mesh as Config

    assert Config().extractor == "ophiolite"
    assert EXTRACTORS[Config(extractor="zmesh").extractor] == ZMESH
    assert set(EXTRACTORS) == set(Config.model_fields["extractor"].annotation.__args__)  # type: ignore[union-attr]
