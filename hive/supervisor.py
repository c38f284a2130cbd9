"""One loop: adopt what runs, claim what waits, start it, watch it, publish it; and leave when nothing is left.

All its knowledge is in the database and in the job folders, so that it can be killed at any instant and the next one
carries on.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hive_runner.contract import JobSpec, RunResult
from hive_runner.frozen import replace

from hive import installed, orders, queue
from hive.capacity import Machine, free_gpus, own_cores, room, runners_wanted
from hive.db import Database
from hive.errors import HiveError, NoCapacity, RunnerUnavailable, StoreError
from hive.machine import memory_available_bytes
from hive.model import Build, Failure, Job, QueueControl
from hive.paths import Home
from hive.runners import identity
from hive.runners.attempt import wake
from hive.runners.base import Ending, Runner, refuse_untrusted
from hive.states import JobState

if TYPE_CHECKING:
    from hive.store import Store

# How long to sleep at most before looking for new work, cancelled jobs and adopted runners.
LOOK_EVERY_S = 0.1
GRACE_S = 10.0
LATE_S = 2.0  # a run that is so long past its deadline has a keeper that somebody has stopped


class Running:
    """A live attempt."""

    def __init__(self, job: Job, runner: Runner, handle: str, folder: Path, cores: Collection[int], gpu: str) -> None:
        self.job = job
        self.runner = runner
        self.handle = handle
        self.folder = folder
        self.cores = cores
        self.gpu = gpu
        self.waiting_on = runner.wait_descriptor(handle)  # becomes readable at its end
        self.stopping = False
        self.overdue_at = time.monotonic() + job.work.limits.wall_s + LATE_S  # at the latest: it may be an adopted one

    def look_only(self) -> None:
        """Nothing more to wait on: it is looked at from time to time."""
        if self.waiting_on is not None:
            os.close(self.waiting_on)
            self.waiting_on = None


class Supervisor:
    def __init__(
        self,
        home: Home,
        db: Database,
        choose: Callable[[str], Runner],
        machine: Machine,
        say: Callable[[str], None],
        memory_available: Callable[[], int] = memory_available_bytes,
    ) -> None:
        self.home = home
        self.db = db
        self.choose = choose
        self.machine = machine
        self.say = say
        self.memory_available = memory_available
        self.running: dict[tuple[int, int], Running] = {}  # by job and attempt
        self.told_of: set[int] = set()  # the descriptors that were readable when it last slept
        self.looked_at: tuple[int, int] | None = None  # what had been written when it last looked at the jobs
        self.stranded_until: int | None = None  # the event before which no job waits for what will not come
        self.draining = False
        self.spent: list[Path] = []  # folders of attempts that are over, not cleared yet
        self.shift = queue.control(db).shift
        self._control: tuple[int, QueueControl] | None = None  # with the version of the database that it was read at

    def run(self) -> None:
        """Until nothing runs and nothing waits, or after `drain`."""
        self.recover()
        while True:
            self.take_turn()
            self.clear_up()
            if self.is_idle():
                return
            self.get_ready_to_publish()
            self.wait()

    def take_turn(self) -> None:
        """Finish what has ended and start what fits.

        An end takes a while to publish, and its cores are free: others start before it where they may.
        """
        ended = [(live, *self._judged(live)) for live in self.reap()]
        if ended and not self.draining and all(self._sets_nothing_free(live, failure) for live, _, _, failure in ended):
            self.start_what_fits()
        for live, ending, result, failure in ended:
            self.finish(live, ending, result, failure)
        if not self.draining:
            self.start_what_fits()

    @staticmethod
    def _judged(live: Running) -> tuple[Ending | None, RunResult | None, Failure | None]:
        """How an attempt ended, and what that makes of it."""
        from hive import publish

        ending = live.runner.ending(live.folder, live.handle)
        return ending, *publish.verdict(live.folder, ending)

    def _sets_nothing_free(self, live: Running, failure: Failure | None) -> bool:
        """Whether the queue is the same after its end: no job waits for it, and it does not come again itself."""
        return failure is None and not queue.is_needed(self.db, live.job.id)

    def drain(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Signal handler: claim nothing more and leave; what runs goes on, and the next supervisor adopts it."""
        self.draining = True

    def is_idle(self) -> bool:
        if self.draining or self.control.shift != self.shift:
            return True
        if self.running or self.control.keep_alive:
            return False
        return bool(self.control.hold) or self.control.target_runners == 0 or not queue.anything_waits(self.db)

    @property
    def control(self) -> QueueControl:
        """What people said about the queue, read again when another process has written."""
        version = self.db.version_seen()
        if self._control is None or self._control[0] != version:
            self._control = (version, queue.control(self.db))
        return self._control[1]

    def recover(self) -> None:
        """Find again what an interrupted supervisor had started."""
        for job in queue.running(self.db):
            attempts = queue.attempts(self.db, job.id)
            try:
                runner = self.choose(attempts[-1].runner or job.work.runner)
            except HiveError as error:  # its backend is gone, and the attempt with it
                self._end(job, Failure("infrastructure", error.message, error.why, error.hint))
                continue
            folder = self.home.attempt(job.id, job.attempt)
            handle = attempts[-1].handle
            self.say(f"job {job.id} attempt {job.attempt}: found running, adopted")
            self._watch(job, runner, handle, folder, cores_of(handle), gpu_of(folder))
        for job in queue.given_up(self.db):
            with suppress(HiveError):  # a backend that is gone has nothing to stop
                self._end_runner(job, job.attempt, GRACE_S)

    @cached_property
    def store(self) -> Store:
        """The store, swept of what an interrupted supervisor left half done."""
        from hive.store import Store

        store = Store(self.home.store, self.home.staging)
        store.sweep()
        return store

    def get_ready_to_publish(self) -> None:
        """Load what the end of a run needs. Done while the first ones are at work: their start did not wait for it."""
        import hive.publish  # noqa: F401

        _ = self.store

    def start_what_fits(self) -> None:
        newest = queue.newest_event(self.db)
        queue.fail_stranded(self.db, self.stranded_until)
        self.stranded_until = newest
        while True:
            allowed = replace(self.machine, runners=runners_wanted(self.control, self.machine.runners))
            used = [live.job.work.limits for live in self.running.values()]
            if not room(used, allowed).cpus or not queue.anything_waits(self.db):
                return
            free = room(used, replace(allowed, memory_available_bytes=self.memory_available()))
            # Alone, a job gets whatever there is: none waits for more than this machine has.
            gpus = len(self._free_gpus())
            job = queue.claim(self.db, *((free.cpus, free.memory_bytes, gpus) if self.running else ()))
            if job is None:
                return
            self.start(job)

    def start(self, job: Job) -> None:
        """Begin a claimed attempt. What goes wrong here is a failure of that job, never of the supervisor."""
        try:
            runner = self.choose(job.work.runner)
            isolation = runner.isolation()
            refuse_untrusted(job.name, job.work.trusted, isolation)
            self._end_earlier_runners(job)
            taken = (live.cores for live in self.running.values())
            cores = own_cores(job.work.limits.cpus, sorted(os.sched_getaffinity(0)), taken)
            gpu = "" if job.build.device == "cpu" else self._free_gpus()[0]
            order = orders.build_order(self.home, job, runner, self._dependencies(job.build), cores, gpu)
            handle = runner.start(order)
        except Exception as error:
            self.say(f"job {job.id} attempt {job.attempt}: not started: {error}")
            self._end(job, self._told(job, error))
            return
        self.say(f"job {job.id} attempt {job.attempt}: {job.name} {job.version} started by {runner.name}, {handle}")
        queue.record_start(self.db, job, runner.name, str(isolation), handle)
        self._watch(job, runner, handle, order.folder, order.cores, order.gpu)

    def _free_gpus(self) -> list[str]:
        return free_gpus(self.machine.gpus, [live.gpu for live in self.running.values()])

    def _end_earlier_runners(self, job: Job) -> None:
        """Of what was cancelled and asked for again at once: one at a time may write checkpoints."""
        for attempt in range(1, job.attempt):
            self._end_runner(job, attempt, 0)
        for given_up in queue.given_up_builds(self.db, job.build_key):
            self._end_runner(given_up, given_up.attempt, 0)

    def _end_runner(self, job: Job, attempt: int, grace_s: float) -> None:
        """Stop the runner of an attempt that was given up, if it lives; without grace, see it gone."""
        folder, runner = self.home.attempt(job.id, attempt), self.choose(job.work.runner)
        if not runner.alive(folder, ""):
            return
        self.say(f"job {job.id} attempt {attempt}: was given up, stopped")
        runner.stop(folder, "", grace_s)
        deadline = time.monotonic() + GRACE_S
        while not grace_s and runner.alive(folder, ""):
            if time.monotonic() > deadline:
                raise HiveError(f"attempt {attempt} of job {job.id} does not end")
            time.sleep(0.01)

    def _dependencies(self, build: Build) -> dict[str, Path]:
        """Where the artifacts lie that a build needs, and what these were built on: name -> folder."""
        found: dict[str, Path] = {}
        for name, key in build.dependencies.items():
            artifact = installed.artifact_by_key(self.db, key)
            if artifact is None:
                raise HiveError(f"{build.name} needs {name}, which is not in the store")
            found |= self._dependencies(artifact.build) | {name: self.store.path(artifact.digest)}
        return found

    def _watch(self, job: Job, runner: Runner, handle: str, folder: Path, cores: Collection[int], gpu: str) -> None:
        self.running[job.id, job.attempt] = Running(job, runner, handle, folder, cores, gpu)

    def wait(self) -> None:
        """Sleep until a runner ends, or until it is time to look around."""
        poll = select.poll()
        for live in self.running.values():
            if live.waiting_on is not None:
                poll.register(live.waiting_on, select.POLLIN)
        self.told_of = {descriptor for descriptor, _ in poll.poll(LOOK_EVERY_S * 1000)}

    def reap(self) -> list[Running]:
        """Take off what runs those whose runner has ended, and return them. Those that were cancelled are stopped."""
        _collect_children()
        ended: list[Running] = []
        seen, self.looked_at = self.looked_at, (self.db.version_seen(), self.db.connection.total_changes)
        for live in list(self.running.values()):
            if live.runner.alive(live.folder, live.handle):
                if live.waiting_on in self.told_of:  # only its keeper has ended, and another has taken over
                    live.look_only()
                if seen != self.looked_at and not live.stopping and self._is_stale(live.job):
                    live.stopping = True
                    live.runner.stop(live.folder, live.handle, GRACE_S)
                if time.monotonic() > live.overdue_at:
                    wake(live.folder, live.handle)
                continue
            del self.running[live.job.id, live.job.attempt]
            live.look_only()
            ended.append(live)
        return ended

    def _is_stale(self, job: Job) -> bool:
        """Whether somebody has cancelled it, or asked for it anew."""
        current = queue.get(self.db, job.id)
        return current.state is not JobState.RUNNING or current.attempt != job.attempt

    def finish(self, live: Running, ending: Ending | None, result: RunResult | None, failure: Failure | None) -> None:
        """Record what an ended attempt was."""
        from hive import publish

        job = live.job
        usage = {"peak_memory_bytes": ending.peak_memory_bytes, "cpu_s": ending.cpu_s} if ending else {}
        if failure is None and result is not None:
            try:
                done = publish.publish(self.db, self.store, self.home, job, result, ending)
                self.say(f"job {job.id} attempt {job.attempt}: {done.state if done else 'ended after it was given up'}")
                self._tidy(job, done)
                return
            except Exception as error:
                failure = self._told(job, error)
        assert failure is not None
        self._end(job, failure, **usage)

    def _told(self, job: Job, error: Exception) -> Failure:
        """What an error makes of a job. A bug of hive's own is put in the log and ends the job, not the supervisor: the
        next one would meet it again.
        """
        if not isinstance(error, HiveError | OSError):
            import traceback

            self.say("".join(traceback.format_exception(error)))
        return failure_of(error)

    def _end(self, job: Job, failure: Failure, **usage: float) -> None:
        done = queue.fail_or_retry(self.db, job, failure, **usage)
        self.say(f"job {job.id} attempt {job.attempt}: {failure.kind}: {failure.message}")
        self._tidy(job, done)

    def _tidy(self, job: Job, done: Job | None) -> None:
        """Let go of what an attempt left that was copied or is of no more use."""
        self.spent.append(self.home.attempt(job.id, job.attempt))
        if done is None:  # given up: another job may be building the same by now
            return
        saved = self.home.checkpoints(job.build_key)
        if done.state is JobState.SUCCEEDED:
            import shutil

            shutil.rmtree(saved, ignore_errors=True)
        with suppress(OSError):
            saved.rmdir()  # where nothing was saved

    def clear_up(self) -> None:
        """Empty the folders of attempts that are over, when the next ones are at work. Log and result stay."""
        while self.spent:
            orders.clear(self.spent.pop())


