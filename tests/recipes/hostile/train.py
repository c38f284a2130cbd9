"""A recipe that tries to get out: each probe is one way, run in a process of its own, and told apart in probes.json.

The test plants what there is to find (secrets, servers, victims: "canaries") and says where, in `on`. A probe returns
the proof that it got out, or nothing; it may raise OSError. Where only the machine outside can tell, the test looks
itself. A probe that succeeds does no harm: it writes to canaries only, kills the victim that was planted for it, sets
things to what they are, and opens without writing.

An aspect is the promise that a probe breaks (files, home, network, processes, memory, cpu); "kernel" is no promise of
hive's: what a sandbox had better leave closed. Standard library only: this runs in any interpreter.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import platform
import re
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

PROBE_S = 10  # one that takes longer is ended
PROBES = {}  # name -> (aspect, function)


def train(run):
    run.phase("attack")
    attack = run.params.attack
    if attack == "probe":
        probe_all(json.loads(run.params.targets), run.out)
    elif attack == "link":
        smuggle_link(run, run.params.targets)
    elif attack == "setuid":
        smuggle_setuid(run)
    elif attack == "fork-bomb":
        fork_bomb(run.out, run.params.targets)
    else:
        flood()
    (run.out / "weights.json").write_text("[]")


def probe_all(targets, out):
    """Run every probe; out/probes.json: {name: {"aspect", "escaped", "detail"}}."""
    on = SimpleNamespace(**targets)
    on.out = out
    outcomes = {name: outcome(name, on) for name in PROBES}
    (out / "probes.json").write_text(json.dumps(outcomes, indent=1))


def outcome(name, on):
    """One probe in a child: what it does to itself (a new root, no rights, a crash) ends with it."""
    aspect, function = PROBES[name]
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(PROBE_S)
        try:
            proof = function(on)
            told = {"escaped": bool(proof), "detail": str(proof or "nothing there")}
        except OSError as error:
            told = {"escaped": False, "detail": f"{type(error).__name__}: {error}"}
        except BaseException as error:
            told = {"escaped": False, "detail": f"broken: {type(error).__name__}: {error}"}
        os.write(writer, json.dumps(told).encode()[:4000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if told:
        return {"aspect": aspect, **json.loads(told)}
    held = code == -signal.SIGSYS  # how a filter of system calls may refuse one
    return {"aspect": aspect, "escaped": False, "detail": f"{'' if held else 'broken: '}it ended with {code}"}


def probe(aspect):
    def register(function):
        PROBES[function.__name__] = (aspect, function)
        return function

    return register


# What the probes share


def secret_in(on, content):
    """The planted secret, if it is in `content`. The run knows its digest only: nobody finds it by chance."""
    for found in re.findall(rb"hive-canary-[0-9a-f]{32}", content):
        if hashlib.sha256(found).hexdigest() == on.secret_sha256:
            return found.decode()
    return ""


def read(path, size=1 << 16):
    with open(path, "rb") as file:
        return file.read(size)


def is_file(on, path, status):
    """Whether this is the machine's own file, not one of the same name in an image."""
    return [status.st_dev, status.st_ino] == on.identities[path]


def opens_for_writing(paths):
    """The first of `paths` that can be opened for writing. Nothing is written."""
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
            return path
        except OSError:
            continue
    return ""


def append(on, path):
    """Write to a canary that is there. A folder that the run makes for itself proves nothing."""
    with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as file:
        file.write(mark(on))
    return f"wrote to {path}"


def mark(on):
    """What a probe writes. The token alone is in what hive itself writes down about the job."""
    return f"hostile {on.token}".encode()


