"""The queue: who may take which job, and what each event makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import build, claimed, enqueue, work

from hive import queue
from hive.db import Database
from hive.errors import RequestError
from hive.model import Failure, Job, Limits
from hive.states import MAX_ATTEMPTS, MAX_CHARGED_ATTEMPTS, Event, JobState

LOST = Failure("infrastructure", "the runner vanished")
HUNG = Failure("no_heartbeat", "it hung")
BUG = Failure("recipe_error", "ZeroDivisionError")


def now_due(db: Database, job: Job) -> None:
    """As if the pause before the next try were over."""
    with db.write():
        db.connection.execute("UPDATE jobs SET not_before = 0 WHERE id = ?", (job.id,))


# Putting in


def test_a_job_waits_first(db: Database) -> None:
    job = enqueue(db)
    assert (job.state, job.attempt, job.charged) == (JobState.QUEUED, 0, 0)
    assert [event.event for event in queue.events(db, job.id)] == ["enqueue"]
    assert queue.totals(db)["queued"] == 1


def test_build_and_work_come_back_as_they_were(db: Database) -> None:
    made, carried = build(params={"steps": 3}, dependencies={"base": "key"}), work(mounts=("/a",), pins=("x==1",))
    [job] = queue.enqueue(db, [(made, carried)], 0, set())
    again = queue.get(db, job.id)
    assert (again.build, again.work) == (made, carried)
    assert again.build_key == made.key


def test_the_same_build_is_joined_not_doubled(db: Database) -> None:
    first = enqueue(db)
    assert enqueue(db).id == first.id
    assert claimed(db).id == first.id
    assert enqueue(db).id == first.id, "also while it runs"
    assert queue.totals(db) == {"queued": 0, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 0}


def test_joining_with_more_urgency_makes_it_more_urgent_but_never_less(db: Database) -> None:
    job = enqueue(db, priority=1)
    enqueue(db, priority=2)
    assert queue.get(db, job.id).priority == 1
    enqueue(db, priority=0)
    assert queue.get(db, job.id).priority == 0


def test_another_seed_is_another_job(db: Database) -> None:
    assert enqueue(db).id != enqueue(db, seed=1).id


def test_automatic_until_somebody_asks_for_it_by_name(db: Database) -> None:
    job = enqueue(db)
    assert not queue.is_automatic(db, job.id)
    chain = [(build("base"), work()), (build("top", dependencies={"base": "k"}), work())]
    base, top = queue.enqueue(db, chain, 1, {"base"})
    assert queue.is_automatic(db, base.id)
    assert not queue.is_automatic(db, top.id)
    enqueue(db, "base")
    assert not queue.is_automatic(db, base.id)


def test_what_is_over_is_not_joined(db: Database) -> None:
    job = claimed(db)
    queue.apply(db, job, Event.FAIL, failure=BUG)
    assert enqueue(db).id != job.id


# Taking out


def test_what_has_been_built_since_the_plan_was_made_is_joined(db: Database) -> None:
    as_of = queue.newest_event(db)
    first = claimed(db, "a")
    queue.apply(db, first, Event.SUCCEED)
    [joined] = queue.enqueue(db, [(build("a"), work())], 1, set(), as_of)
    assert (joined.id, joined.state) == (first.id, JobState.SUCCEEDED)
    [later] = queue.enqueue(db, [(build("a"), work())], 1, set(), queue.newest_event(db))
    assert later.id != first.id, "of a plan that knew of it"


def test_urgent_first_then_in_order(db: Database) -> None:
    for name, priority in (("low", 2), ("first", 1), ("second", 1), ("high", 0)):
        enqueue(db, name, priority)
    taken = [job.name for job in iter(lambda: queue.claim(db, 4), None)]
    assert taken == ["high", "first", "second", "low"]


def test_nothing_to_claim(db: Database) -> None:
    assert queue.claim(db, 4) is None
    assert not queue.anything_waits(db)


def test_a_job_that_wants_more_cores_than_are_free_lets_others_pass(db: Database) -> None:
    enqueue(db, "wide", priority=0, cpus=4)
    enqueue(db, "narrow", cpus=1)
    job = queue.claim(db, 2)
    assert job is not None
    assert job.name == "narrow"
    assert queue.claim(db, 2) is None
    assert queue.claim(db, 4) is not None


def test_a_job_waits_for_what_it_needs(db: Database) -> None:
    base, top = build("base"), build("top", dependencies={"base": "key"})
    queue.enqueue(db, [(base, work()), (top, work())], 1, {"base"})
    first = queue.claim(db, 8)
    assert first is not None
    assert first.name == "base"
    assert queue.claim(db, 8) is None
    queue.apply(db, first, Event.SUCCEED, artifact="sha256:x")
    second = queue.claim(db, 8)
    assert second is not None
    assert second.name == "top"
    assert [needed.name for needed in queue.needs(db, second.id)] == ["base"]


def test_a_job_in_its_pause_is_not_claimed(db: Database) -> None:
    job = claimed(db)
    queue.fail_or_retry(db, job, LOST)
    assert queue.claim(db, 8) is None
    assert queue.anything_waits(db)
    assert time.time() - 1 < queue.get(db, job.id).not_before < time.time() + 5
    now_due(db, job)
    again = queue.claim(db, 8)
    assert again is not None
    assert again.attempt == 2


def test_a_pause_that_the_clock_was_put_back_in_is_over(db: Database) -> None:
    """Or the job would wait as long as the clock was wrong."""
    job = claimed(db)
    queue.fail_or_retry(db, job, LOST)
    db.connection.execute("UPDATE jobs SET not_before = ?", (time.time() + 2 * 86400,))
    again = queue.claim(db, 8)
    assert again is not None and again.id == job.id


def lengthen(db: Database, jobs: int) -> None:
    """Queue copies of job 1 until there are so many, over all priorities."""
    with db.write():
        db.connection.execute(
            """WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO jobs (name, version, build_key, state, priority, cpus, build, work, created_at)
            SELECT name, version, 'key ' || ? || i, 'queued', i % 3, cpus, build, work, created_at
            FROM n, jobs WHERE jobs.id = 1""",
            (jobs, f"{jobs}."),
        )


def steps_of(db: Database, act: Callable[[], object]) -> int:
    """How many instructions SQLite's machine executes for it."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    db.connection.set_progress_handler(count, 1)
    act()
    db.connection.set_progress_handler(None, 0)
    return steps


