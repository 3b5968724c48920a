"""The promises of skeletons for sheets, tori, balls, crosses and shells of any size, place and turn, in any tasks."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from promise_shapes import Drawn, objects, volume
from skeleton_promises import APART_THIN, DOUBLED_THIN, broken_promises, made

from ophiolite.kernels.skeletonize import SkeletonOptions

OPTIONS = SkeletonOptions(scale=1.5, const_nm=20.0)
SIZES = ((10.0, 10.0, 10.0), (16.0, 16.0, 40.0))


@settings(max_examples=25)
@given(objects(), st.tuples(*[st.integers(9, 20)] * 3), st.sampled_from(SIZES))
def test_they_are_kept_for_shapes_of_any_size_and_place(
    drawn: Drawn, task: Any, nm: tuple[float, float, float]
) -> None:
    field = volume(drawn)
    assert broken_promises(field, task, nm, made(field, task, nm, OPTIONS, join=True)) <= {DOUBLED_THIN, APART_THIN}
