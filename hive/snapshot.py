"""What there is to know of the runners and the machine now. Looking again tells what was used in between."""

from __future__ import annotations

import math
import time
from collections import deque

from hive_runner.contract import RunEvent
from hive_runner.frozen import replace

from hive import usage
from hive.launch import supervisor_pid
from hive.model import Attempt, Job, MachineUse, RunnerUse
from hive.pace import Pace
from hive.paths import Home
from hive.progress import EventTail
from hive.runners import identity
from hive.runners.base import HANDLE_FILE
from hive.runners.isolation.memory import TreeMemory
from hive.runners.isolation.tree import descendants
from hive.usage import CpuMeter

CURVE_POINTS = 400


class Course:
    """How far a run is, from the events that it has written."""

    def __init__(self) -> None:
        self.phase = ""
        self.step = 0
        self.total = 0
        self.metrics: dict[str, float] = {}
        self.curve: deque[float] = deque(maxlen=CURVE_POINTS)
        self.pace = Pace()

    def take(self, event: RunEvent) -> None:
        self.pace.take(event)
        if event.kind not in ("phase", "progress"):
            return
        if event.phase != self.phase or event.kind == "phase":
            self.phase = event.phase
            self.curve.clear()
        self.step, self.total, self.metrics = _whole(event.step), _whole(event.total), event.metrics
        figures = [*(value for name, value in self.metrics.items() if "loss" in name), *self.metrics.values()]
        if figures and math.isfinite(figures[0]):
            self.curve.append(float(figures[0]))

    @property
    def eta_s(self) -> float | None:
        """Seconds from the last report to the end of the phase."""
        return self.pace.left_s(self.total)


class _Follower:
    """One attempt that is looked at again and again."""

    def __init__(self) -> None:
        self.tail = EventTail()
        self.course = Course()
        self.meter: CpuMeter | None = None
        self.memory = TreeMemory()


class Observer:
    """Looks at the runners and the machine of one HIVE_HOME."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.meter: CpuMeter | None = None
        self.followed: dict[str, _Follower] = {}
        self.supervisor = ""  # its handle

    def supervisor_since(self) -> float | None:
        """When the supervisor was started, seconds since the epoch, if its process is found."""
        pid = identity.pid_of(self.supervisor) or supervisor_pid(self.home)
        self.supervisor = identity.handle_of(pid) if pid else ""
        return time.time() - usage.age_s(pid) if pid else None

    def machine(self) -> MachineUse:
        busy_s, percent = usage.machine_busy_s(), None
        use = usage.machine_use(self.home.root)
        if self.meter is None:
            self.meter = CpuMeter(busy_s)
        else:
            percent = min(100.0, self.meter.percent(busy_s) / use.cores)
        return replace(use, cpu_percent=percent)

    def runners(self, working: list[tuple[Job, Attempt]], now: float) -> tuple[RunnerUse, ...]:
        """now: seconds since the epoch. What is no longer among `working` is forgotten."""
        names = {f"{job.id}.{attempt.attempt}" for job, attempt in working}
        self.followed = {name: each for name, each in self.followed.items() if name in names}
        return tuple(self._runner(job, attempt, now) for job, attempt in working)

    def _runner(self, job: Job, attempt: Attempt, now: float) -> RunnerUse:
        name, folder = f"{job.id}.{attempt.attempt}", self.home.attempt(job.id, attempt.attempt)
        each = self.followed.setdefault(name, _Follower())
        for event in each.tail.read(folder):
            each.course.take(event)
        course, eta_s = each.course, each.course.eta_s
        if eta_s is None and not course.total and job.work.expected_s:
            left = job.work.expected_s - (now - attempt.started_at)
            eta_s = left if left > 0 else None
        handle = attempt.handle or identity.read(folder / HANDLE_FILE)
        pid = identity.pid_of(handle) if attempt.runner == "process" else 0
        percent = None
        if pid:
            each.meter = each.meter or CpuMeter(age_s=usage.age_s(pid))
            percent = each.meter.percent(usage.tree_cpu_s(pid))
        return RunnerUse(
            id=name,
            job=job,
            attempt=attempt,
            phase=course.phase,
            step=course.step,
            total=course.total,
            metrics=dict(course.metrics),
            curve=tuple(course.curve),
            eta_s=eta_s,
            cpu_percent=percent,
            memory_bytes=each.memory.bytes_of(list(descendants(pid)), job.work.limits.memory_bytes) if pid else None,
        )


def _whole(figure: float) -> int:
    """A run may report anything that is a number."""
    return max(0, int(figure)) if math.isfinite(figure) else 0
