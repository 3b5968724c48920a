"""Work of one job on several threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


# Items that are taken ahead of the result that is waited for: enough to keep threads busy while one item takes long.
_AHEAD = 64


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

    pool, following = ThreadPoolExecutor(threads), iter(items)
    futures: deque[Future[Result]] = deque()
    try:
        for item in islice(following, _AHEAD):
            futures.append(pool.submit(unless_failed, item))
        while futures:
            yield futures.popleft().result()
            futures.extend(pool.submit(unless_failed, item) for item in islice(following, 1))
    finally:
        failed.set()
        pool.shutdown(cancel_futures=True)
