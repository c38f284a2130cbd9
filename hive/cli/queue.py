"""queue status|list|show|cancel|retry|move|wait|pause|resume|clear, and logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_job, complete_model, json_option, print_json

if TYPE_CHECKING:
    from hive.model import Attempt, Job, Story, Try


COLUMNS = ("JOB", "NAME", "STATE", "PRIORITY", "PROFILE", "SINCE", "WHY")


@click.group()
def queue() -> None:
    """Look at and change the queue of builds."""


@queue.command()
@json_option
def status(as_json: bool) -> None:
    """What runs, what waits and why, and when all will be done."""
    from hive.cli.runners import control_json, control_words
    from hive.console import cut, duration, table
    from hive.service import Hive

    now = Hive.open().queue_status()
    if as_json:
        print_json(
            {
                "supervisor": now.supervisor,
                **control_json(now.control),
                "totals": now.totals,
                "running": [job_json(job) for job in now.running],
                "waiting": [{**job_json(job), "reason": now.reasons[job.id]} for job in now.waiting],
                "done_in_s": now.done_in_s,
            }
        )
        return
    order = ("running", "queued", "succeeded", "failed", "cancelled")
    click.echo(", ".join(f"{now.totals.get(state, 0):,} {state}" for state in order))
    click.echo(f"supervisor: {'running' if now.supervisor else 'not running'}")
    if words := control_words(now.control):
        click.echo(f"queue: {words}")
    if now.done_in_s is not None:
        click.echo(f"empty in about {duration(now.done_in_s)}")
    elif names := sorted({job.name for job in now.running + now.waiting if job.work.expected_s is None}):
        click.echo(f"when it will be empty is not known: never built here before: {', '.join(names)}")
    if now.running or now.waiting:
        rows = [_row(job, now.reasons.get(job.id, "")) for job in now.running + now.waiting]
        click.echo(cut(table(COLUMNS, rows)))


@queue.command(name="list")
@click.option("-n", "--limit", default=20, show_default=True, help="How many of the newest.")
@click.option("-q", "--quiet", is_flag=True, help="Job numbers only.")
@json_option
def list_(limit: int, quiet: bool, as_json: bool) -> None:
    """The newest jobs, whatever their state."""
    from hive.console import cut, table
    from hive.service import Hive

    jobs = Hive.open().jobs(limit)
    if as_json:
        print_json([job_json(job) for job in jobs])
    elif quiet:
        for job in jobs:
            click.echo(job.id)
    else:
        click.echo(cut(table(COLUMNS, map(_row, jobs))))


@queue.command()
@click.argument("job_id", type=int, shell_complete=complete_job)
@json_option
def show(job_id: int, as_json: bool) -> None:
    """The story of one job: its attempts, and why each ended."""
    from hive.console import plain, stamp
    from hive.service import Hive

    story = Hive.open().story(job_id)
    if as_json:
        print_json(_story_json(story))
        return
    for line in _story_lines(story):
        click.echo(plain(line))
    click.echo()
    for event in story.events:
        click.echo(plain(f"  {stamp(event.at)}  {event.event}" + (f": {event.detail}" if event.detail else "")))


def _story_lines(story: Story) -> list[str]:
    job = story.job
    lines = [f"job {job.id}: {job.name} {job.version}, {job.state}, priority {job.priority_name}"]
    lines += [f"  build: {job.build.profile}, seed {job.build.seed}, key {job.build_key}"]
    if story.needs:
        lines += [f"  needs: {', '.join(f'job {each.id} ({each.name}, {each.state})' for each in story.needs)}"]
    if story.waits_for:
        lines += [f"  waits: {story.waits_for}"]
    if story.tries:
        lines += [
            f"  tries: {story.tries_counted} of at most {story.tries_at_most}, "
            f"{job.charged} of {story.charged_at_most} charged to the job"
        ]
    if job.failure:
        lines += [f"  failure: {job.failure.kind}: {job.failure.message}"]
        lines += [
            f"    {label}: {text}" for label, text in (("why", job.failure.why), ("try", job.failure.hint)) if text
        ]
    for each in story.tries:
        lines += ["", *_try_lines(each)]
    return lines


def _try_lines(told: Try) -> list[str]:
    from hive.console import duration, size, stamp

    attempt = told.attempt
    took = f"took {duration(attempt.ended_at - attempt.started_at)}" if attempt.ended_at else "is at work"
    lines = [f"attempt {attempt.attempt}: began {stamp(attempt.started_at)}, {took}"]
    if attempt.runner:
        lines += [f"  where: {attempt.runner}, {_level(attempt)}"]
    if told.began_at_step is not None:
        step = told.began_at_step
        lines += [f"  from: {f'the checkpoint at step {step:,}' if step else 'the first step'}"]
    if attempt.ended_at:
        failed = attempt.outcome not in ("succeeded", "cancelled")
        charged = f", {'charged' if attempt.is_charged else 'not charged'}" * failed
        lines += [f"  end: {attempt.outcome}{charged}" + (f": {attempt.message}" if attempt.message else "")]
        lines += [f"  used: {size(attempt.peak_memory_bytes)} memory, {duration(attempt.cpu_s)} CPU time"]
    return lines


def _level(attempt: Attempt) -> str:
    from hive.model import Isolation

    return Isolation.parse(attempt.isolation).level


def _story_json(story: Story) -> dict[str, Any]:
    from dataclasses import asdict

    job = story.job
    return {
        **job_json(job),
        "charged": job.charged,
        "next_try_at": job.not_before if job.state == "queued" and job.not_before else None,
        "reason": story.waits_for,
        "build": asdict(job.build),
        "work": asdict(job.work),
        "attempts": [
            {
                **asdict(each.attempt),
                "level": _level(each.attempt),
                "began_at_step": each.began_at_step,
                "charged": each.attempt.is_charged,
            }
            for each in story.tries
        ],
        "events": [asdict(event) for event in story.events],
        "needs": [each.id for each in story.needs],
    }


@queue.command()
@click.argument("job_ids", type=int, nargs=-1, required=True, shell_complete=complete_job)
@json_option
def cancel(job_ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel jobs that wait or run."""
    from hive.service import Hive

    _report(job_ids, Hive.open().cancel, as_json)


