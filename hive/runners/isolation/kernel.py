"""System calls that Python has no name for; each raises OSError. ctypes takes 3 ms to import, and so does this file."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

# The same on every architecture, as for all that came after Linux 5.0.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38  # linux/prctl.h
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: Any) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_wide, arguments)))


def prctl(option: int, *arguments: Any) -> int:
    return _checked(_libc.prctl(option, *map(_wide, [*arguments, 0, 0, 0, 0][:4])))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _checked(_libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies. It forgets that if the uid changes later."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # dead before the line above
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every process below whose own parent dies."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def refuse_new_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """All of them, for good: an empty bounding set gives root none back when it executes a program."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # no such capability in this kernel, or none to drop
            break
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def become(uid: int) -> None:
    """Another user and group for good, in no other group."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def filter_system_calls(program: bytes) -> None:
    """Put a seccomp filter over this process and all that it starts."""

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(program) // 8, program)))


def _wide(argument: Any) -> Any:
    """A number as wide as a register: the C library passes on what it finds there."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
