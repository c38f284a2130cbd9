"""The registry of backends, in the order in which "auto" tries them."""

from __future__ import annotations

from hive.errors import NoCapacity, RequestError
from hive.paths import Home
from hive.runners.base import Runner
from hive.runners.process import ProcessRunner


def runners(home: Home) -> dict[str, Runner]:
    return {runner.name: runner for runner in (ProcessRunner(home.root),)}


def choose(home: Home, wanted: str) -> Runner:
    """The backend called `wanted`, or with "auto" the first that works here. Raises RequestError, NoCapacity."""
    known = runners(home)
    if wanted != "auto":
        if wanted not in known:
            raise RequestError(f"there is no runner {wanted!r}", f"known are auto, {', '.join(known)}")
        if why := known[wanted].available():
            raise NoCapacity(f"runner {wanted} cannot be used here", why, "try: --runner auto")
        return known[wanted]
    return next(runner for runner in known.values() if not runner.available())