@queue.command()
@click.argument("job_ids", type=int, nargs=-1, required=True, shell_complete=complete_job)
@click.option("--from-scratch", is_flag=True, help="Begin at the first step instead.")
@json_option
def retry(job_ids: tuple[int, ...], from_scratch: bool, as_json: bool) -> None:
    """Try failed or cancelled jobs again, from their last checkpoint, and what they need with them."""
    from functools import partial

    from hive.service import Hive

    # What a job needs was queued before it, and comes first here too: it is no longer to be tried again afterwards.
    _report(sorted(job_ids), partial(Hive.open().retry, from_scratch=from_scratch), as_json)


@queue.command()
@click.argument("job_ids", type=int, nargs=-1, required=True, shell_complete=complete_job)
@click.option("--priority", type=click.Choice(["high", "medium", "low"]), required=True)
@json_option
def move(job_ids: tuple[int, ...], priority: str, as_json: bool) -> None:
    """Give waiting jobs another priority.

    Inside a priority the first comes first. Half an hour of waiting weighs as much as one priority more, so that a low
    job is not overtaken for ever.
    """
    from functools import partial

    from hive.service import Hive

    _report(job_ids, partial(Hive.open().move, priority=priority), as_json, lambda job: f"has priority {priority}")


@queue.command()
@click.argument("job_ids", metavar="[JOB]...", type=int, nargs=-1, shell_complete=complete_job)
@json_option
def wait(job_ids: tuple[int, ...], as_json: bool) -> None:
    """Wait until jobs are over; without any named, until all are that run or wait now.

    It fails as the first does that was not built. An interrupt leaves them at work.
    """
    from hive.cli.following import follow, unsuccessful
    from hive.service import Hive

    hive = Hive.open()
    waited_for = job_ids or [job.id for job in hive.live_jobs()]
    if not waited_for:
        click.echo("nothing runs or waits", err=True)
    over = _report(
        waited_for,
        lambda job_id: follow(hive, hive.job(job_id), as_json),
        as_json,
        lambda job: "was cancelled" if job.state == "cancelled" else str(job.state),
    )
    for job in over:
        if job.state != "succeeded":
            raise unsuccessful(job, f"{job.name} {job.version} was not built")


