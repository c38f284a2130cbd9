"""class Planning: what would have to be done for a request: versions, profiles, data, environments, builds."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hive_runner.frozen import field, frozen, replace

from hive import installed, queue
from hive.authoring import Authoring, Say, silent
from hive.errors import NoCapacity, RequestError
from hive.model import Artifact, Build, Package, Plan, Recipe, Step

if TYPE_CHECKING:
    from hive.index import Release
    from hive.plan import Choices


@frozen
class InstallRequest:
    names: tuple[str, ...]
    choices: Choices
    priority: str = "medium"
    runner: str = "auto"
    memory_bytes: int | None = None
    wall_s: float | None = None
    allow_unsandboxed: bool = False
    from_scratch: bool = False
    prereleases: bool = False
    fetch: bool = True  # False: only to look, so that nothing is downloaded
    upgrade: bool = False  # what is named becomes as new as can be, built with the choices it was built with
    locked: Mapping[str, str] = field(default_factory=dict)  # name -> the version it must have


@frozen
class Stay:
    """A package that an upgrade leaves as it is though there is a newer version, and why."""

    name: str
    version: str
    newest: str
    why: str
    hint: str = ""


@frozen
class Outdated:
    """A package of which its source has a newer version."""

    name: str
    version: str
    newest: str
    source: str
    pinned: bool


class Planning(Authoring):
    """What can be asked about a change of what is installed, before it is made."""

    def plan(self, request: InstallRequest, say: Say = silent) -> Plan:
        """Resolve and pin. May make a runner environment, which `say` hears of. Raises RequestError, NoCapacity."""
        from hive.plan import keeps, make_build, profile_upon, step_of
        from hive.versions import split_request

        if request.runner != "auto":  # a name that is mistyped is told even where nothing has to be built
            from hive.runners.all import check_name

            check_name(request.runner)
        as_of = queue.newest_event(self.db)
        asked = {split_request(name)[0] for name in request.names}
        steps: list[Step] = []
        keys: dict[str, str] = {}
        profiles: dict[str, str] = {}
        runner, why_runner = None, ""
        chosen = self._resolve(request)
        for release in chosen:
            recipe = self.index.read(release)
            package = installed.find(self.db, recipe.name)
            artifact = installed.artifact(self.db, package.artifact) if package else None
            choices = self._choices(request, recipe, package, artifact, recipe.name in asked)
            needed = [split_request(text)[0] for text in recipe.depends]
            if choices.profile is None:
                choices = replace(choices, profile=profile_upon(recipe, (profiles[name] for name in needed)))
            same = request.upgrade and package is not None and package.version == recipe.version
            note = "" if same else keeps(recipe, choices, package, artifact)
            if note is not None and artifact is not None and self.store.has(artifact.digest):
                keys[recipe.name], profiles[recipe.name] = artifact.build_key, artifact.build.profile
                steps.append(
                    Step("keep", recipe, artifact.build, (), recipe.limits, artifact=artifact.digest, note=note)
                )
                continue
            self._check_python(recipe)
            choices, lacking = self._with_data(recipe, choices, request.fetch, say)
            if runner is None:
                runner, why_runner = self.pick_runner(request.runner, say)
            environment = runner.environment(recipe.requirements, self.settings.offline, say)
            device = "cuda" if self.settings.gpu_enabled and runner.has_gpu() else "cpu"
            built_on = {name: keys[name] for name in needed}
            build = make_build(recipe, choices, environment.digest, built_on, device, self.home.data)
            stored = installed.artifact_by_key(self.db, build.key)
            stored = stored if stored and self.store.has(stored.digest) else None
            machine = self._machine(request.memory_bytes)
            step = step_of(self._limited(recipe, request), build, choices, machine, stored)
            mounts = tuple(str(path) for path in environment.paths)
            expected_s = queue.expected_s(self.db, build) or step.expected_s
            if step.action == "build":
                step = replace(step, note=_joined(step.note, self._earlier_try(build, request.from_scratch)))
            replaces = package.version if package and package.version != recipe.version else ""
            forced = self._who_forces(release, chosen) if replaces and recipe.name not in asked else ""
            steps.append(
                replace(
                    step, pins=environment.pins, python=environment.python, mounts=mounts, image=environment.image,
                    expected_s=expected_s, replaces=replaces, note=_joined(lacking, step.note, forced),
                )
            )  # fmt: skip
            keys[recipe.name], profiles[recipe.name] = build.key, build.profile
        if runner is None:
            return Plan(tuple(steps), as_of=as_of)
        return Plan(tuple(steps), runner.name, why_runner, runner.isolation(), as_of)

    def _resolve(self, request: InstallRequest) -> list[Release]:
        from hive.resolve import Held, resolve

        depends = installed.depends(self.db)
        held = {
            package.name: Held(
                version=package.version,
                folder=self.store.path(package.artifact) / "recipe",
                depends=depends.get(package.name, ("", ()))[1],
                pinned=package.pinned,
            )
            for package in installed.packages(self.db)
        }
        for name, version in request.locked.items():
            held[name] = Held(version, Path("/"), held[name].depends if name in held else (), pinned=True)
        return resolve(request.names, self.index, held, request.upgrade, request.prereleases)

    def _choices(
        self, request: InstallRequest, recipe: Recipe, package: Package | None, artifact: Artifact | None, asked: bool
    ) -> Choices:
        """What the user said now, of what was asked for; else what was said when the version before was built."""
        from hive.plan import Choices, choices_again, profile_along
        from hive.recipe import read_recipe

        if asked and not request.upgrade:
            return request.choices
        if artifact is None or artifact.version == recipe.version:
            return Choices(profile_along(recipe, request.choices.profile, package))
        from hive.data import pin

        data = artifact.build.data.get("user")
        then = read_recipe(self.store.path(artifact.digest) / "recipe", "installed")
        return choices_again(artifact.build, then, recipe, pin(data.path) if data and recipe.data_help else None)

    def _with_data(self, recipe: Recipe, choices: Choices, fetch: bool, say: Say) -> tuple[Choices, str]:
        """The choices, once the data packages that they ask for are here, and a note on what is not.

        Where one cannot be had and no profile was asked for, the profile that does without. Raises RequestError,
        NoCapacity. fetch: False to download nothing.
        """
        from hive import datasets
        from hive.plan import pick_profile

        profile, notes = pick_profile(recipe, choices), []
        for package in datasets.named(recipe, profile.data):
            if not fetch and not self.settings.offline and not datasets.is_there(self.home.data, package):
                notes.append(f"fetches {package.file} first, {package.size_bytes / 2**20:,.0f} MiB")
                continue
            try:
                datasets.fetch(self.home.data, package, self.settings.offline, say)
            except RequestError as error:
                if choices.profile is None and profile.otherwise:
                    why = f"{error.message} ({error.why}): profile {profile.otherwise} does without"
                    return replace(choices, profile=profile.otherwise), why
                hint = f"--profile {profile.otherwise} does without" if profile.otherwise else error.hint
                raise RequestError(error.message, error.why, hint) from error
        return choices, "; ".join(notes)

    def _who_forces(self, release: Release, chosen: list[Release]) -> str:
        """Which of the chosen releases need this one, in words."""
        from hive.versions import split_request

        needs = [f"{each} needs {text}" for each in chosen for text in self.index.depends(each)
                 if split_request(text)[0] == release.name]  # fmt: skip
        return f"because {', '.join(needs)}"

    def plan_upgrade(self, request: InstallRequest, say: Say = silent) -> tuple[Plan, list[Stay]]:
        """As `plan`, for installed packages, all if none is named; and those that stay behind their newest version.

        Raises RequestError.
        """
        from hive.versions import parsed, split_request

        names = request.names or tuple(package.name for package in installed.packages(self.db))
        packages = {name: installed.get(self.db, split_request(name)[0]) for name in names}
        request = replace(request, upgrade=True, names=tuple(name for name in names if not packages[name].pinned))
        plan = self.plan(request, say)
        chosen = {step.recipe.name: step.recipe.version for step in plan.steps}
        stays: list[Stay] = []
        for package in packages.values():
            newest, version = self._newest(package, request.prereleases), chosen.get(package.name, package.version)
            if newest is None or parsed(newest.version) <= parsed(version):
                continue
            if package.pinned:
                stays.append(Stay(package.name, version, newest.version, "it is pinned", f"hive unpin {package.name}"))
                continue
            others = [name for name in request.names if split_request(name)[0] != package.name]
            try:
                self._resolve(replace(request, names=(f"{package.name}=={newest.version}", *others)))
                why = f"{', '.join(name for name in request.names if package.name in name)} was asked for"
            except RequestError as error:
                why = error.why
            stays.append(Stay(package.name, version, newest.version, why))
        return plan, stays

    def _newest(self, package: Package, prereleases: bool) -> Release | None:
        """The newest release of an installed name; pre-releases only if asked for, or if it is one itself."""
        from hive.versions import is_prerelease

        allowed = prereleases or is_prerelease(package.version)
        releases = self.index.releases(package.name)
        return next((each for each in releases if allowed or not is_prerelease(each.version)), None)

    def outdated(self, prereleases: bool = False) -> list[Outdated]:
        """The packages of which there is a newer version."""
        from hive.versions import parsed

        found = []
        for package in installed.packages(self._reading) if self._reading else []:
            newest = self._newest(package, prereleases)
            if newest and parsed(newest.version) > parsed(package.version):
                found.append(Outdated(package.name, package.version, newest.version, newest.source, package.pinned))
        return found

    def _earlier_try(self, build: Build, from_scratch: bool) -> str:
        """What has become of a build that was asked for before, in words."""
        job = queue.newest_build(self.db, build.key)
        if job and not job.state.is_over:
            return f"asked for before: job {job.id}, {job.state}"
        folder = self.home.checkpoints(build.key)
        if from_scratch or not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir()):
            return ""
        return "an earlier try left checkpoints, it goes on from there (--from-scratch begins anew)"

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


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))
