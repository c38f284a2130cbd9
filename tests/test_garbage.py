"""Collection: what nobody needs goes, and nothing else, whoever is at work meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from builders import build, work

from hive import garbage, installed, queue
from hive.db import Database
from hive.model import Artifact
from hive.paths import Home
from hive.store import Store


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.store, home.staging)


def stored(db: Database, store: Store, folder: Path, name: str, number: int) -> Artifact:
    """An artifact in the store and on record."""
    out = folder / f"{name}{number}"
    out.mkdir(parents=True)
    (out / "weights").write_bytes(bytes(1000) + number.to_bytes(4))
    made = build(name, seed=number)
    kept = store.add({"": out}, {"name": name, "seed": number})
    artifact = Artifact(
        kept.digest, name, "1.0.0", made.key, kept.size_bytes, 1.0, True, made, [], (), "process: none", 1.0
    )  # fmt: skip
    with db.write():
        installed.record_artifact(db, artifact)
    return artifact


def install(db: Database, artifact: Artifact) -> None:
    with db.write():
        installed.install(db, artifact.name, "1.0.0", artifact.digest, False)


def test_what_a_generation_holds_stays_and_the_rest_goes(db: Database, store: Store, tmp_path: Path) -> None:
    old, new, never = (stored(db, store, tmp_path, "model", number) for number in range(3))
    install(db, old)
    install(db, new)
    looked = garbage.find(db, store, None)
    assert [a.digest for a in looked.artifacts] == [never.digest] and store.has(never.digest)
    taken, moved = garbage.collect(db, store, None)
    assert taken == looked and len(moved) == 1 and moved[0].parent == store.staging
    assert store.has(old.digest) and store.has(new.digest) and not store.has(never.digest)
    assert installed.artifact_by_key(db, never.build_key) is None
    assert garbage.collect(db, store, None) == (garbage.Garbage((), (), ()), [])


def test_forgotten_generations_give_their_artifacts_back(db: Database, store: Store, tmp_path: Path) -> None:
    old, new = (stored(db, store, tmp_path, "model", number) for number in range(2))
    install(db, old)
    install(db, new)
    looked = garbage.find(db, store, 1e12)
    assert looked.generations == (1,) and [a.digest for a in looked.artifacts] == [old.digest]
    assert garbage.find(db, store, 1e12) == looked, "looking changes nothing"
    garbage.collect(db, store, 1e12)
    assert not store.has(old.digest) and store.has(new.digest)
    assert [package.artifact for package in installed.packages(db)] == [new.digest]


def test_what_a_waiting_build_depends_on_stays(db: Database, store: Store, tmp_path: Path) -> None:
    base = stored(db, store, tmp_path, "base", 1)
    [job] = queue.enqueue(db, [(build("top", dependencies={"base": base.build_key}), work())], 1, set())
    assert garbage.find(db, store, None).artifacts == ()
    queue.cancel(db, job.id)
    assert [a.digest for a in garbage.find(db, store, None).artifacts] == [base.digest]


def test_a_folder_on_no_record_goes_and_a_strange_name_stays(db: Database, store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "weights").write_bytes(b"1")
    stray = store.add({"": tmp_path / "out"}, {"name": "stray"})
    (store.folder / "lost+found").mkdir()
    assert garbage.find(db, store, None).strays == (stray.digest,)
    garbage.collect(db, store, None)
    assert not store.has(stray.digest) and (store.folder / "lost+found").is_dir()


def test_no_live_artifact_is_lost_between_installs_and_collections(db: Database, home: Home, tmp_path: Path) -> None:
    """100 artifacts are published and recorded as hive does it, while collections run all the time."""
    done = threading.Event()
    failures: list[str] = []

    def collect() -> None:
        mine = Database(home.database)
        while not done.is_set():
            garbage.collect(mine, Store(home.store, home.staging), None)
        mine.close()

    def publish() -> None:
        mine, store = Database(home.database), Store(home.store, home.staging)
        for number in range(100):
            out = tmp_path / "outs" / str(number)
            out.mkdir(parents=True)
            (out / "weights").write_bytes(number.to_bytes(4))
            made = build("model", seed=number)
            kept = store.add({"": out}, {"seed": number})
            artifact = Artifact(
                kept.digest, "model", "1.0.0", made.key, 1, 1.0, True, made, [], (), "process: none", 1.0
            )  # fmt: skip
            recorded = False
            while not recorded:
                with mine.write():
                    if recorded := store.has(kept.digest):
                        installed.record_artifact(mine, artifact)
                        installed.install(mine, f"model{number}", "1.0.0", kept.digest, False)
                if not recorded:
                    store.add({"": out}, {"seed": number})
        mine.close()

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as error:
            failures.append(repr(error))
            done.set()

    collector, publisher = (threading.Thread(target=guarded, args=(each,)) for each in (collect, publish))
    collector.start()
    publisher.start()
    publisher.join()
    done.set()
    collector.join()
    store = Store(home.store, home.staging)
    assert not failures
    assert len(installed.packages(db)) == 100
    assert all(not store.verify(package.artifact) for package in installed.packages(db))
