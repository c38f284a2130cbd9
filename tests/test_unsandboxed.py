"""Where nothing isolates a run, a recipe of an unknown hand is refused unless the user says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hive_cli import HiveCli

from hive.runners.process import ProcessRunner


class OnAnOldMachine(HiveCli):
    """hive where the kernel has no Landlock."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("without_landlock.py")), *super().command]


@pytest.fixture
def hive(hive: HiveCli, tmp_path: Path) -> HiveCli:
    """On a machine without bubblewrap and without Landlock."""
    (tmp_path / "bin").mkdir()
    hive.environment["PATH"] = str(tmp_path / "bin")
    return OnAnOldMachine(hive.home, hive.cwd, hive.environment)


def test_a_foreign_recipe_is_refused_with_the_reason_and_a_way_out(hive: HiveCli) -> None:
    refused = hive("install", "trivial")
    assert refused.code == 3, refused
    assert "bubblewrap is not installed" in refused.err
    assert "--allow-unsandboxed" in refused.err
    assert hive.ok("list", "-q").out == ""
    assert not (hive.paths.attempt(1, 1) / "log.txt").exists(), "it must not have been started"


def test_the_user_may_accept_the_risk_and_it_stays_on_record(hive: HiveCli) -> None:
    done = hive.ok("install", "--allow-unsandboxed", "trivial")
    assert "no sandbox" in done.err
    artifact = hive.service().details("trivial").artifact
    assert artifact is not None
    assert artifact.isolation.startswith("process: none (files no")


def test_the_doctor_calls_it_a_problem(hive: HiveCli) -> None:
    done = hive("doctor", "--json")
    assert done.code == 1
    [check] = [check for check in done.json() if check["name"] == "isolation"]
    assert check["status"] == "problem"
    assert "bubblewrap" in check["hint"]


def test_a_plan_says_what_is_not_enforced(hive: HiveCli) -> None:
    told = hive.ok("install", "--dry-run", "trivial").err
    assert any(line.split()[:3] == ["process", "none", "not"] for line in told.splitlines())
    assert "note: no sandbox" in told and "bubblewrap is not installed" in told


def test_a_model_of_a_foreign_recipe_is_not_run_either(hive: HiveCli) -> None:
    hive.ok("install", "--allow-unsandboxed", "tiny")
    (hive.cwd / "numbers.txt").write_text("1\n2\n")
    refused = hive("run", "tiny", "numbers.txt", "-o", "out.txt")
    assert refused.code == 1 and "--allow-unsandboxed" in refused.err
    assert not (hive.cwd / "out.txt").exists()
    hive.ok("run", "--allow-unsandboxed", "tiny", "numbers.txt", "-o", "out.txt")


def test_without_bubblewrap_alone_landlock_holds_it(tmp_path: Path, hive: HiveCli) -> None:
    if why := ProcessRunner(tmp_path, "landlock").available():
        pytest.skip(why)
    here = HiveCli(hive.home, hive.cwd, hive.environment)
    told = here.ok("install", "trivial").err
    assert any(line.split()[:3] == ["process", "landlock", "enforced"] for line in told.splitlines()), told
    assert here.ok("doctor").out
