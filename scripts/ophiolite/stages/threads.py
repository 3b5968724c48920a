"""Work of one job on several threads, its results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(threads: int, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of `work(item)`, so many at once; where one raises, those that are not begun are left out."""
    if threads == 1:
        yield from map(work, items)
        return
    failed = Event()

    def unless_failed(item: Item) -> Result:
        if failed.is_set():
            raise CancelledError
        try:
            return work(item)
        except BaseException:
            failed.set()
            raise

    pool = ThreadPoolExecutor(threads)
    futures = [pool.submit(unless_failed, item) for item in items]
    try:
        for future in futures:
            yield future.result()
    finally:
        failed.set()
        pool.shutdown(cancel_futures=True)
