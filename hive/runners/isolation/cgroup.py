"""A control group for one run, made by hand: the kernel itself limits and counts its memory, CPU and processes.

Of the two versions, v2 is one tree of groups and v1 a tree for each controller. Where both are mounted (hybrid), v1 has
the controllers. Groups lie at the top, as Docker's do, and are named hive-PID-TICKS after the shim that made them: one
whose shim is gone is nobody's, and the next start removes it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hive.model import Limits
from hive.runners.identity import read, start_ticks

TOP = Path("/sys/fs/cgroup")
PREFIX = "hive-"
V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
V2_CONTROLLERS = {"memory", "cpu", "pids"}
PERIOD_US = 100_000
OWN_PROCESSES = 2  # of the sandbox itself, besides the run's
REMOVE_S = 1.0  # how long the kernel may take to let go of a group whose processes have ended


class Group:
    """The processes of one run. Its folders are the group in each tree."""

    enters_alone = False  # a process of one thread moves itself in without the wait of `add`

    def __init__(self, *folders: Path) -> None:
        self.folders = folders

    def limit(self, limits: Limits) -> None:
        raise NotImplementedError

    def add(self, pid: int) -> None:
        """Move a process in. The kernel waits until it has looked at every CPU: some 8 ms."""
        for folder in self.folders:
            write(folder / "cgroup.procs", pid)

    def enter(self) -> None:
        """Move the calling process in, which has one thread."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        return [int(line) for line in read(self.folders[-1] / "cgroup.procs").split()]

    def memory_bytes(self) -> int:
        """What it needs now: its own pages and what it shares, but not the files that the kernel keeps at hand."""
        raise NotImplementedError

    def most_memory_bytes(self) -> int:
        """The most that it ever held, files that the kernel kept at hand included."""
        raise NotImplementedError

    def out_of_memory_kills(self) -> int:
        raise NotImplementedError

    def cpu_s(self) -> float:
        raise NotImplementedError

    def kill(self) -> None:
        """End every process of it: none can fork away, since none may fork any more."""
        with suppress(OSError):
            write(self.folders[-1] / "pids.max", 0)
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Kill what is left in it and remove it. Raises OSError if the kernel does not let go of it."""
        deadline = time.monotonic() + REMOVE_S
        for folder in self.folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:  # busy: a process of it is still there, at least to the kernel
                    if time.monotonic() > deadline:
                        raise
                    self.kill()
                    time.sleep(0.002)
                else:
                    break


class GroupV1(Group):
    """The last folder is that of the pids controller."""

    enters_alone = True

    @classmethod
    def named(cls, top: Path, name: str) -> GroupV1:
        return cls(*(top / controller / name for controller in V1_CONTROLLERS))

    def limit(self, limits: Limits) -> None:
        memory, cpu, _, pids = self.folders
        if limits.memory_bytes:
            write(memory / "memory.limit_in_bytes", limits.memory_bytes)
            if (memory / "memory.memsw.limit_in_bytes").exists():  # memory and swap together: so, no swap
                write(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
            with suppress(OSError):
                write(memory / "memory.swappiness", 0)
        write(cpu / "cpu.cfs_period_us", PERIOD_US)
        write(cpu / "cpu.cfs_quota_us", limits.cpus * PERIOD_US)
        write(pids / "pids.max", limits.pids + OWN_PROCESSES)

    def enter(self) -> None:
        for folder in self.folders:
            write(folder / "tasks", 0)

    def memory_bytes(self) -> int:
        figures = table(self.folders[0] / "memory.stat")
        return figures.get("rss", 0) + figures.get("shmem", 0)

    def most_memory_bytes(self) -> int:
        return number(self.folders[0] / "memory.max_usage_in_bytes")

    def out_of_memory_kills(self) -> int:
        return table(self.folders[0] / "memory.oom_control").get("oom_kill", 0)

    def cpu_s(self) -> float:
        return number(self.folders[2] / "cpuacct.usage") / 1e9


class GroupV2(Group):
    @classmethod
    def named(cls, top: Path, name: str) -> GroupV2:
        return cls(top / name)

    def limit(self, limits: Limits) -> None:
        [folder] = self.folders
        if limits.memory_bytes:
            write(folder / "memory.max", limits.memory_bytes)
            with suppress(OSError):  # a kernel without swap has no such file
                write(folder / "memory.swap.max", 0)
            write(folder / "memory.oom.group", 1)
        write(folder / "cpu.max", f"{limits.cpus * PERIOD_US} {PERIOD_US}")
        write(folder / "pids.max", limits.pids + OWN_PROCESSES)

    def memory_bytes(self) -> int:
        figures = table(self.folders[0] / "memory.stat")
        return figures.get("anon", 0) + figures.get("shmem", 0)

    def most_memory_bytes(self) -> int:
        return number(self.folders[0] / "memory.peak")

    def out_of_memory_kills(self) -> int:
        return table(self.folders[0] / "memory.events").get("oom_kill", 0)

    def cpu_s(self) -> float:
        return table(self.folders[0] / "cpu.stat").get("usage_usec", 0) / 1e6


def version(top: Path = TOP) -> type[GroupV1] | type[GroupV2] | None:
    """Whose groups hive may make below `top`."""
    if all(os.access(top / controller, os.W_OK) for controller in V1_CONTROLLERS):
        return GroupV1
    if set(read(top / "cgroup.controllers").split()) >= V2_CONTROLLERS and os.access(top, os.W_OK):
        return GroupV2
    return None


def make(limits: Limits, top: Path = TOP) -> Group:
    """A new group with these limits, owned by the calling process. Raises OSError."""
    kind = version(top)
    if kind is None:
        raise OSError(f"no control groups can be made in {top}")
    own = os.getpid()
    group = kind.named(top, f"{PREFIX}{own}-{start_ticks(own)}")
    try:
        if kind is GroupV2:
            _enable_controllers(top)
        for folder in group.folders:
            folder.mkdir(exist_ok=True)  # controllers that are mounted together share a folder
        group.limit(limits)
    except OSError:
        group.remove()
        raise
    return group


def _enable_controllers(top: Path) -> None:
    """Let the groups below `top` have them. systemd has done so already."""
    if missing := V2_CONTROLLERS - set(read(top / "cgroup.subtree_control").split()):
        write(top / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))


def sweep(top: Path = TOP) -> None:
    """Remove the groups that a killed shim left behind, or half made, and end what is in them."""
    for kind, parents in ((GroupV1, [top / name for name in V1_CONTROLLERS]), (GroupV2, [top])):
        for name in {name for parent in parents for name in _orphans(parent)}:
            with suppress(OSError):  # another start is at it
                kind.named(top, name).remove()


def _orphans(parent: Path) -> Iterator[str]:
    with suppress(OSError):
        for name in os.listdir(parent):
            pid, _, ticks = name.removeprefix(PREFIX).partition("-")
            if name.startswith(PREFIX) and pid.isdecimal() and not (ticks and start_ticks(int(pid)) == ticks):
                yield name


def of_process(pid: int, top: Path = TOP) -> GroupV2 | None:
    """The v2 group that somebody else (systemd) put a process in, None while it is where the caller is."""
    path = _path_v2(pid)
    return GroupV2(top / path.lstrip("/")) if path and path != _path_v2(os.getpid()) else None


def _path_v2(pid: int) -> str:
    lines = read(f"/proc/{pid}/cgroup").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def write(path: Path, value: object) -> None:
    """One write(2), as the kernel wants it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def table(path: Path) -> dict[str, int]:
    """The lines `name number` of a file."""
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def number(path: Path) -> int:
    text = read(path).strip()
    return int(text) if text.isdecimal() else 0
