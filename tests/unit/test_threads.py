"""Work on several threads: in order, at once, and no more after a fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ophiolite.stages.threads import in_order


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3))
        return item * item

    assert list(in_order(threads, work, range(12))) == [n * n for n in range(12)]


def test_so_many_at_once_and_no_more() -> None:
    both, running, most = threading.Barrier(2, timeout=20), set(), []

    def work(item: int) -> None:
        running.add(item)
        most.append(len(running))
        both.wait()
        running.discard(item)

    list(in_order(2, work, range(6)))
    assert max(most) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_after_a_fault_none_is_begun(threads: int) -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.02)
        if item == 1:
            raise ValueError("task 1")

    with pytest.raises(ValueError, match="task 1"):
        list(in_order(threads, work, range(50)))
    assert len(begun) < 10


def test_where_taking_items_fails_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        yield from range(40)
        raise ValueError("no more items")

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.02)

    with pytest.raises(ValueError, match="no more items"):
        list(in_order(2, work, items()))
    assert len(begun) < 10


def test_items_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_order(2, abs, items())
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) < 100
    assert list(results) == list(range(10, 1000))
