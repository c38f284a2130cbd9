"""Samples that worker processes make ahead, in the order in which they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Asked = TypeVar("Asked")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Asked], Made], each: Iterable[Asked], workers: int, ahead: int = 0) -> Iterator[Made]:
    """make(x) of each x, by forked workers, so many `ahead` of the one that is used (0: 4 a worker).

    What is compiled or opened before the first one is asked for, the workers need not compile or open again.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        waiting: deque[Future[Made]] = deque()
        for one in each:
            waiting.append(pool.submit(make, one))
            if len(waiting) > (ahead or 4 * workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
