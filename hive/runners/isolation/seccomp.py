"""The system calls that no run needs, refused by a filter in the kernel: what it cannot call it cannot exploit.

The filter is a program for the kernel's small virtual machine (BPF), assembled here. It lets through what it does not
name. A refused call fails with EPERM as if rights were missing; clone3 and openat2 with ENOSYS, since their flags
lie in memory where no filter can read them, and who calls them then falls back on their elders.
"""

from __future__ import annotations

import errno
import os
import struct
from functools import cache

# name -> its number on x86_64 and on aarch64, where it has one
Calls = dict[str, tuple[int | None, int | None]]

NEVER: Calls = {
    # other processes' memory and descriptors
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    # the kernel's key rings, which no namespace divides
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # mounts and namespaces
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467), "unshare": (272, 97),
    "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # much code in the kernel, much of it new
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "modify_ldt": (154, None),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "iopl": (172, None), "ioperm": (173, None), "sethostname": (170, 161), "setdomainname": (171, 162),
    "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "vhangup": (153, 58), "uselib": (134, None),
    # its share of the cores
    "sched_setaffinity": (203, 122),
}  # fmt: skip

# Refused too where the machine's own files and processes are in reach, since Landlock does not look at these.
AMONG_OTHERS: Calls = {
    # who it is
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setfsuid": (122, 151), "setfsgid": (123, 152),
    "setgroups": (116, 159), "capset": (126, 91),
    # whose a file is, what is attached to it, what happens to it
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "file_setattr": (469, 469), "inotify_init": (253, None), "inotify_init1": (294, 26),
    # memory and queues shared by number, not by file
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # how other processes of the same user are scheduled
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
}  # fmt: skip

# There, too, said to be done and not done: what copies or unpacks files insists on them, and a run can do without.
PRETENDED: Calls = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
}  # fmt: skip

# What sets a file's mode, and which argument that is. No run makes a program that runs as its owner, who may be hive's.
SETS_MODE: Calls = {
    "open": (2, None), "openat": (257, 56), "creat": (85, None), "mknod": (133, None), "mknodat": (259, 33),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
}  # fmt: skip
MODE = {
    "open": 2, "openat": 3, "creat": 1, "mknod": 1, "mknodat": 2, "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2
}  # fmt: skip
SET_ID = 0o6000

BY_ARGUMENT: Calls = {
    "clone": (56, 220), "clone3": (435, 435), "ioctl": (16, 29), "socket": (41, 198), "socketpair": (53, 199),
    "connect": (42, 203), "prlimit64": (302, 261),
    "openat2": (437, 437),
}  # fmt: skip

# linux/audit.h
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # x86_64 has a second set of numbers from here on
# linux/socket.h, linux/net.h (Python's socket takes 3 ms to import)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM, SOCK_SEQPACKET = 1, 5
# linux/sched.h, asm-generic/ioctls.h, linux/fs.h
CLONE_NEW_ANYTHING = 0x7E020080
TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR = 0x5412, 0x541C, 0x40086602, 0x401C5820

# linux/bpf_common.h, linux/seccomp.h
LOAD, AND, RETURN, EQUAL, AT_LEAST, ANY_BIT = 0x20, 0x54, 0x06, 0x15, 0x35, 0x45
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
KILL, FAIL, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

Instruction = tuple[int, int, int, int]  # code, how many to skip if true, if false, operand


@cache
def program(network: bool, alone: bool, machine: str = os.uname().machine) -> bytes:
    """The filter for a run that may use the network or not. alone: nothing but it and Landlock holds the run.

    b"" for an architecture whose numbers are not known here.
    """
    if machine not in ARCHITECTURES:
        return b""
    code = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),  # 32-bit calls have numbers of their own
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        code += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, FAIL | errno.EPERM)]
    column = list(ARCHITECTURES).index(machine)
    for name, test in _rules(network, alone).items():
        number = {**NEVER, **AMONG_OTHERS, **PRETENDED, **SETS_MODE, **BY_ARGUMENT}[name][column]
        if number is not None:
            code += [(EQUAL, 0, len(test), number), *test]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _rules(network: bool, alone: bool) -> dict[str, list[Instruction]]:
    """What to do with each call that the filter names."""
    rules = {name: _fail() for name in NEVER}
    rules["clone"] = _unless_no_bit(0, CLONE_NEW_ANYTHING)
    rules["clone3"] = rules["openat2"] = _fail(errno.ENOSYS)
    rules |= {name: _unless_no_bit(MODE[name], SET_ID) for name in SETS_MODE}
    if not alone:
        # AF_VSOCK, for one, goes past a network namespace, to the host of a virtual machine.
        families = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
        return {**rules, "ioctl": _unless_other(1, TIOCSTI, TIOCLINUX), "socket": _unless_one_of(0, *families)}
    rules |= {name: _fail() for name in AMONG_OTHERS} | {name: _fail(0) for name in PRETENDED}
    rules["ioctl"] = _unless_other(1, TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR)
    rules["prlimit64"] = _unless_one_of(0, 0)  # of itself, not of another process
    # Of the sockets with a path only pairs, or it could talk to docker.sock; and no pair that may change its partner.
    rules["socketpair"] = _unless_one_of(1, SOCK_STREAM, SOCK_SEQPACKET, mask=0xF)
    if network:
        return {**rules, "socket": _unless_one_of(0, AF_INET, AF_INET6, AF_NETLINK)}
    return {**rules, "socket": _fail(), "connect": _fail()}


def _fail(number: int = errno.EPERM) -> list[Instruction]:
    """Fail with that error; 0 is success without the deed."""
    return [(RETURN, 0, 0, FAIL | number)]


def _load(argument: int, mask: int = 0) -> list[Instruction]:
    """The lower half of an argument: all that the kernel takes of an int."""
    load = [(LOAD, 0, 0, ARGUMENTS + 8 * argument)]
    return [*load, (AND, 0, 0, mask)] if mask else load


def _unless_one_of(argument: int, *values: int, mask: int = 0) -> list[Instruction]:
    tests = [(EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [*_load(argument, mask), *tests, *_fail(), (RETURN, 0, 0, ALLOW)]


def _unless_other(argument: int, *values: int) -> list[Instruction]:
    tests = [(EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [*_load(argument), *tests, (RETURN, 0, 0, ALLOW), *_fail()]


def _unless_no_bit(argument: int, bits: int) -> list[Instruction]:
    return [*_load(argument), (ANY_BIT, 1, 0, bits), (RETURN, 0, 0, ALLOW), *_fail()]
