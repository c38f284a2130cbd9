"""class Builds: the use cases of the queue and of the runners. service.Hive is made of it."""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from hive_runner.frozen import field, frozen, replace

from hive import queue
from hive.config import Settings
from hive.db import Database
from hive.errors import RequestError
from hive.model import (
    PRIORITIES,
    Attempt,
    Build,
    Job,
    QueueControl,
    Snapshot,
    Step,
    Story,
    Try,
)
from hive.paths import Home
from hive.states import MAX_ATTEMPTS, MAX_CHARGED_ATTEMPTS, JobState
from hive.suggest import did_you_mean

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

    from hive.capacity import Machine
    from hive.progress import LogTail
    from hive.snapshot import Observer

GRACE_S = 10.0  # for a runner to save a checkpoint
SEE_TO_EVERY_S = 2.0
QUEUE_EVERY_S = 5.0
ASK_WHY_EVERY_S = 1.0
HAPPENINGS = 50  # of the newest, in a snapshot


@frozen
class Update:
    """Something new about a job that is watched: its state, or an event of its run."""

    job: Job
    event: RunEvent | None = None
    waits_for: str = ""  # in words, once it is known that it has to wait


@frozen
class QueueStatus:
    totals: dict[str, int]
    running: list[Job]
    waiting: list[Job]
    supervisor: bool
    control: QueueControl = QueueControl()
    reasons: dict[int, str] = field(default_factory=dict)  # why each waiting job waits
    done_in_s: float | None = None  # until the queue is empty; None if that cannot be told


@frozen
class LiveRunner:
    """One runner at work, named JOB.ATTEMPT."""

    id: str
    job: Job
    attempt: Attempt