def others():
    """The processes that it sees, but for itself and those above it."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def is_victim(on):
    """Whether on.victim_pid is, in this pid namespace, the process that was planted: nobody else must be hit."""
    return on.victim_mark.encode() in read(f"/proc/{on.victim_pid}/cmdline")


def namespace(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {
        "pivot_root": 155, "settimeofday": 164, "iopl": 172, "add_key": 248, "keyctl": 250, "perf_event_open": 298,
        "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "finit_module": 313, "bpf": 321,
        "userfaultfd": 323, "io_uring_setup": 425, "pidfd_getfd": 438, "fchmodat2": 452,
    },
    "aarch64": {
        "pivot_root": 41, "settimeofday": 170, "add_key": 217, "keyctl": 219, "perf_event_open": 241,
        "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "finit_module": 273, "bpf": 280,
        "userfaultfd": 282, "io_uring_setup": 425, "pidfd_getfd": 438, "fchmodat2": 452,
    },
}  # fmt: skip


def syscall(name, *arguments):
    """A system call by its number, for those without a function. Raises OSError."""
    number = NUMBERS.get(platform.machine(), {}).get(name)
    if number is None:
        raise OSError(f"no {name} on {platform.machine()}")
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return checked(LIBC.syscall(ctypes.c_long(number), *wide))


def checked(code):
    if code == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return code


def permitted(call, *refusals):
    """Make a call that cannot succeed; whether it failed for its arguments and not for want of the right to it."""
    try:
        call()
    except OSError as error:
        if error.errno in refusals:
            return f"the right to it, were the arguments good ({error})"
        raise
    return "it succeeded"


CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


# The home folder and what hive keeps there


@probe("home")
def read_ssh_key(on):
    """Read the user's private key."""
    return secret_in(on, read(f"{on.home}/.ssh/id_ed25519"))


@probe("home")
def read_credentials(on):
    """Read where other programs keep passwords and tokens."""
    return "".join(secret_in(on, read(f"{on.home}/{name}")) for name in (".netrc", ".aws/credentials"))


@probe("home")
def list_home(on):
    """See the names in the user's home folder."""
    return ", ".join(set(os.listdir(on.home)) & {".ssh", ".netrc"})


@probe("home")
def list_the_real_home(on):
    """See what lies in the home folder of the account."""
    return f"{len(os.listdir(on.real_home))} names" if is_file(on, on.real_home, os.stat(on.real_home)) else ""


@probe("home")
def write_startup_file(on):
    """Add a line to ~/.bashrc, to be run at the next login."""
    return append(on, f"{on.home}/.bashrc")


@probe("home")
def add_authorized_key(on):
    """Make a new file in ~/.ssh."""
    path = f"{on.home}/.ssh/authorized_keys"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(mark(on))
    return f"made {path}"


@probe("home")
def read_hive_database(on):
    """Read hive's own database."""
    return "SQLite" if read(on.database).startswith(b"SQLite format 3") else ""


@probe("files")
def write_hive_database(on):
    """Write to hive's own database."""
    return append(on, on.database)


@probe("home")
def read_store(on):
    """Read an installed model."""
    return secret_in(on, read(on.stored))


@probe("files")
def write_store(on):
    """Change an installed model."""
    return append(on, on.stored)


@probe("home")
def read_other_job(on):
    """Read what another job has made so far."""
    return secret_in(on, read(on.other_job))


@probe("files")
def write_other_job(on):
    """Change what another job has made so far."""
    return append(on, on.other_job)


# Files


@probe("files")
def read_shadow(on):
    """Open the machine's password hashes."""
    return open_machine_file(on, "/etc/shadow", os.O_RDONLY)


@probe("files")
def read_file_of_another_user(on):
    """Read a file of mode 0600 that belongs to somebody else."""
    return secret_in(on, read(on.foreign))


@probe("files")
def read_public_files(on):
    """Read what others left in the folders that all share: /tmp, /var/tmp, /dev/shm."""
    seen = [f"{folder}/secret" for folder in on.shared if os.path.exists(f"{folder}/secret")]
    return " ".join(path for path in seen if secret_in(on, read(path)))


@probe("files")
def write_public_files(on):
    """Write to what others left in the folders that all share."""
    return "; ".join(append(on, f"{folder}/victim") for folder in on.shared if os.path.exists(f"{folder}/victim"))


@probe("files")
def write_system_programs(on):
    """Open a file of /usr for writing."""
    return open_machine_file(on, on.usr_file, os.O_WRONLY)


@probe("files")
def write_system_settings(on):
    """Open a file of /etc for writing."""
    return open_machine_file(on, "/etc/passwd", os.O_WRONLY)


