"""A recipe that writes without end: the disk holds no more than the cap, and nobody of hive's keeps it in memory."""

from __future__ import annotations

import re
from pathlib import Path

from crashing import Figure, check_whole
from hive_cli import HiveCli, until

from hive.runners.bounds import folder_bytes
from hive.runners.runlog import LOG_CAP_BYTES

MAX_MEMORY_BYTES = 100 << 20


def test_a_flood(hive: HiveCli, whole: bool, figure: Figure) -> None:
    megabytes = 1000 if whole else 50
    hive.ok("install", "--no-wait", "flood", "--param", f"megabytes={megabytes}")
    most_memory = most_disk = 0

    def over() -> bool:
        nonlocal most_memory, most_disk
        most_memory = max([most_memory, *map(peak_memory_bytes, hive.supervisors() | hive.shims())])
        most_disk = max(most_disk, folder_bytes(hive.paths.job(1)))
        return hive.job().state.is_over

    until(over, "the flood is over", 600)
    check_whole(hive)
    assert most_disk <= 2 * LOG_CAP_BYTES + (2 << 20)
    assert 0 < most_memory < MAX_MEMORY_BYTES
    figure(
        f"{megabytes:,} MB of log",
        f"{most_disk / 2**20:.1f} MiB on disk, supervisor and shim at most {most_memory / 2**20:.0f} MiB of memory",
    )


def peak_memory_bytes(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
