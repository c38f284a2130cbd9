"""What a person says about the queue: order, hold, scale; and how waiting changes the order."""

from __future__ import annotations

import pytest
from builders import build, claimed, enqueue, work

from hive import queue
from hive.db import Database
from hive.errors import RequestError
from hive.model import Job, Limits, QueueControl
from hive.states import Event, JobState


def waited(db: Database, job: Job, seconds: float) -> None:
    """As if the job had been queued so long ago."""
    with db.write():
        db.connection.execute("UPDATE jobs SET created_at = created_at - ? WHERE id = ?", (seconds, job.id))


def order(db: Database) -> list[str]:
    return [job.name for job in iter(lambda: queue.claim(db), None)]


def test_waiting_makes_up_for_a_low_priority(db: Database) -> None:
    low, medium = enqueue(db, "low", priority=2), enqueue(db, "medium", priority=1)
    enqueue(db, "high", priority=0)
    waited(db, low, 2.5 * queue.AGEING_S)
    waited(db, medium, 0.5 * queue.AGEING_S)
    assert [job.name for job in queue.waiting(db)] == ["low", "high", "medium"]
    assert order(db) == ["low", "high", "medium"]


def test_within_a_priority_the_first_comes_first_whatever_it_waited(db: Database) -> None:
    enqueue(db, "first")
    waited(db, enqueue(db, "second"), queue.AGEING_S)
    assert order(db) == ["first", "second"]


def test_a_large_job_is_overtaken_only_for_so_long(db: Database) -> None:
    large = enqueue(db, "large", cpus=4)
    enqueue(db, "small", cpus=1)
    enqueue(db, "another", cpus=1)
    assert queue.claim(db, free_cpus=2).name == "small"  # type: ignore[union-attr]
    waited(db, large, queue.PATIENCE_S + 1)
    assert queue.claim(db, free_cpus=2) is None
    assert queue.claim(db, free_cpus=4).name == "large"  # type: ignore[union-attr]


def test_memory_counts_as_cores_do(db: Database) -> None:
    limits = Limits(cpus=1, memory_bytes=2000)
    queue.enqueue(db, [(build("big"), work(limits=limits))], 1, set())
    assert queue.claim(db, 8, 1999) is None
    assert queue.claim(db, 8, 2000) is not None


def test_move_changes_the_order(db: Database) -> None:
    enqueue(db, "first")
    second = enqueue(db, "second")
    assert queue.move(db, second.id, 0).priority_name == "high"
    assert queue.events(db, second.id)[-1].detail == "high"
    assert order(db) == ["second", "first"]


def test_what_does_not_wait_cannot_be_moved(db: Database) -> None:
    job = claimed(db)
    with pytest.raises(RequestError, match="cannot be moved"):
        queue.move(db, job.id, 0)
    queue.apply(db, job, Event.CANCEL)
    with pytest.raises(RequestError, match="cannot be moved"):
        queue.move(db, job.id, 0)
    with pytest.raises(RequestError, match="no job 77"):
        queue.move(db, 77, 0)


def test_what_was_said_stands_until_something_else_is(db: Database) -> None:
    assert queue.control(db) == QueueControl()
    queue.set_control(db, hold="paused", target_runners=3)
    assert queue.set_control(db, keep_alive=True) == QueueControl("paused", 3, True)
    assert queue.set_control(db, hold="", target_runners=None) == QueueControl(keep_alive=True)


def test_only_what_waits_is_cancelled_by_clear(db: Database) -> None:
    job = enqueue(db)
    queue.claim(db)
    assert queue.cancel_waiting(db, job) is None
    assert queue.get(db, job.id).state is JobState.RUNNING
