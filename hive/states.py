"""The life of a job. This table is the one place that says which change of state is legal."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Event(StrEnum):
    CLAIM = "claim"  # a supervisor takes the job and begins an attempt
    RETRY = "retry"  # this attempt failed, another one may succeed
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    REQUEUE = "requeue"  # a person asks for another try


TRANSITIONS: dict[tuple[JobState, Event], JobState] = {
    (JobState.QUEUED, Event.CLAIM): JobState.RUNNING,
    (JobState.QUEUED, Event.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, Event.FAIL): JobState.FAILED,  # something it needs failed
    (JobState.RUNNING, Event.RETRY): JobState.QUEUED,
    (JobState.RUNNING, Event.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, Event.FAIL): JobState.FAILED,
    (JobState.RUNNING, Event.CANCEL): JobState.CANCELLED,
    (JobState.FAILED, Event.REQUEUE): JobState.QUEUED,
    (JobState.CANCELLED, Event.REQUEUE): JobState.QUEUED,
}


def origins(event: Event) -> dict[JobState, JobState]:
    """From which states `event` leads where."""
    return {state: target for (state, e), target in TRANSITIONS.items() if e is event}


# Failures of the surroundings, not of the build: tried again from the last checkpoint.
RETRIED_KINDS = frozenset({"infrastructure", "stopped", "no_heartbeat"})
# Those that are nobody's fault do not count against the job's charged attempts.
UNCHARGED_KINDS = frozenset({"infrastructure", "stopped"})
MAX_CHARGED_ATTEMPTS = 3
MAX_ATTEMPTS = 12


# Seconds before the second try. A run that was stopped for a reason may go on at once.
FIRST_DELAY_S = {"infrastructure": 1.0, "no_heartbeat": 5.0, "stopped": 0.0}
LONGEST_DELAY_S = 300.0
LONGEST_PAUSE_S = 1.25 * LONGEST_DELAY_S


def retry_delay_s(kind: str, tries: int, chance: float) -> float:
    """Seconds to wait after a failure of this kind: doubling with each try, and up to a quarter more or less.

    chance: drawn from 0 to 1, so that many jobs that failed together do not come back together.
    """
    delay = min(LONGEST_DELAY_S, FIRST_DELAY_S[kind] * 2.0 ** min(20, max(0, tries - 1)))
    return delay * (0.75 + 0.5 * chance)