def failure_of(error: Exception) -> Failure:
    from hive.store import BadOutput

    if isinstance(error, RunnerUnavailable):
        return Failure("infrastructure", error.message, error.why, error.hint)
    if isinstance(error, NoCapacity):
        return Failure("disk_full", error.message, error.why, error.hint)
    if isinstance(error, BadOutput):
        return Failure("bad_output", error.message, error.why, error.hint)
    if isinstance(error, StoreError):
        return Failure("infrastructure", error.message, error.why, error.hint)
    if isinstance(error, HiveError):
        return Failure("recipe_error", error.message, error.why, error.hint)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("disk_full", "the disk is full", str(error), "make room, then: hive queue retry")
    if isinstance(error, OSError):
        return Failure("infrastructure", str(error))
    why, hint = f"{type(error).__name__}: {error}", "please report it with logs/supervisor.log of HIVE_HOME"
    return Failure("bad_output", "this is a bug in hive", why, hint)


def cores_of(handle: str) -> set[int]:
    """Those that a run which was found again has, none if that cannot be told."""
    try:
        return os.sched_getaffinity(identity.pid_of(handle) or -1)
    except OSError:
        return set()


def gpu_of(folder: Path) -> str:
    """The one that a run which was found again has; "" for none."""
    try:
        return JobSpec.read(folder / "spec.json").gpu
    except (OSError, ValueError, TypeError):
        return ""


def _collect_children() -> None:
    """Take note of dead shims, so that none stays a zombie. Their endings are on disk."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
