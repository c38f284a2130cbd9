"""class Hive: every use case, those of the queue and the runners in its base, Builds. Front ends are faces of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive_runner.frozen import frozen, replace

from hive import installed, queue
from hive.authoring import Say, silent
from hive.config import Settings, load_settings
from hive.db import Database
from hive.errors import HiveError, RequestError, StoreError
from hive.model import (
    PRIORITIES,
    UNKNOWN,
    Artifact,
    Backend,
    Job,
    Package,
    Plan,
    Recipe,
)
from hive.paths import Home, default_home
from hive.planning import InstallRequest, Planning

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

    from hive.cleaning import Leftover
    from hive.compare import Difference
    from hive.doctor import Check
    from hive.importing import Arrival
    from hive.index import Hit, Index, Source
    from hive.inference import RunOutcome
    from hive.plan import Machine
    from hive.projects import Projects, Wish
    from hive.recovery import Rebuilt
    from hive.runners.base import Runner
    from hive.runners.containers.images import Image
    from hive.store import Damage, Store
    from hive.upkeep import Repaired, Upkeep


@frozen
class Ticket:
    """What became of an install request at once, and the jobs that will do the rest."""

    plan: Plan
    jobs: tuple[Job, ...]
    installed: tuple[Package, ...]


@frozen
class Details:
    """All there is to say of one name, or of one version of it."""

    name: str
    recipe: Recipe | None
    package: Package | None
    artifact: Artifact | None
    folder: Path | None
    versions: tuple[str, ...] = ()  # that its source has, the newest first
    inactive: tuple[Package, ...] = ()  # other versions that the store has
    figures: tuple[Path, ...] = ()  # that the recipe drew
    outlived: tuple[str, ...] = ()  # of what it was built on: another build is active by now


@frozen
class Export:
    """A bundle that was written."""

    path: Path
    size_bytes: int
    artifacts: tuple[Artifact, ...]  # what is needed first, first


class Hive(Planning):
    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings

    @cached_property
    def index(self) -> Index:
        from hive.index import Index

        before: list[Source] = []
        after: list[Source] = []
        if self._reading:
            from hive.sources import as_source, records

            for record in records(self._reading):
                (before if record.position < 0 else after).append(as_source(self.home, record))
        return Index(self.settings.sources, before, after)

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
        self.__dict__.pop("_reading", None)  # it may have found none
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

    def search(self, text: str) -> list[Hit]:
        """Recipes of all sources whose name, summary, task or keywords hold every word of `text`."""
        words = text.lower().split()

        def matches(recipe: Recipe) -> bool:
            heap = " ".join((recipe.name, recipe.summary, recipe.task, *recipe.keywords)).lower()
            return all(word in heap for word in words)

        return [hit for hit in self.index.hits() if matches(hit.recipe)]

    def details(self, request: str) -> Details:
        """Of a name, or of one version as name@1.1. Raises RequestError if it is neither a recipe nor installed."""
        from hive.recipe import read_recipe
        from hive.versions import check_range, newest, satisfies, split_request

        name, wanted = split_request(request)
        check_range(wanted)
        db, package, artifact, folder = self._reading, None, None, None
        stored = installed.inactive(db, name) if db else []
        if db:
            with suppress(RequestError):
                package = installed.choose(db, request)
                artifact = installed.artifact(db, package.artifact)
                folder = self.store.path(package.artifact)
        releases = self.index.releases(name)
        there = [release.version for release in releases if satisfies(release.version, wanted)]
        if there:
            recipe: Recipe | None = self.index.recipe(name, newest(there))
        elif package is not None:
            recipe = read_recipe(folder / "recipe", "installed") if wanted and folder else None
        elif stored and not releases:
            have = ", ".join(each.version for each in stored)
            hint = f"hive info {name}@{stored[0].version}"
            raise RequestError(f"{request} is not installed, and no source has it", f"in the store are {have}", hint)
        else:
            recipe = self.index.recipe(name, wanted.removeprefix("=="))  # which says what there is
        return Details(
            name, recipe, package, artifact, folder, tuple(release.version for release in releases), tuple(stored),
            tuple(self._figures(artifact)) if artifact else (),
            installed.outlived(db, name).get(name, ()) if db and package and package.active else (),
        )  # fmt: skip

    def _figures(self, artifact: Artifact) -> Iterator[Path]:
        """The figures that an artifact holds; none where its manifest is damaged."""
        from hive.manifest import figures

        facts = self.store.sound_manifest(artifact.digest)
        for path in figures(facts["files"]) if facts else ():
            yield self.store.path(artifact.digest) / path

    def card(self, name: str) -> str:
        """The model card of what is installed, else of the recipe, without front matter. Raises RequestError."""
        from hive.card import CARD, text_of

        details = self.details(name)
        folder = details.folder or (details.recipe.path if details.recipe else None)
        try:
            return text_of((folder / CARD).read_text()) if folder else ""
        except (OSError, ValueError) as error:
            raise RequestError(f"{name} has no model card", str(error)) from error

    def document(self, request: str, kind: str) -> Any:
        """What an installed model says of itself, NAME or NAME@VERSION. kind: "provenance" or "bom".

        Raises RequestError.
        """
        import json

        from hive.bom import BOM
        from hive.provenance import PROVENANCE

        folder = self.store.path(installed.choose(self._installed_db([request]), request).artifact)
        try:
            return json.loads((folder / {"provenance": PROVENANCE, "bom": BOM}[kind]).read_text())
        except (OSError, ValueError) as error:
            why, hint = str(error), f"hive verify {request}"
            raise RequestError(f"{request} has no {kind} that can be read", why, hint) from error

    def class_here(self, artifact: Artifact) -> str:
        """The class of machines (determinism.py) that this one would be for an artifact's build."""
        from hive.determinism import determinism_class

        return determinism_class(artifact.build, artifact.pins)

    def known_names(self) -> list[str]:
        return self.index.names()

    def known_versions(self, name: str) -> list[str]:
        """That the source of a name has, the newest first."""
        return [release.version for release in self.index.releases(name)]

    # -- packages: changing

    def install(self, request: InstallRequest, plan: Plan) -> Ticket:
        """Carry a plan out: record what is reused, queue what must be built, make sure that a supervisor runs."""
        from hive.launch import launch
        from hive.model import Work
        from hive.plan import longest_first
        from hive.recipe import snapshot
        from hive.versions import split_request

        asked = {split_request(name)[0] for name in request.names}
        done: list[Package] = []
        for step in plan.steps:
            if step.action == "build":
                continue
            name = step.recipe.name
            by_name = name in asked and not request.upgrade
            if step.action == "reuse" or (by_name and installed.get(self.db, name).automatic):
                made = replace(installed.artifact(self.db, step.artifact), depends=step.recipe.depends)
                with self.db.write():
                    if not self.store.has(step.artifact):
                        raise StoreError(f"{name} has just been collected as garbage", hint=f"hive install {name}")
                    installed.activate(self.db, made, automatic=not by_name)
            if package := installed.find(self.db, name):
                done.append(package)
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
                    depends=step.recipe.depends,
                ),
            )
            for step in longest_first(plan.builds)
        ]
        jobs: list[Job] = []
        if builds:
            if request.from_scratch:
                self._forget_checkpoints(step.build for step in plan.builds)
            automatic = {step.recipe.name for step in plan.builds} - (set() if request.upgrade else asked)
            jobs = queue.enqueue(self.db, builds, PRIORITIES[request.priority], automatic, plan.as_of)
            if not queue.control(self.db).hold:
                launch(self.home, self._begin)
        return Ticket(plan, tuple(jobs), tuple(done))

    def _begin(self) -> None:
        import threading

        from hive.supervise import begin

        if threading.active_count() == 1:
            begin(self.home, self.settings, self.db)

    def remove(self, names: list[str], cascade: bool = False) -> list[Package]:
        """Remove packages, not their artifacts. Raises RequestError if one is not installed or is needed."""
        packages = self.removable(names, cascade)
        installed.remove(self.db, sorted({package.name for package in packages}))
        return packages

    def removable(self, names: list[str], cascade: bool = False) -> list[Package]:
        """The packages that `remove` would remove. Raises RequestError as it would.

        cascade: what needs them goes too, instead of standing in the way.
        """
        db = self._installed_db(names)
        packages = [installed.get(db, name) for name in dict.fromkeys(names)]
        leaving = {package.name for package in packages}
        staying = {name: lost for name, lost in installed.dependents(db, leaving).items() if name not in leaving}
        if staying and not cascade:
            direct = {name: lost for name, lost in staying.items() if lost in leaving}
            raise RequestError(
                f"{', '.join(sorted(set(direct.values())))} cannot be removed",
                "; ".join(f"{name} needs it" if len(leaving) == 1 else f"{name} needs {lost}"
                          for name, lost in sorted(direct.items())),
                f"--cascade removes {', '.join(sorted(staying))} too",
            )  # fmt: skip
        return packages + [installed.get(db, name) for name in sorted(staying)]

    def outlived(self) -> dict[str, tuple[str, ...]]:
        """Packages that were built on another build of what they need than is active now: name -> what they need."""
        return installed.outlived(self._reading) if self._reading else {}

    def orphans(self, without: Iterable[str] = ()) -> list[Package]:
        """Packages that were installed for others, and that none needs (any more, if `without` were gone)."""
        return installed.orphans(self._reading, without) if self._reading else []

    def autoremove(self) -> list[Package]:
        """Remove the orphans; which they were."""
        gone = self.orphans()
        if gone:
            installed.remove(self.db, [package.name for package in gone])
        return gone

    def named(self, names: list[str]) -> list[Package]:
        """Raises RequestError if one is not installed."""
        db = self._installed_db(names)
        return [installed.get(db, name) for name in names]

    def pin(self, names: list[str]) -> list[Package]:
        """Let upgrade leave them alone. Raises RequestError if one is not installed."""
        packages = self.named(names)
        installed.pin(self.db, [package.name for package in packages])
        return packages

    def unpin(self, names: list[str]) -> list[str]:
        """Those of them that were pinned. Raises RequestError if one is not installed."""
        return installed.unpin(self.db, [package.name for package in self.named(names)])

    def inactive(self) -> list[Package]:
        """The versions in the store besides the active ones, of names that are installed or were."""
        db = self._reading
        return [each for name in installed.names(db) for each in installed.inactive(db, name)] if db else []

    def _installed_db(self, names: list[str]) -> Database:
        if self._reading is None:
            raise RequestError(f"{names[0]} is not installed", "nothing is", f"hive install {names[0]}")
        return self._reading

    def verify(self, names: list[str]) -> Iterator[tuple[Package, list[Damage]]]:
        """Hash the files of the packages named (or of all) again. Raises RequestError, DamagedDatabase."""
        if self._reading:
            self._reading.check()
        chosen = [installed.choose(self._installed_db(names), name) for name in names] if names else self.packages()
        for package in chosen:
            yield package, self.store.verify(package.artifact)

    def rebuild(self, name: str, check: bool, wanted_runner: str = "auto", say: Say = silent) -> Job:
        """Queue an installed model's own build once more, from scratch. check: to be compared, installing nothing.

        Raises RequestError where it cannot be the same build: its recipe, libraries or data are gone or others.
        """
        from hive import datasets
        from hive.rebuild import recipe_of, work_again
        from hive.recipe import snapshot

        package = installed.get(self.db, name)
        artifact = installed.artifact(self.db, package.artifact)
        folders = [self.store.path(artifact.digest) / "recipe"]
        with suppress(RequestError):
            folders.append(self.index.recipe(name, artifact.version).path)
        recipe = recipe_of(artifact, folders)
        runner = self._runner_for(artifact, wanted_runner, say)
        environment = runner.environment(recipe.requirements, self.settings.offline, say)
        work = work_again(
            artifact, recipe, environment, self._machine(), runner.name, self._is_builtin(artifact), check
        )  # fmt: skip
        work = replace(work, recipe_path=str(snapshot(recipe, self.home.snapshots)))
        for each in datasets.named(recipe, artifact.build.data):
            datasets.fetch(self.home.data, each, self.settings.offline, say)
        data = artifact.build.data | datasets.sources(self.home.data, recipe, artifact.build.data)
        self._forget_checkpoints([artifact.build])
        job = queue.enqueue(self.db, [(replace(artifact.build, data=data), work)], PRIORITIES["medium"], set())[0]
        if job.work.check != work.check:
            raise RequestError(f"{name} is being built at this moment", f"job {job.id}", f"hive logs -f {job.id}")
        self._launch()
        return job

    def differences(self, made: str, again: str) -> list[Difference]:
        """How two artifacts in the store differ, by their digests."""
        from hive.compare import differences

        return differences(self.store, made, again)

    def repair(self, names: list[str]) -> Iterator[Repaired]:
        """Make damaged packages among those named (NAME or NAME@VERSION, or all that are active) whole from copies of
        their files. Raises RequestError.
        """
        packages = [installed.choose(self.db, name) for name in names] if names else self.packages()
        return self.upkeep.repair(packages)

    @cached_property
    def upkeep(self) -> Upkeep:
        from hive.upkeep import Upkeep

        return Upkeep(self.home, self.db, self.store)

    # -- packages: moving

    def export(self, name: str, target: str | None, on_progress: Callable[[int, int], None]) -> Export:
        """Write NAME or NAME@VERSION with all that it was built on to a bundle. Raises RequestError, DamageFound,
        NoCapacity.
        """
        from hive.exporting import with_dependencies, write

        db = self._reading
        if db is None:
            raise RequestError(f"{name} is not installed", "nothing is", f"hive install {name}")
        artifact = installed.artifact(db, installed.choose(db, name).artifact)
        path = Path(target or f"{artifact.name}-{artifact.version}.tar").expanduser().absolute()
        if path.is_dir():
            path /= f"{artifact.name}-{artifact.version}.tar"
        artifacts = with_dependencies(db, self.store, artifact)
        return Export(path, write(self.store, artifacts, path, on_progress), tuple(artifacts))

    def import_bundle(self, path: Path, dry_run: bool, on_progress: Callable[[int, int], None]) -> list[Arrival]:
        """Install the models of a bundle; with dry_run, only prove it and say what would be installed.

        Raises BadBundle, DamagedBundle, GateRefused, NoCapacity, StoreError; then nothing has changed.
        """
        from hive.importing import inspect, receive

        if dry_run:
            return inspect(self._reading, self.store, path, on_progress)
        return receive(self.db, self.store, path, on_progress, self._machine().free_disk_bytes)

    # -- packages: using

    def run(
        self,
        name: str,
        inputs: list[str],
        output: str | None,
        options: dict[str, str],
        on_event: Callable[[RunEvent], None],
        say: Say = silent,
        sample: bool = False,
        wanted_runner: str = "auto",
        allow_unsandboxed: bool = False,
    ) -> RunOutcome:
        """Run an installed model on files, sandboxed like its build. Raises the HiveError that its failure means."""
        from hive.inference import run_model
        from hive.runners.base import refuse_untrusted

        package = installed.choose(self.db, name)
        artifact = installed.artifact(self.db, package.artifact)
        runner = self._runner_for(artifact, wanted_runner, say)
        refuse_untrusted(name, allow_unsandboxed or self._is_builtin(artifact), runner.isolation())
        return run_model(
            self.home, self.store, runner, package, self.bases(artifact), self.settings.offline, self._machine(),
            inputs, output, options, on_event, say, sample,
        )  # fmt: skip

    def run_flags(self, name: str) -> set[str]:
        """The options of an installed model that are true or false, and so need no value."""
        from hive.recipe import read_recipe

        if self._reading is None:
            return set()
        package = installed.choose(self._reading, name)
        recipe = read_recipe(self.store.path(package.artifact) / "recipe", "installed")
        return {option.name for option in recipe.run.options if isinstance(option.default, bool)}

    @cached_property
    def _runners(self) -> dict[str, Runner]:
        """Every backend there is; it is asked once what works here."""
        from hive.runners.all import runners

        return runners(self.home, self.settings.base_image)

    def _runner_for(self, artifact: Artifact, wanted: str, say: Say) -> Runner:
        """The backend to use a model with: as asked for, else the one that built it if that works, else any."""
        wanted = wanted if wanted != "auto" else self.settings.runner
        if wanted == "auto":
            builder = self._runners.get(artifact.isolation.partition(":")[0])
            if builder is not None and not builder.available():
                return builder
        return self.pick_runner(wanted, say)[0]

    def _is_builtin(self, artifact: Artifact) -> bool:
        """Whether a model's code is that of a built-in recipe of today."""
        from hive.index import Index
        from hive.recipe import read_recipe

        with suppress(HiveError):
            ours = Index().recipe(artifact.name, artifact.version)
            if artifact.isolation == UNKNOWN:  # its digest says nothing of what it asks pip for
                theirs = read_recipe(self.store.path(artifact.digest) / "recipe", "installed")
                if theirs.requirements != ours.requirements:
                    return False
            return ours.digest == artifact.build.recipe_digest
        return False

    def load(self, name: str, threads: int, device: str) -> Any:
        from hive.inference import load_model

        db = self._installed_db([name])
        package = installed.choose(db, name)
        bases = self.bases(installed.artifact(db, package.artifact))
        return load_model(self.store.path(package.artifact), package.name, bases, threads, device)

    # -- system

    def clean(self, older_than_s: float, dry_run: bool = False) -> list[Leftover]:
        """Remove what nobody needs; what was removed, or with dry_run would be. Raises StoreError."""
        from hive.cleaning import clean

        return clean(self.home, self._reading, older_than_s, dry_run, self._launch)

    def examine(self) -> list[Check]:
        """What this machine offers."""
        from hive.doctor import examine
        from hive.launch import supervisor_runs

        return examine(self.home, self.backends(), supervisor_runs(self.home), len(self.known_names()))

    def backends(self) -> list[Backend]:
        """Every runner, with what it enforces here or why it cannot be used."""
        found = []
        for runner in self._runners.values():
            why = runner.available()
            found.append(Backend(runner.name, why, None if why else runner.isolation(), runner.refusals))
        return found

    def init(self, names: list[str], rebuild: bool, say: Say = silent) -> list[tuple[str, Image]]:
        """Build the runner image, and the layer of each recipe named, if need be: (what for, image).

        Raises RunnerUnavailable where there is no engine.
        """
        from hive.runners.all import docker
        from hive.runners.containers.images import image_for, runner_image

        self.home.create()
        runner = docker(self._runners)
        shop = runner.workshop(self.settings.offline, say)
        made = [("runner", runner_image(shop, rebuild))]
        made += [(name, image_for(shop, self.index.recipe(name).requirements, made[0][1])) for name in names]
        return made

    @cached_property
    def projects(self) -> Projects:
        """What can be done with a folder's hive.toml and hive.lock."""
        from hive.projects import Projects

        return Projects(self.index, self._reading, self._image())

    def as_locked(self, wish: Wish, request: InstallRequest) -> InstallRequest:
        """The request that installs a model exactly as locked. request: what else is said of it."""
        name = f"{wish.model.name}=={wish.model.version}"
        return replace(request, names=(name,), choices=wish.choices, locked=wish.versions)

    def _image(self) -> str:
        """The digest of the runner image that this machine has, "" without."""
        from hive.runners.containers.images import known_image

        return known_image(self.home.images)

    def pick_runner(self, wanted: str = "auto", say: Say = silent) -> tuple[Runner, str]:
        """The backend to work with, and why this one. Raises RequestError, RunnerUnavailable."""
        from hive.runners.all import pick

        self.home.create()
        wanted = wanted if wanted != "auto" else self.settings.runner
        return pick(self.home, wanted, self.settings.base_image, self.settings.offline, say)

    def _machine(self, memory_bytes: int | None = None) -> Machine:
        """What one runner may have. memory_bytes: what the user asked for, above the setting."""
        from hive import machine
        from hive.plan import Machine

        self.home.create()
        place = os.statvfs(self.home.root)
        return Machine(
            cpus=min(self.settings.cpus, machine.cores()),
            memory_bytes=min(memory_bytes or self.settings.max_memory, machine.memory_bytes()),
            free_disk_bytes=place.f_bavail * place.f_frsize,
        )
