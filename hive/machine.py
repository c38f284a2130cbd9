"""What this machine lets hive have: cores, memory and graphics cards, within the limits set on hive itself.

In a container or a slice the kernel's own counts are those of the whole machine; what may be used of it stands in the
control groups that this process is in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hive_runner.frozen import frozen

GROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
NO_LIMIT = 1 << 62  # what version 1 writes where there is none is about that


@frozen
class Gpu:
    id: str  # what an engine is asked for it by: the card's UUID, or its number where that is not told
    model: str


def cores(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """How many may be kept busy, one at least: those that this process may run on, and no more than its quota of time.

    Half a core more is none.
    """
    quotas = [len(os.sched_getaffinity(0))]
    for folder in _own_groups("cpu", proc, groups):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) // int(period))
    return max(1, min(quotas))


def memory_bytes(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """How much there is."""
    limits = [_meminfo(proc)["MemTotal"]]
    for folder in _own_groups("memory", proc, groups):
        limits.append(_number(folder, "memory.max", "memory.limit_in_bytes"))
    return min(limits)


def memory_available_bytes(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """How much a program that starts now can have without pushing others out: files that are only kept at hand do not
    count as used."""
    facts = _meminfo(proc)
    left = [facts.get("MemAvailable", facts["MemTotal"])]
    for folder in _own_groups("memory", proc, groups):
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        if limit < NO_LIMIT:
            held = _number(folder, "memory.current", "memory.usage_in_bytes")
            stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
            at_hand = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            left.append(max(0, limit - max(0, held - at_hand)))
    return min(left)


def nvidia_gpus(proc: Path = PROC) -> list[Gpu]:
    """The cards that the driver knows, in its order. (Asking nvidia-smi takes a second.)"""
    found = []
    for number, folder in enumerate(sorted((proc / "driver/nvidia/gpus").glob("*"))):
        lines = _text(folder / "information").splitlines()
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        uuid = facts.get("GPU UUID", "")
        found.append(Gpu(uuid if uuid.startswith("GPU-") and "?" not in uuid else str(number), facts.get("Model", "")))
    return found


def _own_groups(controller: str, proc: Path, groups: Path) -> Iterator[Path]:
    """This process's control group for `controller` and those around it; in a container the top may be its own."""
    for line in _text(proc / "self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        top = groups / names if names else groups
        inside = Path(path.lstrip("/"))
        yield from (top / each for each in (inside, *inside.parents))


def _meminfo(proc: Path) -> dict[str, int]:
    lines = (line.split() for line in _text(proc / "meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines}


def _number(folder: Path, *names: str) -> int:
    """What the first file that is there says; NO_LIMIT for "max", and if there is none."""
    for name in names:
        if text := _text(folder / name):
            return int(text) if text.isdigit() else NO_LIMIT
    return NO_LIMIT


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
