"""The database file: whose it is, who may write, and what still works when nobody can."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import claimed, enqueue
from hive_cli import HiveCli
from small_disk import remount, small_disk

from hive import db as db_module
from hive import locks, queue
from hive.db import APPLICATION_ID, SCHEMA_VERSION, Database
from hive.errors import StoreError
from hive.states import JobState


def system_sqlite(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


# Whose file it is


def test_a_new_database_is_marked_as_hives(tmp_path: Path) -> None:
    Database(tmp_path / "hive.db").close()
    with sqlite3.connect(tmp_path / "hive.db") as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "hive.db"
    Database(path).close()
    system_sqlite(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer hive") as caught:
        Database(path, readonly)
    assert "upgrade hive" in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [False, True])
def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "hive.db"
    system_sqlite(path, "CREATE TABLE recipes (cake TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not hive's"):
        Database(path, readonly)
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [False, True])
def test_a_foreign_application_id_is_refused_whatever_its_version(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "hive.db"
    system_sqlite(path, f"PRAGMA application_id = 7; PRAGMA user_version = {SCHEMA_VERSION}; CREATE TABLE t (a)")
    with pytest.raises(StoreError, match="not hive's"):
        Database(path, readonly)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "hive.db"
    path.write_bytes(b"this is not a database " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is damaged"):
        Database(path, readonly)
    assert path.read_bytes() == before


def test_an_interrupted_creation_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / "hive.db").touch()
    db = Database(tmp_path / "hive.db")
    assert enqueue(db).state is JobState.QUEUED
    db.close()


def test_an_interrupted_creation_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "hive.db").touch()
    cli = HiveCli(tmp_path, tmp_path)
    assert cli.ok("list", "--json").json() == []
    assert cli.ok("queue", "list", "--json").json() == []


# Many at once


def test_eight_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from hive.db import Database; Database(Path(sys.argv[1]))"
    many = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "hive.db")]) for _ in range(8)]
    assert [process.wait(60) for process in many] == [0] * 8


def test_eight_writers_two_hundred_transactions_each_no_error(tmp_path: Path) -> None:
    """Each reads what is there and writes one more: none may be lost, none refused."""
    path = tmp_path / "hive.db"
    db = Database(path)
    job = enqueue(db)
    program = """
import sys
from pathlib import Path
from hive.db import Database
db = Database(Path(sys.argv[1]))
for _ in range(200):
    with db.write():
        seen = db.connection.execute("SELECT charged FROM jobs").fetchone()["charged"]
        db.connection.execute("UPDATE jobs SET charged = ?", (seen + 1,))
"""
    many = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(8)]
    assert [process.wait(120) for process in many] == [0] * 8
    assert queue.get(db, job.id).charged == 1600
    db.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    writer = Database(tmp_path / "hive.db")
    enqueue(writer)
    with writer.write():
        writer.connection.execute("UPDATE jobs SET charged = 7")
        if db_module.journal_mode(writer.path) == "wal":
            reader = Database(tmp_path / "hive.db", readonly=True)
            assert queue.get(reader, 1).charged == 0
            reader.close()
    writer.close()


def test_a_transaction_is_on_the_disk_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made durable last holds it; and nobody who wants to write waits for the disk."""
    (home := tmp_path / "home").mkdir()
    database = Database(home / "hive.db")
    if not database.has_log:
        pytest.skip("SQLite makes it durable itself here")
    held: list[bool] = []

    def keep_what_is_durable(descriptor: int) -> None:
        assert os.path.realpath(f"/proc/self/fd/{descriptor}") == str(home / "hive.db-wal")
        held.append(locks.is_held(home / "database.lock"))
        shutil.copytree(home, tmp_path / f"durable{len(held)}")

    monkeypatch.setattr(os, "fdatasync", keep_what_is_durable)
    for number, name in enumerate(("first", "second"), 1):
        enqueue(database, name)
        after_a_crash = Database(tmp_path / f"durable{number}" / "hive.db")
        assert queue.newest(after_a_crash, 1)[0].name == name
        after_a_crash.close()
    assert held == [False, False]
    database.close()


