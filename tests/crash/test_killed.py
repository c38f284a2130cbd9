"""SIGKILL at named points; then the next command carries on as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import Forged, Model
from crashing import (
    SLOW,
    check_whole,
    digest,
    dying,
    dying_supervisor,
    generations,
    kill_and_wait,
    queued,
    run_pids,
    until_checkpoint,
)
from hive_cli import HiveCli, kill, until, wait_gone

from hive.model import Job

Reference = Callable[..., str]


# The point, and how many attempts the job has had in the end: a second one only where no runner had begun.
SUPERVISOR = [
    ("hive.supervisor:Supervisor.recover:before", 1),
    ("hive.queue:claim:before", 1),
    ("hive.queue:claim:after", 2),
    ("hive.orders:build_order:after", 2),
    ("hive.runners.process:ProcessRunner.start:before", 2),
    ("hive.runners.process:ProcessRunner.start:after", 1),
    ("hive.queue:record_start:after", 1),
    ("hive.supervisor:Supervisor.wait:before", 1),
    ("hive.publish:verdict:before", 1),
    ("hive.publish:publish:before", 1),
    ("hive.store:_copy_file:after", 1),
    ("hive.store:_make_durable:after", 1),
    ("hive.store:Store.add:after", 1),
    ("hive.queue:change:after", 1),  # inside the transaction
    ("hive.installed:record_artifact:after", 1),
    ("hive.installed:activate:after", 1),
    ("hive.publish:publish:after", 1),
    ("hive.orders:clear:before", 1),
    ("hive.orders:clear:after", 1),
]


@pytest.mark.parametrize(("point", "attempts"), SUPERVISOR)
def test_supervisor(hive: HiveCli, reference: Reference, point: str, attempts: int) -> None:
    queued(hive, "counter")
    assert dying_supervisor(hive, point) == -signal.SIGKILL
    hive.ok("install", "counter")
    assert digest(hive) == reference("counter")
    check_whole(hive)
    job = hive.job()
    assert (job.attempt, job.charged) == (attempts, 0)
    assert generations(hive) == 1


def test_supervisor_at_every_durable_step(hive: HiveCli, reference: Reference) -> None:
    """At the first fsync, at the second, ...: until one build has no more of them."""
    for number in range(1, 100):
        queued(hive, "counter", "--seed", str(number))
        code = dying_supervisor(hive, f"os:fsync:before:{number}")
        hive.ok("install", "counter", "--seed", str(number))
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert number > 5, "publishing an artifact takes more steps than that"
    check_whole(hive, jobs=number)


# The shim: a fork of the supervisor. The supervisor lives on and sees to it.
SHIM = [
    ("hive.runners.shim:detach:after", 2),
    ("hive.runners.shim:_Watch.__init__:before", 2),
    ("hive.runners.shim:_Watch.wait:before", 2),
    ("hive.runners.shim:_Watch._look:after", 2),
    ("hive.runners.base:Ending.write:before", 1),  # the result is there: all that counts
    ("hive.runners.base:Ending.write:after", 1),
]


@pytest.mark.parametrize(("point", "attempts"), SHIM)
def test_shim(hive: HiveCli, reference: Reference, point: str, attempts: int) -> None:
    arguments = ("counter", "--param", "steps=40", "--param", "pause_ms=10")
    queued(hive, *arguments)
    assert dying_supervisor(hive, point) == 0, "the supervisor outlives the shim"
    assert (hive.cwd / "died").exists()
    assert digest(hive) == reference(*arguments)
    check_whole(hive)
    assert (hive.job().attempt, hive.job().charged) == (attempts, 0)


CLI = [
    ("hive.recipe:snapshot:before", 0),
    ("hive.recipe:snapshot:after", 0),
    ("hive.queue:enqueue:before", 0),
    ("hive.queue:enqueue:after", 1),
    ("hive.launch:launch:before", 1),
    ("hive.launch:launch:after", 1),
    ("hive.service:Hive.watch:before", 1),
]


@pytest.mark.parametrize(("point", "jobs"), CLI)
def test_command_line(hive: HiveCli, reference: Reference, point: str, jobs: int) -> None:
    assert dying(hive, point, "hive", "install", "counter") == -signal.SIGKILL
    assert len(hive.service().jobs(10)) == jobs
    hive.ok("install", "counter")
    assert digest(hive) == reference("counter")
    check_whole(hive)
    assert hive.job().attempt == 1


@pytest.mark.parametrize("point", ["hive.installed:activate:before", "hive.installed:activate:after"])
def test_command_line_that_installs_again_what_the_store_has(hive: HiveCli, point: str) -> None:
    hive.ok("install", "counter")
    hive.ok("remove", "counter")
    assert dying(hive, point, "hive", "install", "counter") == -signal.SIGKILL
    assert hive.service().packages() == []
    hive.ok("install", "counter")
    check_whole(hive)


@pytest.mark.parametrize("point", ["hive.installed:_begin:after", "hive.installed:remove:after"])
def test_command_line_that_removes(hive: HiveCli, point: str) -> None:
    hive.ok("install", "counter")
    assert dying(hive, point, "hive", "remove", "counter") == -signal.SIGKILL
    assert len(hive.service().packages()) == (1 if "_begin" in point else 0)
    hive.ok("install", "counter")
    check_whole(hive)


IMPORT = [
    ("hive.store:Store.sweep:before", 0),
    ("hive.bundle:copy:after", 0),
    ("hive.bundle:_check_recipe:after", 0),
    ("hive.store:_make_durable:after", 0),
    ("hive.store:Store.keep:after", 0),
    ("hive.installed:record_artifact:after", 0),
    ("hive.installed:put:after", 0),
    ("hive.importing:record:after", 1),
]


@pytest.mark.parametrize(("point", "packages"), IMPORT)
def test_command_line_that_imports(hive: HiveCli, tmp_path: Path, point: str, packages: int) -> None:
    bundle = Forged().write(tmp_path / "bundle.tar")
    hive.ok("list")
    assert dying(hive, point, "hive", "import", str(bundle)) == -signal.SIGKILL
    assert len(hive.service().packages()) == packages
    hive.ok("import", str(bundle))
    assert [package.artifact for package in hive.service().packages()] == [Model().digest]
    assert list(hive.paths.staging.iterdir()) == []
    check_whole(hive, jobs=0)


def test_the_build_goes_on_without_the_command_line(hive: HiveCli) -> None:
    command = hive.start("install", "counter", *SLOW)
    job = hive_job(hive)
    kill(command.pid)
    command.communicate(timeout=20)
    assert hive.until_over(job.id).state == "succeeded"
    check_whole(hive)


def hive_job(hive: HiveCli) -> Job:
    until(lambda: hive.home.joinpath("hive.db").exists() and hive.service().jobs(1), "the job is queued", 30)
    return hive.until_running()


# Everything else, and several at a time


def test_run_goes_on_from_its_checkpoint(hive: HiveCli, reference: Reference) -> None:
    expected = reference("counter", *SLOW)
    hive.ok("install", "--no-wait", "counter", *SLOW)
    until_checkpoint(hive, 1)
    kill_and_wait(*run_pids(hive))
    hive.ok("install", "counter", *SLOW)
    assert digest(hive) == expected
    check_whole(hive)
    assert (hive.job().attempt, hive.job().charged) == (2, 0)
    assert "going on from the checkpoint" in (hive.paths.attempt(1, 2) / "log.txt").read_text()


def test_everything_at_once_as_if_the_machine_had_gone(hive: HiveCli, reference: Reference) -> None:
    expected = reference("counter", *SLOW)
    command = hive.start("install", "counter", *SLOW)
    hive_job(hive)
    until_checkpoint(hive, 1)
    kill(command.pid)
    command.communicate(timeout=20)
    kill_and_wait(*hive.supervisors(), *hive.shims(), *run_pids(hive))
    assert hive.ok("queue", "status").out
    hive.ok("install", "counter", *SLOW)
    assert digest(hive) == expected
    check_whole(hive)


def test_whoever_follows_a_build_replaces_its_supervisor(hive: HiveCli) -> None:
    command = hive.start("install", "counter", *SLOW)
    hive_job(hive)
    kill_and_wait(*hive.supervisors())
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0, out + err
    check_whole(hive)
    assert hive.job().attempt == 1, "adopted, not begun again"


# A cancel that nobody was there to carry out


def test_cancel_reaches_a_run_whose_supervisor_is_dead(hive: HiveCli) -> None:
    hive.ok("install", "--no-wait", "counter", "--param", "pause_ms=1500")
    hive.until_running()
    [shim] = hive.shims()
    kill_and_wait(*hive.supervisors())
    hive.ok("queue", "cancel", "1")
    wait_gone(shim)


def test_cancelled_and_tried_again_at_once(hive: HiveCli) -> None:
    """The first attempt's runner must be gone before the second begins: they share the checkpoints."""
    hive.ok("install", "--no-wait", "counter", "--param", "pause_ms=1500")
    hive.until_running()
    [first] = hive.shims()
    service = hive.service()
    service.cancel(1)
    service.retry(1)
    until(lambda: hive.shims() - {first}, "the second attempt begins", 20)
    assert hive.shims().isdisjoint({first})
    assert hive.job().attempt == 2
    hive.ok("queue", "cancel", "1")


