"""What this machine and the processes of a run use, read from /proc."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from hive import machine
from hive.model import MachineUse
from hive.runners.identity import read
from hive.runners.isolation.tree import descendants

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """The share of CPU time between two looks, in percent of one core."""

    def __init__(self, used_s: float = 0.0, age_s: float = 0.0) -> None:
        """used_s: what was used in the first `age_s` seconds: the first look then tells the mean since the start."""
        self.used_s, self.at = used_s, time.monotonic() - age_s

    def percent(self, used_s: float) -> float:
        """used_s: CPU seconds since the start."""
        now = time.monotonic()
        share = (used_s - self.used_s) / max(now - self.at, 0.001)
        self.used_s, self.at = used_s, now
        return max(0.0, 100 * share)  # a process that nobody waited for takes its time with it


def machine_busy_s() -> float:
    """CPU seconds that all cores together have worked since boot."""
    user, nice, system, _, _, irq, softirq, steal = map(int, read("/proc/stat").split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def machine_use(home: Path) -> MachineUse:
    """home: a folder, there or not, on the file system in question."""
    disk = shutil.disk_usage(next(path for path in (home, *home.parents) if path.exists()))
    total = machine.memory_bytes()
    return MachineUse(
        cores=machine.cores(),
        cpu_percent=None,
        load=os.getloadavg(),
        memory_bytes=total,
        memory_used_bytes=max(0, total - machine.memory_available_bytes()),
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        gpu=", ".join(gpu.model or "NVIDIA" for gpu in machine.nvidia_gpus()),
    )


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and all below it, those that have ended and were waited for included."""
    return sum(sum(map(int, _stat(each)[11:15])) for each in (pid, *descendants(pid))) / TICKS_PER_S


def age_s(pid: int) -> float:
    """Seconds since a live process started; 0 if it is gone."""
    fields = _stat(pid)
    return float(read("/proc/uptime").split()[0]) - int(fields[19]) / TICKS_PER_S if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, none for a process that is gone."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()
