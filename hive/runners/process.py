"""Runs as a process of this machine: inside bubblewrap where a probe shows that it works, plainly where not."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path

from hive import locks
from hive.errors import HiveError
from hive.model import Isolation
from hive.runners import shim
from hive.runners.base import Ending, Mount, Order, work_mount

LOCK_FILE = "attempt.lock"
HANDLE_FILE = "handle"
NOBODY = "65532"
TMP_BYTES = 64 << 20


class ProcessRunner:
    name = "process"

    def __init__(self, state: Path) -> None:
        """state: a folder to remember the outcome of probes in."""
        self.state = state

    def available(self) -> str:
        return ""

    @cached_property
    def _bwrap(self) -> str:
        """The path of a bubblewrap that really makes a sandbox here, or "" with the reason in `_refusal`."""
        self._refusal = ""
        candidates = (os.path.join(folder, "bwrap") for folder in os.get_exec_path())
        found = next((path for path in candidates if os.access(path, os.X_OK)), "")
        if not found:
            self._refusal = "bubblewrap is not installed (apt install bubblewrap)"
            return ""
        facts = f"{found} {os.stat(found).st_mtime_ns} {os.geteuid()} {boot_id()}"
        memory = self.state / "bwrap-probe.json"
        try:
            known = json.loads(memory.read_text())
            if known["facts"] == facts:
                self._refusal = known["refusal"]
                return "" if self._refusal else found
        except (OSError, ValueError, KeyError):
            pass
        import subprocess

        argv = [*sandbox_argv(found, network=False), "--", "/usr/bin/env", "true"]
        probe = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        self._refusal = "" if probe.returncode == 0 else (probe.stderr.strip() or f"exit {probe.returncode}")
        with suppress(OSError):  # a read-only home: probe again next time
            memory.write_text(json.dumps({"facts": facts, "refusal": self._refusal}))
        return "" if self._refusal else found

    def isolation(self) -> Isolation:
        if self._bwrap:
            return Isolation(
                "bwrap", files="yes", network="yes", home="yes", processes="yes", memory="watched", cpu="yes"
            )
        return Isolation(
            "none", files="no", network="no", home="no", processes="no", memory="watched", cpu="yes",
            note=f"no sandbox: {self._refusal}",
        )  # fmt: skip

    def place(self, mount: Mount) -> str:
        return mount.target if self._bwrap else str(mount.source)

    def start(self, order: Order) -> str:
        """Fork the shim. The attempt's lock is taken before the fork, so a second start of it fails."""
        lock = locks.take(order.folder / LOCK_FILE)
        if lock is None:
            raise HiveError(f"{order.folder} is being run already")
        try:
            (order.folder / "scratch").mkdir(exist_ok=True)
            (order.folder / HANDLE_FILE).touch()
            sys.stdout.flush()
            sys.stderr.flush()
            pid = self._fork(order, lock)
            return f"{pid}:{start_ticks(pid)}:{boot_id()}"
        finally:
            os.close(lock)

    def _fork(self, order: Order, lock: int) -> int:
        """The shim's pid. It writes its own handle: its parent may die before it could."""
        caller = os.getpid() if order.dies_with_caller else None
        argv, environment = self._command(order)
        writable = [mount.source for mount in order.mounts if mount.writable]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the shim can answer to it
        try:
            pid = os.fork()
            if pid == 0:
                own = os.getpid()
                with suppress(OSError):
                    (order.folder / HANDLE_FILE).write_text(f"{own}:{start_ticks(own)}:{boot_id()}")
                shim.run(argv, environment, order.folder, writable, order.limits, lock, bool(self._bwrap), caller)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _command(self, order: Order) -> tuple[list[str], dict[str, str]]:
        """The payload's argument vector and environment, inside the sandbox where there is one."""
        runner_package = runner_package_mount()
        scratch = os.path.join(self.place(work_mount(order.folder)), "scratch")
        environment = {
            **order.environment,
            "PYTHONPATH": os.path.dirname(self.place(runner_package)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": scratch,
            "USER": "hive",
            "LOGNAME": "hive",
            "TMPDIR": scratch,
        }
        spec = os.path.join(self.place(work_mount(order.folder)), "spec.json")
        payload = [order.python, "-P", "-c", "from hive_runner.__main__ import command; command()", spec]
        if not self._bwrap:
            return payload, environment
        argv = sandbox_argv(self._bwrap, network=order.limits.network)
        mounts = (*python_mounts(order.python), runner_package, *order.mounts, work_mount(order.folder))
        for mount in sorted(mounts, key=lambda mount: mount.target):  # an interpreter may lie below a /work of its own
            argv += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
        for name in (LOCK_FILE, HANDLE_FILE):  # the proof of its life is not the run's to remove
            argv += ["--ro-bind", str(order.folder / name), f"/work/{name}"]
        for name, value in environment.items():
            argv += ["--setenv", name, value]
        return [*argv, "--remount-ro", "/", "--chdir", "/work", "--", *payload], {}

    def alive(self, folder: Path, handle: str) -> bool:
        """Whether somebody holds the attempt's lock."""
        return locks.is_held(folder / LOCK_FILE)

    def wait_descriptor(self, handle: str) -> int | None:
        pid = self._pid(handle)
        try:
            return os.pidfd_open(pid) if pid else None
        except OSError:
            return None

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        """SIGTERM to the shim, which passes it on; with grace_s = 0, SIGKILL, which ends the sandbox with it."""
        pid = self._pid(handle or _read(folder / HANDLE_FILE))
        if pid and self.alive(folder, handle):
            os.kill(pid, signal.SIGTERM if grace_s else signal.SIGKILL)

    def ending(self, folder: Path, handle: str) -> Ending | None:
        return Ending.read(folder)

    @staticmethod
    def _pid(handle: str) -> int:
        """The shim's pid, 0 if that process is gone: a pid alone may belong to another by now."""
        try:
            pid, ticks, boot = handle.split(":")
        except ValueError:
            return 0
        return int(pid) if boot == boot_id() and ticks == start_ticks(int(pid)) else 0


def sandbox_argv(bwrap: str, network: bool) -> list[str]:
    """bubblewrap without anything of the user's: new namespaces, no capability, the system's programs read-only.

    With --unshare-user and every capability dropped a root caller is no exception: the payload is a plain user of a
    namespace of its own and can remount nothing.
    """
    argv = [
        bwrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--uid", NOBODY, "--gid", NOBODY, "--cap-drop", "ALL", "--die-with-parent",
        "--new-session", "--clearenv", "--hostname", "hive", "--proc", "/proc", "--dev", "/dev",
        "--ro-bind", "/usr", "/usr", "--size", str(TMP_BYTES), "--tmpfs", "/tmp",
    ]  # fmt: skip
    if not network:
        argv += ["--unshare-net"]
    for name in ("lib", "lib32", "lib64", "bin", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            argv += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    for path_text in ("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu"):
        argv += ["--ro-bind-try", path_text, path_text]
    return argv


def python_mounts(python: str) -> list[Mount]:
    """What an interpreter needs to be seen: its own prefix and the one it was made from, unless below /usr."""
    prefixes = [Path(python).parent.parent, Path(sys.prefix), Path(sys.base_prefix)]
    seen: list[Path] = []
    for prefix in prefixes:
        if prefix not in seen and Path("/usr") not in (prefix, *prefix.parents):
            seen.append(prefix)
    return [Mount(prefix, str(prefix)) for prefix in seen]


@cache
def runner_package_mount() -> Mount:
    """The folder of hive_runner, on a path of its own."""
    import hive_runner

    folder = Path(hive_runner.__path__[0])
    _compile(folder)
    return Mount(folder, "/runner/hive_runner")


def _compile(folder: Path) -> None:
    """Give each module its bytecode, which not every installer does and no run can: to it the folder is read-only."""
    for source in folder.glob("*.py"):
        compiled = folder / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        with suppress(OSError):
            if compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime:
                continue
            if os.access(folder, os.W_OK):
                import py_compile

                py_compile.compile(str(source), str(compiled), quiet=2)


def boot_id() -> str:
    return _read(Path("/proc/sys/kernel/random/boot_id")).strip()


def start_ticks(pid: int) -> str:
    """When a process started, in clock ticks since boot: with the pid and the boot, its identity."""
    return (
        _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split(" ")[20:21][0]
        if Path(f"/proc/{pid}").exists()
        else ""
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
