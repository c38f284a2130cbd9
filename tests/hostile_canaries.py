"""Canaries: what there is to find, reach and break for a hostile run, and whether that happened, seen from outside."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import runpy
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hive_runner
from conftest import REAL_HOME
from hive_cli import RECIPES, kill
from runner_contract import processes_marked

from hive.db import Database
from hive.paths import Home

PROBES = RECIPES / "hostile" / "train.py"
SERVERS = Path(__file__).with_name("hostile_servers.py")
SHARED_FOLDERS = [Path(path) for path in ("/tmp", "/var/tmp", "/dev/shm") if os.path.isdir(path)]
SERVICES = ("docker.sock", "podman/podman.sock", "containerd/containerd.sock", "dbus/system_bus_socket")  # in /run
ANOTHER_USER = 12345


@dataclass
class Canaries:
    """What was planted, and how it is now."""

    targets: dict[str, Any]  # what the probes are told
    written: dict[str, Path]  # probe -> the file that it would write
    shared: list[Path]  # folders that all users may write in
    servers: subprocess.Popen[str]
    victim: subprocess.Popen[str]
    terminal: int  # the side of it that shows what was written
    reached: set[str] = field(default_factory=set)

    def findings(self, left: Path) -> dict[str, str]:
        """What happened, by the probe that did it. left: the folder in which the run could write."""
        found = dict.fromkeys(self._reached(), "the server was reached")
        for probe, path in self.written.items():
            if self._has_mark(path):
                found[probe] = f"{path} was written"
        for path in (path for folder in self.shared for path in folder.iterdir()):
            if path.name not in ("secret", "victim", "foreign", "id") or self._has_mark(path):
                found["write_public_files"] = f"{path} was written"
        if marked := processes_left(self.targets["left_mark"]):
            found["outlive_the_run"] = f"process {min(marked)} lives on"
            for pid in marked:
                kill(pid)
        if self.victim.poll() is not None:
            found["kill_process"] = "the victim is dead"
        with suppress(BlockingIOError):
            if self._mark in os.read(self.terminal, 1 << 16):
                found["type_into_terminal"] = "the terminal shows it"
        if session_key("search", self.targets["planted_key"]) is not None:
            found["add_key"] = "the key is in the session keyring"
        for path in left.rglob("*"):
            status = path.lstat()
            runs_as_owner = stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID)
            if runs_as_owner and status.st_uid in (0, os.geteuid()):
                found["make_setuid_program"] = f"{path.name}: mode {status.st_mode:o}, of uid {status.st_uid}"
        return found

    @property
    def _mark(self) -> bytes:
        """What the probes write."""
        return f"hostile {self.targets['token']}".encode()

    def _has_mark(self, path: Path) -> bool:
        try:
            return self._mark in path.read_bytes()
        except OSError:
            return False

    def _reached(self) -> set[str]:
        """The servers that somebody reached; each tells so in a line."""
        assert self.servers.stdout is not None
        time.sleep(0.1)
        with suppress(BlockingIOError):
            self.reached |= set(os.read(self.servers.stdout.fileno(), 1 << 16).decode().split())
        return self.reached


@contextmanager
def plant(folder: Path) -> Iterator[Canaries]:
    """Canaries in the test's home, in a HIVE_HOME in `folder`, in the folders that all share, and as processes."""
    home = Path.home()
    assert home != REAL_HOME, "the canaries must not lie in a real home"
    secret = f"hive-canary-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        written = plant_home(home, secret) | plant_hive(Home(folder / "hive"), secret)
        shared = [stack.enter_context(shared_folder(base, secret)) for base in SHARED_FOLDERS]
        servers, addresses = stack.enter_context(running_servers(secret))
        victim, victim_targets = stack.enter_context(running_victim(secret))
        terminal, terminal_path = stack.enter_context(open_terminal())
        planted_key = f"hive-planted-{uuid.uuid4().hex}"
        stack.callback(session_key, "unlink", planted_key)
        stack.enter_context(variable("AWS_SECRET_ACCESS_KEY", secret))
        targets = {
            "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "token": uuid.uuid4().hex,  # part of what a probe writes
            "home": str(home),
            "real_home": str(REAL_HOME),
            "database": str(written["write_hive_database"]),
            "stored": str(written["write_store"]),
            "other_job": str(written["write_other_job"]),
            "shared": [str(path) for path in shared],
            "foreign": f"{shared[0]}/foreign",
            "setuid_id": f"{shared[0]}/id",
            "handle": file_handle(home / ".ssh" / "id_ed25519"),
            "inherited": stack.enter_context(inheritable_descriptors(home, home / ".netrc")),
            **addresses,
            **victim_targets,
            "shm_id": stack.enter_context(shared_memory(secret)),
            "key": stack.enter_context(key_of_the_user(secret)),
            "planted_key": planted_key,
            "terminal": terminal_path,
            "left_mark": f"hive-left-{uuid.uuid4().hex}",  # of a process that the run leaves behind
            **machine(terminal_path),
        }
        yield Canaries(targets, written, shared, servers, victim, terminal)


