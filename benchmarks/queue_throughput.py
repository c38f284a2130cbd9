"""Jobs claimed and completed per second by 1, 4 and 8 processes, beside the least that could do it.

    python benchmarks/queue_throughput.py [--rounds 5] [--jobs 400]

Both commit each claim and each completion durably (synchronous=FULL) in the same journal mode. The floor is an UPDATE
for the claim and one for the end, over a partial index, under the same kernel lock; hive also keeps attempts, events
and totals, and reads the whole job. No job may be handed out twice.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from side_by_side import interleave, new_home, prepare, ratios, spread

from hive import queue
from hive.db import Database, journal_mode, sqlite3
from hive.model import Build, Limits, Work
from hive.states import Event

PROCESSES = (1, 4, 8)
CLAIM = """UPDATE jobs SET state = 'running'
WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id, payload"""


def hive_worker(path: Path) -> list[int]:
    """Claim and complete until nothing is left; the ids."""
    db, done = Database(path), []
    while job := queue.claim(db, free_cpus=8):
        assert queue.apply(db, job, Event.SUCCEED)
        done.append(job.id)
    return done


def floor_worker(path: Path) -> list[int]:
    connection, done = floor_connection(path), []
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

    while row := commit(CLAIM):
        commit("UPDATE jobs SET state = 'succeeded' WHERE id = ?", row[0])
        done.append(row[0])
    return done


def floor_connection(path: Path) -> Any:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def fill_hive(path: Path, jobs: int) -> None:
    work = Work("/recipes/x", Limits(), (), "python", (), (), "auto", True, True)
    builds = [(Build("x", "1.0.0", "", "standard", {}, seed, 1, "cpu", ""), work) for seed in range(jobs)]
    queue.enqueue(Database(path), builds, priority=1, automatic=set())


def fill_floor(path: Path, jobs: int) -> None:
    connection = floor_connection(path)
    connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, payload TEXT)")
    connection.execute("CREATE INDEX waiting ON jobs (id) WHERE state = 'queued'")
    payload = json.dumps({"seed": 0, "path": "/recipes/x"})
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO jobs (state, payload) VALUES ('queued', ?)", [(payload,)] * jobs)
    connection.execute("COMMIT")


def contest(
    fill: Callable[[Path, int], None], worker: Callable[[Path], list[int]], processes: int, jobs: int
) -> Callable[[], float]:
    """Jobs per second. Fails if a job was handed out twice or not at all."""

    def run() -> float:
        with tempfile.TemporaryDirectory(prefix="hive-bench-") as folder:
            path = Path(folder) / "hive.db"
            fill(path, jobs)
            with multiprocessing.Pool(processes) as pool:
                pool.map(abs, range(processes * 4))  # all are up
                began = time.perf_counter()
                shares = pool.map(worker, [path] * processes, chunksize=1)
                took = time.perf_counter() - began
        done = Counter(job_id for share in shares for job_id in share)
        assert set(done) == set(range(1, jobs + 1)), f"{jobs - len(done)} of {jobs} jobs were lost"
        assert max(done.values()) == 1, f"{sum(done.values()) - jobs} of {jobs} jobs were handed out twice"
        return jobs / took

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=400)
    chosen = parser.parse_args()
    prepare()
    with new_home() as home:
        tempfile.tempdir = str(home)
        print(f"claim and complete, jobs per second ({chosen.rounds} rounds of {chosen.jobs} jobs, FULL)")
        for processes in PROCESSES:
            sides = {"hive": (fill_hive, hive_worker), "floor": (fill_floor, floor_worker)}
            contestants = {name: contest(*side, processes, chosen.jobs) for name, side in sides.items()}
            figures = interleave(contestants, chosen.rounds)
            share = ratios(figures, "hive", "floor")
            rates = ", ".join(f"{name} {median(values):,.0f}" for name, values in figures.items())
            low, high = spread(share)
            print(
                f"  {processes} processes: {rates} jobs/s, {median(share):.2f} of the floor ({low:.2f} to {high:.2f})"
            )
        print("  meets the bar: no job was lost or handed out twice")


if __name__ == "__main__":
    main()
