"""Jobs claimed and completed per second by 1, 4 and 8 processes, beside the least that could do it and three peers.

    python benchmarks/queue_throughput.py [--rounds 5] [--jobs 400] [--long 1000000]

All commit each claim and each completion durably on the same disk: with synchronous=FULL, and hive by a sync of its own
once it has let go of the lock. The floor is an UPDATE for the claim and one for the end, over a partial index, under
the same kernel lock as hive's, of jobs that carry and read the same document; hive also keeps priorities, attempts,
events and totals. The peers are the queues over SQLite that pip has; one that is not installed is left out. Then the
cost of a claim from a long queue, beside one from a short queue.

Bars: hive at least 0.9 x the floor; no job lost or handed out twice, no error; at 8 processes nobody waits longer than
0.5 s; a claim from 1,000,000 jobs at most 1.5 x one from 1,000.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import sqlite3 as system_sqlite
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from hive_runner.frozen import asdict
from side_by_side import interleave, judge, new_home, prepare, ratios, show, spread

from hive import queue
from hive.db import Database, journal_mode, sqlite3
from hive.model import Build, Limits, Work
from hive.states import Event

PROCESSES = (1, 4, 8)
SHORT_QUEUE = 1000
PATIENCE_S = 30.0  # with a peer that hands nothing out
WORK = Work("/recipes/x", Limits(), (), "python", (), (), "auto", True, True)
PAYLOAD = json.dumps({"build": asdict(Build("x", "1.0.0", "", "standard", {}, 0, 1, "cpu", "")), "work": asdict(WORK)})
CLAIM = """UPDATE jobs SET state = 'running'
WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id, payload"""


@dataclass
class Share:
    """What one process did."""

    done: list[Any] = field(default_factory=list)  # the jobs, in its order
    errors: int = 0
    slowest_s: float = 0.0  # the longest that a claim or a completion took

    def time(self, act: Callable[[], Any]) -> Any:
        """What `act` returns; None, and an error more, if the database was locked for too long."""
        began = time.perf_counter()
        try:
            return act()
        except system_sqlite.OperationalError:
            self.errors += 1
            return None
        finally:
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)


def hive_worker(path: Path, jobs: int) -> Share:
    """Claim and complete until nothing is left."""
    share = Share()
    with closing(Database(path)) as db:
        while job := share.time(lambda: queue.claim(db, free_cpus=8)):
            assert share.time(lambda: queue.apply(db, job, Event.SUCCEED))
            share.done.append(job.id)
    return share


def floor_worker(path: Path, jobs: int) -> Share:
    share, connection = Share(), floor_connection(path)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)

    def commit(sql: str, *values: Any) -> Any:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(sql, values).fetchone()
            connection.execute("COMMIT")
            return row
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    while row := share.time(lambda: commit(CLAIM)):
        json.loads(row[1])
        share.time(lambda: commit("UPDATE jobs SET state = 'succeeded' WHERE id = ?", row[0]))
        share.done.append(row[0])
    os.close(lock)
    connection.close()
    return share


def huey_worker(path: Path, jobs: int) -> Share:
    from huey.storage import SqliteStorage

    storage = patiently(lambda: SqliteStorage(filename=str(path), fsync=True))

    def finish(data: bytes) -> bool:
        storage.put_data(data, b"succeeded")
        return True

    return peer_share(storage.dequeue, finish, lambda data: data, lambda: not storage.queue_size())


def litequeue_worker(path: Path, jobs: int) -> Share:
    found = _litequeue(path)

    def finish(message: Any) -> bool:
        found.done(message.message_id)
        return True

    return peer_share(found.pop, finish, lambda message: message.data, found.empty)


def persistqueue_worker(path: Path, jobs: int) -> Share:
    from persistqueue import SQLiteAckQueue
    from persistqueue.exceptions import Empty

    found = SQLiteAckQueue(str(path), multithreading=True, auto_resume=False)

    def take() -> Any:
        try:
            return found.get(block=False, raw=True)
        except Empty:
            return None

    def finish(item: Any) -> bool:
        found.ack(id=item["pqid"])
        return True

    return peer_share(take, finish, lambda item: item["data"], lambda: True)


def patiently(open_it: Callable[[], Any]) -> Any:
    """Open a peer's queue: it may find the database locked then already."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return open_it()
        except system_sqlite.OperationalError:
            if time.monotonic() > deadline:
                raise


