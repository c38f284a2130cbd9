"""The Docker Engine that tests talk to: the one of DOCKER_HOST, or the private one of the script beside this module."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine")
DEFAULT_FOLDER = "/var/tmp/hive-test-engine"
# Read at import: inside a test, HIVE_* is gone from the environment.
ASKED_FOLDER = os.environ.get("HIVE_TEST_ENGINE", "")
DOCKER_HOST = os.environ.get("DOCKER_HOST", "")
IN_CI = os.environ.get("CI") == "true"


class NoEngine(Exception):
    """Why there is no Docker Engine for tests."""


@cache
def engine() -> str:
    """The DOCKER_HOST of an engine that answers, started where it is wanted. Raises NoEngine.

    The system's own engine is left alone unless DOCKER_HOST names it: tests make containers and images there.
    """
    if DOCKER_HOST and answers(DOCKER_HOST):
        return DOCKER_HOST
    folder = ASKED_FOLDER or DEFAULT_FOLDER
    private = f"unix://{folder}/docker.sock"
    if answers(private):
        return private
    if not (ASKED_FOLDER or (IN_CI and os.geteuid() == 0)):
        raise NoEngine("no Docker Engine for tests; as root: tests/docker/engine start, or set DOCKER_HOST")
    started = subprocess.run(
        [str(SCRIPT), "start"],
        env={**os.environ, "HIVE_TEST_ENGINE": folder},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if started.returncode:
        raise NoEngine(f"tests/docker/engine start failed: {started.stderr.strip()}")
    return started.stdout.splitlines()[-1].removeprefix("DOCKER_HOST=")


def require_engine() -> str:
    """The same for a test, which is skipped where there is none, with the reason. In CI it fails instead."""
    try:
        return engine()
    except NoEngine as reason:
        if IN_CI:
            pytest.fail(str(reason))
        pytest.skip(str(reason))


@contextmanager
def in_use(alone: bool = False) -> Iterator[str]:
    """The engine for one test; alone: for one that restarts it, while no other process's test uses it."""
    host = require_engine()
    with open(Path(tempfile.gettempdir(), "hive-test-engine-in-use"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield host


def answers(host: str) -> bool:
    """Whether an engine at unix://PATH or tcp://HOST:PORT answers a ping."""
    scheme, _, address = host.partition("://")
    try:
        if scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
        else:
            connection = socket.socket()
        with connection:
            connection.settimeout(5)
            name, _, port = address.rpartition(":")
            connection.connect(address if scheme == "unix" else (name, int(port)))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except (OSError, ValueError):
        return False


def is_private() -> bool:
    """Whether the engine is the one of the script beside this module, which tests may restart."""
    return engine() == f"unix://{ASKED_FOLDER or DEFAULT_FOLDER}/docker.sock"
