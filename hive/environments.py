"""The runner environment: the Python that has what a recipe requires.

The running environment serves if it satisfies the requirements. Otherwise an overlay is made, once per set of
requirements: a virtual environment that sees everything the running one has and holds only what that lacks, so the user
of one model does not install the libraries of all.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hive.errors import RequestError
from hive.model import digest_of

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from packaging.requirements import Requirement

Say = Callable[[str], None]
COMPLETE = "complete.json"  # written last: a folder without it is a ruin


@dataclass(frozen=True)
class RunnerEnvironment:
    python: str  # the interpreter that runs the recipe
    paths: tuple[Path, ...]  # folders that a sandbox must mount besides the running environment's own
    pins: tuple[str, ...]  # name==version of everything the requirements lead to, sorted
    digest: str  # over the pins, the Python version and the platform


def current(requirements: tuple[str, ...]) -> RunnerEnvironment | None:
    """The running environment, if it satisfies `requirements`."""
    pins = _pins(requirements, None)
    return None if pins is None else _environment(sys.executable, (), pins)


def ensure(requirements: tuple[str, ...], home: Path, offline: bool, say: Say) -> RunnerEnvironment:
    """The running environment, or the overlay for `requirements`, made now if need be; `say` hears of the progress.

    One process makes it, others wait for it. Raises RequestError when it cannot be made.
    """
    if (found := current(requirements)) is not None:
        return found
    base = [sys.version, sys.prefix, platform.machine()]
    folder = home / "environments" / digest_of([sorted(requirements), base]).removeprefix("sha256:")[:32]
    if (made := _overlay(folder, requirements)) is not None:
        return made
    missing = ", ".join(text for text in requirements if _pins((text,), None) is None)
    if offline:
        raise RequestError(
            "the runner environment is not there yet",
            f"it lacks {missing}, and hive is offline",
            "once with a network: unset HIVE_OFFLINE and install again",
        )
    with _lock(folder):
        if (made := _overlay(folder, requirements)) is None:
            say(f"making a runner environment for {missing}")
            _make(folder, requirements, say)
            made = _overlay(folder, requirements)
    if made is None:
        shutil.rmtree(folder, ignore_errors=True)
        raise RequestError(
            f"the runner environment still lacks {missing}", f"pip installed something else into {folder}"
        )
    return made


def _environment(python: str, paths: tuple[Path, ...], pins: tuple[str, ...]) -> RunnerEnvironment:
    facts = [pins, sys.version_info[:2], sys.platform, platform.machine()]
    return RunnerEnvironment(python, paths, pins, digest_of(facts))


def _overlay(folder: Path, requirements: tuple[str, ...]) -> RunnerEnvironment | None:
    """The overlay in `folder`, if it is whole and still satisfies (the environment below it may have changed)."""
    if not (folder / COMPLETE).is_file():
        return None
    pins = _pins(requirements, [str(_site(folder)), *sys.path])
    return None if pins is None else _environment(str(folder / "bin" / "python"), (folder,), pins)


def _site(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _make(folder: Path, requirements: tuple[str, ...], say: Say) -> None:
    """Build the overlay in its own place: a virtual environment knows its path. The marker comes last."""
    import site
    import venv

    try:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=False, symlinks=True)
        # addsitedir, unlike a plain path line, also honours the .pth files of the environment below.
        below = [path for path in site.getsitepackages() if Path(path).is_dir()]
        lines = ["import site", *(f"site.addsitedir({path!r})" for path in below)]
        (_site(folder) / "_hive_base.pth").write_text("; ".join(lines) + "\n")
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in _constraints(requirements)))
        _pip(folder, requirements, constraints, say)
        (folder / COMPLETE).write_text(json.dumps({"requirements": sorted(requirements)}))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RequestError("the runner environment cannot be made", str(error), "make room on the disk") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _pip(folder: Path, requirements: tuple[str, ...], constraints: Path, say: Say) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-input"]
    command += ["--disable-pip-version-check", "--constraint", str(constraints), *requirements]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    lines: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line.strip())
            if line.startswith(("Collecting", "Installing")):
                say(f"  {line.strip()}")
    if pip.returncode:
        errors = [line for line in lines if line.startswith("ERROR") or "No module named pip" in line] or lines
        raise RequestError(
            f"the runner environment cannot be made: pip failed for {', '.join(requirements)}",
            " / ".join(errors[-3:]),
            "check the network and the recipe's requirements, then install again",
        )


def _constraints(requirements: Iterable[str]) -> list[str]:
    """Pins that hold what the running environment has as it is, except what the requirements contradict."""
    from importlib.metadata import distributions

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = {canonicalize_name(r.name): r for r in map(Requirement, requirements)}
    pins: dict[str, str] = {}
    for distribution in distributions():
        name, version = canonicalize_name(distribution.metadata["Name"] or ""), distribution.version
        contradicted = name in wanted and not wanted[name].specifier.contains(version, prereleases=True)
        if name and not contradicted:
            pins.setdefault(name, f"{name}=={version}")
    return sorted(pins.values())


def _pins(requirements: tuple[str, ...], path: list[str] | None) -> tuple[str, ...] | None:
    """name==version of all that `requirements` lead to on a sys.path (None: this one); None if one is not satisfied."""
    if not requirements:
        return ()
    from packaging.requirements import InvalidRequirement, Requirement

    pins: dict[str, str] = {}
    try:
        pending: list[tuple[Requirement, bool]] = [(Requirement(text), True) for text in requirements]
    except InvalidRequirement as error:
        raise RequestError("the recipe has a requirement that cannot be read", str(error)) from error
    seen: set[str] = set()
    while pending:
        requirement, named = pending.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        if named and requirement.marker and not requirement.marker.evaluate():
            continue
        distribution = _find(requirement.name, path)
        if distribution is None or not requirement.specifier.contains(distribution.version, prereleases=True):
            if named:
                return None
            continue  # an installer's business: what was named is there
        pins[_canonical(requirement.name)] = distribution.version
        pending += [(needed, False) for needed in _needed(distribution, requirement.extras)]
    return tuple(sorted(f"{name}=={version}" for name, version in pins.items()))


def _needed(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What a distribution itself requires here, its chosen extras included."""
    from packaging.requirements import Requirement

    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _find(name: str, path: list[str] | None) -> Distribution | None:
    from importlib.metadata import Distribution

    found = Distribution.discover(name=name) if path is None else Distribution.discover(name=name, path=path)
    return next(iter(found), None)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