def steps_of_a_claim(db: Database) -> int:
    """To claim the next job and complete it."""

    def act() -> None:
        job = queue.claim(db, 2)
        assert job is not None
        queue.apply(db, job, Event.SUCCEED)

    return steps_of(db, act)


def test_a_claim_does_not_look_at_the_whole_queue(db: Database) -> None:
    enqueue(db)
    lengthen(db, 100)
    steps_of_a_claim(db)  # the first also reads the schema
    short = steps_of_a_claim(db)
    lengthen(db, 5000)
    assert steps_of_a_claim(db) == short


def test_a_look_at_the_queue_does_not_read_the_whole_of_it(db: Database) -> None:
    enqueue(db)
    lengthen(db, 100)
    assert queue.claim(db, 2)
    looks = (
        lambda: queue.waiting(db, 10),
        lambda: queue.anything_waits(db),
        lambda: queue.running(db),
        lambda: queue.totals(db),
        lambda: queue.happenings(db, 5),
    )
    for look in looks:
        look()  # the first also reads the schema
    short = [steps_of(db, look) for look in looks]
    lengthen(db, 5000)
    assert [steps_of(db, look) for look in looks] == short


def test_the_newest_events_of_all_jobs_tell_of_attempts_that_began_long_ago(db: Database) -> None:
    slow = claimed(db, "slow")
    for name in ("first", "second"):
        quick = claimed(db, name)
        queue.apply(db, quick, Event.SUCCEED)
    told = [(each.name, each.event) for each in queue.happenings(db, 5)]
    assert told == [
        ("second", "succeed"),
        ("second", "claim"),
        ("second", "enqueue"),
        ("first", "succeed"),
        ("first", "claim"),
    ]
    queue.fail_or_retry(db, slow, LOST)
    assert [(each.name, each.event) for each in queue.happenings(db, 1)] == [("slow", "retry")]
    assert [(each.attempt, each.event) for each in queue.events(db, slow.id)] == [
        (0, "enqueue"),
        (1, "claim"),
        (1, "retry"),
    ]


