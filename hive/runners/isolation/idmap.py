"""Files of root's, shown to a run as its own: mounts under which uid 0 on disk is the run's uid, and back.

hive's home belongs to root alone. A run that is really another user could not even reach its folders, and what it
wrote would be a stranger's. Under an idmapped mount it owns what root owns, there and nowhere else, and on disk
everything stays root's.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hive.runners.isolation import kernel

STAGE = "/tmp"  # a folder that every user may enter; covered in a mount namespace of its own

# linux/mount.h, linux/fcntl.h
MS_PRIVATE, MS_REC, MS_NOSUID, MS_NODEV = 1 << 18, 1 << 14, 2, 4
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, MOVE_MOUNT_F_EMPTY_PATH, MOUNT_ATTR_IDMAP = 1, os.O_CLOEXEC, 4, 1 << 20
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000


@cache
def user_namespace(uid: int) -> int:
    """A descriptor of a user namespace that turns root on disk into `uid`: the kernel takes the map from one.

    Kept open, for every run to come. Raises OSError.
    """
    ready, tell = os.pipe()
    own = os.getpid()
    pid = os.fork()
    if pid == 0:  # a namespace needs a process to be born in
        try:
            kernel.end_with(own)
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(tell, b"+")
            while True:
                signal.pause()  # its parent writes the maps, then kills it
        finally:
            os._exit(1)
    os.close(tell)
    try:
        if not os.read(ready, 1):
            raise PermissionError("no user namespace can be made")
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 {uid} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def check(path: Path, namespace: int) -> None:
    """Raises OSError if a folder or file cannot be shown so. Not every file system can do it."""
    try:
        os.close(_mapped(path, namespace))
    except OSError as error:
        raise OSError(error.errno, f"no idmapped mount: {error.strerror}", str(path)) from error


def staged(number: int) -> str:
    """Where the mount of that number is shown."""
    return f"{STAGE}/{number}"


def stage(paths: Iterable[Path], namespace: int) -> None:
    """Show each path at its place on the stage, to this process and those below it alone. Raises OSError."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)  # nothing of this gets out
    mapped = [(_mapped(path, namespace), path.is_dir()) for path in paths]  # before the stage covers what lies there
    kernel.mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=711,size=1m")
    for number, (tree, is_folder) in enumerate(mapped):
        target = staged(number)
        if is_folder:
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        kernel.syscall(kernel.MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
        os.close(tree)
    os.chdir("/")


def _mapped(path: Path, namespace: int) -> int:
    """A descriptor of a copy of the mount at `path` that is attached nowhere yet."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    tree = kernel.syscall(kernel.OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)
    try:
        attributes = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)  # struct mount_attr
        where = AT_EMPTY_PATH | AT_RECURSIVE
        kernel.syscall(kernel.MOUNT_SETATTR, tree, b"", where, attributes, len(attributes))
    except OSError:
        os.close(tree)
        raise
    return tree
