"""The levels without namespaces, at which a run sees the machine's own paths: behind Landlock, or behind nothing."""

from __future__ import annotations

import os
from pathlib import Path

from hive.model import Isolation
from hive.runners.base import Mount
from hive.runners.isolation import seccomp
from hive.runners.isolation.level import NETWORK_FILES, SYSTEM_FILES, SYSTEM_FOLDERS, Payload
from hive.runners.isolation.spawn import Launch

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SEMAPHORES = "/dev/shm"  # where the C library puts them, and the memory that processes share
FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys/vm/overcommit_memory")
ALL_ALONE = 6  # the version of Landlock that keeps signals in


class Landlocked:
    name = "landlock"

    def missing(self) -> str:
        from hive.runners.isolation import landlock

        if not seccomp.program(network=False, alone=True):
            return f"hive has no filter of system calls for {os.uname().machine}"
        version = landlock.abi()
        return "" if version >= landlock.ENOUGH else f"Landlock {landlock.ENOUGH} is needed, this kernel has {version}"

    def isolation(self) -> Isolation:
        from hive.runners.isolation import landlock

        note = f"it shares {SEMAPHORES} with other programs, and may ask which files exist"
        if os.geteuid() == 0:
            note += "; its user is root without any rights, not another one"
        return Isolation(
            self.name, files="yes", network="yes", home="yes",
            processes="yes" if landlock.abi() >= ALL_ALONE else "no", memory="watched", cpu="yes", note=note,
        )  # fmt: skip

    def place(self, mount: Mount) -> str:
        return str(mount.source)

    def launch(self, payload: Payload) -> Launch:
        from hive.runners.isolation import kernel, landlock

        network = payload.limits.network
        mounts = (*payload.mounts, payload.work)
        readable = [Path(path) for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES, *FACTS)]
        readable += [Path(path) for path in NETWORK_FILES if network]
        readable += [mount.source for mount in mounts if not mount.writable]
        writable = [Path(path) for path in (*DEVICES, SEMAPHORES)]
        writable += [mount.source for mount in mounts if mount.writable]
        # Python finds a package by listing the folder in which it is.
        listed = [Path(payload.environment["PYTHONPATH"])] if "PYTHONPATH" in payload.environment else []
        refused_calls = seccomp.program(network, alone=True)

        def restrict() -> None:
            kernel.refuse_new_privileges()
            own = Path(f"/proc/{os.getpid()}")
            landlock.restrict([*readable, own], writable, listed, network)
            kernel.drop_capabilities()
            kernel.filter_system_calls(refused_calls)

        return Launch(payload.argv, payload.environment, payload.work.source, restrict, tied=True, owns_its_tree=False)


class Plain:
    name = "none"

    def missing(self) -> str:
        return ""

    def isolation(self) -> Isolation:
        return Isolation(
            self.name, files="no", network="no", home="no", processes="no", memory="watched", cpu="no",
            note="no sandbox",
        )  # fmt: skip

    def place(self, mount: Mount) -> str:
        return str(mount.source)

    def launch(self, payload: Payload) -> Launch:
        return Launch(payload.argv, payload.environment, payload.work.source, tied=True, owns_its_tree=False)
