"""Every test has a HOME and a HIVE_HOME of its own, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hive_cli import RECIPES, HiveCli
from hypothesis import HealthCheck, settings

from hive.config import ALIASES
from hive.db import Database
from hive.paths import Home, default_home

REAL_HOME = Path.home()

# A busy machine is slow; that is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="the crash tests with all their kills, not just some")
    parser.addoption("--seed", type=int, help="of the tests that draw at random; each prints the one that it drew")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A recipe's tests share a worker: what they compile takes up to a minute, once.

    xdist's own groups are lost on the way to its scheduler with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByRecipe(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "/".join(nodeid.split("/")[:2]) if nodeid.startswith("recipes/") else nodeid

    return ByRecipe(config, log)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test can reach the user's own home, settings or models."""
    isolate(monkeypatch, tmp_path)
    yield
    assert default_home().is_relative_to(tmp_path), "a test left its own HIVE_HOME"


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("HIVE_", "XDG_")) or name in ALIASES.values():
            monkeypatch.delenv(name)
    user = folder / "user"
    user.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(user))
    for kind in ("DATA", "CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(user / kind.lower()))
    monkeypatch.setenv("HIVE_HOME", str(folder / "hive"))
    monkeypatch.setenv("HIVE_SOURCES", str(RECIPES))
    # "auto" would build an image wherever an engine answers. Tests of Docker say so, and name their engine.
    monkeypatch.setenv("HIVE_RUNNER", "process")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert Path.home() == user != REAL_HOME
    assert default_home() == folder / "hive"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty HIVE_HOME, made."""
    made = Home(tmp_path / "hive")
    made.create()
    return made


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    database = Database(home.database)
    yield database
    database.close()


@pytest.fixture
def hive(tmp_path: Path) -> Iterator[HiveCli]:
    """The command line with an empty HIVE_HOME and a working folder of its own."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    cli = HiveCli(tmp_path / "hive", cwd)
    yield cli
    cli.end_processes()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HIVE_HOME in which tiny is installed, to be copied."""
    folder = tmp_path_factory.mktemp("furnished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, folder)
        cli = HiveCli(folder / "hive", folder)
        cli.ok("install", "tiny")
        cli.end_processes()
    return cli.home


@pytest.fixture
def tiny(hive: HiveCli, furnished: Path) -> HiveCli:
    """The command line with tiny installed."""
    shutil.copytree(furnished, hive.home)
    return hive
