"""How many cores are left for another runner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.capacity import free_cpus


@pytest.mark.parametrize(
    ("running", "max_runners", "machine", "free"),
    [
        ([], 4, 2, 2),
        ([1], 4, 2, 1),
        ([1, 1], 4, 2, 0),
        ([2], 4, 2, 0),
        ([1], 1, 8, 0),  # as many runners as allowed, though there are cores
        ([], 0, 8, 0),
        ([4], 4, 2, 0),  # a machine that has fewer cores than when the run began
    ],
)
def test_free_cpus(running: list[int], max_runners: int, machine: int, free: int) -> None:
    assert free_cpus(running, max_runners, machine) == free


@given(st.lists(st.integers(1, 4)), st.integers(0, 8), st.integers(1, 64))
def test_whatever_is_started_the_machine_is_never_oversubscribed(
    wanted: list[int], max_runners: int, machine: int
) -> None:
    running: list[int] = []
    for cpus in wanted:
        if cpus <= free_cpus(running, max_runners, machine):
            running.append(cpus)
    assert sum(running) <= machine
    assert len(running) <= max_runners
