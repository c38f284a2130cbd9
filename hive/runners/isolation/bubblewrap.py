"""The levels made with bubblewrap: namespaces of its own, and in them nothing of the user's.

Alone it isolates, and memory is watched. Inside a control group memory, CPU and processes have limits that the kernel
keeps; root makes the group by hand, a user has systemd make it. Root's runs become another user besides, for the
kernel and not just in their namespace, where the file systems allow it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hive.model import Isolation, Limits
from hive.runners.base import Mount
from hive.runners.isolation import cgroup, seccomp, spawn
from hive.runners.isolation.level import NETWORK_FILES, SYSTEM_FILES, SYSTEM_FOLDERS, Payload
from hive.runners.isolation.spawn import Launch

NOBODY = 65532
TMP_BYTES = 64 << 20
FILTER = 200  # the descriptor that bubblewrap reads the filter from: above any that are open
SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # where a user's systemd is found


class Bubblewrap:
    def __init__(self, name: str, group: str = "", other_user: bool = False) -> None:
        """group: who makes the control group, "hive", "systemd" or nobody. other_user: the run is root's in no way."""
        self.name = name
        self.group = group
        self.other_user = other_user

    def missing(self) -> str:
        if not find_program("bwrap"):
            return "bubblewrap is not installed (apt install bubblewrap)"
        is_root = os.geteuid() == 0
        if (self.other_user or self.group == "hive") and not is_root:
            return "hive does not run as root"
        if self.group == "hive" and cgroup.version() is None:
            return "hive may not make control groups here"
        if self.group == "systemd":
            if is_root:
                return "root has no systemd of its own"
            if not find_program("systemd-run"):
                return "systemd-run is not installed"
            if not os.environ.get(SESSION[0]):
                return "this user has no systemd session"
        return ""

    def isolation(self) -> Isolation:
        limits = "yes" if self.group else "watched"
        own = "" if self.other_user or os.geteuid() else "its user is root without any rights, not another one"
        return Isolation(
            self.name, files="yes", network="yes", home="yes", processes="yes", memory=limits, cpu="yes", note=own
        )

    def place(self, mount: Mount) -> str:
        return mount.target

    def launch(self, payload: Payload) -> Launch:
        binds = list(_binds(payload))
        become = spawn.nothing_to_prepare
        descriptors: tuple[int, ...] = ()
        if self.other_user:
            binds, become, descriptors = _as_other_user(binds)
        refused_calls = seccomp.program(payload.limits.network, alone=False)

        def prepare() -> None:
            become()
            if refused_calls:
                _offer(refused_calls)

        return Launch(
            (*self._scope(payload.limits), *self._sandbox(payload, binds, bool(refused_calls)), *payload.argv),
            {name: os.environ[name] for name in SESSION if self.group == "systemd" and name in os.environ},
            payload.work.source,
            prepare,
            tied=self.other_user,
            descriptors=descriptors,
            group=cgroup.make if self.group == "hive" else None,
            measures=cgroup.of_process if self.group == "systemd" else None,
        )

    def _scope(self, limits: Limits) -> list[str]:
        return scope_argv(find_program("systemd-run"), limits) if self.group == "systemd" else []

    def _sandbox(self, payload: Payload, binds: list[Mount], filtered: bool) -> list[str]:
        """All that stands before the payload's own words."""
        argv = sandbox_argv(find_program("bwrap"), payload.limits)
        for mount in binds:
            argv += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
        for name, value in payload.environment.items():
            argv += ["--setenv", name, value]
        if filtered:
            argv += ["--seccomp", str(FILTER)]
        return [*argv, "--remount-ro", "/", "--chdir", payload.work.target, "--", *self._counting(payload.limits)]

    def _counting(self, limits: Limits) -> list[str]:
        """Where no group counts processes: a limit set inside, where the user has none but those of this run."""
        prlimit = "" if self.group else find_program("prlimit")
        return [prlimit, f"--nproc={limits.pids + cgroup.OWN_PROCESSES}"] if prlimit.startswith("/usr/") else []


def sandbox_argv(bwrap: str, limits: Limits) -> list[str]:
    """bubblewrap without anything of the user's: new namespaces, no capability, the system's programs read-only.

    With --unshare-user and every capability dropped a root caller is no exception: the payload is a plain user of a
    namespace of its own and can remount nothing.
    """
    argv = [
        bwrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL", "--die-with-parent",
        "--new-session", "--clearenv", "--hostname", "hive", "--proc", "/proc", "--dev", "/dev",
        "--size", str(limits.memory_bytes or TMP_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
        "--size", str(TMP_BYTES), "--tmpfs", "/tmp",
    ]  # fmt: skip
    if not limits.network:
        argv += ["--unshare-net"]
    for folder in SYSTEM_FOLDERS:
        if os.path.islink(folder):
            argv += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            argv += ["--ro-bind", folder, folder]
    for path in (*SYSTEM_FILES, *(NETWORK_FILES if limits.network else ())):
        argv += ["--ro-bind-try", path, path]
    return argv


def scope_argv(systemd_run: str, limits: Limits) -> list[str]:
    """systemd-run in front of a program: it moves itself into a group with these limits, then becomes the program."""
    properties = {
        **({"MemoryMax": limits.memory_bytes} if limits.memory_bytes else {}),
        "MemorySwapMax": 0,
        "CPUQuota": f"{limits.cpus * 100}%",
        "TasksMax": limits.pids + cgroup.OWN_PROCESSES,
    }
    argv = [systemd_run, "--user", "--scope", "--quiet", "--collect"]
    for name, value in properties.items():
        argv += ["-p", f"{name}={value}"]
    return [*argv, "--"]


def find_program(name: str) -> str:
    candidates = (os.path.join(folder, name) for folder in os.get_exec_path())
    return next((path for path in candidates if os.access(path, os.X_OK)), "")


def _binds(payload: Payload) -> Iterator[Mount]:
    """What is shown where: a place below another after it, since an interpreter may lie below a /work of its own."""
    work = payload.work
    kept = (Mount(work.source / name, f"{work.target}/{name}") for name in payload.kept)
    yield from sorted((*payload.mounts, work, *kept), key=lambda mount: mount.target)


def _as_other_user(binds: list[Mount]) -> tuple[list[Mount], Callable[[], None], tuple[int, ...]]:
    """The mounts as they will be on the stage, what sets the stage and leaves root behind, and what that needs open.

    Raises OSError where a file system does not have it.
    """
    from hive.runners.isolation import idmap, kernel

    namespace = idmap.user_namespace(NOBODY)
    for mount in binds:
        idmap.check(mount.source, namespace)

    def become() -> None:
        idmap.stage((mount.source for mount in binds), namespace)
        kernel.become(NOBODY)

    staged = [Mount(Path(idmap.staged(number)), mount.target, mount.writable) for number, mount in enumerate(binds)]
    return staged, become, (namespace,)


def _offer(program: bytes) -> None:
    """Put the filter where bubblewrap will read it."""
    descriptor = os.memfd_create("filter")
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, FILTER)
    os.close(descriptor)
