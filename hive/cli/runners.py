"""runners, scale, spawn, kill; start, stop, restart: how much works at once, and whether anything does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_job, json_option, print_json

if TYPE_CHECKING:
    from hive.builds import LiveRunner
    from hive.model import QueueControl


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@json_option
def runners(quiet: bool, as_json: bool) -> None:
    """The runners at work, and what holds each of them."""
    from hive.console import ago, isolation_table, table
    from hive.model import Isolation
    from hive.service import Hive

    live = Hive.open().live_runners()
    if as_json:
        print_json([_runner_json(each) for each in live])
    elif quiet:
        for each in live:
            click.echo(each.id)
    elif live:
        rows = [
            (each.id, each.job.name, each.attempt.runner, str(each.job.work.limits.cpus), ago(each.attempt.started_at))
            for each in live
        ]  # fmt: skip
        click.echo(table(("RUNNER", "NAME", "BACKEND", "CPUS", "SINCE"), rows))
        click.echo()
        click.echo(isolation_table((each.id, Isolation.parse(each.attempt.isolation)) for each in live))
    else:
        click.echo("no runner is at work", err=True)


@click.command()
@click.argument("target", metavar="N|auto")
@json_option
def scale(target: str, as_json: bool) -> None:
    """Let N runners work at once, or with "auto" as many as fit. With 0 no build is started."""
    from hive.service import Hive

    if target != "auto" and not target.isdigit():
        raise click.UsageError(f"{target!r} is neither a number of runners nor auto")
    _tell(Hive.open().scale(None if target == "auto" else int(target)), as_json)


@click.command()
@click.argument("count", type=click.IntRange(min=1), default=1)
@json_option
def spawn(count: int, as_json: bool) -> None:
    """Let COUNT runners more work at once than now."""
    from hive.service import Hive

    _tell(Hive.open().spawn(count), as_json)


@click.command()
@click.argument("runner_ids", metavar="RUNNER...", nargs=-1, required=True, shell_complete=complete_job)
@json_option
def kill(runner_ids: tuple[str, ...], as_json: bool) -> None:
    """End runners, by their name or their job's number. Each may save a checkpoint; its job goes back to the queue."""
    from hive.service import Hive

    hive = Hive.open()
    ended = [hive.kill(runner_id) for runner_id in runner_ids]
    if as_json:
        print_json([_runner_json(each) for each in ended])
        return
    for each in ended:
        click.echo(f"runner {each.id} ({each.job.name}) is told to end; its job goes back to the queue", err=True)


@click.command()
@click.option("--keep-alive", is_flag=True, help="The supervisor stays when nothing is left to do.")
@json_option
def start(keep_alive: bool, as_json: bool) -> None:
    """Go on after stop or queue pause. (Nothing else needs it: install starts what it needs by itself.)"""
    from hive.service import Hive

    _tell(Hive.open().start(keep_alive), as_json)


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for what runs: it saves a checkpoint and goes on after start.")
@json_option
def stop(now: bool, as_json: bool) -> None:
    """Start no build any more until `hive start`; what runs is finished first."""
    from hive.console import say
    from hive.service import Hive

    hive = Hive.open()
    live = hive.stop(now)
    if now:
        hive.wait_until_still()
    if as_json:
        print_json({"hold": "stopped", "runners": [_runner_json(each) for each in live]})
        return
    names = ", ".join(f"{each.job.name} (job {each.job.id})" for each in live)
    if not live:
        say("stopped: nothing was running. Go on with: hive start")
    elif now:
        say(f"stopped {names}; each goes on from its last checkpoint with: hive start")
    else:
        say(f"nothing more is started; still running: {names}. At once: hive stop --now. Go on with: hive start")


@click.command()
@json_option
def restart(as_json: bool) -> None:
    """Put another supervisor in place of the present one. What runs is not disturbed."""
    from hive.service import Hive

    hive = Hive.open()
    hive.restart()
    if as_json:
        print_json({"runners": [_runner_json(each) for each in hive.live_runners()]})
    else:
        click.echo("restarted; what ran goes on", err=True)


def control_json(control: QueueControl) -> dict[str, Any]:
    """The stable keys of what was said about the queue."""
    return {"hold": control.hold, "target_runners": control.target_runners, "keep_alive": control.keep_alive}


def control_words(control: QueueControl) -> str:
    """Such as "paused (go on with: hive start), at most 2 runners"."""
    words = [f"{control.hold} (go on with: {control.lifted_by})"] if control.hold else []
    if control.target_runners == 0:
        words.append("scaled to 0 runners, so nothing is started (go on with: hive scale auto)")
    elif control.target_runners is not None:
        words.append(f"at most {control.target_runners} runner{'s' * (control.target_runners != 1)} at once")
    if control.keep_alive:
        words.append("the supervisor stays when idle")
    return ", ".join(words)


def _tell(control: QueueControl, as_json: bool) -> None:
    if as_json:
        print_json(control_json(control))
    else:
        click.echo(control_words(control) or "as many runners as fit", err=True)


def _runner_json(live: LiveRunner) -> dict[str, Any]:
    return {
        "id": live.id,
        "job": live.job.id,
        "name": live.job.name,
        "backend": live.attempt.runner,
        "isolation": live.attempt.isolation,
        "cpus": live.job.work.limits.cpus,
        "memory_bytes": live.job.work.limits.memory_bytes,
        "started_at": live.attempt.started_at,
    }
