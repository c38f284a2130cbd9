"""The registry of backends, in the order in which "auto" tries them."""

from __future__ import annotations

from collections.abc import Mapping

from hive.environments import Say
from hive.errors import HiveError, RequestError, RunnerUnavailable
from hive.paths import Home
from hive.runners.base import Runner
from hive.runners.docker import DockerRunner
from hive.runners.process import ProcessRunner
from hive.suggest import did_you_mean

NAMES = (DockerRunner.name, ProcessRunner.name)


def runners(home: Home, base_image: str = "") -> dict[str, Runner]:
    return {runner.name: runner for runner in (DockerRunner(home.root, base_image), ProcessRunner(home.root))}


def docker(known: Mapping[str, Runner]) -> DockerRunner:
    """The one of these that builds images. Raises RunnerUnavailable where no engine answers."""
    runner = known[DockerRunner.name]
    assert isinstance(runner, DockerRunner)
    if why := runner.available():
        raise RunnerUnavailable("there is no Docker Engine to build an image with", why)
    return runner


def check_name(name: str) -> None:
    """Raises RequestError if no backend is called `name`."""
    if name not in NAMES:
        raise RequestError(f"there is no runner {name!r}", *did_you_mean(name, ["auto", *NAMES]))


def choose(home: Home, name: str, base_image: str = "") -> Runner:
    """The backend called `name`. Raises RequestError if there is none, RunnerUnavailable if it does not work here."""
    check_name(name)
    known = runners(home, base_image)
    if why := known[name].available():
        raise RunnerUnavailable(f"runner {name} cannot be used here", why, "--runner auto takes one that can")
    return known[name]


def pick(home: Home, wanted: str, base_image: str, offline: bool, say: Say) -> tuple[Runner, str]:
    """The backend called `wanted`, or with "auto" the first that works here and is ready; and why this one.

    Docker is ready when its image is there, or could be built now.
    """
    if wanted != "auto":
        return choose(home, wanted, base_image), "asked for"
    passed_over = []
    for runner in runners(home, base_image).values():
        try:
            if why := runner.available():
                passed_over.append(why)
                continue
            return runner, runner.prepare(offline, say) or "; ".join(passed_over)
        except HiveError as error:
            passed_over.append(f"{error.message}: {error.why}")
    raise RunnerUnavailable("no runner works here", "; ".join(passed_over), "hive doctor")
