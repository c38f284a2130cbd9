"""Start a program the way a run is started: some steps in the process that will become it, then exec."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hive_runner.frozen import frozen

from hive.model import Limits
from hive.runners.isolation.cgroup import Group


def nothing_to_prepare() -> None: ...


@frozen
class Launch:
    """A program ready to start inside a level of isolation."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    folder: Path  # where it starts
    prepare: Callable[[], None] = nothing_to_prepare  # runs in the new process, before the program does
    tied: bool = False  # the kernel is told to end it with its parent; otherwise the program sees to that itself
    group: Callable[[Limits], Group] | None = None  # makes the control group that holds it
    measures: Callable[[int], Group | None] | None = None  # finds the group that another made for a process
    descriptors: tuple[int, ...] = ()  # that `prepare` needs
    owns_its_tree: bool = True  # a namespace or a group ends whatever it started


def spawn(launch: Launch, output: int, group: Group | None = None) -> int:
    """Start the program, its output into the pipe `output`; its pid. Raises OSError if it cannot start.

    Where it cannot enter the group alone it is added while it prepares itself, and begins when both are done.
    """
    may_go, go = os.pipe()
    failure, fail = os.pipe()
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        _become(launch, own, output, may_go, fail, group)
    os.close(may_go)
    os.close(fail)
    try:
        if group and not group.enters_alone:
            group.add(pid)
        os.write(go, b"+")
        if why := os.read(failure, 4096):  # closed by exec
            raise OSError(why.decode(errors="replace"))
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(go)
        os.close(failure)
    return pid


def _become(launch: Launch, parent: int, output: int, may_go: int, fail: int, group: Group | None) -> NoReturn:
    """In the new process, which never returns from here."""
    try:
        if not launch.owns_its_tree:
            from hive.runners.isolation.reaper import keep

            parent = keep(parent, close=(output, may_go, fail))
        for stream, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
            os.dup2(source, stream)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program inherits that
            signal.signal(number, signal.SIG_DFL)
        os.chdir(launch.folder)
        if group and group.enters_alone:
            group.enter()
        launch.prepare()
        if launch.tied:
            from hive.runners.isolation import kernel

            kernel.end_with(parent)
        if os.read(may_go, 1):
            os.execve(launch.argv[0], launch.argv, launch.environment)
    except BaseException as error:
        os.write(fail, f"{launch.argv[0]} cannot start: {error}".encode()[:4096])
    finally:
        os._exit(127)
