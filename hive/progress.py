"""Follows the files of a run while it writes them. They are the run's own: however large, they cost little to read."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from hive_runner.contract import RunEvent

from hive.runners.base import LOG_FILE, OLD_LOG_FILE, open_plain

READ_BYTES = 1 << 20  # at a time
LOOK_EVERY_S = 0.1
LINE_BYTES = 1 << 16  # a longer line is cut


class EventTail:
    """Reads events.jsonl of one contract folder after another, each line once.

    Events are for display: of a flood between two looks only the last are read.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.offset = 0
        self.rest = b""

    def read(self, folder: Path) -> list[RunEvent]:
        """The events that are new in `folder` since the last call."""
        if folder != self.folder:
            self.folder, self.offset, self.rest = folder, 0, b""
        try:
            with open_plain(folder / "events.jsonl") as file:
                flood = file.seek(0, os.SEEK_END) - READ_BYTES
                if flood > self.offset:
                    self.offset, self.rest = flood, b""  # the torn line there is no event
                file.seek(self.offset)
                fresh = file.read(READ_BYTES)
        except OSError:
            return []
        self.offset += len(fresh)
        *lines, self.rest = (self.rest + fresh).split(b"\n")
        return _parsed(lines)


def _parsed(lines: Iterable[bytes]) -> list[RunEvent]:
    parsed = (RunEvent.parse(line.decode(errors="replace")) for line in lines if line)
    return [event for event in parsed if event is not None]


def began_at_step(folder: Path) -> int | None:
    """The step at which a run went on from a checkpoint, 0 if it began anew, None if it does not say (yet)."""
    try:
        with open_plain(folder / "events.jsonl") as file:
            events = _parsed(file.read(READ_BYTES).split(b"\n"))
    except OSError:
        return None
    steps = [event.step for event in events if event.kind == "resume"]
    begun = any(event.kind in ("progress", "checkpoint") for event in events)
    return steps[-1] if steps else 0 if begun else None


class LogTail:
    """Reads a run's log line by line, and goes on in the new one when it was full and a new one took its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: BinaryIO | None = None
        self.rest = b""
        self._open(OLD_LOG_FILE)

    def fresh(self) -> Iterator[str]:
        """The whole lines since the last call."""
        while block := self._block():
            *lines, self.rest = (self.rest + block).split(b"\n")
            if len(self.rest) > LINE_BYTES:
                lines.append(self.rest)
                self.rest = b""
            yield from (line.decode(errors="replace").removesuffix("\r") for line in lines)

    def last(self) -> Iterator[str]:
        """The line that was never ended, if there is one."""
        if self.rest:
            yield self.rest.decode(errors="replace")
            self.rest = b""

    def close(self) -> None:
        if self.file:
            self.file.close()

    def _block(self) -> bytes:
        block = self.file.read(READ_BYTES) if self.file else b""
        if not block and self._was_replaced() and self._open(LOG_FILE) and self.file:
            block = self.file.read(READ_BYTES)
        return block

    def _was_replaced(self) -> bool:
        try:
            there = os.stat(self.folder / LOG_FILE)
        except OSError:
            return False
        return self.file is None or not os.path.samestat(there, os.fstat(self.file.fileno()))

    def _open(self, name: str) -> bool:
        try:
            file = open_plain(self.folder / name)
        except OSError:
            return False
        self.close()
        self.file = file
        return True


def tail_log(folder: Path, lines: int | None, follow: bool, is_over: Callable[[], bool]) -> Iterator[str]:
    """The last `lines` lines (None: all) of a run's log; with `follow`, those that come until `is_over()`."""
    log = LogTail(folder)
    try:
        so_far = log.fresh() if follow else chain(log.fresh(), log.last())
        yield from so_far if lines is None else deque(so_far, lines)
        while follow:
            over = is_over()
            yield from log.fresh()
            if over:
                yield from log.last()
                return
            time.sleep(LOOK_EVERY_S)
    finally:
        log.close()
