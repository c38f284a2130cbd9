"""Runs as a container of a Docker Engine: one a run, fresh every time, with nothing that it does not need."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive_runner.frozen import asdict

from hive import locks
from hive.environments import RunnerEnvironment, Say
from hive.errors import NoCapacity, RequestError
from hive.model import Isolation
from hive.runners import attempt, identity
from hive.runners.base import EXIT_FILE, HANDLE_FILE, LOCK_FILE, Ending, Mount, Order, work_mount
from hive.runners.containers.engine import Engine, connect, examine

if TYPE_CHECKING:
    from docker.api.client import APIClient
    from docker.types import Mount as DockerMount

    from hive.runners.containers.images import Image, Workshop

NOBODY = 65532
TMP_BYTES = 64 << 20
NO_CORE, FILES = {"name": "core", "soft": 0, "hard": 0}, {"name": "nofile", "soft": 8192, "hard": 8192}
LOGGING = {"type": "json-file", "config": {"max-size": "1m", "max-file": "2"}}


class DockerRunner:
    name = "docker"

    def __init__(self, state: Path, base_image: str = "") -> None:
        """state: HIVE_HOME. base_image: instead of the public image of this Python."""
        self.state = state
        self.base_image = base_image
        self._image: Image | None = None  # the runner's, once `prepare` has seen it

    # -- the engine

    def available(self) -> str:
        try:
            _ = self.engine
        except NoCapacity as error:
            return f"{error.message}: {error.why}"
        return ""

    @cached_property
    def client(self) -> APIClient:
        return connect()

    @cached_property
    def engine(self) -> Engine:
        return examine(self.client)

    def isolation(self) -> Isolation:
        engine = self.engine
        lacking = [
            what for what, there in (("swap", engine.limits_swap), ("processes", engine.limits_pids)) if not there
        ]
        return Isolation(
            "docker", files="yes", network="yes", home="yes", processes="yes",
            memory="yes" if engine.limits_memory else "no", cpu="yes" if engine.limits_cpu else "no",
            note=f"the engine cannot limit {', '.join(lacking)}" if lacking else "",
        )  # fmt: skip

    @property
    def refusals(self) -> dict[str, str]:
        return {}  # it has one level

    def has_gpu(self) -> bool:
        return self.engine.gpus

    def prepare(self, offline: bool, say: Say) -> str:
        from hive.runners.containers.images import runner_image

        self._image = runner_image(self.workshop(offline, say))
        return f"Docker Engine {self.engine.version} answers; image {self._image.id[7:19]}"

    def environment(self, requirements: tuple[str, ...], offline: bool, say: Say) -> RunnerEnvironment:
        from hive.runners.containers.images import image_for

        return _environment(image_for(self.workshop(offline, say), requirements, self._image))

    def workshop(self, offline: bool, say: Say) -> Workshop:
        from hive.runners.containers.images import BASE_IMAGE, Workshop

        state = self.state / "images"
        state.mkdir(parents=True, exist_ok=True)
        return Workshop(self.client, state, self.base_image or BASE_IMAGE, offline, say)

    # -- runs

    def place(self, mount: Mount) -> str:
        return mount.target

    def start(self, order: Order) -> str:
        """Fork the keeper, which creates the container."""
        caller = os.getpid() if order.dies_with_caller else None
        return attempt.begin(order.folder, lambda: self._keep(order.folder, self.specification(order), caller))

    @staticmethod
    def _keep(folder: Path, specification: dict[str, Any] | None, caller: int | None) -> attempt.Keep:
        from hive.runners.containers import keeper

        return lambda lock: keeper.keep(container_name(folder), specification, folder, lock, caller)

    def specification(self, order: Order) -> dict[str, Any]:
        """What the engine is to create: see Docker's API, POST /containers/create."""
        limits = order.limits
        mounts = [*order.mounts, work_mount(order.folder)]
        user = self._user()
        if user == (NOBODY, NOBODY):
            from hive.runners.containers.keeper import give

            give([mount.source for mount in mounts if mount.writable], NOBODY, NOBODY)
            _refuse_unreadable([mount.source for mount in mounts if not mount.writable])
        # the proof of its life is not the run's to remove
        mounts += [Mount(order.folder / name, f"/work/{name}") for name in (LOCK_FILE, HANDLE_FILE)]
        host: dict[str, Any] = {
            "network_mode": "bridge" if limits.network else "none",
            "read_only": True,
            "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={TMP_BYTES},mode=1777"},
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "pids_limit": limits.pids,
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "nano_cpus": limits.cpus * 10**9,
            "init": True,
            "ipc_mode": "private",
            "shm_size": min(1 << 30, limits.memory_bytes) if limits.memory_bytes else 1 << 30,
            "oom_score_adj": 500,
            "mounts": [_mount(each) for each in mounts],
            "ulimits": [FILES, NO_CORE],
            "restart_policy": {"Name": "no"},
            "log_config": LOGGING,
            "auto_remove": False,
        }
        if limits.disk_bytes:
            host["ulimits"] = [FILES, NO_CORE, {"name": "fsize", "soft": limits.disk_bytes, "hard": limits.disk_bytes}]
        if self.engine.cgroup_version == "1":
            host["mem_swappiness"] = 0
        if order.gpu:
            from docker.types import DeviceRequest

            host["device_requests"] = [DeviceRequest(device_ids=[order.gpu], capabilities=[["gpu"]])]
        scratch = "/work/scratch"
        return {
            "image": order.image,
            "entrypoint": [order.python, "-P", "-c", "from hive_runner.__main__ import command; command()"],
            "command": ["/work/spec.json"],
            "environment": {**order.environment, "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", "HOME": scratch,
                            "USER": "hive", "LOGNAME": "hive", "TMPDIR": scratch},
            "user": "{}:{}".format(*user),
            "working_dir": "/work",
            "stop_signal": "SIGTERM",
            "hostname": "hive",
            "labels": {
                **order.labels,
                "hive.folder": str(order.folder),
                "hive.limits": json.dumps(asdict(limits)),
                "hive.writable": json.dumps([str(each.source) for each in order.mounts if each.writable]),
                "hive.started": str(time.monotonic()),
            },
            "host_config": self.client.create_host_config(**host),
        }  # fmt: skip

    def _user(self) -> tuple[int, int]:
        """Who a run is on this machine: whoever calls hive; for root, nobody in particular."""
        if self.engine.rootless:
            return 0, 0  # root in there is the caller out here
        return (os.getuid(), os.getgid()) if os.getuid() else (NOBODY, NOBODY)

    def alive(self, folder: Path, handle: str) -> bool:
        """Whether the run goes on. A container whose keeper was killed gets another, and lives."""
        if locks.is_held(folder / LOCK_FILE):
            return True
        if (folder / EXIT_FILE).exists() or not (folder / HANDLE_FILE).exists():
            return False
        lock = locks.take(folder / LOCK_FILE)
        if lock is None:
            return True
        try:
            attempt.fork(folder, lock, self._keep(folder, None, None))
            return True
        finally:
            os.close(lock)

    def wait_descriptor(self, handle: str) -> int | None:
        return identity.descriptor_of(handle)

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        """SIGTERM to the keeper, which passes it on; with grace_s = 0 also SIGKILL to all that is in the container."""
        if not self.alive(folder, handle):
            return
        if pid := identity.pid_of(handle) or identity.pid_of(identity.read(folder / HANDLE_FILE)):
            os.kill(pid, signal.SIGTERM)
        if not grace_s:
            from docker.errors import DockerException

            with suppress(DockerException, OSError):  # not there yet, or no more: the keeper sees to the rest
                self.client.kill(container_name(folder), "SIGKILL")

    def ending(self, folder: Path, handle: str) -> Ending | None:
        return Ending.read(folder)


def container_name(folder: Path) -> str:
    """hive-JOB-ATTEMPT-..., the same for the same folder: the engine refuses a second container of one attempt."""
    words = re.sub(r"[^a-zA-Z0-9.-]+", "-", f"{folder.parent.name}-{folder.name}")[-60:]
    return f"hive-{words}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def _environment(image: Image) -> RunnerEnvironment:
    return RunnerEnvironment("python3", (), image.pins, image.id, image.id)


def _mount(mount: Mount) -> DockerMount:
    from docker.types import Mount as DockerMount

    return DockerMount(mount.target, str(mount.source), type="bind", read_only=not mount.writable)


def _refuse_unreadable(sources: Iterable[Path]) -> None:
    """Raises RequestError for what the run is to read and its user cannot."""
    for source in sources:
        for path in (source, *source.rglob("*")) if source.is_dir() else (source,):
            mode = path.stat().st_mode if path.exists() else 0o777
            needed = 0o005 if stat.S_ISDIR(mode) else 0o004
            if mode & needed != needed:
                raise RequestError(
                    f"{path} cannot be read by a container", "root's runs have no rights, and others may not read it",
                    f"chmod -R o+rX {path}, or --runner process",
                )  # fmt: skip
