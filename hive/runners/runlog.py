"""log.txt of a run, with a cap."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from hive.runners.base import LOG_FILE, OLD_LOG_FILE

LOG_CAP_BYTES = 4 << 20  # log.txt and the one before it


class Log:
    """Full, it becomes log.1.txt and a new one begins. A run never blocks on it for long.

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
