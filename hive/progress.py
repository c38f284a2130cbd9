"""Follows the files of a run while it writes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hive_runner.contract import RunEvent

from hive.runners.base import open_plain


class EventTail:
    """Reads events.jsonl of one contract folder after another, each line once."""

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
                file.seek(self.offset)
                fresh = file.read()
        except OSError:
            return []
        self.offset += len(fresh)
        *lines, self.rest = (self.rest + fresh).split(b"\n")
        parsed = (RunEvent.parse(line.decode(errors="replace")) for line in lines if line)
        return [event for event in parsed if event is not None]


def tail_log(folder: Path, lines: int | None, follow: bool, is_over: Callable[[], bool]) -> Iterator[str]:
    """The last `lines` lines (None: all) of a run's log; with `follow`, those that come until `is_over()`."""
    offset, rest = 0, ""
    kept: list[str] = []
    for name in ("log.1.txt", "log.txt"):
        try:
            with open_plain(folder / name) as file:
                text = file.read()
        except OSError:
            continue
        kept += text.decode(errors="replace").splitlines()
        offset = len(text)
    yield from kept if lines is None else kept[-lines:] if lines else []
    while follow:
        over = is_over()
        try:
            with open_plain(folder / "log.txt") as file:
                if file.seek(0, 2) < offset:  # a new file took its place
                    offset = 0
                file.seek(offset)
                fresh = file.read()
        except OSError:
            fresh = b""
        offset += len(fresh)
        *whole, rest = (rest + fresh.decode(errors="replace")).split("\n")
        yield from whole
        if over and not fresh:
            if rest:
                yield rest
            return
        if not fresh:
            time.sleep(0.1)
