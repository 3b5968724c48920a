"""How many slide pixels a mask pixel covers: every ratio that fits the sizes, and what decides between several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ophiolite.errors import SourceError
from ophiolite.sources.mask_ratio import mask_ratio as ratio_of
from ophiolite.sources.mask_ratio import possible_ratios

Size = tuple[int, int]
ROUNDINGS: dict[str, Callable[[float], int]] = {"down": floor, "up": ceil, "nearest": lambda x: floor(x + 0.5)}


def mask_ratio(mask: Size, slide: Size, stated: int | None = None, told: Sequence[tuple[float, float]] = ()) -> int:
    return ratio_of("m.png", mask, slide, stated, lambda: told)


def rounded(slide: Size, ratio: int, how: str) -> Size:
    """The size of a mask at a ratio."""
    x, y = (max(1, ROUNDINGS[how](n / ratio)) for n in slide)
    return x, y


@pytest.mark.parametrize(
    ("mask", "slide", "ratio"),
    [
        ((100, 80), (100, 80), 1),
        ((100, 80), (800, 640), 8),
        ((101, 81), (801, 641), 8),  # rounded up
        ((100, 80), (807, 647), 8),  # rounded down
        ((100, 81), (803, 645), 8),  # rounded to the nearest
        ((100, 80), (300, 240), 3),
        ((78, 234), (20_200, 60_000), 256),
        ((15, 10), (1_000, 640), 64),
        ((10, 10), (3_000, 3_000), 300),  # the only one that divides both
        ((1, 1), (1, 1), 1),
    ],
)
def test_ratios(mask: Size, slide: Size, ratio: int) -> None:
    assert mask_ratio(mask, slide) == ratio


@pytest.mark.parametrize(
    ("mask", "slide"),
    [
        ((100, 80), (80, 100)),
        ((100, 80), (150, 120)),
        ((99, 80), (100, 80)),
        ((200, 160), (100, 80)),
        ((100, 81), (800, 640)),
    ],
)
def test_sizes_that_do_not_fit_are_refused(mask: Size, slide: Size) -> None:
    with pytest.raises(SourceError, match=rf"E142 m.png.*{slide[0]} x {slide[1]} pixels.*{mask[0]} x {mask[1]}"):
        mask_ratio(mask, slide)


sides = st.integers(1, 3000)


@given(st.tuples(sides, sides), st.integers(1, 300), st.sampled_from(sorted(ROUNDINGS)))
@example((20_200, 60_000), 256, "down")
@settings(max_examples=200, deadline=None)
def test_the_ratio_a_mask_was_made_at_always_fits_and_is_taken_where_it_is_alone(
    slide: Size, ratio: int, how: str
) -> None:
    ratio = min(ratio, max(slide))
    mask = rounded(slide, ratio, how)
    fitting = possible_ratios(mask, slide)
    assert ratio in fitting
    assert mask_ratio(mask, slide, stated=ratio) == mask_ratio(mask, slide, told=[(ratio, ratio)]) == ratio
    if len(fitting) == 1:
        assert mask_ratio(mask, slide, stated=ratio + 1, told=[(ratio + 1, ratio + 1)]) == ratio


small = st.integers(1, 60)


@given(st.tuples(small, small), st.tuples(small, small))
@settings(max_examples=200, deadline=None)
def test_what_fits_is_what_every_ratio_gives(slide: Size, mask: Size) -> None:
    def fits(ratio: int) -> bool:
        sizes = list(zip(mask, slide, strict=True))
        down = all(m == max(1, s // ratio) for m, s in sizes)
        up = all(m == -(-s // ratio) for m, s in sizes)
        return down or up or all(abs(2 * m * ratio - 2 * s) <= ratio or (m == 1 and ratio > s) for m, s in sizes)

    assert possible_ratios(mask, slide) == {ratio for ratio in range(1, max(slide) + 1) if fits(ratio)}


def test_one_round_number_or_the_files_scale_or_the_config_decides_between_several() -> None:
    mask, slide = (15, 10), (1_000, 640)
    assert mask_ratio(mask, slide) == 64
    assert mask_ratio(mask, slide, told=[(66.4, 65.8)]) == 66
    assert mask_ratio(mask, slide, told=[(705.6, 705.6), (66, 66)]) == 66, "tags that mean print are no help"
    assert mask_ratio(mask, slide, told=[(66, 66), (67, 67)]) == 64, "nor are two that disagree"
    assert mask_ratio(mask, slide, told=[(66, 67)]) == 64
    assert mask_ratio(mask, slide, stated=67, told=[(66, 66)]) == 67
    assert mask_ratio(mask, slide, stated=2) == 64


def test_sizes_that_leave_a_choice_are_refused_with_what_they_leave() -> None:
    with pytest.raises(
        SourceError, match=r"E142 m.png.*one of 67, 68, 69, 70, 71, 72, 73, 74, \.\.\., .*slides.mask.ratio"
    ):
        mask_ratio((14, 14), (1_003, 1_003))
    with pytest.raises(SourceError, match="E142"):
        mask_ratio((15, 15), (1_020, 1_020))  # 64 is a power of two, 68 divides both
    assert mask_ratio((14, 14), (1_003, 1_003), stated=70) == 70
