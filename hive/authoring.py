"""class Authoring: the use cases of those who look after recipes: where they come from, how one is made and checked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hive_runner.frozen import replace

from hive import installed
from hive.builds import Builds
from hive.errors import RequestError, StoreError

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

    from hive.compare import Difference
    from hive.index import Index
    from hive.lint import Finding
    from hive.model import Artifact
    from hive.plan import Machine
    from hive.runners.base import Runner
    from hive.sources import Move, SourceRecord
    from hive.store import Store

Say = Callable[[str], None]


def silent(text: str) -> None:
    return None


class Authoring(Builds):
    """What can be asked and said of sources and recipes."""

    @property
    @abstractmethod
    def index(self) -> Index:
        """All sources, as they are now."""

    @property
    @abstractmethod
    def store(self) -> Store: ...

    @abstractmethod
    def pick_runner(self, wanted: str = "auto", say: Say = silent) -> tuple[Runner, str]:
        """The backend to work with, and why this one."""

    @abstractmethod
    def _machine(self, memory_bytes: int | None = None) -> Machine:
        """What one runner may have."""

    def bases(self, artifact: Artifact) -> dict[str, Path]:
        """Where the artifacts lie that one was built on, as what it needs may need too: name -> folder.

        Where the store has lost one, what is installed under its name does. Raises StoreError if nothing is.
        """
        found: dict[str, Path] = {}
        for name, key in artifact.build.dependencies.items():
            base = installed.artifact_by_key(self.db, key)
            if base is None or not self.store.has(base.digest):
                package = installed.find(self.db, name)
                base = installed.artifact(self.db, package.artifact) if package else None
            if base is None or not self.store.has(base.digest):
                raise StoreError(f"{artifact.name} was built on {name}, which is gone", hint=f"hive install {name}")
            found |= self.bases(base) | {name: self.store.path(base.digest)}
        return found

    # -- sources

    def sources(self) -> list[SourceRecord]:
        """All, in the order in which they are searched; position counts from 1, kind "setting" for HIVE_SOURCES."""
        from hive.index import BUILT_IN
        from hive.sources import SourceRecord, records

        known = {record.name: record for record in records(self._reading)} if self._reading else {}
        found = []
        for place, source in enumerate(self.index.sources, 1):
            kind = BUILT_IN if source.name == BUILT_IN else "setting"
            record = known.get(source.name) or SourceRecord(source.name, 0, kind, str(source.folder))
            found.append(replace(record, position=place))
        return found

    def add_source(
        self, name: str, location: str, ref: str, as_git: bool, before: str | None, dry_run: bool, say: Say = silent
    ) -> SourceRecord:
        """Add a folder or a repository after all others, before another, or ("") first. Raises RequestError."""
        from hive import sources

        if self._reading:
            sources.refuse_taken(self._reading, name, before)
        added = False
        try:
            record = sources.make(self.home, name, location, ref, as_git, self.settings.offline, say)
            if not dry_run:
                record = sources.add(self.db, record, before)
                added = True
        finally:
            if not added:
                sources.forget_files(self.home, name)
        self._sources_changed()
        return record

    def _sources_changed(self) -> None:
        self.__dict__.pop("index", None)
        if self.__dict__.get("_reading") is None:
            self.__dict__.pop("_reading", None)  # there was nothing to read from before

    def remove_source(self, name: str, dry_run: bool) -> SourceRecord:
        """Forget a source; what was installed from it stays. Raises RequestError."""
        from hive import sources

        record = sources.get(self.db, name) if dry_run else sources.remove(self.db, self.home, name)
        self._sources_changed()
        return record

    def update_sources(self, names: list[str], dry_run: bool, say: Say = silent) -> Iterator[Move]:
        """Move repositories to where their branch or tag stands now, all if none is named. Raises RequestError."""
        from hive import sources

        known = [sources.get(self.db, name) for name in names] or sources.records(self.db)
        for record in known:
            if record.kind != "git":
                if names:
                    say(f"{record.name} is a folder: it is read as it is, there is nothing to update")
                continue
            if dry_run:
                commit = sources.fetch(self.home, record, self.settings.offline, say)
                yield sources.Move(record.name, record.commit, commit)
            else:
                yield sources.update(self.db, self.home, record, self.settings.offline, say)
        self._sources_changed()

    # -- recipes

    def new_recipe(self, name: str, folder: Path, dry_run: bool) -> Path:
        """Write the skeleton of a recipe to folder/name. Raises RequestError."""
        from hive.skeleton import new_recipe

        return folder / name if dry_run else new_recipe(name, folder)

    def lint(self, folder: Path) -> list[Finding]:
        """What is wrong with the recipe in a folder, as far as can be read. Raises RecipeError if there is none."""
        from hive.lint import lint

        return lint(folder)

    def build_twice(
        self,
        folder: Path,
        wanted_runner: str,
        allow_unsandboxed: bool,
        on_event: Callable[[RunEvent], None],
        say: Say = silent,
    ) -> Difference | None:
        """Build a recipe's smoke profile two times, installing nothing; where the results differ, None for nowhere.

        Raises the HiveError that a failure means.
        """
        from hive import datasets, trial
        from hive.compare import differences_of
        from hive.model import Work
        from hive.plan import Choices, fit, make_build
        from hive.recipe import read_recipe, snapshot
        from hive.versions import split_request

        recipe = read_recipe(folder.absolute(), "checked")
        if "smoke" not in recipe.profiles:
            raise RequestError(f"{recipe.name} has no smoke profile", "nothing was built", "--no-build, or give it one")
        runner = self.pick_runner(wanted_runner, say)[0]
        environment = runner.environment(recipe.requirements, self.settings.offline, say)
        needed = {split_request(text)[0]: installed.choose(self.db, text) for text in recipe.depends}
        keys = {name: installed.artifact(self.db, package.artifact).build_key for name, package in needed.items()}
        for each in datasets.named(recipe, recipe.profiles["smoke"].data):
            datasets.fetch(self.home.data, each, self.settings.offline, say)
        build = make_build(
            recipe, Choices(profile="smoke"), environment.digest, keys, data_folder=self.home.data
        )  # fmt: skip
        with trial.scratch_home(self.home) as scratch:
            work = Work(
                recipe_path=str(snapshot(recipe, scratch.root)),
                limits=fit(recipe, recipe.profiles["smoke"], self._machine())[0],
                gates=recipe.profiles["smoke"].gates,
                python=environment.python,
                mounts=tuple(str(path) for path in environment.paths),
                pins=environment.pins,
                runner=runner.name,
                trusted=allow_unsandboxed,
                real=False,
                image=environment.image,
            )
            paths: dict[str, Path] = {}
            for name, package in needed.items():
                paths |= self.bases(installed.artifact(self.db, package.artifact))
                paths[name] = self.store.path(package.artifact)
            results = []
            for number, time_word in enumerate(("first", "second"), 1):
                say(f"{recipe.name}: the {time_word} build of two")
                results.append(trial.build(scratch, number, build, work, runner, paths, on_event))
            return next(iter(differences_of(*results)), None)
