"""What everybody who keeps a run does: detach, cap the log, watch the limits, write down the ending.

A keeper is a fork of whoever starts a run. It outlives that process, holds the attempt's lock, and is the one that
knows how the run ended. Standard library only, and nothing that is slow to import.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from hive_runner.frozen import asdict

from hive.model import Limits
from hive.runners.base import EXIT_FILE, LOG_FILE, OLD_LOG_FILE, Ending

TICK_S = 0.2
DISK_EVERY_S = 3.0
LOG_CAP_BYTES = 4 << 20  # log.txt and the one before it
GRACE_S = 10.0


def detach(lock: int, name: str) -> None:
    """Leave the session of the process that this was forked from, and every descriptor of it but the attempt's lock."""
    os.setsid()
    with suppress(OSError):  # it may be a fork of `hive install`, which somebody may want to kill
        Path("/proc/self/comm").write_text(name)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != lock:
            with suppress(OSError):
                os.close(descriptor)


class Log:
    """log.txt with a cap: full, it becomes log.1.txt and a new one begins.

    The run may write in the same folder: a link that it puts there is not followed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_FILE
        self.file = self._open()
        self.size = 0

    def _open(self) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return open(os.open(self.path, flags, 0o644), "wb", buffering=0)
        except OSError:  # nor does a full disk, or a hostile name in the way, end the run
            return open(os.devnull, "wb", buffering=0)

    def rotate(self) -> None:
        """Put what there is aside and begin anew."""
        self.file.close()
        with suppress(OSError):
            os.replace(self.path, self.path.with_name(OLD_LOG_FILE))
        self.file, self.size = self._open(), 0

    def write(self, block: bytes) -> None:
        if self.size + len(block) > LOG_CAP_BYTES:
            self.rotate()
        with suppress(OSError):  # a full disk does not end the run
            self.size += self.file.write(block) or 0

    def drain(self, pipe: int) -> bool:
        """Copy what is in the pipe; False at its end."""
        for _ in range(64):  # come back for limits even under a flood
            try:
                block = os.read(pipe, 1 << 16)
            except BlockingIOError:
                return True
            if not block:
                return False
            self.write(block)
        return True

    def close(self) -> None:
        self.file.close()


class Bounds:
    """The limits that no kernel keeps for us: time, heartbeat, disk, and the life of the caller."""

    def __init__(self, folder: Path, writable: list[Path], limits: Limits, caller: int | None) -> None:
        """writable: folders besides `folder` that the disk limit covers. caller: its death ends the run."""
        self.folder = folder
        self.writable = writable
        self.limits = limits
        self.caller = caller
        self.started = time.monotonic()
        self.bytes_at_start = sum(map(folder_bytes, writable))  # a cache may hold what earlier runs put there
        self.disk_seen = self.started
        self.events_seen = (0, self.started)

    def exceeded(self) -> tuple[str, str] | None:
        """The failure kind and its message of a limit that is exceeded now, or None."""
        now = time.monotonic()
        if now - self.started > self.limits.wall_s:
            return "timeout", f"it ran for {now - self.started:.0f} s of {self.limits.wall_s:.0f} s"
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


def give(folders: Iterable[Path], uid: int, gid: int) -> None:
    """Make a user the owner of folders and of all that is in them, links not followed."""
    for folder in folders:
        os.chown(folder, uid, gid)
        for parent, names, files in os.walk(folder):
            for name in (*names, *files):
                with suppress(OSError):  # gone meanwhile
                    os.chown(os.path.join(parent, name), uid, gid, follow_symlinks=False)


def record(folder: Path, ending: Ending) -> None:
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
