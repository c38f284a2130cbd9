"""The limits of a run that no kernel keeps for us: time, heartbeat, disk, a stop that is due, the caller's life."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hive.model import Limits

TICK_S = 0.2  # how often they are looked at
DISK_EVERY_S = 3.0
GRACE_S = 10.0  # from SIGTERM to SIGKILL


class Bounds:
    def __init__(self, folder: Path, writable: list[Path], limits: Limits, caller: int | None) -> None:
        """writable: folders besides `folder` that the disk limit covers. caller: its death ends the run."""
        self.folder = folder
        self.writable = writable
        self.limits = limits
        self.caller = caller
        self.asked_to_stop_at: float | None = None
        self.bytes_at_start = sum(map(folder_bytes, writable))  # a cache may hold what earlier runs put there
        self.started = time.monotonic()
        self.disk_seen = self.started
        self.events_seen = (0, self.started)

    def ask_to_stop(self) -> None:
        """From now on it has GRACE_S."""
        if self.asked_to_stop_at is None:
            self.asked_to_stop_at = time.monotonic()

    def exceeded(self) -> tuple[str, str] | None:
        """The failure kind and its message of a limit that is exceeded now, or None."""
        now = time.monotonic()
        if now - self.started > self.limits.wall_s:
            return "timeout", f"it ran for {now - self.started:.0f} s of {self.limits.wall_s:.0f} s"
        if self.asked_to_stop_at is not None and now - self.asked_to_stop_at > GRACE_S:
            return "stopped", "it did not end when asked"
        if self.caller is not None and os.getppid() != self.caller:
            return "cancelled", "the process that started it is gone"
        if now - self.disk_seen > DISK_EVERY_S:
            self.disk_seen = now
            return self._exceeded_by_files(now)
        return None

    def _exceeded_by_files(self, now: float) -> tuple[str, str] | None:
        used = folder_bytes(self.folder) + sum(map(folder_bytes, self.writable)) - self.bytes_at_start
        if self.limits.disk_bytes and used > self.limits.disk_bytes:
            return "disk_full", f"its folders hold {used:,} bytes of {self.limits.disk_bytes:,}"
        try:
            size = (self.folder / "events.jsonl").stat().st_size
        except OSError:
            size = 0
        if size != self.events_seen[0]:
            self.events_seen = (size, now)
        elif now - self.events_seen[1] > self.limits.heartbeat_s:
            return "no_heartbeat", f"it reported nothing for {now - self.events_seen[1]:.0f} s"
        return None


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