def test_sigterm_leaves_the_run_to_the_next_supervisor(hive: HiveCli, reference: Reference) -> None:
    expected = reference("counter", *SLOW)
    hive.ok("install", "--no-wait", "counter", *SLOW)
    hive.until_running()
    [supervisor], [shim] = hive.supervisors(), hive.shims()
    kill(supervisor, signal.SIGTERM)
    wait_gone(supervisor)
    assert hive.shims() == {shim}
    hive.ok("install", "counter", *SLOW)
    assert digest(hive) == expected
    check_whole(hive)
    assert hive.job().attempt == 1


# `hive install` starts the first run while the supervisor that it has launched loads; that one waits, and adopts it.
BEGINNING = [
    ("hive.queue:claim:before", 1),
    ("hive.queue:claim:after", 2),
    ("hive.orders:build_order:after", 2),
    ("hive.runners.process:ProcessRunner.start:after", 1),
    ("hive.queue:record_start:after", 1),
    ("hive.launch:_spawn:before", 1),
    ("hive.launch:_spawn:after", 1),
]


@pytest.mark.parametrize(("point", "attempts"), BEGINNING)
def test_command_line_that_starts_the_run(hive: HiveCli, reference: Reference, point: str, attempts: int) -> None:
    assert dying(hive, point, "hive", "install", "counter") == -signal.SIGKILL
    hive.ok("install", "counter")
    assert digest(hive) == reference("counter")
    check_whole(hive)
    assert (hive.job().attempt, hive.job().charged) == (attempts, 0)
