"""The Docker Engine of this machine: where it listens, and what it can do. docker-py is imported when one is asked."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive_runner.frozen import frozen

from hive.errors import NoCapacity

if TYPE_CHECKING:
    from docker.api.client import APIClient

ANSWER_S = 10.0  # an engine that does not answer by then is taken for dead
NEEDS_API = (1, 41)  # Docker Engine 20.10


@frozen
class Engine:
    """What an engine says of itself."""

    version: str
    rootless: bool  # its root is the user who started it
    limits_memory: bool
    limits_swap: bool
    limits_cpu: bool
    limits_pids: bool
    cgroup_version: str
    gpus: bool  # it knows how to hand a GPU to a container


def address() -> str:
    """Where an engine would listen: DOCKER_HOST, else the first socket that there is; "" if nothing points to one."""
    if told := os.environ.get("DOCKER_HOST"):
        return told
    places = [Path("/var/run/docker.sock")]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places.insert(0, Path(runtime, "docker.sock"))
    return next((f"unix://{place}" for place in places if place.is_socket()), "")


def connect(timeout_s: float = ANSWER_S) -> APIClient:
    """A client of the engine. Raises NoCapacity with the reason if none answers."""
    where = address()
    if not where:
        raise NoCapacity(
            "there is no Docker Engine here", "DOCKER_HOST is not set and /var/run/docker.sock is not there"
        )
    from docker import APIClient
    from docker.errors import DockerException
    from docker.tls import TLSConfig

    tls: Any = None
    if os.environ.get("DOCKER_TLS_VERIFY") and (certificates := os.environ.get("DOCKER_CERT_PATH")):
        pair = (f"{certificates}/cert.pem", f"{certificates}/key.pem")
        tls = TLSConfig(client_cert=pair, ca_cert=f"{certificates}/ca.pem", verify=True)
    try:
        client = APIClient(base_url=where, version="auto", timeout=timeout_s, tls=tls)
    except (DockerException, OSError, ValueError) as error:
        raise NoCapacity(f"no Docker Engine answers at {where}", reason(error), "docker info tells more") from error
    api = tuple(int(part) for part in client.api_version.split("."))
    if api < NEEDS_API:
        raise NoCapacity(f"the Docker Engine at {where} is too old", f"it speaks API {client.api_version}",
                         "Docker Engine 20.10 or newer")  # fmt: skip
    return client


def examine(client: APIClient) -> Engine:
    """Raises NoCapacity if the engine stops answering, or runs no Linux containers."""
    from docker.errors import DockerException

    try:
        info: dict[str, Any] = client.info()
    except (DockerException, OSError) as error:
        raise NoCapacity("the Docker Engine does not say what it can do", reason(error)) from error
    if info.get("OSType") != "linux":
        raise NoCapacity("the Docker Engine runs no Linux containers", f"it runs {info.get('OSType')} ones")
    return Engine(
        version=str(info.get("ServerVersion", "?")),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
        limits_memory=bool(info.get("MemoryLimit")),
        limits_swap=bool(info.get("SwapLimit")),
        limits_cpu=bool(info.get("CpuCfsQuota")),
        limits_pids=bool(info.get("PidsLimit", True)),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        gpus="nvidia" in (info.get("Runtimes") or {}) or any(
            "nvidia" in str(device) for device in info.get("DiscoveredDevices") or []
        ),
    )  # fmt: skip


def reason(error: Exception) -> str:
    """What the engine, or the way to it, complained of: in one line."""
    with suppress(AttributeError):
        if explanation := error.explanation:  # type: ignore[attr-defined]
            return str(explanation)
    text = str(error)
    for words in ("Permission denied", "Connection refused", "No such file or directory", "timed out"):
        if words in text:
            return words.lower()
    return text.splitlines()[0] if text else type(error).__name__
