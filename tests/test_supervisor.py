"""The supervisor's loop, in this process, on real runs."""

from __future__ import annotations

from functools import partial

import pytest
from hive_cli import HiveCli

from hive import queue
from hive.config import load_settings
from hive.db import Database
from hive.runners.all import choose
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
