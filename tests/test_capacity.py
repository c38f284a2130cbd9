"""How much may run, why a job waits, when all will be done."""

from __future__ import annotations

from unittest.mock import ANY

import pytest
from builders import build, work
from hive_runner.frozen import replace
from hypothesis import given
from hypothesis import strategies as st

from hive import queue
from hive.capacity import Machine, done_in_s, free_gpus, own_cores, room, runners_available, runners_wanted, waits_for
from hive.config import Settings
from hive.db import Database
from hive.model import Job, Limits, QueueControl
from hive.states import JobState
from hive.supervise import machine_of

GIB = 1 << 30


@pytest.mark.parametrize(
    ("running", "runners", "cpus", "free"),
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
def test_free_cores(running: list[int], runners: int, cpus: int, free: int) -> None:
    assert room([Limits(cpus=each, memory_bytes=0) for each in running], Machine(runners, cpus, GIB)).cpus == free


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 8 * GIB))), st.integers(0, 8), st.integers(1, 64),
    st.integers(1, 64 * GIB),
)  # fmt: skip
def test_whatever_is_started_the_machine_is_never_oversubscribed(
    wanted: list[tuple[int, int]], runners: int, cpus: int, memory_bytes: int
) -> None:
    machine, running = Machine(runners, cpus, memory_bytes), list[Limits]()
    for cores, size_bytes in wanted:
        free = room(running, machine)
        if cores <= free.cpus and size_bytes <= free.memory_bytes:
            running.append(Limits(cpus=cores, memory_bytes=size_bytes))
    assert sum(limits.cpus for limits in running) <= cpus
    assert sum(limits.memory_bytes for limits in running) <= memory_bytes
    assert len(running) <= runners


def test_a_person_sets_how_many_may_run() -> None:
    assert runners_wanted(QueueControl(), 4) == 4
    assert runners_wanted(QueueControl(target_runners=7), 4) == 7
    assert runners_wanted(QueueControl(target_runners=7, hold="paused"), 4) == 0


def queued(db: Database, name: str, cpus: int = 1, memory_bytes: int = GIB) -> Job:
    [job] = queue.enqueue(db, [(build(name), work(limits=Limits(cpus=cpus, memory_bytes=memory_bytes)))], 1, set())
    return job


def test_why_a_job_waits(db: Database) -> None:
    queued(db, "first", cpus=2, memory_bytes=3 * GIB)
    running = queue.claim(db)
    assert running is not None
    other = queued(db, "other", cpus=2, memory_bytes=2 * GIB)
    now = other.created_at

    def why(machine: Machine, hold: str = "", needed: tuple[Job, ...] = ()) -> str:
        return waits_for(other, needed, [running], QueueControl(hold), machine, now)

    assert why(Machine(4, 4, 8 * GIB)) == "about to start"
    assert why(Machine(4, 3, 8 * GIB)) == "wants 2 cores, 1 of 3 are free"
    assert why(Machine(4, 4, 4 * GIB)) == "wants 2.0 GiB, 1.0 GiB of 4.0 GiB are free"
    short = Machine(4, 4, 8 * GIB, memory_available_bytes=GIB // 2)
    assert why(short) == "wants 2.0 GiB, 0.5 GiB of 8.0 GiB are free", "other programs have it"
    assert waits_for(other, (), [], QueueControl(), short, now) == "about to start", "alone it gets what there is"
    assert why(Machine(1, 4, 8 * GIB)) == "1 of 1 runners are busy"
    assert why(Machine(0, 4, 8 * GIB)) == "scaled to 0 runners"
    assert why(Machine(4, 4, 8 * GIB), "paused") == "the queue is paused"
    assert why(Machine(4, 4, 8 * GIB), needed=(running,)) == f"needs job {running.id} (first)"


def test_one_build_a_gpu(db: Database) -> None:
    for name in ("first", "second"):
        queue.enqueue(db, [(build(name, device="cuda"), work())], 1, set())
    plain = queued(db, "plain")
    first = queue.claim(db, free_gpus=1)
    assert first is not None and first.name == "first"
    second = queue.get(db, first.id + 1)
    machine = Machine(4, 8, 64 * GIB, ("GPU-1",))
    reasons = [waits_for(job, (), [first], QueueControl(), machine, job.created_at) for job in (second, plain)]
    assert reasons == ["wants a GPU, 0 of 1 are free", "about to start"]
    assert queue.claim(db, free_gpus=0) == replace(plain, state=JobState.RUNNING, attempt=1, started_at=ANY)
    assert queue.claim(db, free_gpus=0) is None
    assert queue.claim(db, free_gpus=1) is not None
    assert free_gpus(["GPU-1", "GPU-2"], ["GPU-1", ""]) == ["GPU-2"]


def test_when_all_is_done() -> None:
    assert done_in_s([], [], Machine(4, 4, 0)) == 0
    assert done_in_s([30], [], Machine(4, 4, 0)) == 30
    assert done_in_s([-5], [(1, 10)], Machine(1, 4, 0)) == 10  # it takes longer than expected: any moment now
    # the README's three, on four slots and one after the other
    minutes = [(1, 60.0), (1, 30.0), (1, 35.0)]
    assert done_in_s([], minutes, Machine(4, 4, 0)) == 60
    assert done_in_s([], minutes, Machine(1, 4, 0)) == 125
    assert done_in_s([], [(2, 60.0), (2, 30.0)], Machine(4, 2, 0)) == 90, "two cores each, two cores in all"


@pytest.mark.parametrize(
    ("wanted", "taken", "own"),
    [
        (1, [], (0,)),
        (1, [{0}], (1,)),
        (1, [{1}], (0,)),
        (1, [{0}, {1}], (2,)),
        (2, [{0, 1}], (2, 3)),
        (2, [{0}, {0, 1}], (2, 3)),
        (4, [], ()),
        (9, [], ()),
    ],
)
def test_a_run_gets_the_cores_that_nobody_has(wanted: int, taken: list[set[int]], own: tuple[int, ...]) -> None:
    assert own_cores(wanted, range(4), taken) == own


@pytest.mark.parametrize(
    ("running", "runners", "cpus_each", "available"),
    [
        ([], 4, 1, 4),
        ([], 4, 2, 2),
        ([1], 4, 2, 1),
        ([2, 2], 4, 1, 0),  # every core is busy
        ([1], 1, 1, 0),  # as many as allowed
        ([], 4, 8, 1),  # alone, a runner gets whatever there is
        ([], 0, 1, 0),
    ],
)
def test_how_many_runners_more_could_start(running: list[int], runners: int, cpus_each: int, available: int) -> None:
    limits = [Limits(cpus=each, memory_bytes=0) for each in running]
    assert runners_available(limits, Machine(runners, 4, GIB), cpus_each) == available


def test_without_automatic_scaling_one_runs_until_somebody_says_how_many() -> None:
    machine = machine_of(Settings(auto_scale=False, max_runners=4))
    assert runners_wanted(QueueControl(), machine.runners) == 1
    assert runners_wanted(QueueControl(target_runners=3), machine.runners) == 3
    assert machine_of(Settings(max_runners=4)).runners == 4
