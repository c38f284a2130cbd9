"""The shim: a fork that waits for one payload, keeps it within its limits, and writes down how it ended.

It outlives the supervisor that forked it, so that limits hold and the ending is known whoever comes next. It holds the
attempt's lock; the payload gets no such descriptor. Standard library only, and nothing that is slow to import.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from hive_runner.frozen import asdict

from hive.model import Limits
from hive.runners.base import EXIT_FILE, LOG_FILE, OLD_LOG_FILE, Ending
from hive.runners.cgroup import OWN_PROCESSES, Group, sweep
from hive.runners.spawn import Launch, spawn
from hive.runners.tree import descendants, end_all_below, stop_forking

TICK_S = 0.2
DISK_EVERY_S = 3.0
LOG_CAP_BYTES = 4 << 20  # log.txt and the one before it
GRACE_S = 10.0
NAME = "hive-shim"
OWN_NAMES = (f"{NAME}\n", "bwrap\n")  # of what stands between it and the program
PAGE_BYTES = resource.getpagesize()


def run(launch: Launch, writable: list[Path], limits: Limits, lock: int, caller: int | None = None) -> NoReturn:
    """Run a program to its end; then exit.json in its folder.

    writable: folders besides it that the disk limit covers. lock: the descriptor of the attempt's lock, kept open until
    the end. caller: a process whose death ends the run. SIGTERM arrives blocked: one that comes before the payload is
    there must wait for it.
    """
    group: Group | None = None
    gc.disable()  # a collection touches, and so copies, every page that is shared with the process it is a fork of
    try:
        os.setsid()
        _name_process(NAME)  # it may be a fork of `hive install`, which somebody may want to kill
        _close_all_but(lock, *launch.descriptors)
        group = launch.group(limits) if launch.group else None
        watch = _Watch(launch, writable, limits, group, caller)
        if group:
            sweep()  # what killed shims left behind
        ending = watch.wait()
        _let_go(group)
        _record(launch.folder, ending)
    except BaseException as error:  # the last line of defence: nobody else will tell
        why = f"the shim failed: {type(error).__name__}: {error}"
        _let_go(group)
        _record(launch.folder, Ending(1, "infrastructure", 0.0, 0.0, 0, why))
    finally:
        os._exit(0)


def _let_go(group: Group | None) -> None:
    if group:
        with suppress(OSError):  # then the next start removes it
            group.remove()


def _name_process(name: str) -> None:
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def _close_all_but(*keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    for descriptor in range(3, limit):
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue


class _Watch:
    def __init__(
        self, launch: Launch, writable: list[Path], limits: Limits, group: Group | None, caller: int | None
    ) -> None:
        self.launch = launch
        self.folder = launch.folder
        self.writable = writable
        self.limits = limits
        self.group = group
        self.caller = caller
        self.reason = ""
        self.message = ""
        self.peak_memory_bytes = 0
        self.asked_to_stop_at: float | None = None
        self.told_to_stop = False
        self.begun = False
        self.bytes_at_start = sum(map(folder_bytes, writable))  # a cache may hold what earlier runs put there
        self.started = time.monotonic()
        self.disk_seen = self.started
        self.events_seen = (0, self.started)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _set_limits(limits)
        self.log = Log(self.folder / LOG_FILE)
        self.output, end = os.pipe()
        if launch.tied:
            from hive.runners import kernel

            kernel.adopt_orphans()
        self.payload = spawn(launch, end, group)
        os.close(end)
        self.begun = True

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        if self.asked_to_stop_at is None:
            self.asked_to_stop_at = time.monotonic()
            self.told_to_stop = self._signal_payload(signal.SIGTERM)

    def wait(self) -> Ending:
        log, pipe = self.log, self.output
        pidfd = os.pidfd_open(self.payload)
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
        _, status = os.waitpid(self.payload, 0)
        log.drain(pipe)
        log.close()
        end_all_below()
        code = os.waitstatus_to_exitcode(status)
        if code > 128 and self.launch.owns_its_tree:  # a sandbox says so of a signal that ended the program in it
            code = 128 - code
        wall_s = round(time.monotonic() - self.started, 3)
        cpu_s, peak_memory_bytes = self._used()
        return Ending(code, self.reason, wall_s, round(cpu_s, 3), peak_memory_bytes, self.message)

    def _used(self) -> tuple[float, int]:
        """Seconds of CPU and the most memory, of the group or else of all that was collected here."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s, peak_memory_bytes = usage.ru_utime + usage.ru_stime, max(self.peak_memory_bytes, usage.ru_maxrss * 1024)
        if not self.group:
            return cpu_s, peak_memory_bytes
        self._look_for_kills(self.group)
        if self.reason == "out_of_memory" or not self.peak_memory_bytes:  # it ended before it was looked at
            peak_memory_bytes = self.group.most_memory_bytes() or peak_memory_bytes
        return max(cpu_s, self.group.cpu_s()), peak_memory_bytes

    def _look(self) -> None:
        now = time.monotonic()
        if self.asked_to_stop_at is not None and not self.told_to_stop:
            self.told_to_stop = self._signal_payload(signal.SIGTERM)
        self._look_at_memory_and_processes()
        if self.reason:  # it was killed, and something of it is still there
            self._kill()
        elif now - self.started > self.limits.wall_s:
            self._end("timeout", f"it ran for {now - self.started:.0f} s of {self.limits.wall_s:.0f} s")
        elif self.asked_to_stop_at is not None and now - self.asked_to_stop_at > GRACE_S:
            self._end("stopped", "it did not end when asked")
        elif self.caller is not None and os.getppid() != self.caller:
            self._end("cancelled", "the process that started it is gone")
        elif now - self.disk_seen > DISK_EVERY_S:
            self.disk_seen = now
            self._look_at_files(now)

    def _look_at_memory_and_processes(self) -> None:
        """Where no control group limits them they are counted here, some times a second."""
        limits = self.limits
        if self.group is None and self.launch.measures:
            self.group = self.launch.measures(self.payload)
        if self.group:
            memory_bytes = self.group.memory_bytes()
            self._look_for_kills(self.group)
        else:
            pids = list(descendants(os.getpid()))
            memory_bytes = tree_memory_bytes(pids)
            if limits.memory_bytes and memory_bytes > limits.memory_bytes:
                self._end("out_of_memory", f"it used {memory_bytes:,} bytes of {limits.memory_bytes:,}")
            elif len(pids) > limits.pids + OWN_PROCESSES:
                self._end("recipe_error", f"it had {len(pids)} processes, and may have {limits.pids}")
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)

    def _look_for_kills(self, group: Group) -> None:
        """The kernel may have killed just one of its processes, and the others may wait for that one for ever."""
        if not self.reason and group.out_of_memory_kills():
            self._end("out_of_memory", f"it needed more than {self.limits.memory_bytes:,} bytes")

    def _look_at_files(self, now: float) -> None:
        used = folder_bytes(self.folder) + sum(map(folder_bytes, self.writable)) - self.bytes_at_start
        if self.limits.disk_bytes and used > self.limits.disk_bytes:
            self._end("disk_full", f"its folders hold {used:,} bytes of {self.limits.disk_bytes:,}")
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
        self._kill()

    def _kill(self) -> None:
        if self.group:
            self.group.kill()
        elif self.begun and not self.launch.owns_its_tree:
            stop_forking()
        self._signal_payload(signal.SIGKILL)

    def _signal_payload(self, number: int) -> bool:
        """Signal the whole tree below, the sandbox's own processes left out; False if there was nothing yet."""
        if not self.begun:  # a process that is still becoming the payload would forget it
            return False
        reached = False
        for pid in descendants(os.getpid()):
            try:
                if number == signal.SIGKILL or Path(f"/proc/{pid}/comm").read_text() not in OWN_NAMES:
                    os.kill(pid, number)
                    reached = True
            except OSError:
                continue
        return reached


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


class Log:
    """log.txt with a cap: full, it becomes log.1.txt and a new one begins. The payload never blocks on it for long.

    The payload may write in the same folder: a link that it puts there is not followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = self._open()
        self.size = 0

    def _open(self) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return open(os.open(self.path, flags, 0o644), "wb", buffering=0)
        except OSError:  # nor does a full disk, or a hostile name in the way, end the run
            return open(os.devnull, "wb", buffering=0)

    def _rotate(self) -> None:
        self.file.close()
        with suppress(OSError):
            os.replace(self.path, self.path.with_name(OLD_LOG_FILE))
        self.file, self.size = self._open(), 0

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
                self._rotate()
            try:
                self.size += self.file.write(block) or 0
            except OSError:  # a full disk does not end the run
                continue
        return True

    def close(self) -> None:
        self.file.close()


def tree_memory_bytes(pids: Iterable[int]) -> int:
    """Memory of processes together: private pages summed, shared ones counted once."""
    private, shared = 0, 0
    for each in pids:
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
    """Write exit.json, following no link that the run may have put in the way."""
    temporary = folder / (EXIT_FILE + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "x") as file:
            json.dump(asdict(ending), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / EXIT_FILE)
    except OSError as error:
        print(error, file=sys.stderr)
