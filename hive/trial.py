"""Builds outside the queue, that install nothing: to see whether a recipe builds, and twice alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hive_runner.contract import RunEvent

from hive import gates, locks
from hive.cleaning import remove
from hive.errors import BuildFailed, GateRefused, for_failure
from hive.inference import execute
from hive.model import Build, Job, Work
from hive.orders import build_order
from hive.paths import Home
from hive.publish import last_words, verdict
from hive.runners.base import LOCK_FILE, Runner, refuse_untrusted
from hive.states import JobState


@contextmanager
def scratch_home(home: Home) -> Iterator[Home]:
    """A folder to build in that goes again; `hive clean` takes it if this process is killed."""
    made = Home(home.root / "runs" / os.urandom(16).hex())
    made.root.mkdir(parents=True)
    lock = locks.take(made.root / LOCK_FILE)
    try:
        yield made
    finally:
        remove(made.root)
        if lock is not None:
            os.close(lock)


def build(
    scratch: Home,
    number: int,
    wanted: Build,
    work: Work,
    runner: Runner,
    dependencies: Mapping[str, Path],
    on_event: Callable[[RunEvent], None],
) -> Path:
    """Build once, as the job of this number, to the folder that would become the artifact.

    Raises the HiveError that a failure means, GateRefused included.
    """
    refuse_untrusted(wanted.name, work.trusted, runner.isolation())
    now = time.time()
    job = Job(
        id=number, name=wanted.name, version=wanted.version, build_key=wanted.key, state=JobState.RUNNING, priority=1,
        attempt=1, charged=0, build=wanted, work=work, created_at=now, not_before=0.0, started_at=now, finished_at=None,
        failure=None, artifact=None,
    )  # fmt: skip
    order = build_order(scratch, job, runner, dict(dependencies))
    execute(runner, order, on_event)
    result, failure = verdict(order.folder, runner.ending(order.folder, ""))
    if failure is not None or result is None:
        assert failure is not None
        why = failure.why or last_words(order.folder)
        raise for_failure(failure.kind)(f"{wanted.name} was not built: {failure.message}", why, failure.hint)
    metrics = [{"name": metric.name, "value": metric.value} for metric in result.metrics]
    if missed := [each for each in gates.judge(work.gates, metrics) if not each.passed]:
        raise GateRefused(f"{wanted.name} missed a gate of its {wanted.profile} profile", "; ".join(map(str, missed)))
    if not any((order.folder / "out").iterdir()):
        raise BuildFailed(f"{wanted.name} wrote nothing")
    return order.folder / "out"
