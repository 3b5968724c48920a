"""SWC: what is written is read back, by us and by CloudVolume; what is out of order is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.swc import DENDRITE, END, FORK, SOMA, SwcTree, decode_swc, encode_swc

FORKED = SwcTree(
    points_nm=np.array([[1000, 2000, 3000], [1500, 2000, 3000], [1750, 2500, 3000], [1750, 1500, 3000.5]], np.float64),
    radius_nm=np.array([4000, 120, 60, 30.25]),
    parent=np.array([-1, 0, 1, 1]),
    kinds=np.array([SOMA, FORK, END, END]),
    comments={"label": str(2**64 - 1), "source": "t/neurons"},
)


@st.composite
def trees(draw: st.DrawFn) -> SwcTree:
    """Trees of float32 values, as finished skeletons hold them."""
    n = draw(st.integers(1, 30))
    value = st.floats(-1e9, 1e9, width=32)
    points = draw(st.lists(st.tuples(value, value, value), min_size=n, max_size=n))
    radius = draw(st.lists(st.floats(0, 1e6, width=32), min_size=n, max_size=n))
    parent = [-1, *(draw(st.integers(0, i - 1)) for i in range(1, n))]
    kinds = draw(st.lists(st.integers(0, 7), min_size=n, max_size=n))
    return SwcTree(np.array(points), np.array(radius), np.array(parent), np.array(kinds), {"label": "7"})


@given(trees(), st.sampled_from(["micrometre", "nanometre"]))
def test_a_tree_comes_back_to_the_last_bit(tree: SwcTree, unit: str) -> None:
    data = encode_swc(tree, unit)
    back = decode_swc(data)
    for name in ("points_nm", "radius_nm"):
        np.testing.assert_array_equal(getattr(back, name).astype(np.float32), getattr(tree, name).astype(np.float32))
    np.testing.assert_array_equal(back.parent, tree.parent)
    np.testing.assert_array_equal(back.kinds, tree.kinds)
    assert back.comments == tree.comments
    assert encode_swc(tree, unit) == data


def test_the_text_is_the_convention() -> None:
    lines = encode_swc(FORKED).decode().splitlines()
    assert lines == [
        f"# label: {2**64 - 1}",
        "# source: t/neurons",
        "# unit: micrometre",
        "1 1 1 2 3 4 -1",
        "2 5 1.5 2 3 0.12 1",
        "3 6 1.75 2.5 3 0.06 2",
        "4 6 1.75 1.5 3.0005 0.03025 2",
    ]


@given(trees())
def test_cloudvolume_reads_it(tree: SwcTree) -> None:
    cloudvolume = pytest.importorskip("cloudvolume")
    found = cloudvolume.Skeleton.from_swc(encode_swc(tree, "nanometre").decode())
    np.testing.assert_array_equal(found.vertices, tree.points_nm.astype(np.float32))
    np.testing.assert_array_equal(found.radius, tree.radius_nm.astype(np.float32))
    np.testing.assert_array_equal(found.vertex_types, tree.kinds)
    pairs = {(i, p) for i, p in enumerate(tree.parent.tolist()) if p >= 0}
    assert {tuple(sorted(e)) for e in found.edges.tolist()} == {tuple(sorted(p)) for p in pairs}


def test_it_reads_what_cloudvolume_writes() -> None:
    cloudvolume = pytest.importorskip("cloudvolume")
    edges = np.array([[0, 1], [1, 2], [1, 3]], np.uint32)
    skeleton = cloudvolume.Skeleton(FORKED.points_nm.astype("f4"), edges, FORKED.radius_nm.astype("f4"))
    back = decode_swc(skeleton.to_swc().encode())
    assert len(back.parent) == 4
    np.testing.assert_allclose(np.sort(back.radius_nm) / 1000, np.sort(FORKED.radius_nm), rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"parent": np.array([-1, 2, 1, 1])}, "parents are out of order"),
        ({"parent": np.array([-1, -1, 1, 1])}, "parents are out of order"),
        ({"parent": np.array([-1, 0, 1])}, "do not fit together"),
        ({"radius_nm": np.array([1, -1, 1, 1.0])}, "no length"),
        ({"radius_nm": np.array([1, np.nan, 1, 1.0])}, "no length"),
        ({"comments": {"label": "7\n8 1 0 0 0 0 -1"}}, "cannot be read back"),
        ({"comments": {"unit": "nanometre"}}, "cannot be read back"),
    ],
)
def test_what_is_no_tree_is_not_written(change: dict[str, Any], text: str) -> None:
    with pytest.raises(FormatError, match=text):
        encode_swc(replace(FORKED, **change))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"# unit: micrometre\n", "no points"),
        (b"# unit: furlong\n1 0 0 0 0 1 -1\n", "unit is unknown"),
        (b"1 0 0 0 0 -1\n", "line 1 is no point"),
        (b"1 0 0 0 zero 1 -1\n", "no number"),
        (b"2 0 0 0 0 1 -1\n", "do not count from 1"),
        (b"1 0 0 0 0 1 -1\n2 0 0 0 0 1 3\n3 0 0 0 0 1 1\n", "parents are out of order"),
    ],
)
def test_what_is_no_swc_is_not_read(data: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        decode_swc(data)


def test_without_a_unit_it_is_micrometres() -> None:
    back = decode_swc(b"#plain remark\n1 3 1 2 3 0.5 -1\n")
    assert back.points_nm.tolist() == [[1000, 2000, 3000]]
    assert back.kinds.tolist() == [DENDRITE]
