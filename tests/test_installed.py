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
