"""The database is damaged or gone: that is said, the rest is kept aside, and every package is back from the store."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import isolate
from crashing import SURROUNDINGS, Figure, check_whole, queued
from hive_cli import RECIPES, HiveCli, processes_naming, until

from hive import installed

COUNTERS = 3
Harm = Callable[[HiveCli, random.Random], None]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home that has some packages, one of them in two versions of which the second is installed."""
    folder = tmp_path_factory.mktemp("built")
    for number in range(COUNTERS):
        copy = folder / "recipes" / f"counter{number}"
        shutil.copytree(RECIPES / "counter", copy)
        text = (copy / "recipe.toml").read_text()
        (copy / "recipe.toml").write_text(text.replace('name = "counter"', f'name = "counter{number}"'))
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, folder)
        cli = HiveCli(folder / "hive", folder, {"HIVE_SOURCES": f"{SURROUNDINGS['HIVE_SOURCES']}:{folder / 'recipes'}"})
        cli.ok("install", "counter", "--seed", "1")
        cli.ok("install", "counter", "--seed", "2", *(f"counter{number}" for number in range(COUNTERS)))
        # without its lock it still closes the database
        until(lambda: not processes_naming(cli.home), "the supervisor has left", 20)
    return folder


@pytest.fixture
def hive(hive: HiveCli, built: Path) -> HiveCli:
    """With a copy of that home."""
    hive.environment["HIVE_SOURCES"] += f":{built / 'recipes'}"
    shutil.copytree(built / "hive", hive.home)
    return hive


def what_is_installed(hive: HiveCli) -> dict[str, str]:
    db = hive.service().db
    try:
        return {package.name: package.artifact for package in installed.packages(db)}
    finally:
        db.close()


def gone(hive: HiveCli, chance: random.Random) -> None:
    for path in hive.home.glob("hive.db*"):
        path.unlink()


def emptied(hive: HiveCli, chance: random.Random) -> None:
    hive.paths.database.write_bytes(b"")


def overwritten(hive: HiveCli, chance: random.Random) -> None:
    hive.paths.database.write_bytes(chance.randbytes(hive.paths.database.stat().st_size))


def cut_short(hive: HiveCli, chance: random.Random) -> None:
    content = hive.paths.database.read_bytes()
    hive.paths.database.write_bytes(content[: len(content) // 3])


def full_of_holes(hive: HiveCli, chance: random.Random) -> None:
    """Each page but the first is damaged somewhere."""
    content, page = bytearray(hive.paths.database.read_bytes()), 4096
    for start in range(page, len(content), page):
        content[start : start + 64] = chance.randbytes(64)
    hive.paths.database.write_bytes(content)


HARMS: list[Harm] = [gone, emptied, overwritten, cut_short, full_of_holes]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_every_package_is_back(hive: HiveCli, harm: Harm, chance: random.Random, figure: Figure) -> None:
    before = what_is_installed(hive)
    assert len(before) == 1 + COUNTERS
    harm(hive, chance)
    verified = hive.ok("verify")
    assert "made again from the store" in verified.err, verified
    after = what_is_installed(hive)
    assert after == before
    assert hive.ok("list", "-q").out.split() == sorted(before)
    assert list(hive.home.glob("damaged/*/hive.db")) or harm is gone
    check_whole(hive, jobs=0)
    hive.ok("install", "counter", "--seed", "3")
    assert hive.service().jobs(10)[0].id == 6, "the folders of earlier jobs are not used again"
    check_whole(hive)
    figure(f"database {harm.__name__.replace('_', ' ')}", f"{len(after)} of {len(before)} packages back")


def test_what_is_asked_first_may_be_anything(hive: HiveCli, chance: random.Random) -> None:
    overwritten(hive, chance)
    built = hive.ok("install", "counter", "--seed", "9")
    assert "made again from the store" in built.err
    assert {package.name for package in hive.service().packages()} > {"counter"}
    check_whole(hive)


def test_a_home_in_which_nothing_was_ever_built_begins_anew(hive: HiveCli, tmp_path: Path) -> None:
    fresh = HiveCli(tmp_path / "fresh", hive.cwd, hive.environment)
    queued(fresh, "counter")
    assert fresh.ok("list", "--json").json() == []
    fresh.end_processes()


def test_a_command_that_asks_only_says_so_where_nothing_can_be_written(hive: HiveCli, chance: random.Random) -> None:
    """Rather than show an empty list."""
    lock = hive.paths.supervisor_lock
    overwritten(hive, chance)
    lock.unlink()
    lock.mkdir()  # not even root can open that for writing
    refused = hive("list")
    assert refused.code == 1 and "cannot rebuild" in refused.err, refused
    lock.rmdir()
    assert len(hive.ok("list", "-q").out.split()) == 1 + COUNTERS
