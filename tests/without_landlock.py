"""Run a command as on a kernel without Landlock: `python without_landlock.py COMMAND...`. A filter refuses the call."""

from __future__ import annotations

import errno
import os
import struct
import sys

from hive.runners.isolation import kernel
from hive.runners.isolation.seccomp import ALLOW, EQUAL, FAIL, LOAD, NUMBER, RETURN

FILTER = (
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 0, 1, kernel.LANDLOCK_CREATE_RULESET),
    (RETURN, 0, 0, FAIL | errno.ENOSYS),
    (RETURN, 0, 0, ALLOW),
)

if __name__ == "__main__":
    kernel.refuse_new_privileges()
    kernel.filter_system_calls(b"".join(struct.pack("=HBBI", *instruction) for instruction in FILTER))
    os.execv(sys.argv[1], sys.argv[1:])
