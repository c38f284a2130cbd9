"""The runner environment: the Python that has what a recipe requires.

The running environment serves if it satisfies the requirements. Otherwise an overlay is made, once per set of
requirements: a virtual environment that sees everything the running one has and holds only what that lacks, so the user
of one model does not install the libraries of all. An overlay is built in its own place, since compiled files and
scripts know their path, and its marker is written last.

pip runs outside the sandbox. It installs wheels only: to build anything else is to run its author's code here.
"""

from __future__ import annotations

import json
import os
import site
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hive_runner.frozen import frozen

from hive import locks
from hive.errors import RequestError
from hive.model import digest_of

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from packaging.requirements import Requirement

Say = Callable[[str], None]
WRITTEN_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")
COMPLETE = "complete.json"  # written last: a folder without it is a ruin


@frozen
class RunnerEnvironment:
    python: str  # the interpreter that runs the recipe
    paths: tuple[Path, ...]  # folders that a sandbox must mount besides the running environment's own
    pins: tuple[str, ...]  # name==version of everything the requirements lead to, sorted
    digest: str  # over the pins, the Python version and the platform; of a container, its image's
    image: str = ""  # what a container is made from


def current(requirements: tuple[str, ...]) -> RunnerEnvironment | None:
    """The running environment, if it satisfies `requirements`.

    What lies in the user's own site folder does not count: the runner, who is nobody in particular, cannot see it.
    """
    if not requirements:
        return _environment(sys.executable, {})
    found = _closure(requirements, _below(user=False))
    return None if found is None else _environment(sys.executable, found)


def ensure(requirements: tuple[str, ...], home: Path, offline: bool, say: Say) -> RunnerEnvironment:
    """The running environment, or the overlay for `requirements`, made now if need be; `say` hears of the progress.

    One process makes it, others wait for it. Raises RequestError when it cannot be made.
    """
    if (found := current(requirements)) is not None:
        return found
    base = [sys.version, sys.prefix, os.uname().machine]
    folder = home / "environments" / digest_of([sorted(requirements), base]).removeprefix("sha256:")[:32]
    if (made := _overlay(folder, requirements)) is not None:
        return made
    missing = ", ".join(text for text in requirements if _closure((text,), _below()) is None)
    if offline and missing:
        raise RequestError(
            "the runner environment is not there yet",
            f"it lacks {missing}, and hive is offline",
            "once with a network: unset HIVE_OFFLINE and install again",
        )
    with _lock(folder, say) as lock:
        if (made := _overlay(folder, requirements)) is None:
            _make(folder, requirements, missing, lock, say)
            made = _overlay(folder, requirements)
    if made is None:
        raise RequestError(
            f"the runner environment still lacks {missing}", f"pip installed something else into {folder}"
        )
    return made


def contents(pins: Iterable[str], mounts: Iterable[str]) -> dict[str, str]:
    """What the distributions of a runner environment hold: name -> sha256 over its files' names and digests.

    They stand in the list that each was installed with, so that equal wheels give equal digests wherever they are
    unpacked, and no file is read. It is not the digest of the wheel itself, which no installer keeps. Left out is what
    installers write themselves, and a distribution without a list that can be read, or of another version by now than
    its pin says.
    """
    import csv

    found = {}
    path = [*(str(_site(Path(folder))) for folder in mounts), *_below(user=False)]
    for pin in pins:
        name, _, version = pin.partition("==")
        distribution = _find(name, path)
        with suppress(ValueError, csv.Error):
            if distribution and distribution.version == version and (record := distribution.read_text("RECORD")):
                found[name] = _digest_of_record(record)
    return found


def _digest_of_record(record: str) -> str:
    """Of a RECORD file (path, digest, size a line), without what differs from one installation to the next.

    Raises ValueError, csv.Error.
    """
    import csv

    files = []
    for path, digest, *_ in filter(None, csv.reader(record.splitlines())):
        in_info, name = path.partition("/")[0].endswith(".dist-info"), path.rpartition("/")[2]
        outside = path.startswith(("..", "/"))  # scripts, which name their interpreter
        if digest and not outside and not path.endswith(".pyc") and not (in_info and name in WRITTEN_BY_INSTALLERS):
            files.append([path, digest])
    return digest_of(sorted(files))


def _environment(python: str, found: dict[str, Distribution], overlay: tuple[Path, ...] = ()) -> RunnerEnvironment:
    pins = tuple(sorted(f"{name}=={distribution.version}" for name, distribution in found.items()))
    places = {Path(str(distribution.locate_file(""))) for distribution in found.values()}
    seen_anyway = (Path("/usr"), Path(sys.prefix), Path(sys.base_prefix), *overlay)
    far = sorted(place for place in places if not any(place.is_relative_to(folder) for folder in seen_anyway))
    facts = [pins, sys.version_info[:2], sys.platform, os.uname().machine]
    return RunnerEnvironment(python, (*overlay, *far), pins, digest_of(facts))


def _overlay(folder: Path, requirements: tuple[str, ...]) -> RunnerEnvironment | None:
    """The overlay in `folder`, if it is whole and still satisfies (the environment below it may have changed)."""
    if not (folder / COMPLETE).is_file():
        return None
    found = _closure(requirements, [str(_site(folder)), *_below()])
    return None if found is None else _environment(str(folder / "bin" / "python"), found, (folder,))


def _below(user: bool = True) -> list[str]:
    """The folders of packages that the running environment has by itself, with the user's own or without."""
    asked_for = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # a runner does not inherit it
    left_out = [*asked_for, "" if user else site.getusersitepackages()]
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages")) and path not in left_out]