@probe("files")
def write_interpreter(on):
    """Open a file of the Python environment for writing, which every other run would then execute."""
    return open_machine_file(on, on.python_file, os.O_WRONLY)


@probe("files")
def write_hive_itself(on):
    """Open a module of the runner for writing, wherever it is seen: it is part of the supervisor too."""
    seen = sys.modules.get("hive_runner")
    return open_machine_file(on, on.runner_file, os.O_WRONLY, seen.__file__ if seen else on.runner_file)


def open_machine_file(on, path, how, seen_at=""):
    status = os.fstat(os.open(seen_at or path, how))
    return f"{path} opens" if is_file(on, path, status) else ""


@probe("files")
def read_by_dotdot(on):
    """Walk up from the folders that it was given."""
    ups = "/".join([".."] * 40)
    for start in (on.out, "/proc/self/cwd", "/proc/self/root", "/proc/1/cwd", "/proc/1/root"):
        path = f"{start}/{ups}{on.home}/.ssh/id_ed25519"
        if os.path.exists(path) and (found := secret_in(on, read(path))):
            return found
    return ""


@probe("files")
def read_by_roots_of_processes(on):
    """Look through the eyes of other processes: /proc/PID/root and cwd."""
    for pid in others():
        for path in (f"/proc/{pid}/root{on.home}/.ssh/id_ed25519", f"/proc/{pid}/cwd/.ssh/id_ed25519"):
            try:
                if found := secret_in(on, read(path)):
                    return found
            except OSError:
                continue
    return ""


@probe("files")
def read_by_file_handle(on):
    """Open a file by its inode, whatever is mounted where (the way out of early containers)."""
    kind, content = on.handle
    raw = bytes.fromhex(content)
    handle = ctypes.create_string_buffer(struct.pack("Ii", len(raw), kind) + raw)
    for folder in ("/", "/usr", on.out, os.path.dirname(__file__)):
        mount = os.open(folder, os.O_RDONLY)
        try:
            descriptor = syscall("open_by_handle_at", mount, handle, os.O_RDONLY)
            return secret_in(on, os.read(descriptor, 1 << 16))
        except OSError as error:
            refused = error
    raise refused


@probe("files")
def link_host_file_into_output(on):
    """Give a host file a second name in out/, so that publishing copies it."""
    link = f"{on.out}/linked"
    os.link(f"{on.shared[0]}/secret", link)
    return "linked" if secret_in(on, read(link)) else ""


@probe("files")
def use_inherited_descriptors(on):
    """Find the caller's files among its own descriptors, and walk up from a folder."""
    return named_descriptor(on, ["self"])


@probe("files")
def use_descriptors_of_others(on):
    """Find the caller's files among the descriptors of other processes that it sees."""
    return named_descriptor(on, others())


def named_descriptor(on, pids):
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                status = os.stat(path)
            except OSError:
                continue
            if [status.st_dev, status.st_ino] in on.inherited:
                return f"{path} is {os.readlink(path)}"
    return ""


@probe("files")
def remount_writable(on):
    """Mount / or /usr again, writable, where they are not."""
    for place in ("/usr", "/"):
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            checked(LIBC.mount(b"none", place.encode(), None, MS_REMOUNT | MS_BIND, None))
            return f"{place} is writable now"
    return ""


@probe("files")
def mount_something(on):
    """Mount a tmpfs or a fresh /proc of its own."""
    place = tempfile.mkdtemp(dir=on.out)
    try:
        for kind in (b"tmpfs", b"proc"):
            if LIBC.mount(kind, place.encode(), kind, 0, None) == 0:
                LIBC.umount2(place.encode(), 2)
                return kind.decode()
        return ""
    finally:
        os.rmdir(place)


@probe("files")
def bind_host_root(on):
    """Mount the machine's disk from its device."""
    node = f"{on.out}/disk"
    os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(*on.disk))
    try:
        os.close(os.open(node, os.O_RDONLY))
        return f"block device {on.disk} opens"
    finally:
        os.unlink(node)