def peer_share(
    take: Callable[[], Any], finish: Callable[[Any], bool], name: Callable[[Any], Any], is_empty: Callable[[], bool]
) -> Share:
    """Until it is empty. An error is counted, and the same thing tried again."""
    share, deadline = Share(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        errors = share.errors
        taken = share.time(take)
        if taken is None:
            if share.errors == errors and share.time(is_empty):
                break
            continue
        while not share.time(lambda item=taken: finish(item)) and time.monotonic() < deadline:
            continue
        share.done.append(name(taken))
    return share


def floor_connection(path: Path) -> Any:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def fill_hive(path: Path, jobs: int) -> None:
    builds = [(Build("x", "1.0.0", "", "standard", {}, seed, 1, "cpu", ""), WORK) for seed in range(jobs)]
    with closing(Database(path)) as db:
        queue.enqueue(db, builds, priority=1, automatic=set())


def fill_floor(path: Path, jobs: int) -> None:
    with closing(floor_connection(path)) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, payload TEXT)")
        connection.execute("CREATE INDEX waiting ON jobs (id) WHERE state = 'queued'")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO jobs (state, payload) VALUES ('queued', ?)", [(PAYLOAD,)] * jobs)
        connection.execute("COMMIT")


def fill_huey(path: Path, jobs: int) -> None:
    from huey.storage import SqliteStorage

    storage = SqliteStorage(filename=str(path), fsync=False)
    for number in range(jobs):
        storage.enqueue(f"{number} {PAYLOAD}".encode())
    storage.close()


def _litequeue(path: Path) -> Any:
    from litequeue import LiteQueue

    found = LiteQueue(str(path), timeout=30)
    found.conn.execute("PRAGMA synchronous = FULL")  # its own NORMAL may lose what it has committed
    return found


def fill_litequeue(path: Path, jobs: int) -> None:
    found = _litequeue(path)
    found.conn.execute("PRAGMA synchronous = OFF")
    for number in range(jobs):
        found.put(f"{number} {PAYLOAD}")
    found.close()


def fill_persistqueue(path: Path, jobs: int) -> None:
    from persistqueue import SQLiteAckQueue

    found = SQLiteAckQueue(str(path), multithreading=True)
    for number in range(jobs):
        found.put(f"{number} {PAYLOAD}")
    found.close()


Fill = Callable[[Path, int], None]
Worker = Callable[[Path, int], Share]
SIDES: dict[str, tuple[Fill, Worker]] = {"hive": (fill_hive, hive_worker), "floor": (fill_floor, floor_worker)}
PEERS: dict[str, tuple[Fill, Worker]] = {
    "huey": (fill_huey, huey_worker),
    "litequeue": (fill_litequeue, litequeue_worker),
    "persistqueue": (fill_persistqueue, persistqueue_worker),
}


