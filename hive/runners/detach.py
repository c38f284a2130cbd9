"""Become a process of one's own: what the keeper of a run does first, having been forked from whoever started it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def detach(name: str, *keep: int) -> None:
    """Leave the session of the process that this was forked from, its name, and every descriptor of it but `keep`."""
    os.setsid()
    with suppress(OSError):  # it may be a fork of `hive install`, which somebody may want to kill
        Path("/proc/self/comm").write_text(name)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in keep:
            with suppress(OSError):
                os.close(descriptor)