@probe("files")
def make_memory_device(on):
    """Make a node for the machine's memory and open it."""
    node = f"{on.out}/mem"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 1))
    try:
        os.close(os.open(node, os.O_RDONLY))
        return "/dev/mem opens"
    finally:
        os.unlink(node)


@probe("files")
def open_devices(on):
    """Open the machine's disks, memory and ports where they are in /dev. Nothing is read."""
    opened = []
    for path in (
        "/dev/mem",
        "/dev/kmem",
        "/dev/port",
        "/dev/kmsg",
        "/dev/sda",
        "/dev/vda",
        "/dev/nvme0n1",
        "/dev/loop0",
    ):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            opened.append(path)
        except OSError:
            continue
    return ", ".join(opened)


@probe("files")
def user_namespace(on):
    """Become root of a user namespace of its own, and with it reach the kernel's privileged half."""
    checked(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    return "all capabilities in a namespace of its own"


@probe("files")
def enter_namespaces_of_others(on):
    """Join the machine's own mount, network or pid namespace through a process that is in it."""
    for kind in ("mnt", "net", "pid", "ipc", "uts"):
        for pid in (1, on.victim_pid):
            try:
                descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
                syscall("setns", descriptor, 0)
            except OSError:
                continue
            if namespace(kind) == on.namespaces[kind]:
                return f"it is in the machine's own {kind} namespace"
    return ""


@probe("files")
def break_out_of_chroot(on):
    """The old way out: a root below, a descriptor above it, and up."""
    above = os.open("/", os.O_RDONLY)
    os.chroot(on.out)
    os.fchdir(above)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    return secret_in(on, read(f"{on.home}/.ssh/id_ed25519"))


@probe("files")
def pivot_root(on):
    """Change the root of its mount namespace. The arguments are no mount points: it cannot happen."""
    place = str(on.out).encode()
    return permitted(lambda: syscall("pivot_root", place, place), errno.EINVAL, errno.EBUSY)


@probe("files")
def become_root(on):
    """Set its uid to 0, with the rights that go with it."""
    os.setresuid(0, 0, 0)
    status = Path("/proc/self/status").read_text()
    return "root" if int(status.partition("CapEff:")[2].split()[0], 16) else ""


@probe("files")
def use_setuid_programs(on):
    """Gain uid 0 through the programs made for it, and through one that was planted."""
    for command in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], [on.setuid_id, "-u"]):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.stdout.split() == ["0"]:
            return f"{command[0]} made it root"
    return ""


@probe("files")
def make_setuid_program(on):
    """Leave a program in out/ that runs as its owner, whoever calls it. Whose it is, the machine outside sees."""
    AT_FDCWD = -100
    place = tempfile.mkdtemp(dir=on.out)
    ways = {
        "chmod": lambda path: os.chmod(path, 0o4755),
        "fchmod": lambda path: os.fchmod(os.open(path, os.O_RDONLY), 0o4755),
        "fchmodat2": lambda path: syscall("fchmodat2", AT_FDCWD, path.encode(), 0o4755, 0),
        "set-group": lambda path: os.chmod(path, 0o2755),
        "open": lambda path: (os.umask(0), os.unlink(path), os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755)),
        "mknod": lambda path: (os.unlink(path), os.mknod(path, 0o104755)),
    }
    refused = []
    for name, way in ways.items():
        path = f"{place}/{name}"
        Path(path).write_text("#!/bin/sh\n")
        try:
            way(path)
        except OSError as error:
            refused.append(f"{name}: {error.strerror}")
    if refused:
        raise OSError("; ".join(refused))


@probe("files")
def write_kernel_settings(on):
    """Open what decides which program the kernel runs as root, and other settings, for writing."""
    names = ("kernel/core_pattern", "kernel/modprobe", "kernel/hotplug", "vm/overcommit_memory", "fs/file-max")
    return opens_for_writing(f"/proc/sys/{name}" for name in names)


@probe("files")
def open_sysrq_trigger(on):
    """Open the file that can reboot the machine."""
    return opens_for_writing(["/proc/sysrq-trigger"])


@probe("files")
def write_sys(on):
    """Open something of /sys that acts on the machine for writing."""
    places = ("/sys/power/state", "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run", "/sys/bus/pci/rescan")
    return opens_for_writing((*places, *glob.glob("/sys/block/*/queue/nr_requests")))