def _site(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _make(folder: Path, requirements: tuple[str, ...], missing: str, lock: int, say: Say) -> None:
    """Build the overlay: an empty virtual environment, the way down to the one below, what is missing, the marker."""
    import shutil
    import venv

    try:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=False, symlinks=True)
        # addsitedir, unlike a plain path line, also honours the .pth files of the environment below.
        lines = ["import site", *(f"site.addsitedir({path!r})" for path in _below())]
        (_site(folder) / "_hive_base.pth").write_text("; ".join(lines) + "\n")
        if missing:
            say(f"making a runner environment for {missing}")
            _install(folder, requirements, lock, say)
        os.sync()  # after a power loss the marker must not stand among files that were never written
        (folder / COMPLETE).write_text(json.dumps({"requirements": sorted(requirements)}))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RequestError("the runner environment cannot be made", str(error), "make room on the disk") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _install(folder: Path, requirements: tuple[str, ...], lock: int, say: Say) -> None:
    """Install what is missing and leave all below as it is; if that cannot be, leave at least torch, the gigabytes.

    Raises RequestError.
    """
    for text in requirements:
        refuse_source(text)
    constraints = _constraints(requirements)
    code, lines = _pip(folder, requirements, constraints, lock, say)
    if code and any("ResolutionImpossible" in line for line in lines):
        say("  it needs other versions than those installed here; taking them into its own environment")
        only_torch = [pin for pin in constraints if pin.startswith("torch==")]
        code, lines = _pip(folder, requirements, only_torch, lock, say)
    if code:
        errors = [line for line in lines if line.startswith("ERROR")] or lines or [f"exit code {code}"]
        raise RequestError(
            f"the runner environment cannot be made: pip failed for {', '.join(requirements)}",
            " / ".join(errors[-3:]),
            "check the network and the recipe's requirements, then install again",
        )


def refuse_source(text: str) -> None:
    """pip's --only-binary does not hold for what is named by an address."""
    from packaging.requirements import Requirement

    url = Requirement(text).url
    if url and not (url.partition("#")[0].endswith(".whl") and url.startswith(("https://", "file://"))):
        raise RequestError(
            f"the recipe requires {text}",
            "it is not a wheel, and to build it would run its code outside the sandbox",
            "require a release that has wheels",
        )


def _pip(
    folder: Path, requirements: tuple[str, ...], constraints: list[str], lock: int, say: Say
) -> tuple[int, list[str]]:
    """One run of pip for the overlay: exit code and output. Raises RequestError if there is no pip to run."""
    import subprocess

    file = folder / "constraints.txt"
    file.write_text("".join(f"{pin}\n" for pin in constraints))
    command = [*_pip_for(folder), "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--no-warn-script-location", "--only-binary", ":all:", "--constraint", str(file), "--", *requirements]
    elsewhere = ("PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    variables = {name: value for name, value in os.environ.items() if name not in elsewhere}
    lines: list[str] = []
    # pip inherits the lock: if this process is killed, the next one waits until that pip has ended too.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables,
        text=True, errors="replace", pass_fds=(lock,),
    ) as pip:  # fmt: skip
        assert pip.stdout is not None
        for line in map(str.strip, pip.stdout):
            lines.append(line)
            if line.startswith(("Collecting", "Downloading", "Installing")):
                say(f"  {line}")
    return pip.returncode, lines


def _pip_for(folder: Path) -> list[str]:
    """How to call pip for the overlay: this environment's own, else one put into the overlay itself."""
    import subprocess
    from importlib.util import find_spec

    python = str(folder / "bin" / "python")
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python]
    made = subprocess.run([python, "-m", "ensurepip"], capture_output=True, text=True)
    if made.returncode:
        raise RequestError(
            "there is no pip to make the runner environment with",
            f"{sys.executable} has neither pip nor ensurepip",
            "install pip for it (Debian, Ubuntu: apt install python3-venv)",
        )
    return [python, "-m", "pip"]


def _constraints(requirements: Iterable[str]) -> list[str]:
    """Pins that hold what the running environment has as it is, except what the requirements contradict."""
    from importlib.metadata import distributions

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = {canonicalize_name(r.name): r for r in map(Requirement, requirements)}
    pins: dict[str, str] = {}
    for distribution in distributions(path=_below()):
        name, version = canonicalize_name(distribution.metadata["Name"] or ""), distribution.version
        contradicted = name in wanted and not wanted[name].specifier.contains(version, prereleases=True)
        if name and not contradicted:
            pins.setdefault(name, f"{name}=={version}")
    return sorted(pins.values())


def _closure(requirements: tuple[str, ...], path: list[str]) -> dict[str, Distribution] | None:
    """Name -> distribution of all that `requirements` lead to in the folders of `path`; None if one is not met."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, Distribution] = {}
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
        found[canonicalize_name(requirement.name)] = distribution
        pending += [(needed, False) for needed in _needed(distribution, requirement.extras)]
    return found


def _needed(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What a distribution itself requires here, its chosen extras included."""
    from packaging.requirements import Requirement

    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _find(name: str, path: list[str]) -> Distribution | None:
    from importlib.metadata import Distribution

    return next(iter(Distribution.discover(name=name, path=path)), None)


@contextmanager
def _lock(folder: Path, say: Say) -> Iterator[int]:
    """The overlay's lock, as a descriptor."""
    waiting = "waiting for another hive that makes the same runner environment"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locks.waited_for(folder.with_suffix(".lock"), lambda: say(waiting)) as descriptor:
            yield descriptor
    except OSError as error:
        raise RequestError("the runner environment cannot be made", str(error), "set HIVE_HOME elsewhere") from error
