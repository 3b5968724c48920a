"""Splits of cases into training, validation and test: stable, seeded, in proportion."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from math import floor


def case_number(seed: int, case: str) -> int:
    """The place of a case in the draw, 0 to 2^64 - 1: blake2b of `seed|case`, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{case}".encode(), digest_size=8).digest(), "big")


def split_cases(
    groups: Mapping[str, str], fractions: Mapping[str, float], seed: int, stratify: bool, given: Mapping[str, str]
) -> dict[str, str]:
    """The split of every case, by case.

    groups : case -> group. fractions : split -> wanted fraction, adding up to 1. given : cases whose split is settled;
    they keep it, and count unless theirs is none of these.

    Without `stratify` a case falls where its number falls, so more cases never move those that were there. With it the
    cases of a group, ordered by their numbers, are cut into a run per split: systematic sampling with a random start
    (Madow 1949, Annals of Mathematical Statistics 20, 333-354), the start drawn by the group's name. Every split gets
    its share of every group, rounded up or down, as far as settled cases permit. One case more or fewer moves each cut
    by one case at most, so it changes the split of at most as many others as there are splits less one, all of its own
    group. The order in which cases and splits are given does not matter.
    """
    exact = {name: Fraction(fraction).limit_denominator(10**9) for name, fraction in sorted(fractions.items())}
    settled = {case: split for case, split in given.items() if case in groups}
    free: dict[str, list[str]] = {group: [] for group in sorted(set(groups.values()))}
    for case in sorted(groups, key=lambda case: (case_number(seed, case), case)):
        if case not in settled:
            free[groups[case]].append(case)
    if not stratify:
        return settled | {case: _by_number(case, exact, seed) for cases in free.values() for case in cases}
    counts = {group: dict.fromkeys(exact, 0) for group in free}
    for case, split in settled.items():
        # what is settled elsewhere takes no part
        if split in exact:
            counts[groups[case]][split] += 1
    out = dict(settled)
    for group, cases in free.items():
        first, reached = 0, Fraction(case_number(seed, f"group|{group}"), 2**64)
        for name, wanted in _wanted(len(cases), exact, counts[group]).items():
            reached += wanted
            last = floor(reached)
            out |= dict.fromkeys(cases[first:last], name)
            first = last
    return out


def _wanted(cases: int, exact: Mapping[str, Fraction], counts: Mapping[str, int]) -> dict[str, Fraction]:
    """How many of a group's unsettled cases each split is to get: what it misses of its share of a whole that is as
    large as they permit, so that one case more takes from none. Fractions that add up to `cases`."""
    level, weight, taken = Fraction(0), Fraction(0), cases
    for full, name in sorted((counts[name] / share, name) for name, share in exact.items() if share):
        if weight and level <= full:
            break
        weight, taken = weight + exact[name], taken + counts[name]
        level = taken / weight
    return {name: max(Fraction(0), share * level - counts[name]) for name, share in exact.items()}


def _by_number(case: str, exact: Mapping[str, Fraction], seed: int) -> str:
    place, reached = Fraction(case_number(seed, case), 2**64), Fraction(0)
    wanted = {name: share for name, share in exact.items() if share}
    for name, share in wanted.items():
        reached += share
        if place < reached:
            return name
    return list(wanted)[-1]
