"""The shim: a fork that waits for one payload, keeps it within its limits, and writes down how it ended.

It outlives the supervisor that forked it, so that limits hold and the ending is known whoever comes next. It holds the
attempt's lock; the payload gets no such descriptor. Standard library only, and nothing that is slow to import.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import IO

from hive.model import Limits
from hive.runners.base import EXIT_FILE, LOG_FILE, Ending

TICK_S = 0.2
DISK_EVERY_S = 3.0
LOG_CAP_BYTES = 4 << 20  # log.txt and the one before it
GRACE_S = 10.0
PAGE_BYTES = resource.getpagesize()


def run(
    argv: list[str],
    environment: dict[str, str],
    folder: Path,
    limits: Limits,
    lock: int,
    caller: int | None = None,
) -> None:
    """Run `argv` to its end; then exit.json in `folder`. Never returns: the process ends.

    lock: the descriptor of the attempt's lock, kept open until the end. caller: a process whose death ends the run.
    """
    try:
        os.setsid()
        _close_all_but(lock)
        ending = _Watch(argv, environment, folder, limits, caller).wait()
        _record(folder, ending)
    except BaseException as error:  # the last line of defence: nobody else will tell
        _record(folder, Ending(1, "infrastructure", 0.0, 0.0, 0, f"the shim failed: {error!r}"))
    finally:
        os._exit(0)


def _close_all_but(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    for descriptor in range(3, limit):
        if descriptor != keep:
            try:
                os.close(descriptor)
            except OSError:
                continue


class _Watch:
    def __init__(
        self, argv: list[str], environment: dict[str, str], folder: Path, limits: Limits, caller: int | None
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.caller = caller
        self.reason = ""
        self.message = ""
        self.peak_memory_bytes = 0
        self.asked_to_stop_at: float | None = None
        self.started = time.monotonic()
        self.disk_seen = self.started
        self.events_seen = (0, self.started)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _set_limits(limits)
        self.payload = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            cwd=folder,
        )  # fmt: skip

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        if self.asked_to_stop_at is None:
            self.asked_to_stop_at = time.monotonic()
            self._signal_payload(signal.SIGTERM)

    def wait(self) -> Ending:
        assert self.payload.stdout is not None
        log = _Log(self.folder / LOG_FILE)
        pidfd = os.pidfd_open(self.payload.pid)
        pipe = self.payload.stdout.fileno()
        os.set_blocking(pipe, False)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(pipe, select.POLLIN)
        next_tick = self.started + TICK_S
        while True:
            try:
                ready = {descriptor for descriptor, _ in poll.poll(max(0.0, next_tick - time.monotonic()) * 1000)}
            except InterruptedError:
                continue
            if pipe in ready and not log.drain(pipe):
                poll.unregister(pipe)
            if pidfd in ready:
                break
            if time.monotonic() >= next_tick:
                self._look()
                next_tick = time.monotonic() + TICK_S
        _, status, usage = os.wait4(self.payload.pid, 0)
        log.drain(pipe)
        log.close()
        code = os.waitstatus_to_exitcode(status)
        return Ending(
            exit_code=code if code < 128 else 128 - code,  # bwrap reports 128 + signal
            reason=self.reason,
            wall_s=round(time.monotonic() - self.started, 3),
            cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
            peak_memory_bytes=max(self.peak_memory_bytes, usage.ru_maxrss * 1024),
            message=self.message,
        )

    def _look(self) -> None:
        now = time.monotonic()
        memory_bytes = tree_memory_bytes(self.payload.pid)
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)
        if self.limits.memory_bytes and memory_bytes > self.limits.memory_bytes:
            self._end("out_of_memory", f"it used {memory_bytes:,} bytes of {self.limits.memory_bytes:,}")
        elif now - self.started > self.limits.wall_s:
            self._end("timeout", f"it ran for {now - self.started:.0f} s of {self.limits.wall_s:.0f} s")
        elif self.asked_to_stop_at is not None and now - self.asked_to_stop_at > GRACE_S:
            self._end(self.reason or "stopped", "it did not end when asked")
        elif self.caller is not None and os.getppid() != self.caller:
            self._end("cancelled", "the process that started it is gone")
        elif now - self.disk_seen > DISK_EVERY_S:
            self.disk_seen = now
            self._look_at_files(now)

    def _look_at_files(self, now: float) -> None:
        used = folder_bytes(self.folder)
        if self.limits.disk_bytes and used > self.limits.disk_bytes:
            self._end("disk_full", f"its folder holds {used:,} bytes of {self.limits.disk_bytes:,}")
        try:
            size = (self.folder / "events.jsonl").stat().st_size
        except OSError:
            size = 0
        if size != self.events_seen[0]:
            self.events_seen = (size, now)
        elif now - self.events_seen[1] > self.limits.heartbeat_s:
            self._end("no_heartbeat", f"it reported nothing for {now - self.events_seen[1]:.0f} s")

    def _end(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        self._signal_payload(signal.SIGKILL)

    def _signal_payload(self, number: int) -> None:
        """Signal the whole tree below the sandbox's own processes."""
        for pid in [self.payload.pid, *descendants(self.payload.pid)]:
            try:
                if number == signal.SIGKILL or Path(f"/proc/{pid}/comm").read_text() != "bwrap\n":
                    os.kill(pid, number)
            except OSError:
                continue


def _set_limits(limits: Limits) -> None:
    """Limits that the payload inherits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.disk_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk_bytes, limits.disk_bytes))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    cores = sorted(os.sched_getaffinity(0))
    if limits.cpus < len(cores):
        offset = os.getpid() % len(cores)  # spread runs over the machine
        os.sched_setaffinity(0, {cores[(offset + i) % len(cores)] for i in range(limits.cpus)})


class _Log:
    """log.txt with a cap: full, it becomes log.1.txt and a new one begins. The payload never blocks on it for long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[bytes] = open(path, "ab", buffering=0)
        self.size = self.file.tell()

    def drain(self, pipe: int) -> bool:
        """Copy what is in the pipe; False at its end."""
        for _ in range(64):  # come back for limits even under a flood
            try:
                block = os.read(pipe, 1 << 16)
            except BlockingIOError:
                return True
            if not block:
                return False
            if self.size + len(block) > LOG_CAP_BYTES:
                self.file.close()
                os.replace(self.path, self.path.with_name("log.1.txt"))
                self.file, self.size = open(self.path, "ab", buffering=0), 0
            try:
                self.size += self.file.write(block) or 0
            except OSError:  # a full disk must not end the run
                continue
        return True

    def close(self) -> None:
        self.file.close()


def descendants(pid: int) -> Iterator[int]:
    """Every process below `pid`, from the kernel's own lists of children."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from descendants(child)


def tree_memory_bytes(pid: int) -> int:
    """Memory of a process and all below it: private pages summed, shared ones counted once."""
    private, shared = 0, 0
    for each in [pid, *descendants(pid)]:
        try:
            _, resident_pages, shared_pages = Path(f"/proc/{each}/statm").read_text().split()[:3]
        except (OSError, ValueError):
            continue
        private += int(resident_pages) - int(shared_pages)
        shared = max(shared, int(shared_pages))
    return (private + shared) * PAGE_BYTES


def folder_bytes(folder: Path) -> int:
    """Bytes on disk below a folder, links not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _record(folder: Path, ending: Ending) -> None:
    temporary = folder / (EXIT_FILE + ".tmp")
    try:
        with open(temporary, "w") as file:
            json.dump(asdict(ending), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / EXIT_FILE)
    except OSError as error:
        print(error, file=sys.stderr)
