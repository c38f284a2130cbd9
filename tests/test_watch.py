"""Whoever follows a job sees how it ends, whenever that happens."""

from __future__ import annotations

import pytest
from builders import enqueue

from hive import builds, queue
from hive.config import Settings
from hive.db import Database
from hive.model import Job
from hive.paths import Home
from hive.service import Hive


@pytest.mark.parametrize("after_reads", [0, 1, 2, 3])
def test_a_job_that_ends_at_any_moment_is_seen_to_end(
    home: Home, db: Database, monkeypatch: pytest.MonkeyPatch, after_reads: int
) -> None:
    """Another process ends it right after one of the reads of the database that follow each other."""
    job, hive, reads = enqueue(db), Hive(home, Settings()), [0]
    ask = Database._ask

    def asked(self: Database, *question: object) -> object:
        answer = ask(self, *question)  # type: ignore[arg-type]
        if self is hive.db:
            reads[0] += 1
            if reads[0] == after_reads:
                queue.cancel(db, job.id)
        return answer

    looks = iter(range(50))
    monkeypatch.setattr(builds.time, "sleep", lambda _: next(looks))  # StopIteration: it would wait for ever
    hive.db.version_seen()  # open
    monkeypatch.setattr(Database, "_ask", asked)
    if not after_reads:
        queue.cancel(db, job.id)
    seen: list[Job] = [update.job for update in hive.watch(job.id)]
    assert seen[-1].state == "cancelled"
