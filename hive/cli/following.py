"""Follows a job to its end on the screen, and the error that an end without success is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hive.errors import HiveError
    from hive.model import Job
    from hive.service import Hive


def follow(hive: Hive, job: Job, quiet: bool) -> Job:
    """Watch a job to its end. An interrupt detaches from it and leaves it running."""
    import shlex
    import sys

    from hive.console import BuildDisplay, say

    with BuildDisplay(quiet, job.name) as display:
        display.state(job)
        try:
            for update in hive.watch(job.id):
                known, job = job, update.job
                if update.event is not None:
                    display.event(update.event)
                elif update.waits_for:
                    display.waits(update.waits_for)
                elif (job.state, job.attempt) != (known.state, known.attempt):
                    display.state(job)
        except KeyboardInterrupt:
            display.close(finished=False)
            say(f"\ndetached: the build of {job.name} (job {job.id}) goes on")
            say(f"  follow it: hive {shlex.join(sys.argv[1:])}   or   hive logs -f {job.id}")
            say(f"  cancel it: hive queue cancel {job.id}")
            raise
    return job


def unsuccessful(job: Job, what: str, besides: str = "") -> HiveError:
    """The error that a job stands for which is over without success: `what` is the harm, `besides` what is left."""
    from hive.errors import BuildFailed, for_failure

    failure, look = job.failure, f"hive logs {job.id}; hive queue show {job.id}"
    if failure is None:
        return BuildFailed(f"{what}: job {job.id} is {job.state}{besides}", "", look)
    return for_failure(failure.kind)(f"{what}: {failure.message}{besides}", failure.why, failure.hint or look)
