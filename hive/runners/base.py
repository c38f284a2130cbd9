"""What every backend offers, and what it is given. The folder of the runner contract is the interface."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from hive_runner.frozen import asdict, frozen

from hive.errors import HiveError
from hive.model import Isolation, Limits

if TYPE_CHECKING:
    from hive.environments import RunnerEnvironment, Say

LOCK_FILE = "attempt.lock"
HANDLE_FILE = "handle"
EXIT_FILE = "exit.json"
LOG_FILE = "log.txt"
OLD_LOG_FILE = "log.1.txt"  # the one before it, once it was full


@frozen
class Mount:
    """A file or folder that the run sees at `target`."""

    source: Path
    target: str
    writable: bool = False


@frozen
class Order:
    """One execution, ready to start."""

    folder: Path  # the contract's folder: spec.json, out/, events.jsonl, ... mounted writable as its work folder
    python: str  # interpreter that has the recipe's requirements, as the run sees it
    mounts: tuple[Mount, ...]
    limits: Limits
    environment: dict[str, str]
    labels: dict[str, str]  # home, job, attempt
    image: str = ""  # what a container is made from
    gpu: str = ""  # which of the machine's it gets; "" for none
    cores: tuple[int, ...] = ()  # which of the machine's it may keep busy; () for any
    dies_with_caller: bool = False  # True for `hive run`; a build outlives its supervisor


@frozen
class Ending:
    """How an execution ended, from whoever waited for it. Not whether it did its work: that is result.json."""

    exit_code: int  # negative: killed by that signal
    reason: str  # "", or a failure kind when a limit ended it
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    message: str = ""

    @classmethod
    def read(cls, folder: Path) -> Ending | None:
        """The ending recorded in a contract folder, or None if nobody lived to record it."""
        try:
            with open_plain(folder / EXIT_FILE) as file:
                return cls(**json.loads(file.read()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Record it in a contract folder, durably, following no link that the run may have put in the way."""
        temporary = folder / (EXIT_FILE + ".tmp")
        with suppress(OSError):  # then nobody recorded it, and the attempt counts as lost
            temporary.unlink(missing_ok=True)
            with open(temporary, "x") as file:
                file.write(json.dumps(asdict(self)))  # json.dump would do it in Python, not in C
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / EXIT_FILE)


def open_plain(path: Path) -> BinaryIO:
    """Open what a run may have written. Raises OSError for a link, a pipe or a device, which it may have put there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return open(descriptor, "rb")


class Runner(Protocol):
    """A backend. `handle` is a string that a later process can use to find the execution again."""

    name: str

    def available(self) -> str:
        """Why this backend cannot be used here, or "" if it can."""
        ...

    def isolation(self) -> Isolation:
        """What it really enforces on this machine, found by probing."""
        ...

    @property
    def refusals(self) -> dict[str, str]:
        """Why each better level of isolation is not reached here: level -> reason."""
        ...

    def prepare(self, offline: bool, say: Say) -> str:
        """Have it ready for runs; what makes it so, in words, if that is worth telling. Raises HiveError."""
        ...

    def environment(self, requirements: tuple[str, ...], offline: bool, say: Say) -> RunnerEnvironment:
        """What has a recipe's requirements here, made now if need be. Raises RequestError, NoCapacity."""
        ...

    def has_gpu(self) -> bool:
        """Whether a run can be given a GPU."""
        ...

    def place(self, mount: Mount) -> str:
        """The path at which the run will see a mount."""
        ...

    def start(self, order: Order) -> str:
        """Begin; the handle. Raises HiveError if the backend fails or the folder's execution is running already."""
        ...

    def alive(self, folder: Path, handle: str) -> bool: ...

    def wait_descriptor(self, handle: str) -> int | None:
        """A descriptor that becomes readable when the execution ends (the caller closes it), if there is one."""
        ...

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        """Ask it to end, and make sure of it after `grace_s`. Returns at once."""
        ...

    def ending(self, folder: Path, handle: str) -> Ending | None: ...


def refuse_untrusted(name: str, trusted: bool, isolation: Isolation) -> None:
    """Raises HiveError for a recipe of an unknown hand where nothing would hold it."""
    if not isolation.isolates and not trusted:
        raise HiveError(
            f"{name} was not started",
            f"it is not a built-in recipe, and nothing isolates it here ({isolation.note or isolation.level})",
            "install bubblewrap, or accept the risk with --allow-unsandboxed",
        )


def work_path(runner: Runner, folder: Path, *parts: str) -> str:
    """The path at which the run sees a place in its contract folder."""
    return os.path.join(runner.place(work_mount(folder)), *parts)


def work_mount(folder: Path) -> Mount:
    return Mount(folder, "/work", writable=True)


def outside(runner: Runner, mounts: Iterable[Mount], path: Path) -> str:
    """The path at which the run sees the file `path` of this machine. It must lie in one of the mounts."""
    for mount in mounts:
        if path == mount.source or mount.source in path.parents:
            return os.path.join(runner.place(mount), *path.relative_to(mount.source).parts)
    raise ValueError(f"{path} is not mounted")