def test_what_is_of_no_use_after_a_power_loss_waits_for_no_disk(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others see it at once all the same."""
    job = claimed(db)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: pytest.fail("it waited for the disk"))
    queue.record_start(db, job, "process", "none", "handle")
    other = Database(db.path, readonly=True)
    assert queue.attempts(other, job.id)[0].handle == "handle"
    other.close()


def test_a_log_that_does_not_reach_the_disk_is_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    if not db.has_log:
        pytest.skip("SQLite makes it durable itself here")
    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StoreError, match="cannot write"):
        enqueue(db)


def test_without_a_log_sqlite_makes_each_transaction_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "journal_mode", lambda path: "delete")
    database = Database(tmp_path / "hive.db")
    enqueue(database)
    assert not database.has_log
    assert database.connection.execute("PRAGMA synchronous").fetchone() == {"synchronous": 2}
    database.close()


def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.write():
        db.run("jobs.event", job_id=1, attempt=0, now=0.0, event="x", detail=str(1 // 0))
    with pytest.raises(db_module.Error), db.write():
        db.run("jobs.insert_need", job_id=1, needs_id=2)  # no such jobs: the foreign key holds
    assert enqueue(db).id == 1


def test_a_change_by_another_process_is_noticed(db: Database) -> None:
    seen = db.version_seen()
    other = Database(db.path)
    enqueue(other)
    other.close()
    assert db.version_seen() != seen


# Where nobody may write


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small") as folder:
        yield folder


def test_on_a_full_disk_asking_works_and_changing_says_why(full_disk: Path, tmp_path: Path) -> None:
    cli = HiveCli(full_disk / "hive", tmp_path)
    cli.paths.create()
    db = Database(cli.paths.database)
    enqueue(db)
    db.close()
    filler = full_disk / "filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 512)
    assert cli.ok("list", "--json").json() == []
    assert [job["name"] for job in cli.ok("queue", "list", "--json").json()] == ["model"]
    cli.ok("queue", "status")
    assert cli.ok("status", "--json").json()["queue"]["pending"] == 1
    refused = cli("queue", "cancel", "1")
    assert refused.code in (1, 4), refused
    assert "Traceback" not in refused.err
    assert "free space" in refused.err or "make room" in refused.err
    filler.unlink()
    cli.ok("queue", "cancel", "1")
    assert cli.job(1).state is JobState.CANCELLED


def test_a_full_disk_can_be_cleaned(full_disk: Path, tmp_path: Path) -> None:
    cli = HiveCli(full_disk / "hive", tmp_path)
    cli.paths.create()
    db = Database(cli.paths.database)
    job = queue.cancel(db, enqueue(db).id)
    db.close()
    checkpoints = cli.paths.checkpoints(job.build_key)
    checkpoints.mkdir(parents=True)
    with open(checkpoints / "1.pt", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 512)
    [removed] = cli.ok("clean", "--older-than", "0", "--json").json()["removed"]
    assert removed["kind"] == "checkpoints" and not checkpoints.exists()


def test_on_a_read_only_disk_asking_works_and_changing_says_why(full_disk: Path, tmp_path: Path) -> None:
    cli = HiveCli(full_disk / "hive", tmp_path)
    cli.paths.create()
    db = Database(cli.paths.database)
    enqueue(db)
    db.close()
    remount(full_disk, "ro")
    assert cli.ok("list", "--json").json() == []
    assert [job["name"] for job in cli.ok("queue", "list", "--json").json()] == ["model"]
    cli.ok("queue", "status")
    assert cli.ok("status", "--json").json()["queue"]["pending"] == 1
    refused = cli("queue", "cancel", "1")
    assert refused.code == 1, refused
    assert "Traceback" not in refused.err
    assert refused.err.startswith("error: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_in_a_folder_without_permission(tmp_path: Path) -> None:
    db = Database(tmp_path / "hive.db")
    enqueue(db)
    db.close()
    tmp_path.chmod(0o500)
    try:
        assert HiveCli(tmp_path, Path("/")).ok("queue", "list", "-q").out == "1\n"
    finally:
        tmp_path.chmod(0o700)


# Which journal


def test_wal_only_where_the_library_has_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, safe in (
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 9), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 0), True),
    ):
        monkeypatch.setattr("hive.db.sqlite3.sqlite_version_info", version)
        assert db_module.wal_is_safe() is safe, version


def test_remote_file_systems_get_no_wal() -> None:
    assert db_module.is_local(Path("/proc/self"))
    assert all(f"{kind}4".startswith(db_module.REMOTE_FILE_SYSTEMS) for kind in ("nfs", "fuse.sshfs", "9p", "cifs"))


def test_the_migrations_end_at_the_schema_of_a_new_database(tmp_path: Path) -> None:
    """From the first version on, with a job in it, and a backup beside it."""
    path = tmp_path / "hive.db"
    system_sqlite(
        path,
        (Path(__file__).parent / "schema_v1.sql").read_text()
        + """INSERT INTO jobs (name, version, build_key, state, priority, cpus, build, work, created_at)
             VALUES ('model', '1', 'k', 'queued', 1, 1, '{}', '{"limits": {"memory_bytes": 77}}', 0);
             INSERT INTO artifacts VALUES ('sha256:' || printf('%064d', 1), 'top', '1', 'k', 1, 0, 1,
                 '{"dependencies": {"base": "sha256:k"}}', '[]', '[]', '', 1);"""
        + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;",
    )
    assert Database(path, readonly=True).is_old
    migrated, new = Database(path), Database(tmp_path / "new.db")
    columns = "SELECT m.name, c.name AS column FROM sqlite_schema m, pragma_table_info(m.name) c ORDER BY 1, 2"
    assert migrated.connection.execute(columns).fetchall() == new.connection.execute(columns).fetchall()
    kinds = "SELECT type, name FROM sqlite_schema ORDER BY 1, 2"
    assert migrated.connection.execute(kinds).fetchall() == new.connection.execute(kinds).fetchall()
    assert migrated.connection.execute("SELECT memory_bytes FROM jobs").fetchall() == [{"memory_bytes": 77}]
    assert migrated.connection.execute("SELECT depends FROM artifacts").fetchall() == [{"depends": '["base"]'}]
    assert (tmp_path / "hive.v1.db").exists()


def test_totals_survive_the_migration(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    columns = "name, version, build_key, priority, cpus, build, work, created_at, state, finished_at"
    states = {"queued": 3, "running": 2, "succeeded": 4, "failed": 1, "cancelled": 0}
    rows = [
        f"('model', '1', 'k{state}{number}', 1, 1, '{{}}', '{{}}', 0, '{state}', "
        + ("NULL)" if state in ("queued", "running") else "1)")
        for state, count in states.items()
        for number in range(count)
    ]
    system_sqlite(
        path,
        (Path(__file__).parent / "schema_v1.sql").read_text()
        + f"INSERT INTO jobs ({columns}) VALUES {', '.join(rows)};"
        + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;",
    )
    migrated = Database(path)
    assert {row["state"]: row["jobs"] for row in migrated.all("jobs.totals")} == states
    migrated.close()


def test_the_story_of_a_job_survives_the_migration(tmp_path: Path) -> None:
    """The beginning of an attempt is told once, by whichever row there is."""
    path = tmp_path / "hive.db"
    events = ("enqueue", 0), ("claim", 1), ("retry", 1), ("claim", 2), ("fail", 2), ("requeue", 2), ("claim", 3)
    rows = [f"(1, {attempt}, {at}, '{event}')" for at, (event, attempt) in enumerate(events)]
    system_sqlite(
        path,
        (Path(__file__).parent / "schema_v1.sql").read_text()
        + f"""INSERT INTO jobs (name, version, build_key, state, priority, attempt, cpus, build, work, created_at)
              VALUES ('model', '1', 'k', 'running', 1, 3, 1, '{{}}', '{{}}', 0);
              INSERT INTO job_events (job_id, attempt, at, event) VALUES {", ".join(rows)};
              INSERT INTO attempts (job_id, attempt, started_at) VALUES (1, 2, 3), (1, 3, 6);"""
        + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;",
    )
    migrated = Database(path)
    told = queue.events(migrated, 1)
    assert [(each.event, each.attempt) for each in told] == list(events)
    assert [each.at for each in told] == list(range(len(events)))
    assert queue.tries_counted(migrated, 1) == 1
    migrated.close()


def test_a_process_that_dies_in_a_transaction_leaves_no_lock(db: Database) -> None:
    """Not even to a child that it had forked before."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        mine = Database(db.path)
        with mine.write():
            mine.connection.execute("DELETE FROM jobs")
            os.write(writer, b"x")
            os._exit(1)
    os.read(reader, 1)
    os.waitpid(pid, 0)
    with db.write():
        pass
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_a_closed_database_leaves_no_descriptor(tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    database = Database(tmp_path / "hive.db")
    with database.write():
        pass
    database.close()
    assert count() == before


def test_every_query_is_valid_sql(db: Database) -> None:
    """Also those that no test happens to run."""
    for file in ("jobs", "packages", "sources"):
        for name in db_module._queries(file):
            db.connection.execute(f"EXPLAIN {db_module.query(f'{file}.{name}')}", Everything())


class Everything(dict[str, object]):
    """A value for any name."""

    def __missing__(self, name: str) -> object:
        return 0
