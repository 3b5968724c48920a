"""Requests to an object store put together: near ranges in one, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# Ranges nearer than this are read as one: on most stores a request costs as much as some hundred kilobytes.
GAP_BYTES = 128 * 2**10
MOST_BYTES = 32 * 2**20
AT_ONCE = 8

T = TypeVar("T")
R = TypeVar("R")


def together(ranges: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, int], list[int]]]:
    """Ranges grouped by nearness: ((offset, size) of a group, numbers of its ranges)."""
    groups: list[tuple[tuple[int, int], list[int]]] = []
    for number in sorted(range(len(ranges)), key=lambda n: ranges[n]):
        offset, size = ranges[number]
        if groups:
            (start, length), members = groups[-1]
            if offset - (start + length) <= GAP_BYTES and offset + size - start <= MOST_BYTES:
                groups[-1] = ((start, max(length, offset + size - start)), [*members, number])
                continue
        groups.append(((offset, size), [number]))
    return groups


def at_once(call: Callable[[T], R], arguments: Sequence[T]) -> list[R]:
    """`call` on every argument, several at a time; what they return, in order."""
    if len(arguments) < 2:
        return [call(a) for a in arguments]
    with ThreadPoolExecutor(min(AT_ONCE, len(arguments))) as pool:
        return list(pool.map(call, arguments))