@probe("files")
def read_kernel_memory(on):
    """Read the kernel's memory as a core file."""
    return "/proc/kcore" if read("/proc/kcore", 4) == b"\x7fELF" else ""


@probe("files")
def reach_services(on):
    """Connect to the services of the machine that act for whoever asks: Docker, D-Bus, the ssh agent."""
    reached = []
    for path in on.service_sockets:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(path)
                reached.append(path)
            except OSError:
                continue
    return ", ".join(reached)


@probe("files")
def reach_unix_socket(on):
    """Connect to a server by the path of its socket."""
    return told_by_server(on, socket.AF_UNIX, on.unix_path)


# Network


@probe("network")
def reach_loopback(on):
    """Connect to a server of this machine that listens for this machine only."""
    return told_by_server(on, socket.AF_INET, ("127.0.0.1", on.tcp_port))


@probe("network")
def reach_abstract_socket(on):
    """Connect to a server by a name that is in no folder."""
    return told_by_server(on, socket.AF_UNIX, f"\0{on.abstract}")


@probe("network")
def reach_vsock(on):
    """Connect through the sockets between virtual machines, which know no network namespace."""
    return told_by_server(on, socket.AF_VSOCK, (1, on.vsock_port)) if on.vsock_port else ""


def told_by_server(on, family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        client.connect(address)
        return secret_in(on, client.recv(1 << 10))


@probe("network")
def send_datagram(on):
    """Send a datagram to a server of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.sendto(on.token.encode(), ("127.0.0.1", on.udp_port))
        return secret_in(on, client.recv(1 << 10))


@probe("network")
def resolve_name(on):
    """Ask for the address of a name."""
    return str(socket.getaddrinfo("example.org", 80)[0][4])


@probe("network")
def reach_the_world(on):
    """Find a way to an address of the world. Nothing is sent: UDP's connect only looks for the route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("192.0.2.1", 9))
        return f"from {client.getsockname()[0]}"


@probe("network")
def open_raw_socket(on):
    """Read and forge packets of the machine's network."""
    for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 0)):
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            continue
        return "raw" if namespace("net") == on.namespaces["net"] else ""
    return ""


@probe("network")
def list_interfaces(on):
    """Ask by netlink for the machine's interfaces."""
    names = [name for _, name in socket.if_nameindex()]
    return ", ".join(names) if namespace("net") == on.namespaces["net"] else ""


# Processes


@probe("processes")
def read_own_environment(on):
    """Find a secret of the caller in its own environment."""
    return secret_in(on, json.dumps(dict(os.environ)).encode())


@probe("processes")
def read_environments(on):
    """Find it in the environment of another process."""
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            if found := secret_in(on, read(path, 1 << 20)):
                return found
        except OSError:
            continue
    return ""


@probe("processes")
def see_processes(on):
    """See the command line of a process of the machine."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if on.victim_mark.encode() in read(path):
                return path
        except OSError:
            continue
    return ""


@probe("processes")
def trace_process(on):
    """Attach to a process of the machine as a debugger."""
    if not is_victim(on):
        return ""
    PTRACE_SEIZE = 0x4206
    checked(LIBC.ptrace(PTRACE_SEIZE, on.victim_pid, None, None))
    return f"it traces {on.victim_pid}"


@probe("processes")
def read_memory_of_process(on):
    """Read the memory of a process of the machine."""
    place = ctypes.create_string_buffer(44)
    ours = struct.pack("PN", ctypes.addressof(place), 44)
    theirs = struct.pack("PN", on.victim_address, 44)
    syscall("process_vm_readv", on.victim_pid, ours, 1, theirs, 1, 0)
    return secret_in(on, place.raw)


@probe("processes")
def take_descriptor_of_process(on):
    """Take an open file from a process of the machine."""
    if not is_victim(on):
        return ""
    return f"descriptor {syscall('pidfd_getfd', os.pidfd_open(on.victim_pid), 0, 0)}"


@probe("processes")
def read_shared_memory(on):
    """Read a System V segment of the machine that all may read."""
    LIBC.shmat.restype = ctypes.c_void_p
    address = LIBC.shmat(on.shm_id, None, 0o10000)
    checked(-1 if address in (None, ctypes.c_void_p(-1).value) else 0)
    return secret_in(on, ctypes.string_at(address, 44))


KEYCTL_SEARCH, KEYCTL_READ, SESSION_KEYRING, USER_KEYRING = 10, 11, -3, -4


@probe("processes")
def read_key(on):
    """Read a key that the user keeps in the kernel, such as a Kerberos ticket."""
    for keyring in (SESSION_KEYRING, USER_KEYRING):
        try:
            key = syscall("keyctl", KEYCTL_SEARCH, keyring, b"user", on.key.encode(), 0)
            content = ctypes.create_string_buffer(64)
            syscall("keyctl", KEYCTL_READ, key, content, 64)
        except OSError as error:
            refused = error
            continue
        return secret_in(on, content.raw)
    raise refused


@probe("processes")
def add_key(on):
    """Leave a key among the user's own. Whose keyring it was, the machine outside sees."""
    syscall("add_key", b"user", on.planted_key.encode(), b"planted", 7, SESSION_KEYRING)


