"""The shim: a fork that waits for one payload, keeps it within its limits, and writes down how it ended.

It outlives the supervisor that forked it, so that limits hold and the ending is known whoever comes next. It holds the
attempt's lock; the payload gets no such descriptor. Standard library only, and nothing that is slow to import.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hive.model import Limits
from hive.runners import bounds
from hive.runners.attempt import detach
from hive.runners.base import Ending
from hive.runners.bounds import Bounds
from hive.runners.isolation.cgroup import OWN_PROCESSES, Group, sweep
from hive.runners.isolation.memory import TreeMemory
from hive.runners.isolation.spawn import Launch, spawn
from hive.runners.isolation.tree import descendants, end_all_below, stop_forking
from hive.runners.runlog import Log

NAME = "hive-shim"
OWN_NAMES = (f"{NAME}\n", "bwrap\n")  # of what stands between it and the program


def run(
    launch: Launch,
    writable: list[Path],
    limits: Limits,
    lock: int,
    caller: int | None = None,
    cores: tuple[int, ...] = (),
) -> NoReturn:
    """Run a program to its end; then exit.json in its folder.

    writable: folders besides it that the disk limit covers. lock: the descriptor of the attempt's lock, kept open until
    the end. caller: a process whose death ends the run. cores: its own; () for any. SIGTERM arrives blocked: one that
    comes before the payload is there must wait for it.
    """
    group: Group | None = None
    gc.disable()  # a collection touches, and so copies, every page that is shared with the process it is a fork of
    try:
        detach(NAME, lock, *launch.descriptors)
        group = launch.group(limits) if launch.group else None
        watch = _Watch(launch, writable, limits, group, caller, cores)
        if group:
            sweep()  # what killed shims left behind
        ending = watch.wait()
        _let_go(group)
        ending.write(launch.folder)
    except BaseException as error:  # the last line of defence: nobody else will tell
        why = f"the shim failed: {type(error).__name__}: {error}"
        _let_go(group)
        Ending(1, "infrastructure", 0.0, 0.0, 0, why).write(launch.folder)
    finally:
        os._exit(0)


def _let_go(group: Group | None) -> None:
    if group:
        with suppress(OSError):  # then the next start removes it
            group.remove()


class _Watch:
    def __init__(
        self,
        launch: Launch,
        writable: list[Path],
        limits: Limits,
        group: Group | None,
        caller: int | None,
        cores: tuple[int, ...],
    ) -> None:
        self.launch = launch
        self.limits = limits
        self.group = group
        self.bounds = Bounds(launch.folder, writable, limits, caller)
        self.reason = ""
        self.message = ""
        self.memory = TreeMemory()
        self.peak_memory_bytes = 0
        self.told_to_stop = False
        self.begun = False
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _set_limits(limits, cores)
        self.log = Log(launch.folder)
        self.output, end = os.pipe()
        if launch.tied:
            from hive.runners.isolation import kernel

            kernel.adopt_orphans()
        self.payload = spawn(launch, end, group)
        os.close(end)
        self.begun = True

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.bounds.ask_to_stop()
        if not self.told_to_stop:
            self.told_to_stop = self._ask_payload()

    def wait(self) -> Ending:
        log, pipe = self.log, self.output
        pidfd = os.pidfd_open(self.payload)
        os.set_blocking(pipe, False)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(pipe, select.POLLIN)
        next_tick = self.bounds.started + bounds.TICK_S
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
                next_tick = time.monotonic() + bounds.TICK_S
        _, status = os.waitpid(self.payload, 0)
        log.drain(pipe)
        log.close()
        end_all_below()
        code = os.waitstatus_to_exitcode(status)
        if code > 128 and self.launch.owns_its_tree:  # a sandbox says so of a signal that ended the program in it
            code = 128 - code
        wall_s = round(time.monotonic() - self.bounds.started, 3)
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
        if self.bounds.asked_to_stop_at is not None and not self.told_to_stop:
            self.told_to_stop = self._ask_payload()
        self._look_at_memory_and_processes()
        if self.reason:  # it was killed, and something of it is still there
            self._kill()
        elif exceeded := self.bounds.exceeded():
            self._end(*exceeded)

    def _look_at_memory_and_processes(self) -> None:
        """Where no control group limits them they are counted here, some times a second."""
        limits = self.limits
        if self.group is None and self.launch.measures:
            self.group = self.launch.measures(self.payload)
        if self.group:
            memory_bytes = self.group.memory_bytes()
            self._look_for_kills(self.group)
        else:
            # a reaper in between is hive's own, and a fork of what may be large
            pids = list(descendants(os.getpid() if self.launch.owns_its_tree else self.payload))
            memory_bytes = self.memory.bytes_of(pids, limits.memory_bytes)
            if limits.memory_bytes and memory_bytes > limits.memory_bytes:
                self._end("out_of_memory", f"it used {memory_bytes:,} bytes of {limits.memory_bytes:,}")
            elif len(pids) > limits.pids + OWN_PROCESSES:
                self._end("recipe_error", f"it had {len(pids)} processes, and may have {limits.pids}")
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)

    def _look_for_kills(self, group: Group) -> None:
        """The kernel may have killed just one of its processes, and the others may wait for that one for ever."""
        if not self.reason and group.out_of_memory_kills():
            self._end("out_of_memory", f"it needed more than {self.limits.memory_bytes:,} bytes")

    def _end(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        self._kill()

    def _kill(self) -> None:
        if self.group:
            self.group.kill()
        elif self.begun and not self.launch.owns_its_tree:
            stop_forking()
        for pid in descendants(os.getpid()) if self.begun else ():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _ask_payload(self) -> bool:
        """SIGTERM to the program, below the sandbox's own processes; what it started is its own to end, as everywhere.
        False if it is not there yet.
        """
        if not self.begun:  # a process that is still becoming the payload would forget it
            return False
        for pid in descendants(os.getpid()):  # parents first
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() not in OWN_NAMES:
                    os.kill(pid, signal.SIGTERM)
                    return True
        return False


def _set_limits(limits: Limits, own: tuple[int, ...]) -> None:
    """Limits that the payload inherits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.disk_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk_bytes, limits.disk_bytes))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    cores = sorted(os.sched_getaffinity(0))
    if own:
        os.sched_setaffinity(0, own)
    elif limits.cpus < len(cores):
        offset = os.getpid() % len(cores)  # nobody has shared the machine out: spread by chance
        os.sched_setaffinity(0, {cores[(offset + i) % len(cores)] for i in range(limits.cpus)})
