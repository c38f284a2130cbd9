"""The tests themselves touch nothing of the user's."""

from __future__ import annotations

from pathlib import Path

from conftest import REAL_HOME
from hive_cli import HiveCli

from hive.paths import default_home


def test_home_and_state_lie_in_the_folder_of_the_test(tmp_path: Path) -> None:
    assert Path.home().is_relative_to(tmp_path)
    assert default_home().is_relative_to(tmp_path)
    assert not tmp_path.is_relative_to(REAL_HOME) or Path("/") == REAL_HOME


def test_the_command_line_sees_that_home(hive: HiveCli, tmp_path: Path) -> None:
    settings = hive.ok("config", "--json").json()
    assert settings["home"]["value"] == str(tmp_path / "hive")
    assert not hive.home.exists(), "asking must create nothing"


def test_fixture_recipes_are_found(hive: HiveCli) -> None:
    assert {"tiny", "trivial", "hangs"} <= set(hive.ok("search", "-q").out.split())


def test_processes_are_found_by_their_home_and_ended(hive: HiveCli) -> None:
    hive.ok("install", "--no-wait", "hangs")
    hive.until_running()
    assert hive.supervisors() and hive.shims()
    hive.end_processes()
    assert not hive.supervisors() and not hive.shims()
