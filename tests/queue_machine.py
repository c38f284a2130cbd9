"""The queue beside a plain model of it: any sequence of events, also late ones, leaves both in the same state."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import build, work
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from hive import queue
from hive.db import Database
from hive.errors import RequestError
from hive.model import Failure, Job, Limits
from hive.states import MAX_ATTEMPTS, MAX_CHARGED_ATTEMPTS, TRANSITIONS, Event, JobState

NAMES = ("base", "middle", "top")  # each needs the one before it
EVENTS = st.sampled_from([Event.SUCCEED, Event.FAIL, Event.RETRY, Event.CANCEL, Event.REQUEUE])
KINDS = st.sampled_from(["recipe_error", "infrastructure", "no_heartbeat", "stopped"])


@dataclass
class Plain:
    """A job as the model sees it."""

    id: int
    name: str
    seed: int
    priority: int
    cpus: int
    needs: list[int] = field(default_factory=list)
    state: JobState = JobState.QUEUED
    attempt: int = 0
    tries: int = 0
    charged: int = 0
    artifact: str | None = None

    @property
    def is_live(self) -> bool:
        return not self.state.is_over


class QueueMachine(RuleBasedStateMachine):
    """Jobs that rules draw are snapshots: by the time an event names one, it may be long out of date."""

    snapshots: Bundle[Job] = Bundle("snapshots")

    @initialize()
    def empty(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self._open()
        self.plain: dict[int, Plain] = {}
        self.stranded_until: int | None = None

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
            self.folder.cleanup()

    # What happens

    @rule(
        target=snapshots,
        length=st.integers(1, 3),
        seed=st.integers(0, 1),
        priority=st.integers(0, 2),
        cpus=st.integers(1, 2),
    )
    def enqueue(self, length: int, seed: int, priority: int, cpus: int) -> Job:
        chain = [
            (
                build(name, seed=seed, dependencies={NAMES[place - 1]: f"key of {seed}"} if place else {}),
                work(limits=Limits(cpus=cpus)),
            )
            for place, name in enumerate(NAMES[:length])
        ]
        jobs = queue.enqueue(self.db, chain, priority, set())
        before: Plain | None = None
        for job in jobs:
            live = [each for each in self.plain.values() if each.is_live and (each.name, each.seed) == (job.name, seed)]
            if live:
                [mine] = live
                if mine.state is JobState.QUEUED:
                    mine.priority = min(mine.priority, priority)
                elif mine.priority > priority:
                    assert mine.state is JobState.RUNNING  # too late to matter
            else:
                mine = Plain(job.id, job.name, seed, priority, cpus, [before.id] if before else [])
                assert job.id not in self.plain
                self.plain[job.id] = mine
            assert job.id == mine.id
            before = mine
        return jobs[-1]

    @rule(target=snapshots, free=st.integers(1, 2))
    def claim(self, free: int) -> Any:
        """The model's choice is the queue's."""
        ready = [
            each
            for each in self.plain.values()
            if each.state is JobState.QUEUED
            and each.cpus <= free
            and all(self.plain[needed].state is JobState.SUCCEEDED for needed in each.needs)
        ]
        job = queue.claim(self.db, free)
        if not ready:
            assert job is None
            return multiple()
        wanted = min(ready, key=lambda each: (each.priority, each.id))
        assert job is not None
        assert job.id == wanted.id
        wanted.state, wanted.attempt, wanted.tries = JobState.RUNNING, wanted.attempt + 1, wanted.tries + 1
        return job

    @rule(snapshot=snapshots, event=EVENTS)
    def apply(self, snapshot: Job, event: Event) -> None:
        mine = self.plain[snapshot.id]
        current = (mine.state, mine.attempt) == (snapshot.state, snapshot.attempt)
        target = TRANSITIONS.get((snapshot.state, event))
        if target is None:
            try:
                queue.apply(self.db, snapshot, event)
            except RequestError:
                return
            raise AssertionError(f"{event} was accepted for a job that is {snapshot.state}")
        if target is JobState.QUEUED and current and self._other_lives(mine):
            return  # see `retry`
        artifact = f"sha256:{snapshot.id}" if event is Event.SUCCEED else None
        done = queue.apply(self.db, snapshot, event, artifact=artifact)
        assert (done is not None) == current, "a stale attempt changes nothing, a current one does"
        if current:
            mine.state, mine.artifact = target, artifact or mine.artifact
            if event is Event.REQUEUE:
                mine.tries = mine.charged = 0

    @rule(target=snapshots, snapshot=snapshots, kind=KINDS)
    def fail_or_retry(self, snapshot: Job, kind: str) -> Any:
        mine = self.plain[snapshot.id]
        if snapshot.state is not JobState.RUNNING:
            return multiple()
        done = queue.fail_or_retry(self.db, snapshot, Failure(kind, "why"))
        if (mine.state, mine.attempt) != (snapshot.state, snapshot.attempt):
            assert done is None
            return multiple()
        assert done is not None
        charge = kind in ("recipe_error", "no_heartbeat")
        mine.charged += charge
        again = kind != "recipe_error" and mine.charged < MAX_CHARGED_ATTEMPTS and mine.tries < MAX_ATTEMPTS
        mine.state = JobState.QUEUED if again else JobState.FAILED
        with self.db.write():  # the pause is over
            self.db.connection.execute("UPDATE jobs SET not_before = 0")
        return done

    @rule(target=snapshots, snapshot=snapshots)
    def lose_and_claim(self, snapshot: Job) -> Any:
        """A runner is lost and the next attempt begins: the snapshot is now that of a ghost."""
        self.fail_or_retry(snapshot, "infrastructure")
        return self.claim(2)

    @rule(target=snapshots, snapshot=snapshots)
    def retry(self, snapshot: Job) -> Any:
        mine = self.plain[snapshot.id]
        allowed = mine.state in (JobState.FAILED, JobState.CANCELLED) and not self._other_lives(mine)
        try:
            job = queue.retry(self.db, snapshot.id)
        except RequestError:
            assert not allowed
            return multiple()
        assert allowed
        self._requeued(mine)
        return job

    def _requeued(self, mine: Plain) -> None:
        for place, needed in enumerate(mine.needs):
            lost = self.plain[needed]
            if lost.state not in (JobState.FAILED, JobState.CANCELLED):
                continue
            others = [each for each in self.plain.values() if (each.name, each.seed) == (lost.name, lost.seed)]
            hopeful = [each.id for each in others if each.is_live or each.state is JobState.SUCCEEDED]
            if hopeful:
                mine.needs[place] = max(hopeful)
            else:
                self._requeued(lost)
        mine.state, mine.tries, mine.charged = JobState.QUEUED, 0, 0

    @rule(snapshot=snapshots)
    def cancel(self, snapshot: Job) -> None:
        mine = self.plain[snapshot.id]
        try:
            queue.cancel(self.db, snapshot.id)
        except RequestError:
            assert mine.state.is_over
            return
        assert mine.is_live
        mine.state = JobState.CANCELLED

    @rule()
    def fail_stranded(self) -> None:
        newest = queue.newest_event(self.db)
        failed = {job.id for job in queue.fail_stranded(self.db, self.stranded_until)}
        self.stranded_until = newest
        lost = (JobState.FAILED, JobState.CANCELLED)
        while stranded := [
            each
            for each in self.plain.values()
            if each.state is JobState.QUEUED and any(self.plain[needed].state in lost for needed in each.needs)
        ]:
            for each in stranded:
                each.state = JobState.FAILED
                failed.remove(each.id)
        assert not failed

    @rule()
    def another_process(self) -> None:
        """Whoever opens the database next sees the same."""
        self.db.close()
        self._open()

    # What holds

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "db"):
            return
        jobs = {job.id: job for job in queue.newest(self.db, 1000)}
        assert set(jobs) == set(self.plain)
        for mine in self.plain.values():
            job = jobs[mine.id]
            seen = (job.state, job.attempt, job.charged, job.artifact)
            assert seen == (mine.state, mine.attempt, mine.charged, mine.artifact), job
            if mine.state is JobState.QUEUED:
                assert job.priority == mine.priority

    @invariant()
    def totals_count_every_job(self) -> None:
        if hasattr(self, "db"):
            states = [mine.state for mine in self.plain.values()]
            assert queue.totals(self.db) == {state: states.count(state) for state in JobState}

    @invariant()
    def each_attempt_is_on_record_and_only_a_running_one_is_open(self) -> None:
        if not hasattr(self, "db"):
            return
        for mine in self.plain.values():
            attempts = queue.attempts(self.db, mine.id)
            assert [each.attempt for each in attempts] == list(range(1, mine.attempt + 1))
            still_open = [each.attempt for each in attempts if each.ended_at is None]
            assert still_open == ([mine.attempt] if mine.state is JobState.RUNNING else [])

    # Help

    def _open(self) -> None:
        self.db = Database(Path(self.folder.name, "queue.db"))
        self.db.connection.execute("PRAGMA synchronous = OFF")  # no power is lost here

    def _other_lives(self, mine: Plain) -> bool:
        return any(
            each.is_live and each.id != mine.id and (each.name, each.seed) == (mine.name, mine.seed)
            for each in self.plain.values()
        )
