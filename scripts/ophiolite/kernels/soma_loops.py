"""Compiled loop of `soma`: Dijkstra's cheapest ways from seeds, over the voxels of a mask."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit

_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(cache=True, nogil=True)


@_jit
def spread(mask, field, by_speed, seeds, starts, limit, steps, lengths, cost, back, owner):  # type: ignore[no-untyped-def]
    """Fill `cost`, `back` and `owner` (flat, of the mask's size) with the cheapest ways from `seeds` within the mask.

    mask : flat bool, false all along the faces of its box. steps, lengths : (26,) offsets and nm of the neighbours.
    by_speed : a step costs its length over the mean of `field` at its ends, else its length.
    starts : cost of each seed. cost : float32, inf before. back : int8, the step by which a voxel is left towards its
    seed, -1 at seeds. owner : uint16, the number (from 1) of the seed. What costs more than `limit` stays as it was.
    Equal costs go by index.
    """
    heap = [(np.float32(0), np.int64(0)) for _ in range(0)]
    for k in range(len(seeds)):
        if mask[seeds[k]] and starts[k] < cost[seeds[k]]:
            cost[seeds[k]] = starts[k]
            back[seeds[k]] = -1
            owner[seeds[k]] = k + 1
            heap.append((cost[seeds[k]], seeds[k]))
    heapq.heapify(heap)
    while heap:
        spent, here = heapq.heappop(heap)
        if spent > cost[here]:
            continue
        for k in range(len(steps)):
            there = here + steps[k]
            if not mask[there]:
                continue
            price = lengths[k]
            if by_speed:
                price = 2 * price / (field[here] + field[there])
            total = np.float32(spent + price)
            if total < cost[there] and total <= limit:
                cost[there] = total
                back[there] = 25 - k
                owner[there] = owner[here]
                heapq.heappush(heap, (total, there))


def warm_up() -> None:
    """Compile the loop, or load it from numba's cache, for the types that `soma` calls it with."""
    none, one = np.zeros(0, np.int64), np.ones(1, np.float32)
    back, owner, lengths = np.zeros(1, np.int8), np.zeros(1, np.uint16), np.zeros(0, np.float64)
    spread(one > 0, one, True, none, one, 1.0, none, lengths, one, back, owner)