@probe("processes")
def read_kernel_log(on):
    """Read what the kernel said about the machine."""
    SYSLOG_ACTION_READ_ALL = 3
    log = ctypes.create_string_buffer(1 << 12)
    size = checked(LIBC.klogctl(SYSLOG_ACTION_READ_ALL, log, len(log)))
    return f"{size} bytes"


@probe("processes")
def type_into_terminal(on):
    """Put characters into a terminal of the machine, or write to it."""
    sent = ""
    for path in ("/dev/tty", on.terminal):
        try:
            terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        if path == "/dev/tty":
            sent = "it has a controlling terminal"
        elif is_file(on, path, os.fstat(terminal)):
            os.write(terminal, mark(on))
            sent = f"wrote to {path}"
    return sent


@probe("processes")
def change_hostname(on):
    """Set the machine's name, to what it is."""
    name = socket.gethostname().encode()
    checked(LIBC.sethostname(name, len(name)))
    return "set" if namespace("uts") == on.namespaces["uts"] else ""


@probe("processes")
def set_clock(on):
    """Call what sets the clock, with nothing to set."""
    syscall("settimeofday", ctypes.c_void_p(None), ctypes.c_void_p(None))
    return "the right to it"


@probe("processes")
def observe_processor(on):
    """Count the events of a whole core, whoever runs there."""
    PERF_TYPE_SOFTWARE, SIZE, ANYBODY = 1, 112, -1
    attributes = ctypes.create_string_buffer(struct.pack("IIQ", PERF_TYPE_SOFTWARE, SIZE, 0), SIZE)
    return f"descriptor {syscall('perf_event_open', attributes, ANYBODY, 0, -1, 0)}"


@probe("processes")
def outlive_the_run(on):
    """Leave a process behind, out of the run's session and its tree."""
    if os.fork() == 0:
        os.setsid()
        code = "import time; time.sleep(120)"
        subprocess.Popen([sys.executable, "-c", code, on.left_mark], stdin=-3, stdout=-3, stderr=-3)
        os._exit(0)
    time.sleep(0.2)


@probe("processes")
def kill_process(on):
    """Kill a process of the machine: the victim."""
    if not is_victim(on):
        return ""
    os.kill(on.victim_pid, signal.SIGKILL)
    return f"killed {on.victim_pid}"


# Limits


@probe("memory")
def raise_limits(on):
    """Lift a limit that was set for it."""
    for name in ("FSIZE", "NOFILE", "NPROC", "CORE", "AS", "MEMLOCK"):
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        if hard == resource.RLIM_INFINITY:
            continue
        try:
            resource.setrlimit(number, (hard, hard + 1))
            return name
        except (OSError, ValueError):
            continue
    return ""


