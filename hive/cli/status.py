"""status, monitor, clean: what goes on now, on one screen or on a living one; and making room."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import json_option, print_json

if TYPE_CHECKING:
    from hive.model import RunnerUse, Snapshot

EVENTS_SHOWN = 5


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Everything at a glance: supervisor, machine, runners, queue, the last events."""
    from hive.service import Hive

    now = Hive.open().look()
    if as_json:
        print_json(snapshot_json(now))
    else:
        click.echo("\n".join(_status_lines(now)))


def _status_lines(now: Snapshot) -> list[str]:
    from hive.cli.runners import control_words
    from hive.console import duration, event_words, machine_words, runner_cells, stamp, table

    lasted = f" for {duration(now.at - now.supervisor_since)}" if now.supervisor_since else ""
    lines = [f"supervisor  {f'running{lasted}' if now.supervisor else 'not running (it starts when there is work)'}"]
    lines += [f"machine     {machine_words(now.machine)}"]
    lines += [f"runners     {len(now.runners)} active, {now.runners_available} available, {now.runners_max} at most"]
    order = (("queued", "pending"), *((state, state) for state in ("running", "succeeded", "failed", "cancelled")))
    counts = ", ".join(f"{now.totals.get(state, 0):,} {word}" for state, word in order)
    empty = f"; empty in about {duration(now.done_in_s)}" if now.done_in_s else ""
    lines += [f"queue       {counts}{empty}"]
    if words := control_words(now.control):
        lines += [f"note        {words}"]
    if now.runners:
        headers = ("RUNNER", "MODEL", "PHASE", "STEP", "ETA", "CPU", "MEMORY")
        lines += ["", table(headers, map(runner_cells, now.runners))]
    if now.waiting:
        rows = [(str(job.id), job.name, job.priority_name, now.reasons.get(job.id, "")) for job in now.waiting]
        lines += ["", table(("WAITING", "MODEL", "PRIORITY", "WAITS FOR"), rows[:10])]
        lines += [f"and {len(rows) - 10} more: hive queue status"] if len(rows) > 10 else []
    if now.happenings:
        newest = reversed(now.happenings[:EVENTS_SHOWN])
        lines += ["", *(f"{stamp(each.at)}  {event_words(each)}" for each in newest)]
    return lines


def snapshot_json(now: Snapshot) -> dict[str, Any]:
    """The stable keys of a snapshot."""
    from dataclasses import asdict

    from hive.cli.queue import job_json
    from hive.cli.runners import control_json

    return {
        "at": now.at,
        "supervisor": {"running": now.supervisor, "since": now.supervisor_since},
        "machine": asdict(now.machine),
        "runners": {
            "active": len(now.runners),
            "available": now.runners_available,
            "max": now.runners_max,
            "list": [_runner_json(each) for each in now.runners],
        },
        "queue": {
            "pending": now.totals.get("queued", 0),
            **{state: now.totals.get(state, 0) for state in ("running", "succeeded", "failed", "cancelled")},
            "done_in_s": now.done_in_s,
            **control_json(now.control),
            "waiting": [{**job_json(job), "reason": now.reasons.get(job.id, "")} for job in now.waiting],
        },
        "events": [asdict(each) for each in now.happenings],
    }


def _runner_json(each: RunnerUse) -> dict[str, Any]:
    """What JSON has no number for is null."""
    import math

    return {
        "id": each.id,
        "job": each.job.id,
        "name": each.job.name,
        "backend": each.attempt.runner,
        "phase": each.phase,
        "step": each.step,
        "total": each.total,
        "metrics": {name: value if math.isfinite(value) else None for name, value in each.metrics.items()},
        "eta_s": each.eta_s,
        "cpu_percent": each.cpu_percent,
        "memory_bytes": each.memory_bytes,
        "started_at": each.attempt.started_at,
    }


@click.command()
def monitor() -> None:
    """Watch queue, runners and machine live; cancel, move and follow jobs by keys. "?" shows them, q quits."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("monitor needs a terminal\n  why: stdin or stdout is none\n  try: hive status")
    from hive.monitor import watch
    from hive.service import Hive

    watch(Hive.open())


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@click.option("--older-than", default="7d", show_default=True, metavar="TIME",
              help="What jobs left that ended longer ago, such as 12h or 30d; 0 for all.")  # fmt: skip
@json_option
def clean(dry_run: bool, older_than: str, as_json: bool) -> None:
    """Make room: logs and checkpoints of jobs that are over, and what killed commands left half done.

    Only what can be made again goes: a build that was cancelled or failed, and is asked for after its checkpoints are
    gone, begins at its first step. Installed models, and whatever a waiting or running job needs, stay; so does the
    history of the queue.
    """
    from hive.config import parse_age_s
    from hive.console import say, size, table
    from hive.service import Hive

    try:
        older_than_s = parse_age_s(older_than)
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from error
    gone = Hive.open().clean(older_than_s, dry_run)
    freed = sum(each.size_bytes for each in gone)
    if as_json:
        things = [{"kind": e.kind, "path": str(e.path), "size_bytes": e.size_bytes, "why": e.why} for e in gone]
        print_json({"dry_run": dry_run, "freed_bytes": freed, "removed": things})
        return
    if gone:
        click.echo(table(("WHAT", "SIZE", "WHY"), [(each.label, size(each.size_bytes), each.why) for each in gone]))
    say(f"{'would free' if dry_run else 'freed'} {size(freed)}" if gone else "nothing to clean")