class Contest:
    """A contestant: jobs per second, and besides what went wrong in all its rounds."""

    def __init__(self, fill: Fill, worker: Worker, processes: int, jobs: int) -> None:
        self.fill, self.worker, self.processes, self.jobs = fill, worker, processes, jobs
        self.errors = self.lost = self.doubled = 0
        self.slowest_s: list[float] = []

    def __call__(self) -> float:
        with tempfile.TemporaryDirectory(prefix="hive-bench-") as folder:
            path = Path(folder) / "hive.db"
            self.fill(path, self.jobs)
            with multiprocessing.Pool(self.processes) as pool:
                pool.map(abs, range(self.processes * 4))  # all are up
                began = time.perf_counter()
                shares = pool.starmap(self.worker, [(path, self.jobs)] * self.processes, chunksize=1)
                took = time.perf_counter() - began
        done = Counter(job for share in shares for job in share.done)
        self.errors += sum(share.errors for share in shares)
        self.lost += self.jobs - len(done)
        self.doubled += sum(done.values()) - len(done)
        self.slowest_s.append(max(share.slowest_s for share in shares))
        return self.jobs / took

    @property
    def faults(self) -> str:
        counts = {"lost": self.lost, "handed out twice": self.doubled, "errors": self.errors}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def measure_throughput(rounds: int, jobs: int) -> None:
    peers = {name: side for name, side in PEERS.items() if find_spec(name)}
    print(f"claim and complete, jobs per second ({rounds} rounds of {jobs} jobs, all durable)")
    for processes in PROCESSES:
        contests = {name: Contest(*side, processes, jobs) for name, side in {**SIDES, **peers}.items()}
        figures = interleave(contests, rounds)
        print(f"  {processes} process{'es' * (processes > 1)}")
        for name, contest in contests.items():
            share = ratios(figures, name, "floor")
            low, high = spread(share)
            wait = median(contest.slowest_s[1:])
            print(
                f"    {name:<14} {median(figures[name]):8,.0f} jobs/s  {median(share):5.2f} of the floor"
                f" ({low:.2f} to {high:.2f})  slowest wait {wait:6.3f} s  {contest.faults}"
            )
        hive = contests["hive"]
        judge("the floor beside hive", 1 / median(ratios(figures, "hive", "floor")), 1 / 0.9)
        judge("jobs lost, handed out twice, or errors", hive.lost + hive.doubled + hive.errors, 0, "jobs")
        if processes == max(PROCESSES):
            judge("the slowest wait", median(hive.slowest_s[1:]), 0.5, "s")


def lengthen(path: Path, jobs: int) -> None:
    """Queue copies of the one job that is there, until there are so many, over all priorities."""
    db = Database(path)
    db.connection.execute("PRAGMA synchronous = OFF")
    db.connection.execute("PRAGMA cache_size = -500000")
    with db.write():
        db.connection.execute(
            """WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO jobs (name, version, build_key, state, priority, cpus, memory_bytes, build, work, created_at)
            SELECT name, version, 'sha256:' || i, 'queued', i % 3, cpus, memory_bytes, build, work, created_at
            FROM n, jobs WHERE jobs.id = 1""",
            (jobs,),
        )
    db.close()


def claim_s(db: Database, claims: int = 50) -> float:
    """Seconds a claim; all go back to the queue."""
    began = time.perf_counter()
    jobs = [queue.claim(db, 8) for _ in range(claims)]
    took = time.perf_counter() - began
    for job in jobs:
        assert job is not None
        queue.apply(db, job, Event.RETRY)
    return took / claims


def measure_long_queue(home: Path, rounds: int, jobs: int) -> None:
    databases = {}
    for name, length in (("short", SHORT_QUEUE), ("long", jobs)):
        path = home / f"{name}.db"
        fill_hive(path, 1)
        lengthen(path, length)
        databases[f"{length:,} queued"] = Database(path)
    figures = interleave({name: lambda db=db: claim_s(db) for name, db in databases.items()}, rounds)
    short, long = databases
    show("a claim, ratio to one from a short queue", figures, short)
    judge(f"a claim from {jobs:,} jobs", median(ratios(figures, long, short)), 1.5)
    for db in databases.values():
        db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--long", type=int, default=1_000_000, help="how many wait in the long queue")
    chosen = parser.parse_args()
    prepare()
    with new_home() as home:
        tempfile.tempdir = str(home)
        measure_throughput(chosen.rounds, chosen.jobs)
        measure_long_queue(home, 4 * chosen.rounds, chosen.long)


if __name__ == "__main__":
    main()
