"""What every level of isolation of the process runner offers, and what it is given to run."""

from __future__ import annotations

from typing import Protocol

from hive_runner.frozen import frozen

from hive.model import Isolation, Limits
from hive.runners.base import Mount
from hive.runners.isolation.spawn import Launch

# What any program needs of the machine, read-only. What is not there is left out.
SYSTEM_FOLDERS = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu")
# And to find and trust another machine by its name.
NETWORK_FILES = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/ssl",
    "/etc/ca-certificates", "/etc/pki", "/usr/share/ca-certificates",
)  # fmt: skip


@frozen
class Payload:
    """A program and all that it may see."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    work: Mount  # its folder
    mounts: tuple[Mount, ...]  # besides
    kept: tuple[str, ...]  # names in its folder that it shall not change, where that can be had
    limits: Limits


class Level(Protocol):
    name: str

    def missing(self) -> str:
        """What it needs and this machine visibly lacks, or "". Whether it works is for a probe to say."""
        ...

    def isolation(self) -> Isolation:
        """What it enforces where a probe has shown that it works."""
        ...

    def place(self, mount: Mount) -> str:
        """The path at which a run sees a mount."""
        ...

    def launch(self, payload: Payload) -> Launch: ...
