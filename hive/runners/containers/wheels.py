"""Fetches the wheels of an image with the user's own pip: its index, its mirror, its certificates, its cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hive.errors import RequestError

Say = Callable[[str], None]
PIP = [sys.executable, "-m", "pip"]
FLAGS = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--only-binary", ":all:"]
ELSEWHERE = ("PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")


@contextmanager
def wheels(requirements: tuple[str, ...], have: tuple[str, ...], state: Path, say: Say) -> Iterator[Path]:
    """A folder with the wheels that `requirements` lead to, less those that the pins in `have` name.

    What is there already is left as it is where that can be; if not, at least torch, the gigabytes.
    Raises RequestError.
    """
    if not find_spec("pip"):
        raise RequestError(
            "there is no pip to fetch the wheels of an image with", f"{sys.executable} has none",
            "install pip for it (Debian, Ubuntu: apt install python3-pip)",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=state) as place:
        folder = Path(place)
        try:
            wanted = _resolve(requirements, have, folder)
        except _Conflict:
            say("  it needs other versions than the image has; taking them into the layer")
            wanted = _resolve(requirements, tuple(pin for pin in have if pin.startswith("torch==")), folder)
        lacking = [pin for pin in wanted if pin not in have]
        target = folder / "wheels"
        target.mkdir()
        if lacking:
            say(f"  fetching {len(lacking)} wheel{'s' * (len(lacking) != 1)}: {', '.join(lacking)}")
            _pip("download", *FLAGS, "--no-deps", "--dest", str(target), "--", *lacking)
        yield target


class _Conflict(Exception):
    pass


def _resolve(requirements: tuple[str, ...], constraints: tuple[str, ...], folder: Path) -> list[str]:
    """name==version of everything that `requirements` lead to. Raises RequestError, and _Conflict."""
    from packaging.utils import canonicalize_name

    (folder / "constraints.txt").write_text("".join(f"{pin}\n" for pin in constraints))
    report = folder / "report.json"
    _pip(
        "install", *FLAGS, "--dry-run", "--ignore-installed", "--quiet", "--report", str(report),
        "--constraint", str(folder / "constraints.txt"), "--", *requirements,
    )  # fmt: skip
    found = [each["metadata"] for each in json.loads(report.read_text())["install"]]
    return sorted(f"{canonicalize_name(each['name'])}=={each['version']}" for each in found)


def _pip(*arguments: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    done = subprocess.run(
        [*PIP, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=variables
    )
    if not done.returncode:
        return
    said = (done.stderr + done.stdout).splitlines()
    if any("ResolutionImpossible" in line for line in said):
        raise _Conflict
    errors = [line for line in said if line.startswith("ERROR")] or said[-1:] or [f"exit code {done.returncode}"]
    raise RequestError(
        "the wheels of the image cannot be fetched", " / ".join(errors[-3:]), "check the network and the requirements"
    )