def test_a_change_of_state_counts_once(db: Database) -> None:
    for seed in range(4):
        enqueue(db, seed=seed)
    taken = [queue.claim(db), queue.claim(db)]
    assert all(taken)
    assert queue.totals(db) == {"queued": 2, "running": 2, "succeeded": 0, "failed": 0, "cancelled": 0}
    done = queue.apply(db, taken[0], Event.FAIL, failure=BUG)  # type: ignore[arg-type]
    assert done is not None
    assert done == queue.get(db, done.id), "what is returned is what is on record"
    assert queue.totals(db) == {"queued": 2, "running": 1, "succeeded": 0, "failed": 1, "cancelled": 0}
    queue.retry(db, 1)
    assert queue.totals(db) == {"queued": 3, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 0}


def test_sixteen_claim_at_once_and_each_job_is_taken_once(home_database: Path) -> None:
    with_db = Database(home_database)
    for seed in range(40):
        enqueue(with_db, seed=seed)

    def take(_: int) -> list[int]:
        mine = Database(home_database)
        try:
            return [job.id for job in iter(lambda: queue.claim(mine, 8), None)]
        finally:
            mine.close()

    with ThreadPoolExecutor(16) as pool:
        taken = sorted(job_id for ids in pool.map(take, range(16)) for job_id in ids)
    assert taken == list(range(1, 41))
    with_db.close()


@pytest.fixture
def home_database(tmp_path: Path) -> Path:
    path = tmp_path / "queue.db"
    Database(path).close()
    return path


# How it ends


def test_success_names_the_artifact_and_ends_the_attempt(db: Database) -> None:
    job = queue.apply(db, claimed(db), Event.SUCCEED, artifact="sha256:x", peak_memory_bytes=7, cpu_s=1.5)
    assert job is not None
    assert (job.state, job.artifact) == (JobState.SUCCEEDED, "sha256:x")
    assert job.finished_at is not None
    [attempt] = queue.attempts(db, job.id)
    assert (attempt.outcome, attempt.peak_memory_bytes, attempt.cpu_s) == ("succeeded", 7, 1.5)
    assert attempt.ended_at is not None


@pytest.mark.parametrize("kind", ["recipe_error", "gate_refused", "out_of_memory", "diverged", "timeout", "bad_output"])
def test_what_would_fail_again_fails_at_once(db: Database, kind: str) -> None:
    job = queue.fail_or_retry(db, claimed(db), Failure(kind, "why not"))
    assert job is not None
    assert (job.state, job.failure) == (JobState.FAILED, Failure(kind, "why not"))
    assert [attempt.outcome for attempt in queue.attempts(db, job.id)] == [kind]


def test_lost_runners_are_not_charged_but_not_endless(db: Database) -> None:
    enqueue(db)
    attempts = 0
    while job := queue.claim(db, 8):
        attempts += 1
        queue.fail_or_retry(db, job, LOST)
        now_due(db, job)
    last = queue.get(db, 1)
    assert (attempts, last.state, last.charged) == (MAX_ATTEMPTS, JobState.FAILED, 0)


def test_hanging_is_charged(db: Database) -> None:
    enqueue(db)
    attempts = 0
    while job := queue.claim(db, 8):
        attempts += 1
        queue.fail_or_retry(db, job, HUNG)
        now_due(db, job)
    last = queue.get(db, 1)
    assert (attempts, last.state, last.charged) == (MAX_CHARGED_ATTEMPTS, JobState.FAILED, MAX_CHARGED_ATTEMPTS)


