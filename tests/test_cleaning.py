"""What may go and what must stay."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from builders import build, claimed, enqueue, work

from hive import locks, queue
from hive.cleaning import SETTLED_S, Leftover, _clear_away, disk_bytes, may_go, remove, survey
from hive.config import Settings
from hive.db import Database
from hive.errors import StoreError
from hive.launch import take_supervisor_lock
from hive.model import Failure, Job
from hive.paths import Home
from hive.service import Hive
from hive.states import Event, JobState

NOW = 1_000_000.0
WEEK_S = 7 * 86400.0
HEX = "0123456789abcdef" * 2


def job(state: str, finished_s_ago: float | None = None) -> Job:
    finished_at = None if finished_s_ago is None else NOW - finished_s_ago
    return Job(
        1, "model", "1.0.0", "key", JobState(state), 1, 1, 0, build(), work(), NOW - 10 * WEEK_S, 0.0, NOW, finished_at,
        None, None,
    )  # fmt: skip


def leftover(kind: str, s_ago: float = 0.0, held: bool = False, of: Job | None = None) -> Leftover:
    return Leftover(kind, Path("/nowhere"), 1, NOW - s_ago, of, held)


# The decision


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_a_job_left_goes_when_it_has_been_over_for_long_enough(state: str) -> None:
    assert may_go(leftover("job", of=job(state, WEEK_S)), WEEK_S, NOW)
    assert may_go(leftover("job", of=job(state, 0.0)), 0.0, NOW)
    assert not may_go(leftover("job", of=job(state, WEEK_S - 1)), WEEK_S, NOW)


@pytest.mark.parametrize("state", ["queued", "running"])
@pytest.mark.parametrize("older_than_s", [0.0, WEEK_S])
def test_what_a_live_job_may_need_stays_however_old_it_is(state: str, older_than_s: float) -> None:
    assert not may_go(leftover("job", 20 * WEEK_S, of=job(state)), older_than_s, NOW)
    tried_again = job(state, 5 * WEEK_S)  # it was over once
    assert not may_go(leftover("job", 20 * WEEK_S, of=tried_again), older_than_s, NOW)


@pytest.mark.parametrize(
    "kind",
    [
        "job",
        "checkpoints",
        "lost checkpoints",
        "lost job",
        "half removed",
        "run",
        "snapshot stage",
        "staging",
        "damaged",
        "log",
    ],
)
def test_what_somebody_holds_stays(kind: str) -> None:
    over = job("cancelled", 20 * WEEK_S) if kind in ("job", "checkpoints") else None
    assert may_go(leftover(kind, 20 * WEEK_S, of=over), 0.0, NOW)
    assert not may_go(leftover(kind, 20 * WEEK_S, held=True, of=over), 0.0, NOW)


@pytest.mark.parametrize("kind", ["lost job", "lost checkpoints", "half removed", "run", "snapshot stage", "staging"])
def test_what_killed_commands_left_goes_as_soon_as_it_cannot_be_in_the_making(kind: str) -> None:
    assert may_go(leftover(kind, SETTLED_S), WEEK_S, NOW)
    assert not may_go(leftover(kind, SETTLED_S - 1), 0.0, NOW)


@pytest.mark.parametrize("kind", ["damaged", "log"])
def test_what_a_person_may_want_to_read_stays_as_long_as_they_say(kind: str) -> None:
    assert not may_go(leftover(kind, WEEK_S - 1), WEEK_S, NOW)
    assert may_go(leftover(kind, WEEK_S), WEEK_S, NOW)


# The look


@pytest.fixture
def hive(home: Home) -> Hive:
    return Hive(home, Settings())


def filled(folder: Path, age_s: float = 2 * SETTLED_S) -> Path:
    """A folder with something in it, last changed `age_s` ago."""
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "log.txt").write_text("words\n" * 2000)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "1.pt").write_bytes(os.urandom(50_000))
    os.utime(folder, (time.time() - age_s,) * 2)
    return folder


def ended(db: Database, name: str, how: Event) -> Job:
    failure = None if how is Event.SUCCEED else Failure("recipe_error", "no")
    done = queue.apply(db, claimed(db, name), how, failure=failure)
    assert done is not None
    return done


def test_of_many_jobs_only_those_that_are_over_lose_their_folders(hive: Hive, home: Home, db: Database) -> None:
    over = [ended(db, f"over-{how}", how) for how in (Event.SUCCEED, Event.FAIL, Event.CANCEL)]
    again = ended(db, "again", Event.FAIL)
    live = [claimed(db, "runs"), enqueue(db, "waits")]
    retried = queue.retry(db, again.id)
    for each in (*over, *live, retried):
        filled(home.job(each.id))
    assert hive.clean(WEEK_S) == [], "all of them have just ended"
    told = hive.clean(0.0, dry_run=True)
    assert {each.job.id for each in told if each.job} == {each.id for each in over}
    assert all(home.job(each.id).is_dir() for each in over), "a dry run removes nothing"
    assert [(e.path, e.size_bytes) for e in hive.clean(0.0)] == [(e.path, e.size_bytes) for e in told]
    assert sorted(os.listdir(home.root / "jobs")) == sorted(str(each.id) for each in (*live, retried))
    assert [queue.get(db, each.id).state for each in over] == [each.state for each in over], "the rows stay"
    assert hive.clean(0.0) == []


def test_cancelled_job_whose_runner_still_works_keeps_its_folder(hive: Hive, home: Home, db: Database) -> None:
    gone = ended(db, "gone", Event.CANCEL)
    filled(home.job(gone.id))
    lock = locks.take(home.attempt(gone.id, 1) / "attempt.lock")
    assert lock is not None and hive.clean(0.0) == []
    os.close(lock)
    [removed] = hive.clean(0.0)
    assert removed.job == gone and not home.job(gone.id).exists()


def test_job_that_is_asked_for_again_after_the_look_keeps_its_folder(hive: Hive, home: Home, db: Database) -> None:
    failed = ended(db, "failed", Event.FAIL)
    filled(home.job(failed.id))
    [seen] = hive.clean(0.0, dry_run=True)
    queue.retry(db, failed.id)
    assert not _clear_away(db, seen, 0.0, time.time())
    assert (home.job(failed.id) / "checkpoints" / "1.pt").exists()


def test_checkpoints_go_with_the_newest_job_of_their_build(hive: Hive, home: Home, db: Database) -> None:
    first = ended(db, "model", Event.CANCEL)
    saved = filled(home.checkpoints(first.build_key), 9 * WEEK_S)
    assert hive.clean(WEEK_S) == [], "it was cancelled just now"
    again = claimed(db, "model")
    assert again.id != first.id and again.build_key == first.build_key
    assert hive.clean(0.0) == [], "another job goes on from them"
    queue.apply(db, again, Event.CANCEL, failure=Failure("cancelled", "no"))
    filled(home.job(again.id))
    lock = locks.take(home.attempt(again.id, 1) / "attempt.lock")
    assert lock is not None and hive.clean(0.0) == [], "its runner saves one more before it ends"
    os.close(lock)
    removed = {each.kind: each for each in hive.clean(0.0)}
    assert removed["checkpoints"].path == saved and not saved.exists()
    assert removed["checkpoints"].label == "checkpoints of job 2 (model)"
    assert "another try would go on from there" in removed["checkpoints"].why


def test_checkpoints_of_a_build_that_is_asked_for_again_after_the_look_stay(
    hive: Hive, home: Home, db: Database
) -> None:
    saved = filled(home.checkpoints(ended(db, "model", Event.FAIL).build_key))
    [seen] = hive.clean(0.0, dry_run=True)
    enqueue(db, "model")
    assert not _clear_away(db, seen, 0.0, time.time())
    assert (saved / "1" / "log.txt").exists()


def test_what_killed_commands_left(hive: Hive, home: Home, db: Database) -> None:
    old, young = 2 * SETTLED_S, 0.0
    places = {"run": home.root / "runs", "snapshot stage": home.snapshots, "staging": home.staging}
    names = {"run": HEX, "snapshot stage": f".{HEX}", "staging": HEX}
    for kind, place in places.items():
        filled(place / names[kind], old)
        filled(place / names[kind].replace("0", "f"), young)
    kept = [
        filled(home.snapshots / HEX, 9 * WEEK_S),  # a snapshot, which a job may name
        filled(home.store / ("a" * 64), 9 * WEEK_S),
        filled(home.root / "environments" / HEX, 9 * WEEK_S),
        filled(home.root / "jobs" / "notes", 9 * WEEK_S),  # somebody's own
        filled(home.staging / "mine", 9 * WEEK_S),
    ]
    lost = filled(home.job(77), old)
    half = filled(home.root / "jobs" / f".{HEX}", old)
    half_forgotten = filled(home.root / "checkpoints" / f".{HEX}", old)
    unknown = filled(home.root / "checkpoints" / ("b" * 64), old)
    damaged = filled(home.staging / f"damaged-{HEX}", 9 * WEEK_S)
    gone = {each.path for each in hive.clean(WEEK_S)}
    assert gone == {
        *(place / names[kind] for kind, place in places.items()),
        lost,
        half,
        half_forgotten,
        unknown,
        damaged,
    }
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)
    assert all((place / names[kind].replace("0", "f")).exists() for kind, place in places.items())


def test_a_run_at_work_keeps_its_folder(hive: Hive, home: Home) -> None:
    folder = filled(home.root / "runs" / HEX)
    lock = locks.take(folder / "attempt.lock")
    os.utime(folder, (0, 0))
    assert lock is not None and hive.clean(0.0) == []
    os.close(lock)
    assert [each.path for each in hive.clean(0.0)] == [folder]


def test_what_a_supervisor_may_be_writing_stays_while_one_works(hive: Hive, home: Home) -> None:
    filled(home.staging / HEX)
    home.supervisor_log.write_text("old\n")
    os.utime(home.supervisor_log, (0, 0))
    lock = take_supervisor_lock(home)
    assert lock is not None and hive.clean(0.0) == [] and hive.clean(0.0, dry_run=True) == []
    os.close(lock)
    assert {each.kind for each in hive.clean(0.0, dry_run=True)} == {"staging", "log"}
    hive.clean(0.0)
    assert not home.supervisor_log.exists() and not os.listdir(home.staging)


def test_nothing_is_made_where_there_is_nothing(tmp_path: Path) -> None:
    nowhere = Hive(Home(tmp_path / "none"), Settings())
    assert nowhere.clean(0.0) == [] and not (tmp_path / "none").exists()


# The removal


def test_links_are_not_followed_and_locked_folders_are_removed(tmp_path: Path) -> None:
    outside = filled(tmp_path / "outside")
    os.chmod(outside, 0o500)
    folder = filled(tmp_path / "folder")
    (folder / "link").symlink_to(outside)
    os.chmod(folder / "1", 0o000)
    size = disk_bytes(folder)
    assert 50_000 < size < 150_000
    remove(folder)
    assert not folder.exists() and (outside / "1" / "log.txt").exists()
    assert outside.stat().st_mode & 0o777 == 0o500
    remove(folder)  # another was faster
    link = tmp_path / "link"
    link.symlink_to(outside)
    remove(link)
    assert not link.is_symlink() and outside.exists()


def test_what_cannot_be_removed_is_told(hive: Hive, home: Home, db: Database) -> None:
    filled(home.job(ended(db, "model", Event.FAIL).id))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError, match="cannot remove"):
        patch.setattr(shutil, "rmtree", refuse)
        hive.clean(0.0)
    [half] = survey(home, None)
    assert half.kind == "half removed", "the next clean finds it"
