"""What is installed is what the newest generation holds; what went before stays on record."""

from __future__ import annotations

import pytest
from builders import build

from hive import installed
from hive.db import Database
from hive.errors import RequestError
from hive.model import Artifact, Build


def artifact(db: Database, letter: str, wanted: Build | None = None) -> Artifact:
    wanted = wanted or build(seed=ord(letter))
    made = Artifact(
        "sha256:" + letter * 64, wanted.name, wanted.version, wanted.key, 10, 1.0, True, wanted,
        [{"name": "miou", "value": 0.7}], ("numpy==2",), "process: bwrap", 2.5,
    )  # fmt: skip
    with db.write():
        installed.record_artifact(db, made)
    return made


def install(db: Database, name: str, made: Artifact, automatic: bool = False) -> int:
    with db.write():
        return installed.install(db, name, "1.0.0", made.digest, automatic)


def holdings(db: Database) -> dict[str, str]:
    return {package.name: package.artifact[7] for package in installed.packages(db)}


def test_an_artifact_comes_back_as_it_was(db: Database) -> None:
    made = artifact(db, "a")
    assert installed.artifact(db, made.digest) == made
    assert installed.artifact_by_key(db, made.build_key) == made
    assert installed.artifact_by_key(db, "sha256:other") is None
    with pytest.raises(RequestError):
        installed.artifact(db, "sha256:other")


def test_an_artifact_that_is_known_already_is_left_as_it_is(db: Database) -> None:
    made = artifact(db, "a")
    artifact(db, "a", build(seed=99))
    assert installed.artifacts(db) == [made]


def test_each_change_is_a_generation(db: Database) -> None:
    a, b = artifact(db, "a"), artifact(db, "b")
    assert install(db, "one", a) == 1
    assert install(db, "two", b) == 2
    assert holdings(db) == {"one": "a", "two": "b"}
    assert install(db, "one", b) == 3
    assert holdings(db) == {"one": "b", "two": "b"}
    assert installed.remove(db, ["one"]) == 4
    assert holdings(db) == {"two": "b"}
    told = [(row["id"], row["reason"]) for row in db.all("packages.generations")]
    assert told == [(1, "install one 1.0.0"), (2, "install two 1.0.0"), (3, "install one 1.0.0"), (4, "remove one")]


def test_once_asked_for_it_stays_asked_for(db: Database) -> None:
    made = artifact(db, "a")
    for automatic, stays in ((True, True), (False, False), (True, False)):
        install(db, "one", made, automatic)
        assert installed.get(db, "one").automatic is stays


def test_a_package_must_be_an_artifact_on_record(db: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"), db.write():
        installed.install(db, "one", "1.0.0", "sha256:" + "f" * 64, False)
    assert installed.packages(db) == []
    assert db.all("packages.generations") == []


def test_what_is_not_installed_is_said_with_a_guess(db: Database) -> None:
    install(db, "gis-lidar", artifact(db, "a"))
    with pytest.raises(RequestError, match="gis-lidr is not installed") as caught:
        installed.get(db, "gis-lidr")
    assert caught.value.hint == "did you mean gis-lidar?"


# What belongs together


def version(
    db: Database, letter: str, name: str, text: str, on: Artifact | None = None, depends: tuple[str, ...] = ()
) -> Artifact:
    """An artifact of a version, built on another."""
    needed = {on.name: on.build_key} if on else {}
    wanted = build(name, version=text, dependencies=needed)
    made = Artifact(
        "sha256:" + letter * 64, name, text, wanted.key, 10, float(ord(letter)), True, wanted, [], (), "", 1.0, depends
    )
    with db.write():
        installed.record_artifact(db, made)
    return made


def activate(db: Database, made: Artifact, automatic: bool = False) -> str:
    with db.write():
        return installed.activate(db, made, automatic)


def active(db: Database) -> str:
    return ", ".join(f"{package.name} {package.version}" for package in installed.packages(db))


def test_what_would_break_another_waits_until_that_one_has_an_heir(db: Database) -> None:
    old = version(db, "a", "base", "1")
    top = version(db, "b", "top", "1", old, ("base<2",))
    assert activate(db, old, automatic=True) == activate(db, top) == ""
    new = version(db, "c", "base", "2")
    assert activate(db, new) == "top 1 needs base <2"
    assert active(db) == "base 1, top 1"
    heir = version(db, "d", "top", "2", new, ("base>=2",))
    assert activate(db, heir) == ""
    assert active(db) == "base 2, top 2"
    assert [row["reason"] for row in db.all("packages.generations")][-1] == "install top 2, base 2"
    assert installed.get(db, "base").automatic and not installed.get(db, "top").automatic


def test_two_dependents_change_with_the_base_or_none_does(db: Database) -> None:
    old = version(db, "a", "base", "1")
    for letter, name in (("b", "left"), ("c", "right")):
        activate(db, version(db, letter, name, "1", old, ("base<2",)))
    assert active(db) == "base 1, left 1, right 1", "a base comes with what was built on it"
    new = version(db, "d", "base", "2")
    left = version(db, "e", "left", "2", new, ("base>=2",))
    assert activate(db, left) == "right 1 needs base <2" and active(db) == "base 1, left 1, right 1"
    assert activate(db, version(db, "f", "right", "2", new, ("base>=2",))) == ""
    assert active(db) == "base 2, left 2, right 2"


def test_a_version_is_chosen_by_its_range_and_the_active_one_first(db: Database) -> None:
    for letter, text in (("a", "1.0"), ("b", "1.1"), ("c", "2.0")):
        activate(db, version(db, letter, "base", text))
    activate(db, installed.artifact(db, "sha256:" + "b" * 64))
    chosen = {
        text: installed.choose(db, text).version for text in ("base", "base<1.1", "base>=1", "base>1.1", "base@2")
    }
    assert chosen == {"base": "1.1", "base<1.1": "1.0", "base>=1": "1.1", "base>1.1": "2.0", "base@2": "2.0"}
    assert [package.active for package in (installed.choose(db, "base"), installed.choose(db, "base@2"))] == [
        True,
        False,
    ]
    assert [package.version for package in installed.inactive(db, "base")] == ["2.0", "1.0"]
    with pytest.raises(RequestError, match=r"base 3 is not installed") as caught:
        installed.choose(db, "base@3")
    assert caught.value.why == "in the store are 2.0, 1.1, 1.0"


def test_orphans_are_what_nobody_asked_for_or_needs(db: Database) -> None:
    base = version(db, "a", "base", "1")
    middle = version(db, "b", "middle", "1", base, ("base",))
    top = version(db, "c", "top", "1", middle, ("middle",))
    activate(db, base, True)
    activate(db, middle, True)
    activate(db, top)
    assert installed.orphans(db) == []
    assert installed.dependents(db, ["base"]) == {"middle": "base", "top": "middle"}
    assert [package.name for package in installed.orphans(db, ["top"])] == ["base", "middle"]


def test_a_pin_ends_with_its_package(db: Database) -> None:
    activate(db, version(db, "a", "base", "1"))
    installed.pin(db, ["base"])
    assert installed.get(db, "base").pinned
    installed.remove(db, ["base"])
    activate(db, version(db, "b", "base", "2"))
    assert not installed.get(db, "base").pinned
    assert installed.unpin(db, ["base"]) == []
