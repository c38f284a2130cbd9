"""Run hive or its supervisor as they are, and SIGKILL the process at a named point.

    python dying.py MODULE:FUNCTION:before|after[:N] MARK supervise HOME
    python dying.py MODULE:FUNCTION:before|after[:N] MARK hive ARGUMENTS

The N-th call (the first if left out) of the function is the point. A shim is a fork of its supervisor: a point in the
shim kills the shim. It happens once: the file MARK remembers it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any


def arm(point: str, mark: str) -> None:
    """Replace the function by one that dies at its N-th call."""
    module, path, moment, *rest = point.split(":")
    left = int(rest[0]) if rest else 1
    *holders, name = path.split(".")
    holder: Any = importlib.import_module(module)
    for part in holders:
        holder = getattr(holder, part)
    function = getattr(holder, name)
    armed = os.getpid()
    in_forks = module in ("hive.runners.shim", "hive.runners.base")

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= in_forks or os.getpid() == armed
        if left == 0 and moment == "before":
            die(mark)
        answer = function(*arguments, **named)
        if left == 0 and moment == "after":
            die(mark)
        return answer

    setattr(holder, name, dying)


def die(mark: str) -> None:
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def main(point: str, mark: str, program: str, *arguments: str) -> None:
    if program == "supervise":
        from hive import supervise

        arm(point, mark)
        supervise.main(["supervise", *arguments])
    else:
        from hive.__main__ import main as hive

        arm(point, mark)
        sys.argv = ["hive", *arguments]
        sys.exit(hive())


if __name__ == "__main__":
    main(*sys.argv[1:])