# Files


def plant_home(home: Path, secret: str) -> dict[str, Path]:
    for name in (".ssh/id_ed25519", ".netrc", ".aws/credentials", ".bashrc"):
        path = home / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(f"{secret}\n")
    return {"write_startup_file": home / ".bashrc", "add_authorized_key": home / ".ssh" / "authorized_keys"}


def plant_hive(home: Home, secret: str) -> dict[str, Path]:
    """A HIVE_HOME with a database, an installed model, and a job at work."""
    home.create()
    Database(home.database).close()
    stored, other = home.store / "canary" / "weights.json", home.attempt(7, 1) / "out" / "weights.json"
    for path in (stored, other):
        path.parent.mkdir(parents=True)
        path.write_text(secret)
    return {"write_hive_database": home.database, "write_store": stored, "write_other_job": other}


@contextmanager
def shared_folder(base: Path, secret: str) -> Iterator[Path]:
    """A folder of which all users may read and write everything, so that only a sandbox can hide it; a file of another
    user, and a program that runs as its owner."""
    folder = Path(tempfile.mkdtemp(prefix="hive-public-", dir=base))
    try:
        for name, mode in (("secret", 0o666), ("victim", 0o666), ("foreign", 0o600)):
            (folder / name).write_text(secret)
            (folder / name).chmod(mode)
        if os.geteuid() == 0:
            os.chown(folder / "foreign", ANOTHER_USER, ANOTHER_USER)
        shutil.copyfile("/usr/bin/id", folder / "id")
        (folder / "id").chmod(0o4755)
        folder.chmod(0o777)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def inheritable_descriptors(*paths: Path) -> Iterator[list[list[int]]]:
    """Descriptors that a careless caller passes on; the identities of their files."""
    descriptors = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        yield [identity(str(path)) for path in paths]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def file_handle(path: Path) -> tuple[int, str]:
    """What open_by_handle_at takes for a file: kind, bytes in hex."""
    AT_FDCWD, MOST_BYTES = -100, 128
    handle = ctypes.create_string_buffer(struct.pack("Ii", MOST_BYTES, 0), 8 + MOST_BYTES)
    mount = ctypes.c_int()
    if ctypes.CDLL(None).name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount), 0):
        return 0, ""
    size, kind = struct.unpack_from("Ii", handle.raw)
    return kind, handle.raw[8 : 8 + size].hex()


def machine(terminal: str) -> dict[str, Any]:
    """What the machine has anyway, by its identity: an image may hold files of the same names."""
    usr_file = next(path for path in ("/usr/lib/os-release", "/usr/bin/env") if os.path.exists(path))
    python_file = next(path for path in (f"{sys.prefix}/pyvenv.cfg", os.__file__) if os.path.exists(path))
    runner_file = str(hive_runner.__file__)
    paths = ("/etc/passwd", "/etc/shadow", usr_file, python_file, runner_file, str(REAL_HOME), terminal)
    return {
        "usr_file": usr_file,
        "python_file": python_file,
        "runner_file": runner_file,
        "identities": {path: identity(path) for path in paths},
        "disk": [os.major(os.stat("/").st_dev), os.minor(os.stat("/").st_dev)],
        "namespaces": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "pid", "ipc", "uts")},
    }


