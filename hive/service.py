"""class Hive: every use case. The command line, and later the web page and the monitor, are faces of it."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive_runner.frozen import field, frozen, replace

from hive import installed, queue
from hive.config import Settings, load_settings
from hive.db import Database
from hive.errors import HiveError, LockError, NoCapacity, RequestError, StoreError
from hive.model import (
    PRIORITIES,
    Artifact,
    Attempt,
    Backend,
    Job,
    JobEvent,
    Package,
    Plan,
    QueueControl,
    Recipe,
    Snapshot,
    Step,
)
from hive.paths import Home, default_home
from hive.states import JobState
from hive.suggest import did_you_mean

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

    from hive.cleaning import Leftover
    from hive.doctor import Check
    from hive.index import Index
    from hive.inference import RunOutcome
    from hive.plan import Choices, Machine
    from hive.progress import LogTail
    from hive.recovery import Rebuilt
    from hive.runners.base import Runner
    from hive.runners.containers.images import Image
    from hive.snapshot import Observer
    from hive.store import Damage, Store

Say = Callable[[str], None]
GRACE_S = 10.0  # for a runner to save a checkpoint
SEE_TO_EVERY_S = 2.0
SUPERVISORS = ("staging", "log")  # kinds of leftovers that a supervisor may be writing
QUEUE_EVERY_S = 5.0
HAPPENINGS = 50  # of the newest, in a snapshot


def _silent(text: str) -> None:
    return None


@frozen
class InstallRequest:
    names: tuple[str, ...]
    choices: Choices
    priority: str = "medium"
    runner: str = "auto"
    memory_bytes: int | None = None
    wall_s: float | None = None
    allow_unsandboxed: bool = False


@frozen
class Ticket:
    """What became of an install request at once, and the jobs that will do the rest."""

    plan: Plan
    jobs: tuple[Job, ...]
    installed: tuple[Package, ...]


@frozen
class Update:
    """Something new about a job that is watched: its state, or an event of its run."""

    job: Job
    event: RunEvent | None = None


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


@frozen
class Details:
    """All there is to say of one name."""

    recipe: Recipe | None
    package: Package | None
    artifact: Artifact | None
    folder: Path | None


class Hive:
    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self._seen_to = 0.0  # when it last made sure that somebody supervises
        self._lately: tuple[tuple[int, int], float, QueueStatus] | None = None  # as of which writes, when, the queue

    @cached_property
    def index(self) -> Index:
        from hive.index import Index

        return Index(self.settings.sources)

    @classmethod
    def open(cls, **told: Any) -> Hive:
        """The user's own hive. told: settings that stand above environment and file."""
        home = Home(default_home())
        return cls(home, replace(load_settings(home.root), **told))

    @cached_property
    def db(self) -> Database:
        """The database for changes: made on first use. Raises DamagedDatabase, as all that asks it may: see `mend`."""
        self.home.create()
        self._refuse_lost()
        return Database(self.home.database)

    @cached_property
    def _reading(self) -> Database | None:
        """The database for questions. None before anything was ever installed; asking creates nothing."""
        if "db" in self.__dict__:
            return self.db
        self._refuse_lost()
        found = Database(self.home.database, readonly=True) if self.home.database.exists() else None
        if found and found.is_old:
            return self.db
        return found if found and not found.is_empty else None

    def _refuse_lost(self) -> None:
        if not self.home.database.exists() or not self.home.database.stat().st_size:
            from hive.recovery import refuse_lost

            refuse_lost(self.home)

    def mend(self) -> Rebuilt | None:
        """Make a damaged or lost database again from the store; None if it is sound by now. Raises StoreError."""
        from hive.recovery import rebuild

        for opened in ("db", "_reading"):
            self.__dict__.pop(opened, None)
        return rebuild(self.home, self.store)

    @cached_property
    def store(self) -> Store:
        from hive.store import Store

        return Store(self.home.store, self.home.staging)

    # -- packages: asking

    def packages(self) -> list[Package]:
        return installed.packages(self._reading) if self._reading else []

    def search(self, text: str) -> list[Recipe]:
        """Recipes whose name, summary, task or keywords hold every word of `text`."""
        words = text.lower().split()

        def matches(recipe: Recipe) -> bool:
            heap = " ".join((recipe.name, recipe.summary, recipe.task, *recipe.keywords)).lower()
            return all(word in heap for word in words)

        return [recipe for recipe in self.index.recipes() if matches(recipe)]

    def details(self, name: str) -> Details:
        """Raises RequestError for a name that is neither a recipe nor installed."""
        package = installed.find(self._reading, name) if self._reading else None
        artifact = installed.artifact(self._reading, package.artifact) if self._reading and package else None
        try:
            recipe: Recipe | None = self.index.recipe(name)
        except RequestError:
            if package is None:
                raise
            recipe = None
        folder = self.store.path(package.artifact) if package else None
        return Details(recipe, package, artifact, folder)

    def known_names(self) -> list[str]:
        return self.index.names()

    # -- packages: changing

    def plan(self, request: InstallRequest, say: Say = _silent) -> Plan:
        """Resolve and pin. May make a runner environment, which `say` hears of. Raises RequestError, NoCapacity."""
        from hive.plan import Choices, keeps, make_build, step_of
        from hive.resolve import resolve, split_request

        as_of = queue.newest_event(self.db)
        asked = {split_request(name)[0] for name in request.names}
        steps: list[Step] = []
        keys: dict[str, str] = {}
        runner, why_runner = None, ""
        for recipe in resolve(request.names, self.index.recipe):
            choices = request.choices if recipe.name in asked else Choices()
            package = installed.find(self.db, recipe.name)
            artifact = installed.artifact(self.db, package.artifact) if package else None
            note = keeps(recipe, choices, package, artifact)
            if note is not None and artifact is not None and self.store.has(artifact.digest):
                keys[recipe.name] = artifact.build_key
                steps.append(
                    Step("keep", recipe, artifact.build, (), recipe.limits, artifact=artifact.digest, note=note)
                )
                continue
            self._check_python(recipe)
            needed = {name: keys[name] for name in (split_request(text)[0] for text in recipe.depends)}
            if runner is None:
                runner, why_runner = self.pick_runner(request.runner, say)
            environment = runner.environment(recipe.requirements, self.settings.offline, say)
            device = "cuda" if self.settings.gpu_enabled and runner.has_gpu() else "cpu"
            build = make_build(recipe, choices, environment.digest, needed, device)
            stored = installed.artifact_by_key(self.db, build.key)
            stored = stored if stored and self.store.has(stored.digest) else None
            step = step_of(self._limited(recipe, request), build, choices, self._machine(), stored)
            mounts = tuple(str(path) for path in environment.paths)
            expected_s = queue.expected_s(self.db, build) or step.expected_s
            steps.append(
                replace(
                    step, pins=environment.pins, python=environment.python, mounts=mounts, image=environment.image,
                    expected_s=expected_s,
                )
            )  # fmt: skip
            keys[recipe.name] = build.key
        if runner is None:
            return Plan(tuple(steps), as_of=as_of)
        return Plan(tuple(steps), runner.name, why_runner, runner.isolation(), as_of)

    def install(self, request: InstallRequest, plan: Plan) -> Ticket:
        """Carry a plan out: record what is reused, queue what must be built, make sure that a supervisor runs."""
        from hive.launch import launch
        from hive.model import Work
        from hive.recipe import snapshot
        from hive.resolve import split_request

        asked = {split_request(name)[0] for name in request.names}
        done: list[Package] = []
        for step in plan.steps:
            if step.action == "build":
                continue
            name = step.recipe.name
            if step.action == "reuse" or (name in asked and installed.get(self.db, name).automatic):
                with self.db.write():
                    installed.install(self.db, name, step.recipe.version, step.artifact, name not in asked)
            done.append(installed.get(self.db, name))
        builds = [
            (
                step.build,
                Work(
                    recipe_path=str(snapshot(step.recipe, self.home.snapshots)),
                    limits=step.limits,
                    gates=step.gates,
                    python=step.python,
                    mounts=step.mounts,
                    pins=step.pins,
                    runner=plan.runner,
                    image=step.image,
                    trusted=step.recipe.is_builtin or request.allow_unsandboxed,
                    real=step.recipe.profiles[step.build.profile].real,
                    expected_s=step.expected_s,
                ),
            )
            for step in plan.builds
        ]
        jobs: list[Job] = []
        if builds:
            automatic = {step.recipe.name for step in plan.builds} - asked
            jobs = queue.enqueue(self.db, builds, PRIORITIES[request.priority], automatic, plan.as_of)
            if not queue.control(self.db).hold:
                launch(self.home, self._begin)
        return Ticket(plan, tuple(jobs), tuple(done))

    def _begin(self) -> None:
        import threading

        from hive.supervise import begin

        if threading.active_count() == 1:
            begin(self.home, self.settings, self.db)

    def remove(self, names: list[str]) -> list[Package]:
        """Remove packages, not their artifacts. Raises RequestError if one is not installed or is needed."""
        packages = self.removable(names)
        installed.remove(self.db, sorted({package.name for package in packages}))
        return packages

    def removable(self, names: list[str]) -> list[Package]:
        """The packages that `remove` would remove. Raises RequestError as it would."""
        db = self._reading
        if db is None:
            raise RequestError(f"{names[0]} is not installed", "nothing is", f"hive install {names[0]}")
        packages = [installed.get(db, name) for name in dict.fromkeys(names)]
        leaving = {package.name for package in packages}
        for package in installed.packages(db):
            needed = installed.artifact(db, package.artifact).build.dependencies
            if package.name not in leaving and (held := leaving & set(needed)):
                raise RequestError(
                    f"{sorted(held)[0]} cannot be removed", f"{package.name} needs it", f"remove {package.name} too"
                )
        return packages

    def verify(self, names: list[str]) -> Iterator[tuple[Package, list[Damage]]]:
        """Hash the files of the packages named (or of all) again. Raises RequestError, DamagedDatabase."""
        db = self._reading
        if db:
            db.check()
        chosen = [installed.get(db, name) for name in names] if names and db else self.packages()
        if names and not db:
            raise RequestError(f"{names[0]} is not installed", "nothing is", f"hive install {names[0]}")
        for package in chosen:
            yield package, self.store.verify(package.artifact)

    # -- packages: using

    def run(
        self,
        name: str,
        inputs: list[str],
        output: str | None,
        options: dict[str, str],
        on_event: Callable[[RunEvent], None],
        say: Say = _silent,
        sample: bool = False,
        wanted_runner: str = "auto",
        allow_unsandboxed: bool = False,
    ) -> RunOutcome:
        """Run an installed model on files, sandboxed like its build. Raises the HiveError that its failure means."""
        from hive.inference import run_model
        from hive.runners.base import refuse_untrusted

        package = installed.get(self.db, name)
        artifact = installed.artifact(self.db, package.artifact)
        runner = self._runner_for(artifact, wanted_runner, say)
        refuse_untrusted(name, allow_unsandboxed or self._is_builtin(artifact), runner.isolation())
        return run_model(
            self.home, self.store, runner, package, self.settings.offline, self._machine(),
            inputs, output, options, on_event, say, sample,
        )  # fmt: skip

    def run_flags(self, name: str) -> set[str]:
        """The options of an installed model that are true or false, and so need no value."""
        from hive.recipe import read_recipe

        if self._reading is None or (package := installed.find(self._reading, name)) is None:
            return set()
        recipe = read_recipe(self.store.path(package.artifact) / "recipe", "installed")
        return {option.name for option in recipe.run.options if isinstance(option.default, bool)}

    def _runner_for(self, artifact: Artifact, wanted: str, say: Say) -> Runner:
        """The backend to use a model with: as asked for, else the one that built it if that works, else any."""
        wanted = wanted if wanted != "auto" else self.settings.runner
        if wanted == "auto":
            from hive.runners.all import runners

            builder = runners(self.home, self.settings.base_image).get(artifact.isolation.partition(":")[0])
            if builder is not None and not builder.available():
                return builder
        return self.pick_runner(wanted, say)[0]

    def _is_builtin(self, artifact: Artifact) -> bool:
        """Whether a model's code is that of a built-in recipe of today."""
        from hive.index import Index

        with suppress(HiveError):
            return Index().recipe(artifact.name).digest == artifact.build.recipe_digest
        return False

    def load(self, name: str, threads: int, device: str) -> Any:
        from hive.inference import load_model

        if not self._reading:
            raise RequestError(f"{name} is not installed", "nothing is", f"hive install {name}")
        return load_model(self.store.path(installed.get(self._reading, name).artifact), name, threads, device)

    # -- queue

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
        from hive.capacity import done_in_s, runners_wanted, waits_for
        from hive.supervise import machine_of

        now, machine = time.time(), machine_of(self.settings)
        machine = replace(machine, runners=runners_wanted(control, machine.runners))
        reasons = {
            job.id: waits_for(job, queue.needs(db, job.id), running, control, machine, now) for job in waiting
        }  # fmt: skip
        expected = [job.work.expected_s for job in (*running, *waiting)]
        if not machine.runners or None in expected:
            return reasons, None
        left = [(job.work.expected_s or 0) - (now - (job.started_at or now)) for job in running]
        return reasons, done_in_s(left, [(job.work.limits.cpus, job.work.expected_s or 0) for job in waiting], machine)

    def jobs(self, limit: int) -> list[Job]:
        """The newest first."""
        return queue.newest(self._reading, limit) if self._reading else []

    def job(self, job_id: int) -> Job:
        if not self._reading:
            raise RequestError(f"there is no job {job_id}", "nothing was ever queued")
        return queue.get(self._reading, job_id)

    def story(self, job_id: int) -> tuple[Job, list[Attempt], list[JobEvent], list[Job]]:
        """A job, its attempts, its events, and the jobs it needs."""
        job, db = self.job(job_id), self._reading
        assert db is not None
        return job, queue.attempts(db, job_id), queue.events(db, job_id), queue.needs(db, job_id)

    def cancel(self, job_id: int) -> Job:
        """Cancel a job; its runner is stopped by the supervisor. Raises RequestError."""
        from hive.launch import launch

        job = queue.cancel(self.db, job_id)
        if job.attempt:
            launch(self.home)  # somebody must stop the runner
        return job

    def retry(self, job_id: int) -> Job:
        job = queue.retry(self.db, job_id)
        self._launch()
        return job

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

        job, seen, tail = queue.get(self.db, job_id), self.db.version_seen(), EventTail()
        yield Update(job)
        self._seen_to = time.monotonic()
        started = time.monotonic()
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
        """The log of the newest attempt of a job (by number) or of a model's newest job; with `follow`, what comes
        until the job is over, be it in later attempts. Raises RequestError.
        """
        from hive.progress import tail_log

        job = self._job_called(target)
        if follow:
            return self._follow_logs(job, tail)
        if not job.attempt:
            raise RequestError(f"job {job.id} has no log yet", "it waits in the queue", f"hive logs -f {job.id}")
        if job.state.is_over and not self.home.job(job.id).exists():
            raise RequestError(f"the log of job {job.id} is gone", "hive clean removes what old jobs left behind")
        return tail_log(self.home.attempt(job.id, job.attempt), tail, False, lambda: True)

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

    # -- system

    def clean(self, older_than_s: float, dry_run: bool = False) -> list[Leftover]:
        """Remove what nobody needs; what was removed, or with dry_run would be. Raises StoreError."""
        from hive.cleaning import may_go, survey

        now = time.time()
        found = [each for each in survey(self.home, self._job_if_known) if may_go(each, older_than_s, now)]
        if dry_run or not found:
            return found
        ours = [each for each in found if each.kind not in SUPERVISORS]
        gone = [each for each in ours if self._clear_away(each, older_than_s, now)]
        return gone + self._clear_away_after_supervisor([each for each in found if each.kind in SUPERVISORS])

    def _job_if_known(self, job_id: int) -> Job | None:
        with suppress(RequestError):
            return self.job(job_id)
        return None

    def _clear_away(self, found: Leftover, older_than_s: float, now: float) -> bool:
        """Remove one thing; False if it is needed by now."""
        from hive.cleaning import may_go, remove

        path = found.path
        try:
            if found.job and self._reading:
                path = found.path.with_name(f".{os.urandom(16).hex()}")
                with self._reading.undisturbed():  # between look and rename nobody can ask for another try of it
                    current = replace(found, job=self.job(found.job.id))
                    if not may_go(current, older_than_s, now) or not found.path.exists():
                        return False
                    os.rename(found.path, path)
            remove(path)
        except OSError as error:
            raise StoreError(f"cannot remove {path}", error.strerror or str(error), "check its permissions") from error
        return True

    def _clear_away_after_supervisor(self, found: list[Leftover]) -> list[Leftover]:
        """What a supervisor may be writing: removed while its lock is held here, or not at all."""
        from hive.launch import take_supervisor_lock

        lock = take_supervisor_lock(self.home) if found else None
        if lock is None:
            return []
        try:
            for each in found:
                self._clear_away(each, 0, 0)
        finally:
            os.close(lock)
        if self._reading and (queue.running(self._reading) or queue.next_due(self._reading) is not None):
            self._launch()  # who queued something meanwhile found the lock held, and started no supervisor
        return found

    def examine(self) -> list[Check]:
        """What this machine offers."""
        from hive.doctor import examine
        from hive.launch import supervisor_runs

        return examine(self.home, self.backends(), supervisor_runs(self.home), len(self.known_names()))

    def backends(self) -> list[Backend]:
        """Every runner, with what it enforces here or why it cannot be used."""
        from hive.runners.all import runners

        found = []
        for runner in runners(self.home, self.settings.base_image).values():
            why = runner.available()
            found.append(Backend(runner.name, why, None if why else runner.isolation(), runner.refusals))
        return found

    def init(self, names: list[str], rebuild: bool, say: Say = _silent) -> list[tuple[str, Image]]:
        """Build the runner image, and the layer of each recipe named, if need be: (what for, image).

        Raises RunnerUnavailable where there is no engine.
        """
        from hive.runners.all import docker
        from hive.runners.containers.images import image_for, runner_image

        self.home.create()
        runner = docker(self.home, self.settings.base_image)
        shop = runner.workshop(self.settings.offline, say)
        made = [("runner", runner_image(shop, rebuild))]
        made += [(name, image_for(shop, self.index.recipe(name).requirements)) for name in names]
        return made

    def lock(self, path: Path) -> int:
        """Write the lock of the built-in recipes; how many it holds. Raises RequestError."""
        from hive.index import Index
        from hive.lockfile import render

        recipes = list(Index().recipes())
        try:
            path.write_text(render(recipes, self._image()))
        except OSError as error:
            raise RequestError(f"cannot write {path}", error.strerror or str(error)) from error
        return len(recipes)

    def check_lock(self, path: Path) -> int:
        """How many recipes the lock at `path` holds. Raises LockError naming each field that is stale."""
        from hive.index import Index
        from hive.lockfile import stale_fields

        recipes = list(Index().recipes())
        if stale := stale_fields(path, recipes, self._image()):
            raise LockError(f"{path} is stale", "; ".join(stale), "hive lock")
        return len(recipes)

    def _image(self) -> str:
        """The digest of the runner image that this machine has, "" without."""
        from hive.runners.containers.images import known_image

        return known_image(self.home.images)

    def pick_runner(self, wanted: str = "auto", say: Say = _silent) -> tuple[Runner, str]:
        """The backend to work with, and why this one. Raises RequestError, RunnerUnavailable."""
        from hive.runners.all import pick

        self.home.create()
        wanted = wanted if wanted != "auto" else self.settings.runner
        return pick(self.home, wanted, self.settings.base_image, self.settings.offline, say)

    def _machine(self) -> Machine:
        from hive.plan import Machine

        self.home.create()
        place = os.statvfs(self.home.root)
        return Machine(
            cpus=min(self.settings.cpus, os.cpu_count() or 1),
            memory_bytes=min(self.settings.max_memory, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
            free_disk_bytes=place.f_bavail * place.f_frsize,
        )

    @staticmethod
    def _limited(recipe: Recipe, request: InstallRequest) -> Recipe:
        """The recipe with the limits that the user gave instead of its own."""
        limits = recipe.limits
        if request.memory_bytes is not None:
            limits = replace(limits, memory_bytes=request.memory_bytes)
        if request.wall_s is not None:
            limits = replace(limits, wall_s=request.wall_s)
            profiles = {name: replace(profile, wall_s=None) for name, profile in recipe.profiles.items()}
            return replace(recipe, limits=limits, profiles=profiles)
        return replace(recipe, limits=limits)

    @staticmethod
    def _check_python(recipe: Recipe) -> None:
        # packaging takes 15 ms to import, and nearly every recipe says just this
        at_least = re.fullmatch(r">=\s*(\d+)\.(\d+)", recipe.python)
        if not recipe.python or (at_least and sys.version_info >= tuple(map(int, at_least.groups()))):
            return
        import platform

        from packaging.specifiers import SpecifierSet

        if not SpecifierSet(recipe.python).contains(platform.python_version()):
            raise NoCapacity(
                f"{recipe.name} needs Python {recipe.python}", f"this is {platform.python_version()}",
                "install hive with another Python",
            )  # fmt: skip
