"""Errors a recipe raises on purpose. Anything else that escapes a recipe is a recipe error, with its traceback."""

from __future__ import annotations


class RunnerError(Exception):
    """A failure with a kind the queue understands, and words for the person who reads it.

    `kind` is one of `contract.FAILURE_KINDS`; `why` and `hint` may be empty.
    """

    kind = "recipe_error"

    def __init__(self, message: str, why: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint


class InputError(RunnerError):
    """The user's file or option cannot be used: nothing is wrong with the recipe or the machine."""

    kind = "bad_input"


class DivergedError(RunnerError):
    """The loss became NaN or infinite."""

    kind = "diverged"


class Stopped(RunnerError):
    """The run was asked to stop (SIGTERM) and can go on later, from what it has saved."""

    kind = "stopped"
