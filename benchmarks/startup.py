"""Start-up of the commands that people type most, beside a bare interpreter and beside what others start from.

    python benchmarks/startup.py [--rounds 30] [--history 1000000]

Bars: `hive list` and `hive queue status` within 15 times a bare interpreter (aim: 6), and within 1.1 times themselves
when the history holds 1,000,000 finished jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from side_by_side import HIVE, INTERPRETER, PYTHON, command, interleave, judge, new_home, prepare, ratios, show

from hive import installed
from hive.db import Database
from hive.model import Artifact, Build, Limits, Work
from hive.service import Hive

PLAIN_TOOL = """
import argparse, sqlite3
argparse.ArgumentParser().parse_args()
rows = sqlite3.connect({path!r}).execute("SELECT name, version, installed_at FROM packages").fetchall()
for row in rows: print(*row)
"""
TYPER_HELLO = """
import typer
app = typer.Typer()
@app.command()
def hello(): print("hello")
app()
"""
COMMANDS = {"hive list": ("list",), "hive queue status": ("queue", "status")}


def install_some(db: Database, count: int) -> Build:
    """Put `count` packages on record, without their files: no listing looks at them."""
    for number in range(count):
        name, digest = f"model-{number}", f"sha256:{number:064x}"
        build = Build(name, "1.0.0", digest, "standard", {"steps": 1000}, 0, 1, "cpu", digest)
        made = Artifact(digest, name, "1.0.0", build.key, 10_000_000, time.time(), True, build, [], (), "process", 60.0)
        with db.write():
            installed.record_artifact(db, made)
            installed.install(db, name, "1.0.0", digest, automatic=False)
    return build


def add_history(path: Path, build: Build, jobs: int) -> None:
    """Finished jobs with an attempt each and their events, written in bulk."""
    work = Work("/recipes/x", Limits(), (), PYTHON, (), ("numpy==2.0.0", "torch==2.8.0"), "auto", True, True)
    db = sqlite3.connect(path)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)"
    facts = {"jobs": jobs, "build": json.dumps(asdict(build)), "work": json.dumps(asdict(work)), "now": time.time()}
    db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000;")
    db.execute(
        f"""{numbers} INSERT INTO jobs
            (name, version, build_key, state, priority, attempt, cpus, build, work, created_at, started_at, finished_at)
        SELECT 'model-' || (i % 5), '1.0.0', 'sha256:' || i, iif(i % 50, 'succeeded', 'failed'), 1, 1, 2,
            :build, :work, :now - i, :now - i, :now - i FROM n""",
        facts,
    )
    db.execute("INSERT INTO attempts (job_id, attempt, started_at) SELECT id, 1, created_at FROM jobs")
    for event in ("enqueue", "succeed"):
        db.execute(f"INSERT INTO job_events (job_id, attempt, at, event) SELECT id, 1, created_at, '{event}' FROM jobs")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--history", type=int, default=1_000_000, help="finished jobs in the long history")
    chosen = parser.parse_args()
    prepare()
    with new_home() as short, new_home() as long:
        for home in (short, long):
            os.environ["HIVE_HOME"] = str(home)
            db = Hive.open().db
            build = install_some(db, 20)
            db.close()
        began = time.perf_counter()
        add_history(long / "hive.db", build, chosen.history)
        print(f"wrote {chosen.history:,} finished jobs in {time.perf_counter() - began:.0f} s")

        contestants = {"interpreter": INTERPRETER}
        for history, home in (("", short), (", long history", long)):
            environment = {**os.environ, "HIVE_HOME": str(home)}
            for name, words in COMMANDS.items():
                contestants[name + history] = command(HIVE, *words, environment=environment)
        contestants["argparse + sqlite3, 20 rows"] = command(
            PYTHON, "-c", PLAIN_TOOL.format(path=str(short / "hive.db"))
        )
        if find_spec("typer"):
            contestants["Typer hello"] = command(PYTHON, "-c", TYPER_HELLO)
        figures = interleave(contestants, chosen.rounds)
        show("start-up, ratio to a bare interpreter", figures, "interpreter")
        for name in COMMANDS:
            judge(name, median(ratios(figures, name, "interpreter")), 15, aim=6)
            judge(
                f"{name} after {chosen.history:,} jobs", median(ratios(figures, f"{name}, long history", name)), 1.1,
                "x of itself",
            )  # fmt: skip


if __name__ == "__main__":
    main()
