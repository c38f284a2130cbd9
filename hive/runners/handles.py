"""Handles of processes: strings by which a later process finds a run's keeper again, and never another by mistake."""

from __future__ import annotations

from pathlib import Path

HANDLE_FILE = "handle"  # in the attempt's folder, written by the keeper itself: its parent may die before it could


def handle_of(pid: int) -> str:
    """pid, start time and boot: a pid alone may belong to another process by now."""
    return f"{pid}:{_start_ticks(pid)}:{_boot_id()}"


def pid_of(handle: str) -> int:
    """The pid that a handle stands for, 0 if that process is gone."""
    try:
        pid, ticks, boot = handle.split(":")
    except ValueError:
        return 0
    return int(pid) if boot == _boot_id() and ticks == _start_ticks(int(pid)) else 0


def write(folder: Path, pid: int) -> None:
    (folder / HANDLE_FILE).write_text(handle_of(pid))


def read(folder: Path) -> str:
    return _read(folder / HANDLE_FILE)


def _boot_id() -> str:
    return _read(Path("/proc/sys/kernel/random/boot_id")).strip()


def _start_ticks(pid: int) -> str:
    """When a process started, in clock ticks since boot; "" if there is none."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split(" ")
    return fields[20] if len(fields) > 20 else ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
