"""Work of one job on several threads, its results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(threads: int, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of `work(item)`, so many at once; after one that raises none is begun."""
    if threads == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
