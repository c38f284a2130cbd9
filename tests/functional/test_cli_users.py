"""One HIVE_HOME and several users: only its owner changes it, and the others are told so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hive_cli import HiveCli, Result

AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all")


def as_nobody(hive: HiveCli, *arguments: str) -> Result:
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-m", "hive", *arguments], cwd="/", env=hive.variables(HOME="/"),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=hive.deadline_s,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shared(hive: HiveCli) -> Iterator[HiveCli]:
    """Where every user of the machine could reach it."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be another user, by setpriv")
    folder = Path(tempfile.mkdtemp(prefix="hive-shared-"))
    folder.chmod(0o755)
    hive.home = folder / "home"
    if as_nobody(hive, "--version").code:
        pytest.skip("other users cannot run this Python")
    yield hive
    hive.end_processes()
    shutil.rmtree(folder)


def test_home_that_is_closed_to_others_says_so(shared: HiveCli) -> None:
    shared.ok("install", "trivial")
    for command in (("list",), ("queue", "status"), ("install", "trivial"), ("clean",)):
        refused = as_nobody(shared, *command)
        assert refused.code == 1 and "is not yours to read" in refused.err and "HIVE_HOME" in refused.err, refused


def test_home_that_is_open_to_others_can_be_read_by_them_and_changed_by_its_owner_alone(shared: HiveCli) -> None:
    shared.ok("install", "trivial")
    subprocess.run(["chmod", "-R", "a+rwX", str(shared.home)], check=True)
    assert as_nobody(shared, "list", "-q").out == "trivial\n"
    assert "1 succeeded" in as_nobody(shared, "queue", "status").out
    for command in (("install", "tiny"), ("queue", "pause"), ("remove", "trivial"), ("scale", "1")):
        refused = as_nobody(shared, *command)
        assert refused.code == 1 and "belongs to another user" in refused.err, refused
    shared.ok("remove", "trivial")
