"""The supervisor's loop, in this process, on real runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hive_cli import HiveCli
from hive_runner.frozen import replace
from shelf import put

from hive import publish, queue
from hive.config import load_settings
from hive.db import Database
from hive.model import Job
from hive.paths import Home
from hive.runners.all import choose
from hive.store import Store
from hive.supervise import machine_of
from hive.supervisor import Supervisor


@pytest.mark.parametrize("place", ["hive.publish.publish", "hive.orders.build_order"])
def test_a_bug_of_hives_own_ends_the_job_and_not_the_supervisor(
    hive: HiveCli, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    hive.ok("queue", "pause")
    hive.ok("install", "--no-wait", "trivial")
    hive.ok("install", "--no-wait", "trivial", "--seed", "1")
    db = Database(hive.paths.database)
    queue.set_control(db, hold="")
    said: list[str] = []
    module, _, name = place.rpartition(".")
    right = getattr(__import__(module, fromlist=[name]), name)

    def wrong_once(*arguments: object) -> object:
        monkeypatch.setattr(place, right)
        raise TypeError("no such thing")

    monkeypatch.setattr(place, wrong_once)
    Supervisor(hive.paths, db, partial(choose, hive.paths), machine_of(load_settings(hive.home)), said.append).run()
    first, second = hive.job(1), hive.job(2)
    assert {first.state, second.state} == {"failed", "succeeded"}
    failure = first.failure or second.failure
    assert failure and failure.message == "this is a bug in hive" and failure.why == "TypeError: no such thing"
    assert any("Traceback" in line and "wrong_once" in line for line in said)
    db.close()


@pytest.mark.parametrize(("wanted", "running_meanwhile"), [("base", ["other"]), ("top", [])])
def test_the_next_run_starts_before_the_last_is_published_unless_that_may_set_another_free(
    hive: HiveCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, running_meanwhile: list[str]
) -> None:
    for name, needs in ("base", ()), ("top", ("base",)), ("other", ()):
        put(tmp_path / "shelf", name, "1", needs)
    hive.environment["HIVE_SOURCES"] = str(tmp_path / "shelf")
    hive.ok("queue", "pause")
    hive.ok("install", "--no-wait", wanted)
    hive.ok("install", "--no-wait", "other")
    db = Database(hive.paths.database)
    queue.set_control(db, hold="")
    right, seen = publish.publish, list[list[str]]()

    def look_and_publish(db: Database, store: Store, home: Home, job: Job, *rest: Any) -> Job | None:
        seen.append([other.name for other in queue.running(db) if other.id != job.id])
        return right(db, store, home, job, *rest)

    monkeypatch.setattr(publish, "publish", look_and_publish)
    one_at_a_time = replace(machine_of(load_settings(hive.home)), runners=1)
    Supervisor(hive.paths, db, partial(choose, hive.paths), one_at_a_time, print).run()
    assert seen[0] == running_meanwhile
    assert all(job.state == "succeeded" for job in queue.newest(db, 9))
    db.close()
