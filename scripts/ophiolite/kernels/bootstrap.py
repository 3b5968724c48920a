"""Percentile intervals of means over items that come in cases: whole cases are drawn again, never single items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """value : of the items themselves; low, high : where 95 % of the resampled values lie, None for no interval."""

    value: float | None
    low: float | None
    high: float | None


class Resampling:
    """Draws of cases with replacement; the same cases and seed give the same draws, in whatever order items come.

    cases : the case of each item, (n,).
    """

    def __init__(self, cases: Sequence[str], resamples: int, seed: int) -> None:
        names, self._case = np.unique(np.asarray(cases, dtype=str), return_inverse=True)
        rng = np.random.default_rng([seed, 7])
        chances = np.full(len(names), 1 / max(len(names), 1))
        drawn = rng.multinomial(len(names), chances, size=resamples) if len(names) else np.zeros((resamples, 0), int)
        self._weights = np.asarray(drawn[:, self._case], np.int64)

    def ratio(self, over: Floats, under: Floats) -> Interval:
        """The interval of sum(over) / sum(under) over items (n,); those that do not count have zeros in both.

        No value where `under` sums up to 0, no interval where fewer than two cases count.
        """
        total = float(under.sum())
        if total == 0:
            return Interval(None, None, None)
        value = float(over.sum()) / total
        if not len(self._weights) or len(np.unique(self._case[under > 0])) < 2:
            return Interval(value, None, None)
        above, below = self._weights @ over, self._weights @ under
        # A resample in which nothing counts says nothing.
        drawn = above[below > 0] / below[below > 0]
        if not len(drawn):
            return Interval(value, None, None)
        low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
        return Interval(value, low, high)

    def mean(self, values: Floats) -> Interval:
        """The interval of the mean over items; NaN for an item that does not count."""
        counts = np.isfinite(values)
        return self.ratio(np.where(counts, values, 0.0), counts.astype(np.float64))