def identity(path: str) -> list[int]:
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_dev, status.st_ino]


# Processes


@contextmanager
def running_servers(secret: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with (
        tempfile.TemporaryDirectory(prefix="hive-servers-", dir="/tmp") as folder,
        process("servers", folder, secret) as servers,
    ):
        os.chmod(folder, 0o755)
        assert servers.stdout is not None
        addresses = json.loads(servers.stdout.readline())
        os.set_blocking(servers.stdout.fileno(), False)
        services = [f"{folder}/docker.sock", *(f"/run/{name}" for name in SERVICES)]
        yield servers, {**addresses, "service_sockets": services, "unix_path": f"{folder}/server.sock"}


@contextmanager
def running_victim(secret: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    mark = f"hive-victim-{uuid.uuid4().hex}"
    with process("victim", mark, secret) as victim:
        assert victim.stdout is not None
        address = int(victim.stdout.readline())
        yield victim, {"victim_pid": victim.pid, "victim_mark": mark, "victim_address": address}


@contextmanager
def process(kind: str, argument: str, secret: str) -> Iterator[subprocess.Popen[str]]:
    """A process of hostile_servers.py. It ends with its stdin, so also if the test is killed."""
    started = subprocess.Popen(
        [sys.executable, str(SERVERS), kind, argument],
        env={**os.environ, "HIVE_CANARY": secret}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def open_terminal() -> Iterator[tuple[int, str]]:
    """A terminal of the machine: the side that shows what was written, and the path of the other."""
    shown, terminal = os.openpty()
    os.set_blocking(shown, False)
    try:
        yield shown, os.ttyname(terminal)
    finally:
        os.close(shown)
        os.close(terminal)


def processes_left(mark: str, within_s: float = 1.0) -> set[int]:
    """The processes with `mark` that are still there after `within_s`."""
    end = time.monotonic() + within_s
    while (marked := processes_marked(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    return marked


# Kernel objects


@contextmanager
def shared_memory(secret: str) -> Iterator[int]:
    """A System V segment that all may read; -1 where the kernel has none."""
    IPC_CREAT, IPC_RMID = 0o1000, 0
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0, 4096, IPC_CREAT | 0o666)
    if segment >= 0:
        address = ctypes.c_void_p(libc.shmat(segment, None, 0))
        ctypes.memmove(address, secret.encode(), len(secret))
        libc.shmdt(address)
    try:
        yield segment
    finally:
        libc.shmctl(segment, IPC_RMID, None)


@contextmanager
def key_of_the_user(secret: str) -> Iterator[str]:
    """A key in the session keyring, where Kerberos tickets and keys of disks are."""
    name = f"hive-key-{uuid.uuid4().hex}"
    session_key("add", name, secret.encode())
    try:
        yield name
    finally:
        session_key("unlink", name)


def session_key(action: str, name: str, content: bytes = b"") -> int | None:
    """add, search or unlink a key of the session keyring: its number, or None where there is none."""
    UNLINK, SEARCH, SESSION_KEYRING = 9, 10, -3
    syscall = probe_names()["syscall"]
    try:
        if action == "add":
            return int(syscall("add_key", b"user", name.encode(), content, len(content), SESSION_KEYRING))
        found = int(syscall("keyctl", SEARCH, SESSION_KEYRING, b"user", name.encode(), 0))
        if action == "unlink":
            syscall("keyctl", UNLINK, found, SESSION_KEYRING)
        return found
    except OSError:
        return None


@cache
def probe_names() -> dict[str, Any]:
    """The names in the hostile recipe, without importing it as `train`."""
    return runpy.run_path(str(PROBES))