def test_a_result_of_an_earlier_attempt_changes_nothing(db: Database) -> None:
    stale = claimed(db)
    queue.fail_or_retry(db, stale, LOST)
    now_due(db, stale)
    current = queue.claim(db, 8)
    assert current is not None
    for event in (Event.SUCCEED, Event.FAIL, Event.RETRY, Event.CANCEL):
        assert queue.apply(db, stale, event, artifact="sha256:stale") is None
    assert queue.get(db, stale.id) == current
    assert [attempt.outcome for attempt in queue.attempts(db, stale.id)] == ["infrastructure", ""]


def test_a_result_after_cancelling_changes_nothing(db: Database) -> None:
    job = claimed(db)
    queue.cancel(db, job.id)
    assert queue.apply(db, job, Event.SUCCEED, artifact="sha256:late") is None
    assert queue.get(db, job.id).state is JobState.CANCELLED


def test_a_change_that_the_table_does_not_know_is_refused(db: Database) -> None:
    job = enqueue(db)
    with pytest.raises(RequestError):
        queue.apply(db, job, Event.SUCCEED)
    assert queue.get(db, job.id) == job


def test_what_needs_a_failed_job_fails_too_all_the_way(db: Database) -> None:
    chain = [build("a"), build("b", dependencies={"a": "k"}), build("c", dependencies={"b": "k"})]
    queue.enqueue(db, [(each, work()) for each in chain], 1, set())
    first = queue.claim(db, 8)
    assert first is not None
    queue.apply(db, first, Event.FAIL, failure=BUG)
    assert [job.name for job in queue.fail_stranded(db)] == ["b", "c"]
    assert queue.totals(db)["failed"] == 3
    failure = queue.get(db, 3).failure
    assert failure is not None
    assert failure.message == "it needs b (job 2), which failed"
    assert failure.why == "it needs a (job 1), which failed" and "hive queue retry 3" in failure.hint
    assert queue.fail_stranded(db) == []


def test_what_waits_in_vain_is_found_by_what_was_told_lately(db: Database) -> None:
    for name in "ab":
        queue.enqueue(db, [(build(name), work()), (build(f"{name}2", dependencies={name: "k"}), work())], 1, set())
    queue.cancel(db, 1)
    before = queue.newest_event(db)
    assert queue.fail_stranded(db, before) == [], "nothing was told after that"
    queue.cancel(db, 3)
    assert [job.name for job in queue.fail_stranded(db, before)] == ["b2"]
    assert [job.name for job in queue.fail_stranded(db)] == ["a2"]


# People


def test_cancel_a_waiting_job(db: Database) -> None:
    job = queue.cancel(db, enqueue(db).id)
    assert job.state is JobState.CANCELLED
    assert queue.claim(db, 8) is None


def test_cancel_what_is_over(db: Database) -> None:
    job = enqueue(db)
    queue.cancel(db, job.id)
    with pytest.raises(RequestError, match="cannot be cancelled") as caught:
        queue.cancel(db, job.id)
    assert caught.value.why == "it was cancelled already"


@pytest.mark.parametrize("event", [Event.FAIL, Event.CANCEL])
def test_retry_what_failed_or_was_cancelled(db: Database, event: Event) -> None:
    job = claimed(db)
    queue.apply(db, job, event, failure=BUG)
    again = queue.retry(db, job.id)
    assert again.state is JobState.QUEUED
    assert again.finished_at is None
    taken = queue.claim(db, 8)
    assert taken is not None
    assert (taken.id, taken.attempt, taken.failure) == (job.id, 2, None)


@pytest.mark.parametrize(("failure", "tries"), [(HUNG, MAX_CHARGED_ATTEMPTS), (LOST, MAX_ATTEMPTS)])
def test_a_person_who_asks_again_gets_all_tries_again(db: Database, failure: Failure, tries: int) -> None:
    enqueue(db)
    for asked in (1, 2):
        for _ in range(tries):
            job = queue.claim(db, 8)
            assert job is not None, f"no more tries, asked {asked} times"
            queue.fail_or_retry(db, job, failure)
            now_due(db, job)
        assert queue.get(db, 1).state is JobState.FAILED
        queue.retry(db, 1)


