"""Splits by case: in proportion, stable, seeded, and what was settled stays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

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


def test_small_groups_together_still_fill_every_split() -> None:
    """A group of one case has one split; which, is drawn by the shares, group by group."""
    split = split_cases({f"c{i}": f"g{i}" for i in range(500)}, SHARES, 0, True, {})
    counts = Counter(split.values())
    for name, share in SHARES.items():
        assert abs(counts[name] / 500 - share) < 4 * math.sqrt(share * (1 - share) / 500)


Dealing = Callable[[dict[str, str], dict[str, float], int], dict[str, str]]


def moved(deal: Dealing, groups: dict[str, str], wanted: dict[str, float], seed: int, case: str) -> list[str]:
    """The other cases whose split depends on whether one case is there."""
    with_it = deal(groups, wanted, seed)
    without = deal({c: g for c, g in groups.items() if c != case}, wanted, seed)
    return [c for c in without if with_it[c] != without[c]]


def stratified(groups: dict[str, str], wanted: dict[str, float], seed: int) -> dict[str, str]:
    return split_cases(groups, wanted, seed, True, {})


def dealt_in_turn(groups: dict[str, str], wanted: dict[str, float], seed: int) -> dict[str, str]:
    """A dealing in proportion that is not stable: in the order of the numbers, each to the split with most seats."""
    out = {}
    for group in set(groups.values()):
        cases = sorted((c for c, g in groups.items() if g == group), key=lambda c: case_number(seed, c))
        seats = {name: int(share * len(cases) + 1e-9) for name, share in sorted(wanted.items())}
        missing = sorted(seats, key=lambda name: seats[name] - wanted[name] * len(cases))
        for name in missing[: len(cases) - sum(seats.values())]:
            seats[name] += 1
        for case in cases:
            out[case] = max(seats, key=lambda name: seats[name])
            seats[out[case]] -= 1
    return out


@given(st.lists(st.integers(1, 25), min_size=1, max_size=4), shares(), st.integers(0, 10**6), st.data())
@settings(max_examples=150, deadline=None)
def test_a_case_more_or_fewer_moves_at_most_one_at_every_cut(
    sizes: list[int], wanted: dict[str, float], seed: int, data: st.DataObject
) -> None:
    groups = cases_of(sizes)
    case = data.draw(st.sampled_from(sorted(groups)))
    others = moved(stratified, groups, wanted, seed, case)
    assert len(others) < sum(share > 0 for share in wanted.values())
    assert {groups[other] for other in others} <= {groups[case]}


@given(st.lists(st.integers(1, 15), min_size=1, max_size=3), shares(), st.integers(0, 10**6), st.data())
@settings(max_examples=100, deadline=None)
def test_settled_cases_do_not_make_it_less_stable(
    sizes: list[int], wanted: dict[str, float], seed: int, data: st.DataObject
) -> None:
    groups = cases_of(sizes)
    names = st.sampled_from([*wanted, "holdout"])
    given_ = data.draw(st.dictionaries(st.sampled_from(sorted(groups)), names))

    def deal(groups: dict[str, str], wanted: dict[str, float], seed: int) -> dict[str, str]:
        return split_cases(groups, wanted, seed, True, given_)

    case = data.draw(st.sampled_from(sorted(groups)))
    assert len(moved(deal, groups, wanted, seed, case)) < len(wanted)


@pytest.mark.parametrize("wanted", [{"train": 0.5, "test": 0.5}, SHARES])
def test_a_dealing_that_is_not_stable_is_found_out(wanted: dict[str, float]) -> None:
    groups = {f"c{i}": "g" for i in range(10)}
    assert len(moved(dealt_in_turn, groups, wanted, 0, "c5")) >= len(wanted)
    assert len(moved(stratified, groups, wanted, 0, "c5")) < len(wanted)


def test_nothing_moves_where_what_was_drawn_is_locked() -> None:
    before = split_cases(cases_of([9, 6]), SHARES, 0, True, {})
    after = split_cases(cases_of([14, 7, 3]), SHARES, 0, True, before)
    assert {case: after[case] for case in before} == before
    counts = Counter(split for case, split in after.items() if case.startswith("case-0-"))
    for name, share in SHARES.items():
        assert abs(counts[name] - 14 * share) < 1


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