@queue.command()
@json_option
def pause(as_json: bool) -> None:
    """Start nothing more until resume; what runs goes on."""
    from hive.cli.runners import control_json
    from hive.service import Hive

    control = Hive.open().pause()
    if as_json:
        print_json(control_json(control))
    else:
        click.echo("paused: what runs goes on, nothing more is started. Go on with: hive queue resume", err=True)


@queue.command()
@json_option
def resume(as_json: bool) -> None:
    """Go on after pause or stop."""
    from hive.cli.runners import control_json
    from hive.service import Hive

    control = Hive.open().resume()
    if as_json:
        print_json(control_json(control))
    else:
        click.echo("the queue goes on", err=True)


@queue.command()
@json_option
def clear(as_json: bool) -> None:
    """Cancel every job that waits; what runs goes on."""
    from hive.service import Hive

    cancelled = Hive.open().clear()
    if as_json:
        print_json([job_json(job) for job in cancelled])
    else:
        click.echo(f"cancelled {len(cancelled)} waiting job{'s' * (len(cancelled) != 1)}", err=True)


@click.command()
@click.argument("target", metavar="MODEL|JOB|RUNNER", shell_complete=complete_model)
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job is over.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last lines.")
def logs(target: str, follow: bool, tail: int | None) -> None:
    """Print the log of a model's newest build, of a job, or of one runner: JOB.ATTEMPT, as `hive runners` names it."""
    from hive.console import plain
    from hive.service import Hive

    for line in Hive.open().logs(target, tail, follow):
        click.echo(plain(line))


def job_json(job: Job) -> dict[str, Any]:
    """The stable keys of a job."""
    from dataclasses import asdict

    return {
        "id": job.id,
        "name": job.name,
        "version": job.version,
        "state": str(job.state),
        "priority": job.priority_name,
        "profile": job.build.profile,
        "attempt": job.attempt,
        "build_key": job.build_key,
        "artifact": job.artifact,
        "failure": asdict(job.failure) if job.failure else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _report(
    job_ids: Iterable[int],
    change: Callable[[int], Job],
    as_json: bool,
    words: Callable[[Job], str] = lambda job: f"is {job.state}",
) -> list[Job]:
    """Change one job after the other, and tell of it: those that were changed.

    One that cannot be changed does not keep the others from it. Raises its error afterwards.
    """
    from hive.console import render_error
    from hive.errors import HiveError

    changed: list[Job] = []
    refused: list[HiveError] = []
    for job_id in dict.fromkeys(job_ids):
        try:
            changed.append(change(job_id))
        except HiveError as error:
            refused.append(error)
            continue
        if not as_json:
            click.echo(f"job {job_id} ({changed[-1].name}) {words(changed[-1])}", err=True)
    if as_json:
        print_json([job_json(job) for job in changed])
    for other in refused[1:]:
        click.echo(render_error(other), err=True)
    if refused:
        raise refused[0]
    return changed


def _row(job: Job, reason: str = "") -> tuple[str, ...]:
    """reason: why it waits; of a job that is over, why it was not built, is told without."""
    from hive.console import ago

    since = job.finished_at or (job.started_at if job.state == "running" else job.created_at) or job.created_at
    state = str(job.state) + (f" ({job.failure.kind})" if job.failure and job.state == "failed" else "")
    why = reason or (job.failure.message if job.failure else "")
    return (str(job.id), job.name, state, job.priority_name, job.build.profile, ago(since), why)
