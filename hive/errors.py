"""Every error a person can meet: what happened, why, and what to try next; and the exit code it ends with."""

from __future__ import annotations


class HiveError(Exception):
    """message says what, why says why, hint what to try. Rendered once, by the front end."""

    exit_code = 1

    def __init__(self, message: str, why: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint


class RequestError(HiveError):
    """The request cannot be met: unknown model, conflict, unusable input."""


class UsageError(HiveError):
    """The command line itself is wrong."""

    exit_code = 2


class BuildFailed(HiveError):
    exit_code = 3


class NoCapacity(HiveError):
    """A time limit, or not enough memory, cores or disk."""

    exit_code = 4


class RunnerUnavailable(NoCapacity):
    """A backend that cannot be used, now or on this machine."""


class GateRefused(HiveError):
    """The model was trained, and is not good enough to be installed."""

    exit_code = 5


class LockError(HiveError):
    """hive.lock is missing or stale."""

    exit_code = 6


class DamageFound(HiveError):
    """Verification found files that are not what was installed."""

    exit_code = 7


class NotReproducible(HiveError):
    exit_code = 8


class StoreError(HiveError):
    """The database or store cannot be used: newer schema, no permission, disk full."""


class DamagedDatabase(StoreError):
    """The database is not what hive wrote, or gone. What was installed can be read from the store."""


def for_failure(kind: str) -> type[HiveError]:
    """The error class, and so the exit code, of a job's failure kind."""
    return {
        "gate_refused": GateRefused,
        "timeout": NoCapacity,
        "disk_full": NoCapacity,
        "out_of_memory": NoCapacity,
        "bad_input": RequestError,
    }.get(kind, BuildFailed)