def test_retry_what_runs_or_succeeded(db: Database) -> None:
    job = claimed(db)
    with pytest.raises(RequestError, match="cannot be tried again"):
        queue.retry(db, job.id)
    queue.apply(db, job, Event.SUCCEED, artifact="sha256:x")
    with pytest.raises(RequestError, match="cannot be tried again"):
        queue.retry(db, job.id)


def test_retry_while_another_job_builds_the_same(db: Database) -> None:
    old = enqueue(db)
    queue.cancel(db, old.id)
    new = enqueue(db)
    with pytest.raises(RequestError, match="need not be tried again") as caught:
        queue.retry(db, old.id)
    assert f"job {new.id} is building" in caught.value.why
    assert queue.get(db, old.id).state is JobState.CANCELLED


def test_retry_of_a_stranded_job_waits_for_a_retry_of_what_it_needs(db: Database) -> None:
    queue.enqueue(db, [(build("a"), work()), (build("b", dependencies={"a": "k"}), work())], 1, set())
    queue.cancel(db, 1)
    queue.fail_stranded(db)
    queue.retry(db, 1)
    queue.retry(db, 2)
    assert [job.name for job in queue.waiting(db)] == ["a", "b"]
    taken = queue.claim(db, 8)
    assert taken is not None
    assert taken.name == "a"
    assert queue.claim(db, 8) is None


def chain_of_three(db: Database) -> None:
    chain = [build("a"), build("b", dependencies={"a": "k"}), build("c", dependencies={"b": "k"})]
    queue.enqueue(db, [(each, work()) for each in chain], 1, set())
    queue.cancel(db, 1)
    assert len(queue.fail_stranded(db)) == 2


def test_retry_asks_for_all_that_is_needed(db: Database) -> None:
    chain_of_three(db)
    queue.retry(db, 3)
    assert [job.name for job in queue.waiting(db)] == ["a", "b", "c"]
    assert queue.fail_stranded(db) == []


def test_retry_takes_what_another_job_has_built_meanwhile(db: Database) -> None:
    chain_of_three(db)
    other = claimed(db, "a")
    queue.apply(db, other, Event.SUCCEED, artifact="sha256:x")
    queue.retry(db, 3)
    assert [job.name for job in queue.waiting(db)] == ["b", "c"]
    assert [job.id for job in queue.needs(db, 2)] == [other.id]
    assert queue.fail_stranded(db) == []
    taken = queue.claim(db, 8)
    assert taken is not None and taken.name == "b"


def test_retry_waits_for_what_another_job_is_building(db: Database) -> None:
    chain_of_three(db)
    other = claimed(db, "a")
    queue.retry(db, 3)
    assert queue.claim(db, 8) is None
    assert [job.id for job in queue.needs(db, 2)] == [other.id]


def test_unknown_job(db: Database) -> None:
    for act in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(RequestError, match="there is no job 7"):
            act(db, 7)


# Asking


def test_newest(db: Database) -> None:
    for name in ("a", "b", "a"):
        enqueue(db, name, seed=len(queue.newest(db, 9)))
    assert [job.id for job in queue.newest(db, 2)] == [3, 2]
    found = queue.newest_of_name(db, "a")
    assert found is not None
    assert found.id == 3
    assert queue.newest_of_name(db, "c") is None


def test_how_a_runner_is_found_again(db: Database) -> None:
    job = claimed(db)
    queue.record_start(db, job, "process", "bwrap (...)", "1:2:3")
    [attempt] = queue.attempts(db, job.id)
    assert (attempt.runner, attempt.isolation, attempt.handle) == ("process", "bwrap (...)", "1:2:3")


def test_limits_of_a_job_survive(db: Database) -> None:
    assert enqueue(db, cpus=3).work.limits == Limits(cpus=3)
