"""The supervisor beside a plain model of it: whatever people, runners and crashes do, it starts what the model would.

Queue, supervisor, orders, publishing and store are hive's own. Only the runs are not: they end when and how a rule
says, and live on when their supervisor dies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from builders import build, work
from hive_cli import RECIPES
from hive_runner.contract import Metric, RunFailure, RunResult
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hive import queue
from hive.capacity import Machine
from hive.db import Database
from hive.environments import RunnerEnvironment, Say
from hive.errors import RequestError
from hive.model import Build, Isolation, Limits, QueueControl
from hive.paths import Home
from hive.runners.base import Ending, Mount, Order
from hive.states import MAX_ATTEMPTS, MAX_CHARGED_ATTEMPTS, JobState
from hive.supervisor import Supervisor

GIB = 1 << 30
NAMES = ("base", "middle", "top")  # each needs the one before it
MACHINE = Machine(runners=3, cpus=4, memory_bytes=4 * GIB, gpus=("GPU-1",))
FAILURES = {"recipe_error": (True, False), "no_heartbeat": (True, True), "stopped": (False, True)}  # charged, retried
LOST = (JobState.FAILED, JobState.CANCELLED)
REQUEST = {
    "length": st.sampled_from([1, 1, 2, 3]),
    "seed": st.integers(0, 5),
    "priority": st.integers(0, 2),
    "cpus": st.sampled_from([1, 1, 2, 2, 3, 5]),
    "gib": st.sampled_from([1, 1, 1, 2, 3, 5]),
    "device": st.sampled_from(["cpu", "cpu", "cuda"]),
}
PAUSE_S = 300.0  # longer than a test, and no longer than a pause may be


class Scripted:
    """A backend whose runs end on cue."""

    name = "scripted"

    def __init__(self) -> None:
        self.refusals: dict[str, str] = {}
        self.live: set[Path] = set()
        self.gpus: dict[Path, str] = {}
        self.endings: dict[Path, Ending] = {}

    def end(self, folder: Path, how: str) -> None:
        """how: "succeeded", a failure kind, or "vanished", which leaves nothing behind."""
        self.live.discard(folder)
        if how == "succeeded":
            (folder / "out" / "weights.json").write_text("[1]")
            RunResult("succeeded", metrics=[Metric("accuracy", 1.0)]).write(folder / "result.json")
        elif how == "stopped":
            RunResult("stopped").write(folder / "result.json")
        elif how != "vanished":
            RunResult("failed", RunFailure(how, "why not")).write(folder / "result.json")
        if how != "vanished":
            self.endings[folder] = Ending(0, "", 1.0, 1.0, 1)

    # What the supervisor asks of a backend

    def available(self) -> str:
        return ""

    def isolation(self) -> Isolation:
        return Isolation("scripted", "yes", "yes", "yes", "yes", "yes", "yes")

    def prepare(self, offline: bool, say: Say) -> str:
        return ""

    def environment(self, requirements: tuple[str, ...], offline: bool, say: Say) -> RunnerEnvironment:
        raise NotImplementedError("nothing is planned here")

    def has_gpu(self) -> bool:
        return False

    def place(self, mount: Mount) -> str:
        return str(mount.source)

    def start(self, order: Order) -> str:
        self.live.add(order.folder)
        self.gpus[order.folder] = order.gpu
        return str(order.folder)

    def alive(self, folder: Path, handle: str) -> bool:
        return folder in self.live

    def wait_descriptor(self, handle: str) -> int | None:
        return None

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        if folder in self.live:
            self.end(folder, "stopped")

    def ending(self, folder: Path, handle: str) -> Ending | None:
        return self.endings.get(folder)


@dataclass
class Plain:
    """A job as the model sees it."""

    id: int
    build: Build
    limits: Limits
    priority: int
    created_at: float
    needs: list[int] = field(default_factory=list)
    state: JobState = JobState.QUEUED
    attempt: int = 0
    tries: int = 0
    charged: int = 0
    pausing: bool = False

    def fits(self, cpus: int, memory_bytes: int, gpus: int) -> bool:
        if self.wants_gpu and not gpus:
            return False
        return self.limits.cpus <= cpus and self.limits.memory_bytes <= memory_bytes

    @property
    def wants_gpu(self) -> bool:
        return self.build.device != "cpu"


@dataclass
class Run:
    """An attempt that the supervisor minds: it counts until its end has been noticed."""

    job: Plain
    attempt: int
    how: str = ""

    @property
    def is_current(self) -> bool:
        return (self.job.state, self.job.attempt) == (JobState.RUNNING, self.attempt)


class SchedulerMachine(RuleBasedStateMachine):
    @initialize()
    def empty(self) -> None:
        memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)
        self.home = Home(Path(self.folder.name, "home"))
        self.home.create()
        self.recipe = Path(self.folder.name, "recipe")
        shutil.copytree(RECIPES / "trivial", self.recipe)
        self.db = Database(self.home.database)
        self.people = Database(self.home.database)  # they are other processes
        for db in (self.db, self.people):
            db.connection.execute("PRAGMA synchronous = OFF")  # no power is lost here
        self.scripted = Scripted()
        self.supervisor = self._supervisor()
        self.jobs: dict[int, Plain] = {}
        self.runs: list[Run] = []
        self.control = QueueControl()

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.people.close()
            self.db.close()
            self.folder.cleanup()

    # What people do

    @rule(**REQUEST)
    def install(self, length: int, seed: int, priority: int, cpus: int, gib: int, device: str) -> None:
        limits = Limits(cpus=cpus, memory_bytes=gib * GIB)
        carried = work(recipe_path=str(self.recipe), limits=limits, runner="scripted")
        chain: list[Build] = []
        for name in NAMES[:length]:
            before = {chain[-1].name: chain[-1].key} if chain else {}
            chain.append(build(name, seed=seed, dependencies=before, device=device))
        before = None
        for job in queue.enqueue(self.people, [(each, carried) for each in chain], priority, set()):
            if live := [each for each in self.jobs.values() if each.id == job.id]:
                [mine] = live
                assert not mine.state.is_over
                if mine.state is JobState.QUEUED:
                    mine.priority = min(mine.priority, priority)
            else:
                assert not self._other_lives(job.build)
                needs = [before.id] if before else []
                mine = Plain(job.id, job.build, limits, priority, job.created_at, needs)
                self.jobs[job.id] = mine
            before = mine

    @rule(requests=st.lists(st.tuples(*REQUEST.values()), min_size=2, max_size=6))
    def install_many_and_look(self, requests: list[tuple[int, int, int, int, int, str]]) -> None:
        for request in requests:
            self.install(*request)
        self.look()

    @rule(hold=st.sampled_from(["", "", "", "", "paused", "stopped"]))
    def hold(self, hold: str) -> None:
        self.control = queue.set_control(self.people, hold=hold)
        assert self.control.hold == hold

    @rule(runners=st.sampled_from([None, None, None, None, 0, 1, 2, 5]))
    def scale(self, runners: int | None) -> None:
        self.control = queue.set_control(self.people, target_runners=runners)

    @rule(count=st.integers(1, 2))
    def spawn(self, count: int) -> None:
        target = self.control.target_runners
        working = sum(job.state is JobState.RUNNING for job in self.jobs.values())
        self.control = queue.set_control(self.people, target_runners=(working if target is None else target) + count)

    @precondition(lambda self: self._alive())
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """As `hive kill`: the run saves a checkpoint and ends."""
        run = data.draw(st.sampled_from(self._alive()))
        self.scripted.stop(self._folder(run), "", 0)
        run.how = "stopped"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        mine = self._any_job(data)
        try:
            queue.cancel(self.people, mine.id)
        except RequestError:
            assert mine.state.is_over
            return
        assert not mine.state.is_over
        mine.state, mine.pausing = JobState.CANCELLED, False

    @precondition(lambda self: any(job.state in LOST for job in self.jobs.values()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from([job for job in self.jobs.values() if job.state in LOST]))
        lost = [self.jobs[needed] for needed in mine.needs if self.jobs[needed].state in LOST]
        if lost or self._other_lives(mine.build):
            return
        queue.retry(self.people, mine.id)
        mine.state, mine.tries, mine.charged, mine.pausing = JobState.QUEUED, 0, 0, False

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), priority=st.integers(0, 2))
    def move(self, data: st.DataObject, priority: int) -> None:
        mine = self._any_job(data)
        try:
            queue.move(self.people, mine.id, priority)
        except RequestError:
            assert mine.state is not JobState.QUEUED
            return
        assert mine.state is JobState.QUEUED
        mine.priority = priority

    # What time does

    @precondition(lambda self: self._waiting())
    @rule(data=st.data(), priorities=st.sampled_from([0.37, 1.13, 2.41]))
    def wait(self, data: st.DataObject, priorities: float) -> None:
        """As if a job had been queued earlier, by so long that it counts as so many priorities more."""
        self._age(data.draw(st.sampled_from(self._waiting())), priorities)

    def _age(self, mine: Plain, priorities: float) -> None:
        mine.created_at -= priorities * queue.AGEING_S
        with self.db.write():
            self.db.connection.execute("UPDATE jobs SET created_at = ? WHERE id = ?", (mine.created_at, mine.id))

    @rule()
    def pauses_end(self) -> None:
        with self.db.write():
            self.db.connection.execute("UPDATE jobs SET not_before = 0")
        for mine in self.jobs.values():
            mine.pausing = False

    # What runs and the supervisor do

    @precondition(lambda self: self._alive())
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "succeeded", "vanished", *FAILURES]))
    def end(self, data: st.DataObject, how: str) -> None:
        run = data.draw(st.sampled_from(self._alive()))
        self.scripted.end(self._folder(run), how)
        run.how = how

    @precondition(lambda self: self._alive())
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "succeeded", "vanished", *FAILURES]))
    def end_and_look(self, data: st.DataObject, how: str) -> None:
        self.end(data, how)
        self.look()

    @precondition(lambda self: self._alive() and self._waiting())
    @rule(data=st.data(), priorities=st.sampled_from([1.13, 2.41]))
    def wait_for_a_place_and_look(self, data: st.DataObject, priorities: float) -> None:
        """The first of the least urgent may now come before what is more urgent."""
        self._age(max(self._waiting(), key=lambda job: (job.priority, -job.id)), priorities)
        self.end(data, "succeeded")
        self.look()

    @rule()
    def look(self) -> None:
        """Once round the supervisor's loop, as hive does it and as the model does."""
        alive = {id(run) for run in self._alive()}
        self.looked_at = time.time()
        self.supervisor.take_turn()
        for run in list(self.runs):
            if id(run) not in alive:
                self.runs.remove(run)
                if run.is_current:
                    self._over(run)
            elif not run.is_current:
                run.how = "stopped"
                assert self._folder(run) not in self.scripted.live, "what was given up is told to end"
        self._strand()
        while mine := self._next():
            self._claimed(mine)
        at_work = [folder.parent for folder in self.scripted.live]
        for run in self._alive():
            assert at_work.count(self._folder(run).parent) == 1, "an attempt begins when those before it have ended"

    @rule()
    def lose_the_supervisor(self) -> None:
        """Killed at any moment; the next one finds what runs."""
        self.supervisor = self._supervisor()
        self.supervisor.recover()
        self.runs = sorted((run for run in self.runs if run.is_current), key=lambda run: run.job.id)
        unminded = self.scripted.live - {self._folder(run) for run in self._alive()}
        cancelled = {self.home.job(job.id) for job in self.jobs.values() if job.state is JobState.CANCELLED}
        assert not cancelled & {folder.parent for folder in unminded}, "what was given up is told to end"

    @rule()
    def lose_it_between_claim_and_start(self) -> None:
        if mine := self._next():
            job = queue.claim(self.db, *self._free())
            assert job is not None and job.id == mine.id
            self._claimed(mine)
            self.runs[-1].how = "vanished"
        self.lose_the_supervisor()

    # What holds

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "db"):
            return
        jobs = {job.id: job for job in queue.newest(self.db, 1000)}
        assert set(jobs) == set(self.jobs)
        for mine in self.jobs.values():
            job = jobs[mine.id]
            seen = (job.state, job.attempt, job.charged, job.priority)
            assert seen == (mine.state, mine.attempt, mine.charged, mine.priority), job
        states = [mine.state for mine in self.jobs.values()]
        assert queue.totals(self.db) == {state: states.count(state) for state in JobState}

    @invariant()
    def the_machine_is_never_oversubscribed(self) -> None:
        if not hasattr(self, "db"):
            return
        limits = [run.job.limits for run in self.runs]
        if len(limits) > 1:
            assert sum(each.cpus for each in limits) <= MACHINE.cpus
            assert sum(each.memory_bytes for each in limits) <= MACHINE.memory_bytes
        wanted = [self.scripted.gpus[self._folder(run)] for run in self._alive() if run.job.wants_gpu]
        assert sorted(wanted) == sorted(set(wanted) & set(MACHINE.gpus)), "each has a GPU for itself"

    @invariant()
    def what_is_alive_is_minded_and_alone_at_its_build(self) -> None:
        if not hasattr(self, "db"):
            return
        current = [run for run in self._alive() if run.is_current]
        assert {self._folder(run) for run in current} <= self.scripted.live
        keys = [run.job.build.key for run in current]
        assert len(keys) == len(set(keys))

    # The model

    def _next(self) -> Plain | None:
        """What the supervisor is to start now."""
        target = self.control.target_runners
        allowed = 0 if self.control.hold else MACHINE.runners if target is None else target
        if len(self.runs) >= allowed:
            return None
        free = self._free()
        return self._first(*free) if free[0] > 0 else None

    def _free(self) -> tuple[int, int, int]:
        """Cores, bytes and GPUs; alone, a job gets whatever there is."""
        if not self.runs:
            return queue.UNLIMITED, queue.UNLIMITED, queue.UNLIMITED
        limits = [run.job.limits for run in self.runs]
        return (
            MACHINE.cpus - sum(each.cpus for each in limits),
            MACHINE.memory_bytes - sum(each.memory_bytes for each in limits),
            len(MACHINE.gpus) - sum(run.job.wants_gpu for run in self.runs),
        )

    def _first(self, *free: int) -> Plain | None:
        """What is to be claimed when so much is free."""
        ready = [
            job
            for job in sorted(self.jobs.values(), key=lambda job: job.id)
            if job.state is JobState.QUEUED and not job.pausing
            and all(self.jobs[needed].state is JobState.SUCCEEDED for needed in job.needs)
        ]  # fmt: skip
        too_long_ago = time.time() - queue.PATIENCE_S
        heads = []
        for priority in range(3):
            mine = [job for job in ready if job.priority == priority]
            if mine and not mine[0].fits(*free) and mine[0].created_at < too_long_ago:
                return None
            heads += [job for job in mine if job.fits(*free)][:1]
        return min(heads, key=lambda job: (job.priority + job.created_at / queue.AGEING_S, job.id), default=None)

    def _claimed(self, mine: Plain) -> None:
        mine.state, mine.attempt, mine.tries = JobState.RUNNING, mine.attempt + 1, mine.tries + 1
        self.runs.append(Run(mine, mine.attempt))

    def _over(self, run: Run) -> None:
        mine = run.job
        if run.how == "succeeded":
            mine.state = JobState.SUCCEEDED
            return
        charged, retried = FAILURES.get(run.how, (False, True))  # what vanished is nobody's fault
        mine.charged += charged
        spent = mine.charged >= MAX_CHARGED_ATTEMPTS or mine.tries >= MAX_ATTEMPTS
        again = retried and (not spent or run.how == "stopped")
        mine.state = JobState.QUEUED if again else JobState.FAILED
        mine.pausing = again and run.how != "stopped"
        if mine.pausing:
            assert queue.get(self.db, mine.id).not_before > self.looked_at, "there is a pause before the next try"
            with self.db.write():  # the machine that runs this test may be slow: only `pauses_end` ends it
                self.db.connection.execute(
                    "UPDATE jobs SET not_before = ? WHERE id = ?", (self.looked_at + PAUSE_S, mine.id)
                )

    def _strand(self) -> None:
        while stranded := [
            job
            for job in self.jobs.values()
            if job.state is JobState.QUEUED and any(self.jobs[needed].state in LOST for needed in job.needs)
        ]:
            for job in stranded:
                job.state = JobState.FAILED

    # Help

    def _supervisor(self) -> Supervisor:
        memory_bytes = 4 * GIB  # whatever the machine has that runs this test
        return Supervisor(
            self.home, self.db, lambda name: self.scripted, MACHINE, lambda text: None, lambda: memory_bytes
        )

    def _folder(self, run: Run) -> Path:
        return self.home.attempt(run.job.id, run.attempt)

    def _alive(self) -> list[Run]:
        return [run for run in self.runs if self._folder(run) in self.scripted.live]

    def _waiting(self) -> list[Plain]:
        return [job for job in self.jobs.values() if job.state is JobState.QUEUED]

    def _any_job(self, data: st.DataObject) -> Plain:
        return self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]

    def _other_lives(self, wanted: Build) -> bool:
        return any(each.build == wanted and not each.state.is_over for each in self.jobs.values())
