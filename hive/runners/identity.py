"""Which process is meant: a pid alone may belong to another by now; with its start and the boot it cannot."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path


def handle_of(pid: int) -> str:
    return f"{pid}:{start_ticks(pid)}:{boot_id()}"


def pid_of(handle: str) -> int:
    """The pid of the live process that a handle names, 0 if it is gone."""
    pid, _, rest = handle.partition(":")
    ticks, _, boot = rest.partition(":")
    if not (pid.isdecimal() and ticks and boot == boot_id()):
        return 0
    return int(pid) if start_ticks(int(pid)) == ticks else 0


def descriptor_of(handle: str) -> int | None:
    """A descriptor that becomes readable when the process that a handle names ends; None if it is gone."""
    pid = pid_of(handle)
    try:
        return os.pidfd_open(pid) if pid else None
    except OSError:
        return None


def start_ticks(pid: int) -> str:
    """When a live process started, in clock ticks since boot; "" for one that is gone or waits for its parent."""
    # The name, in brackets, may hold anything: count from behind it.
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


@cache
def boot_id() -> str:
    return read(Path("/proc/sys/kernel/random/boot_id")).strip()


def write(path: Path, pid: int) -> str:
    """Write a process's handle down, for a later one; the handle. On a full disk nothing is written."""
    handle = handle_of(pid)
    with suppress(OSError):
        path.write_text(handle)
    return handle


def read(path: Path | str) -> str:
    """The text of a file, "" if it cannot be read. (pathlib takes three times as long.)"""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b"")).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
