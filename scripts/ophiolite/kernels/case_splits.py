"""Splits of cases into training, validation and test: stable, seeded, in proportion."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction


def case_number(seed: int, case: str) -> int:
    """The place of a case in the draw, 0 to 2^64 - 1: blake2b of `seed|case`, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{case}".encode(), digest_size=8).digest(), "big")


def split_cases(
    groups: Mapping[str, str], fractions: Mapping[str, float], seed: int, stratify: bool, given: Mapping[str, str]
) -> dict[str, str]:
    """The split of every case, by case.

    groups : case -> group. fractions : split -> wanted fraction, adding up to 1. given : cases whose split is settled;
    they keep it, and count unless theirs is none of these.

    Without `stratify` a case falls where its number falls, so more cases never move those that were there. With it
    every group gets each split's share of its cases, rounded up or down so that the whole comes out right (where
    settled cases permit); the numbers say which cases. The order in which cases and splits are given does not matter.
    """
    exact = {name: Fraction(fraction).limit_denominator(10**9) for name, fraction in sorted(fractions.items())}
    settled = {case: split for case, split in given.items() if case in groups}
    if not stratify:
        return settled | {case: _by_number(case, exact, seed) for case in sorted(groups) if case not in settled}
    out = dict(settled)
    owed = {name: Fraction(0) for name in exact}
    for group in sorted(set(groups.values())):
        # what is settled elsewhere takes no part
        cases = sorted(
            (c for c, g in groups.items() if g == group and settled.get(c, "") in {*exact, ""}),
            key=lambda c: (case_number(seed, c), c),
        )
        seats = _seats(len(cases), exact, owed)
        for case in cases:
            if case in settled:
                seats[settled[case]] -= 1
        for case in cases:
            if case not in settled:
                out[case] = max(seats, key=lambda name: seats[name])
                seats[out[case]] -= 1
        for name, share in exact.items():
            owed[name] += share * len(cases) - sum(out[case] == name for case in cases)
    return out


def _by_number(case: str, exact: Mapping[str, Fraction], seed: int) -> str:
    place, reached = Fraction(case_number(seed, case), 2**64), Fraction(0)
    wanted = {name: share for name, share in exact.items() if share}
    for name, share in wanted.items():
        reached += share
        if place < reached:
            return name
    return list(wanted)[-1]


def _seats(cases: int, exact: Mapping[str, Fraction], owed: Mapping[str, Fraction]) -> dict[str, int]:
    """How many of a group's cases each split gets: its share rounded down, and what is left one each to those that
    miss most, with what earlier groups owe them."""
    seats = {name: int(share * cases) for name, share in exact.items()}
    missing = {name: share * cases - seats[name] for name, share in exact.items()}
    short = sorted((n for n in exact if missing[n]), key=lambda n: -(missing[n] + owed[n]))
    for name in short[: cases - sum(seats.values())]:
        seats[name] += 1
    return seats
