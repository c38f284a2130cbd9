"""Landlock: a process gives up, for itself and all that it starts, every file but those under some paths.

It needs no privilege and no namespace. It does not look at stat, chmod, setxattr and the like, nor at any socket but
those of TCP: a filter of system calls must take care of these.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from hive.runners.isolation import kernel

ENOUGH = 3  # before, a file that may not be written could be truncated
# linux/landlock.h: rights to files
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, USE_DEVICE = 1 << 14, 1 << 15
ALL_OF_ABI = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
READ = EXECUTE | READ_FILE | READ_FOLDER
MAKE_DEVICES = 1 << 6 | 1 << 11  # character and block
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | USE_DEVICE  # the others are a folder's
BIND_TCP_CONNECT_TCP, SCOPE_ABSTRACT_SOCKETS_SIGNALS = 0b11, 0b11
VERSION, RULE_PATH_BENEATH = 1, 1


@cache
def abi() -> int:
    """The version of Landlock here, 0 without it."""
    try:
        return kernel.syscall(kernel.LANDLOCK_CREATE_RULESET, None, 0, VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path], listed: Iterable[Path], network: bool) -> None:
    """Nothing but these paths and what lies below them, from now on; paths that do not exist are left out.

    listed: folders of which the names may be read, and nothing else. Without network no TCP either, and no signal nor
    abstract socket to a process outside, as far as this kernel knows these. Needs no_new_privs. Raises OSError.
    """
    version = abi()
    if version < ENOUGH:
        raise OSError("this kernel's Landlock is too old" if version else "this kernel has no Landlock")
    files = ALL_OF_ABI[5 if version >= 5 else 3]
    net = BIND_TCP_CONNECT_TCP if version >= 4 and not network else 0
    scope = SCOPE_ABSTRACT_SOCKETS_SIGNALS if version >= 6 else 0
    attributes = struct.pack("QQQ", files, net, scope)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = kernel.syscall(kernel.LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(rules, path, READ)
        for path in listed:
            _allow(rules, path, READ_FOLDER)
        for path in writable:
            _allow(rules, path, files & ~MAKE_DEVICES & ~USE_DEVICE)
        kernel.syscall(kernel.LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= OF_A_FILE
            rule = struct.pack("=Qi", rights, descriptor)  # struct landlock_path_beneath_attr is packed
            kernel.syscall(kernel.LANDLOCK_ADD_RULE, rules, RULE_PATH_BENEATH, rule, 0)
        finally:
            os.close(descriptor)
