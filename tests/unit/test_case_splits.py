"""Splits by case: in proportion, stable, seeded, and what was settled stays."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.case_splits import case_number, split_cases

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def cases_of(sizes: list[int]) -> dict[str, str]:
    return {f"case-{g}-{i}": f"group{g}" for g, size in enumerate(sizes) for i in range(size)}


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    parts = draw(st.lists(st.integers(0, 10), min_size=1, max_size=4).filter(any))
    return {f"s{i}": part / sum(parts) for i, part in enumerate(parts)}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), shares(), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_every_group_and_the_whole_are_in_proportion(sizes: list[int], wanted: dict[str, float], seed: int) -> None:
    groups = cases_of(sizes)
    split = split_cases(groups, wanted, seed, True, {})
    assert split.keys() == groups.keys()
    for g, size in enumerate(sizes):
        counts = Counter(split[case] for case in groups if groups[case] == f"group{g}")
        for name, share in wanted.items():
            assert math.floor(share * size + 1e-6) <= counts[name] <= math.ceil(share * size - 1e-6)
    for name, share in wanted.items():
        count = sum(s == name for s in split.values())
        assert abs(count - share * len(groups)) < len(wanted)


def test_small_groups_together_still_fill_every_split() -> None:
    split = split_cases({f"c{i}": f"g{i}" for i in range(20)}, SHARES, 0, True, {})
    assert Counter(split.values()) == {"train": 14, "validation": 2, "test": 4}


def test_more_cases_move_none_that_were_there() -> None:
    few = split_cases(cases_of([40]), SHARES, 3, False, {})
    many = split_cases(cases_of([400, 100]), SHARES, 3, False, {})
    assert {case: many[case] for case in few} == few
    counts = Counter(many.values())
    for name, share in SHARES.items():
        assert abs(counts[name] / 500 - share) < 4 * math.sqrt(share * (1 - share) / 500)


def test_the_order_of_the_sheet_does_not_matter() -> None:
    groups = cases_of([7, 12, 3])
    shuffled = dict(sorted(groups.items(), key=lambda item: item[0][::-1]))
    assert split_cases(groups, SHARES, 1, True, {}) == split_cases(shuffled, SHARES, 1, True, {})


def test_another_seed_gives_other_splits() -> None:
    groups = cases_of([60])
    assert split_cases(groups, SHARES, 1, True, {}) != split_cases(groups, SHARES, 2, True, {})


@pytest.mark.parametrize("stratify", [True, False])
@given(st.lists(st.integers(1, 15), min_size=1, max_size=4), st.data())
@settings(max_examples=50, deadline=None)
def test_settled_cases_stay(stratify: bool, sizes: list[int], data: st.DataObject) -> None:
    groups = cases_of(sizes)
    given_ = data.draw(st.dictionaries(st.sampled_from(sorted(groups)), st.sampled_from(["train", "test", "holdout"])))
    split = split_cases(groups, SHARES, 0, stratify, {**given_, "of another project": "train"})
    assert {case: split[case] for case in given_} == given_
    assert split.keys() == groups.keys()
    assert {split[case] for case in groups if case not in given_} <= SHARES.keys()


def test_settled_cases_count() -> None:
    groups = cases_of([10])
    settled = dict.fromkeys(sorted(groups)[:2], "test")
    split = split_cases(groups, SHARES, 0, True, settled)
    assert Counter(split.values()) == {"train": 7, "validation": 1, "test": 2}


def test_a_split_of_nothing_gets_nothing() -> None:
    shares_ = {"train": 1.0, "test": 0.0}
    for stratify in (True, False):
        assert set(split_cases(cases_of([9, 4]), shares_, 0, stratify, {}).values()) == {"train"}


def test_the_number_of_a_case_is_fixed_for_good() -> None:
    assert case_number(0, "12_116") == 3374059726181872298