class Builds(ABC):
    """What can be asked and said of builds: those that wait, those at work, those that are over."""

    home: Home
    settings: Settings
    _seen_to = 0.0  # when it last made sure that somebody supervises
    _lately: tuple[tuple[int, int], float, QueueStatus] | None = None  # as of which writes, when, the queue

    @property
    @abstractmethod
    def db(self) -> Database:
        """The database for changes."""

    @property
    @abstractmethod
    def _reading(self) -> Database | None:
        """The database for questions, None where there is none."""

    @abstractmethod
    def known_names(self) -> list[str]:
        """Of the models that could be built."""

    # -- the queue

    def queue_status(self) -> QueueStatus:
        from hive.launch import supervisor_runs

        db = self._reading
        if db is None:
            return QueueStatus(dict.fromkeys(JobState, 0), [], [], False)
        control, running, waiting = queue.control(db), queue.running(db), queue.waiting(db)
        reasons, done_in_s = self._outlook(db, control, running, waiting) if running or waiting else ({}, None)
        return QueueStatus(
            queue.totals(db), running, waiting, supervisor_runs(self.home), control, reasons, done_in_s
        )  # fmt: skip

    def _outlook(
        self, db: Database, control: QueueControl, running: list[Job], waiting: list[Job]
    ) -> tuple[dict[int, str], float | None]:
        """Why each waiting job waits, and in how many seconds all will be built."""
        from hive.capacity import waits_for

        now, machine = time.time(), self._machine_allowed(control)
        reasons = {
            job.id: waits_for(job, queue.needs(db, job.id), running, control, machine, now) for job in waiting
        }  # fmt: skip
        todo = [(job.work.limits.cpus, job.work.expected_s) for job in waiting]
        return reasons, _done_in_s(running, todo, machine, now)

    def done_in_s(self, builds: Iterable[Step]) -> float | None:
        """Seconds until the queue would be empty, were `builds` in it too; None if that cannot be told."""
        db = self._reading
        control, running, waiting = QueueControl(), list[Job](), list[Job]()
        if db is not None:
            control, running, waiting = queue.control(db), queue.running(db), queue.waiting(db)
        there = {job.build_key for job in (*running, *waiting)}
        todo = [(job.work.limits.cpus, job.work.expected_s) for job in waiting]
        todo += [(step.limits.cpus, step.expected_s) for step in builds if step.build.key not in there]
        return _done_in_s(running, todo, self._machine_allowed(control), time.time())

    def jobs(self, limit: int) -> list[Job]:
        """The newest first."""
        return queue.newest(self._reading, limit) if self._reading else []

    def live_jobs(self) -> list[Job]:
        """Those that run, and those that wait for their turn."""
        return [*queue.running(self._reading), *queue.waiting(self._reading)] if self._reading else []

    def job(self, job_id: int) -> Job:
        if not self._reading:
            raise RequestError(f"there is no job {job_id}", "nothing was ever queued")
        return queue.get(self._reading, job_id)

    def story(self, job_id: int) -> Story:
        """Everything about a job and the attempts at it. Raises RequestError."""
        from hive.progress import began_at_step

        job, db = self.job(job_id), self._reading
        assert db is not None
        tries = [
            Try(each, began_at_step(self.home.attempt(job_id, each.attempt))) for each in queue.attempts(db, job_id)
        ]
        return Story(
            job=job,
            tries=tuple(tries),
            tries_counted=queue.tries_counted(db, job_id),
            tries_at_most=MAX_ATTEMPTS,
            charged_at_most=MAX_CHARGED_ATTEMPTS,
            events=tuple(queue.events(db, job_id)),
            needs=tuple(queue.needs(db, job_id)),
            waits_for=self._waits_for(db, job) if job.state is JobState.QUEUED else "",
        )

    def _waits_for(self, db: Database, job: Job) -> str:
        """Why a queued job is not running at this moment, in words."""
        from hive.capacity import waits_for

        control = queue.control(db)
        running, machine = queue.running(db), self._machine_allowed(control)
        return waits_for(job, queue.needs(db, job.id), running, control, machine, time.time())

    def _machine_allowed(self, control: QueueControl) -> Machine:
        """What all runners together may have, as far as a person allows it."""
        from hive.capacity import runners_wanted
        from hive.supervise import machine_of

        machine = machine_of(self.settings)
        return replace(machine, runners=runners_wanted(control, machine.runners))

    def cancel(self, job_id: int) -> Job:
        """Cancel a job; its runner is stopped by the supervisor. Raises RequestError."""
        from hive.launch import launch

        job = queue.cancel(self.db, job_id)
        if job.attempt:
            launch(self.home)  # somebody must stop the runner
        return job

    def retry(self, job_id: int, from_scratch: bool = False) -> Job:
        """Queue a job that is over again; it goes on from its last checkpoint, or from scratch. Raises RequestError."""
        job = queue.get(self.db, job_id)
        if from_scratch and job.state.is_over:
            self._forget_checkpoints([job.build])
        job = queue.retry(self.db, job_id)
        self._launch()
        return job

    def _forget_checkpoints(self, builds: Iterable[Build]) -> None:
        """Remove what earlier tries have saved. Raises RequestError for a build that waits or is at work."""
        from hive.cleaning import remove, set_aside

        aside = []
        with self.db.undisturbed():
            for build in builds:
                if live := queue.live_build(self.db, build.key):
                    raise RequestError(
                        f"{build.name} cannot begin from scratch",
                        f"it is job {live.id} already, which is {live.state}",
                        f"hive queue cancel {live.id}",
                    )
                aside.append(set_aside(self.home.checkpoints(build.key)))
        for path in filter(None, aside):
            remove(path)

    def move(self, job_id: int, priority: str) -> Job:
        """Give a waiting job another priority. Raises RequestError."""
        return queue.move(self.db, job_id, PRIORITIES[priority])

    def clear(self) -> list[Job]:
        """Cancel everything that waits; what runs goes on."""
        cancelled = []
        while waiting := queue.waiting(self.db):
            cancelled += [job for each in waiting if (job := queue.cancel_waiting(self.db, each))]
        return cancelled

    def pause(self) -> QueueControl:
        """Start nothing more until `resume`; what runs goes on."""
        return queue.set_control(self.db, hold="paused")

    def resume(self) -> QueueControl:
        control = queue.set_control(self.db, hold="")
        self._launch()
        return control

    def _launch(self) -> None:
        """See to it that a supervisor works, unless somebody said that none should."""
        from hive.launch import launch

        if not queue.control(self.db).hold:
            launch(self.home)

    # -- runners

    def live_runners(self) -> list[LiveRunner]:
        db = self._reading
        if db is None:
            return []
        return [LiveRunner(f"{job.id}.{job.attempt}", job, queue.attempts(db, job.id)[-1]) for job in queue.running(db)]

    def scale(self, target_runners: int | None) -> QueueControl:
        """How many runners may work at once; None: as many as fit."""
        control = queue.set_control(self.db, target_runners=target_runners)
        self._launch()
        return control

    def spawn(self, count: int) -> QueueControl:
        """Let `count` runners more work than now: than the target, or where there is none than work at this moment."""
        target = queue.control(self.db).target_runners
        return self.scale((len(self.live_runners()) if target is None else target) + count)

    def kill(self, runner_id: str) -> LiveRunner:
        """End one runner. It may save a checkpoint first; its job goes back to the queue, uncharged.

        Raises RequestError for one that is not at work.
        """
        found = [live for live in self.live_runners() if runner_id in (live.id, str(live.job.id))]
        if not found:
            working = ", ".join(live.id for live in self.live_runners()) or "none"
            raise RequestError(f"there is no runner {runner_id}", f"at work: {working}", "see: hive runners")
        self._stop_runner(found[0])
        return found[0]

    def _stop_runner(self, live: LiveRunner) -> None:
        from hive.runners.all import choose

        folder = self.home.attempt(live.job.id, live.attempt.attempt)
        choose(self.home, live.attempt.runner or live.job.work.runner).stop(folder, live.attempt.handle, GRACE_S)

    def start(self, keep_alive: bool = False) -> QueueControl:
        """Lift what `stop` and `pause` said, and start a supervisor; with keep_alive it stays when idle."""
        control = queue.set_control(self.db, hold="", keep_alive=keep_alive)
        self._launch()
        return control

    def stop(self, now: bool = False) -> list[LiveRunner]:
        """Start nothing more; the supervisor leaves when what runs is done. now: runners save a checkpoint and go back
        to the queue. The runners that were at work.
        """
        queue.set_control(self.db, hold="stopped", keep_alive=False)
        live = self.live_runners()
        for each in live if now else ():
            self._stop_runner(each)
        return live

    def wait_until_still(self) -> None:
        """Until no runner and no supervisor is at work."""
        from hive.launch import launch, supervisor_runs

        while True:
            running = bool(self.live_runners())
            if not supervisor_runs(self.home):
                if not running:
                    return
                launch(self.home)  # somebody must record how the runners ended
            time.sleep(0.05)

    def restart(self) -> None:
        """Another supervisor in place of the present one; the runners work on, and it adopts them."""
        from hive.launch import supervisor_runs

        said = queue.set_control(self.db, shift=os.urandom(8).hex())
        while supervisor_runs(self.home):
            time.sleep(0.02)
        self.start(said.keep_alive)

    def watch(self, job_id: int) -> Iterator[Update]:
        """A job's life from now to its end: each change of state, each event of its runs.

        A supervisor that died meanwhile is replaced, so that whoever watches sees an end.
        """
        from hive.progress import EventTail

        seen = self.db.version_seen()  # first: what changes after it is seen as a change
        job, tail = queue.get(self.db, job_id), EventTail()
        yield Update(job)
        started = self._seen_to = asked_at = time.monotonic()
        reason = ""
        while True:
            if job.attempt:
                for event in tail.read(self.home.attempt(job.id, job.attempt)):
                    yield Update(job, event)
            if job.state.is_over:
                return
            time.sleep(0.004 if time.monotonic() - started < 1 else 0.05)
            version = self.db.version_seen()
            if version != seen:
                seen, before = version, job
                job = queue.get(self.db, job_id)
                if (job.state, job.attempt) != (before.state, before.attempt):
                    if before.attempt and job.attempt == before.attempt:
                        for event in tail.read(self.home.attempt(job.id, job.attempt)):
                            yield Update(before, event)
                    yield Update(job)
            else:
                self._see_to(job)
            if job.state is JobState.QUEUED and time.monotonic() - asked_at > ASK_WHY_EVERY_S:
                asked_at = time.monotonic()
                reason, known = self._why_held_up(job), reason
                if reason and reason != known:
                    yield Update(job, waits_for=reason)

    def _why_held_up(self, job: Job) -> str:
        """Why a job has to wait for something else than its turn in a moment, and what lets it go on."""
        if job.not_before > time.time():
            return ""  # the next try: told when the one before failed
        from hive.capacity import ABOUT_TO_START

        reason, lifted_by = self._waits_for(self.db, job), queue.control(self.db).lifted_by
        if reason == ABOUT_TO_START:
            return ""
        return f"{reason} (go on with: {lifted_by})" if lifted_by else reason

    def _see_to(self, job: Job) -> None:
        """Every other second: if a job waits or runs, and nobody holds the queue, somebody supervises."""
        from hive.launch import launch

        now = time.monotonic()
        if job.state.is_over or now - self._seen_to < SEE_TO_EVERY_S:
            return
        self._seen_to = now
        if job.state is JobState.RUNNING or not queue.control(self.db).hold:
            launch(self.home)

    def logs(self, target: str, tail: int | None, follow: bool) -> Iterator[str]:
        """The log of the newest attempt of a job (by number), of a model's newest job, or of one runner (JOB.ATTEMPT);
        with `follow`, what comes until the job is over, be it in later attempts. Raises RequestError.
        """
        from hive.progress import tail_log

        if re.fullmatch(r"\d+\.\d+", target):
            return self._runner_logs(target, tail, follow)
        job = self._job_called(target)
        if follow:
            return self._follow_logs(job, tail)
        if not job.attempt:
            raise RequestError(f"job {job.id} has no log yet", "it waits in the queue", f"hive logs -f {job.id}")
        self._refuse_cleaned(job)
        return tail_log(self.home.attempt(job.id, job.attempt), tail, False, lambda: True)

    def _runner_logs(self, runner_id: str, tail: int | None, follow: bool) -> Iterator[str]:
        from hive.progress import tail_log

        job_id, _, attempt = runner_id.partition(".")
        job = self.job(int(job_id))
        if not 1 <= int(attempt) <= job.attempt:
            raise RequestError(
                f"there is no runner {runner_id}", f"job {job.id} was tried {job.attempt} times",
                f"hive queue show {job.id}",
            )  # fmt: skip
        self._refuse_cleaned(job)
        over = partial(self._attempt_over, job.id, int(attempt))
        return tail_log(self.home.attempt(job.id, int(attempt)), tail, follow, over)

    def _refuse_cleaned(self, job: Job) -> None:
        if job.state.is_over and not self.home.job(job.id).exists():
            raise RequestError(f"the log of job {job.id} is gone", "hive clean removes what old jobs left behind")

    def log_tail(self, job: Job) -> LogTail:
        """The log of a job's present attempt, to be read bit by bit."""
        from hive.progress import LogTail

        return LogTail(self.home.attempt(job.id, job.attempt))

    def _job_called(self, target: str) -> Job:
        if target.isdigit():
            return self.job(int(target))
        found = queue.newest_of_name(self._reading, target) if self._reading else None
        if found is None:
            known = self.known_names()
            why, hint = ("", f"hive install {target}") if target in known else did_you_mean(target, known)
            raise RequestError(f"{target} was never built here", why, hint)
        return found

    def _follow_logs(self, job: Job, tail: int | None) -> Iterator[str]:
        from hive.progress import tail_log

        told, self._seen_to = 0, time.monotonic()  # told: the attempt whose log was printed
        while not (job.state.is_over and job.attempt == told):
            if job.attempt > told:
                told = job.attempt
                over = partial(self._attempt_over, job.id, told)
                yield from tail_log(self.home.attempt(job.id, told), tail, True, over)
            else:
                time.sleep(0.05)
            job = self.job(job.id)
            self._see_to(job)

    def _attempt_over(self, job_id: int, attempt: int) -> bool:
        job = self.job(job_id)
        self._see_to(job)
        return job.attempt != attempt or job.state is not JobState.RUNNING

    def metrics_of(self, job: Job) -> list[dict[str, Any]]:
        """The figures that a job's newest attempt reported, accepted or not."""
        from hive.publish import metrics_of

        return metrics_of(self.home.attempt(job.id, job.attempt))

    # -- looking

    @cached_property
    def _observer(self) -> Observer:
        from hive.snapshot import Observer

        return Observer(self.home)

    def look(self) -> Snapshot:
        """What there is to know at this moment. What processes use is measured since the look before. Makes nothing."""
        from hive.capacity import runners_available, runners_wanted
        from hive.launch import supervisor_runs
        from hive.supervise import machine_of

        if self._reading is None:
            del self._reading  # it may have been made meanwhile
        at, db, now, supervised = time.time(), self._reading, self._queue_lately(), supervisor_runs(self.home)
        working = [(live.job, live.attempt) for live in self.live_runners()]
        machine = machine_of(self.settings)
        wanted = runners_wanted(now.control, machine.runners)
        limits = [job.work.limits for job, _ in working]
        return Snapshot(
            at=at,
            supervisor=supervised,
            supervisor_since=self._observer.supervisor_since() if supervised else None,
            machine=self._observer.machine(),
            runners=self._observer.runners(working, at),
            runners_available=runners_available(limits, replace(machine, runners=wanted), self.settings.cpus),
            runners_max=runners_wanted(replace(now.control, hold=""), machine.runners),
            control=now.control,
            totals=now.totals,
            waiting=tuple(now.waiting),
            reasons=now.reasons,
            done_in_s=now.done_in_s,
            happenings=queue.happenings(db, HAPPENINGS) if db else (),
        )

    def _queue_lately(self) -> QueueStatus:
        """The queue, read again when somebody has written or QUEUE_EVERY_S have passed: a long one takes its time."""
        if self._reading is None:
            return self.queue_status()
        now = time.monotonic()
        seen = (self._reading.version_seen(), self._reading.connection.total_changes)
        if self._lately is None or seen != self._lately[0] or now - self._lately[1] > QUEUE_EVERY_S:
            self._lately = (seen, now, self.queue_status())
        return self._lately[2]


def _done_in_s(running: list[Job], todo: list[tuple[int, float | None]], machine: Machine, now: float) -> float | None:
    """Seconds until all is built. todo: (cores, expected seconds) of each that waits. None if one is not known."""
    from hive.capacity import done_in_s

    known = [(cpus, expected_s) for cpus, expected_s in todo if expected_s is not None]
    left = [job.work.expected_s - (now - (job.started_at or now)) for job in running if job.work.expected_s is not None]
    if not machine.runners or len(known) < len(todo) or len(left) < len(running):
        return None
    return done_in_s(left, known, machine)