@probe("memory")
def write_control_groups(on):
    """Open the files of a control group, its own limits among them, for writing."""
    names = (
        "cgroup.procs",
        "memory.max",
        "memory.limit_in_bytes",
        "cpu.max",
        "cpu.cfs_quota_us",
        "pids.max",
        "release_agent",
    )
    places = (path for name in names for path in glob.iglob(f"/sys/fs/cgroup/**/{name}", recursive=True))
    return opens_for_writing(places)


@probe("memory")
def spare_itself_from_oom(on):
    """Have the kernel kill others first: ordinary processes of the machine stand at 0."""
    Path("/proc/self/oom_score_adj").write_text("-1")
    return "it is less likely to be killed now"


@probe("cpu")
def take_more_cores(on):
    """Use two cores where it was given one."""
    os.sched_setaffinity(0, range(os.cpu_count()))
    begun, used, children = time.monotonic(), 0.0, []
    for _ in range(6):  # more than the cores: on a busy machine they get their share nevertheless
        child = os.fork()
        if child == 0:
            while time.monotonic() < begun + 1:
                pass
            os._exit(0)
        children.append(child)
    for child in children:
        usage = os.wait4(child, 0)[2]
        used += usage.ru_utime + usage.ru_stime
    cores = used / (time.monotonic() - begun)
    return f"it used {cores:.2f} cores" if cores > 1.25 else ""


@probe("cpu")
def raise_priority(on):
    """Go before the others."""
    return f"nice {os.nice(-1)}"


@probe("cpu")
def take_realtime_priority(on):
    """Never be interrupted."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "SCHED_FIFO"


# The kernel


@probe("kernel")
def load_program_into_kernel(on):
    """bpf(): make a map."""
    BPF_MAP_CREATE, ARRAY = 0, 2
    attributes = ctypes.create_string_buffer(struct.pack("IIII", ARRAY, 4, 4, 1), 128)
    return f"descriptor {syscall('bpf', BPF_MAP_CREATE, attributes, 128)}"


@probe("kernel")
def load_module(on):
    """finit_module(), with no file."""
    return permitted(lambda: syscall("finit_module", -1, b"", 0), errno.EBADF)


@probe("kernel")
def open_io_ports(on):
    """iopl(): speak to the hardware."""
    syscall("iopl", 3)
    return "level 3"


@probe("kernel")
def set_up_io_uring(on):
    """io_uring_setup(): system calls that no filter sees."""
    return f"descriptor {syscall('io_uring_setup', 1, ctypes.create_string_buffer(120))}"


@probe("kernel")
def handle_page_faults(on):
    """userfaultfd(): hold the kernel in the middle of an access."""
    return f"descriptor {syscall('userfaultfd', os.O_CLOEXEC)}"


# What is more than a probe


def smuggle_link(run, target):
    """Put a link to a host file into out/ and end before the runner can look: only publishing stands in the way."""
    os.symlink(target, run.out / "weights.json")
    end_as_if_well(run)


def smuggle_setuid(run):
    """Have a setuid program installed."""
    (run.out / "weights.json").write_text("[]")
    (run.out / "program").write_text("#!/bin/sh\n")
    try:
        (run.out / "program").chmod(0o6755)
    except PermissionError:  # a sandbox may refuse that; it shall not be installed as a program then either
        (run.out / "program").chmod(0o755)
    end_as_if_well(run)


def end_as_if_well(run):
    (run.out.parent / "result.json").write_text(json.dumps({"contract": 1, "status": "succeeded"}))
    os._exit(0)


def fork_bomb(out, name, most=1000, lasts_s=3):
    """Fork until the machine says no, at most `most` times; none ends by itself. out/forked.json: how many."""
    forked = 0
    try:
        while forked < most:
            if os.fork() == 0:
                os.setsid()
                os.execv("/bin/sleep", [name, "300"])
            forked += 1
    except OSError as error:
        print(f"after {forked} forks: {error}", flush=True)
    (out / "forked.json").write_text(str(forked))
    time.sleep(lasts_s)


def flood(megabytes=300):
    """Write to the log without an end of line, from two processes and to both streams."""
    block = b"\x1b[2J\x07\xff flood" * 6000
    child = os.fork()
    for count in range(megabytes * (1 << 20) // len(block) // 2):
        os.write(1 + count % 2, block)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
