"""The command line on a terminal: a pty of its own that a test can read, and type into."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hive_cli import DEADLINE_S, HiveCli

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A command that runs on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.raw = ""

    @property
    def text(self) -> str:
        """What was shown, without colours and movements."""
        return SEQUENCE.sub("", self.raw).replace("\r\n", "\n")

    def read_until(self, wanted: str = "", deadline_s: float = DEADLINE_S) -> str:
        """Read until `wanted` was shown; to the end if it is empty."""
        end = time.monotonic() + deadline_s
        while not wanted or wanted not in self.text:
            assert time.monotonic() < end, f"waited for {wanted!r}, saw\n{self.text}"
            if not select.select([self.descriptor], [], [], 0.1)[0]:
                continue
            try:
                block = os.read(self.descriptor, 1 << 16)
            except OSError:  # the other side is closed
                block = b""
            if not block:
                assert not wanted, f"it ended without {wanted!r}:\n{self.text}"
                break
            self.raw += block.decode(errors="replace")
        return self.text

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; the kernel sends SIGWINCH to what runs on it."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def settings(self) -> list[Any]:
        """How it treats what is typed."""
        return termios.tcgetattr(self.descriptor)

    def forget(self) -> None:
        """From now on only what is shown from now on counts."""
        self.raw = ""

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does: the kernel sends SIGHUP to what runs on it."""
        os.close(self.descriptor)
        self.descriptor = -1
        self.process.wait(DEADLINE_S)

    def wait(self) -> int:
        """Read to the end; the exit code."""
        self.read_until()
        return self.process.wait(DEADLINE_S)


@contextmanager
def on_terminal(hive: HiveCli, *arguments: str, **environment: str) -> Iterator[Terminal]:
    """`hive ARGUMENTS` with a terminal as its stdin, stdout, stderr and controlling terminal."""
    ours, theirs = pty.openpty()

    def control() -> None:  # so that a typed Ctrl-C reaches the process as a signal
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*hive.command, *arguments],
        cwd=hive.cwd,
        env=hive.variables(**{"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40", **environment}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=control,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        if terminal.descriptor >= 0:
            os.close(ours)
