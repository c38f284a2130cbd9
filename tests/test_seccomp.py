"""The filter of system calls: what it decides on each architecture, and that the kernel takes it and does so."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.runners.isolation import kernel, seccomp

ALL = {**seccomp.NEVER, **seccomp.AMONG_OTHERS, **seccomp.PRETENDED, **seccomp.BY_ARGUMENT}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NEWER_THAN_MANY_HEADERS = 450


def decide(machine: str, name: str, *arguments: int, network: bool = False, alone: bool = False) -> int:
    """What the filter answers to a call: the error that it fails with, 0 for a pretended success, -1 if let through."""
    number = ALL[name][list(seccomp.ARCHITECTURES).index(machine)]
    assert number is not None
    return run(seccomp.program(network, alone, machine), seccomp.ARCHITECTURES[machine], number, arguments)


def run(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """The kernel's virtual machine, as far as the filter uses it."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, *[0] * 6)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        if operation == seccomp.LOAD:
            [value] = struct.unpack_from("=I", data, operand)
        elif operation == seccomp.AND:
            value &= operand
        elif operation == seccomp.RETURN:
            if operand == seccomp.ALLOW:
                return -1
            return operand & 0xFFFF if operand & 0xFFFF0000 == seccomp.FAIL else -2
        else:
            test = {
                seccomp.EQUAL: value == operand, seccomp.AT_LEAST: value >= operand,
                seccomp.ANY_BIT: bool(value & operand),
            }[operation]  # fmt: skip
            at += if_true if test else if_false


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
class TestDecisions:
    def test_what_nothing_needs_is_refused(self, machine: str) -> None:
        column = list(seccomp.ARCHITECTURES).index(machine)
        for name in (name for name, numbers in seccomp.NEVER.items() if numbers[column] is not None):
            for alone in (False, True):
                assert decide(machine, name, alone=alone) == errno.EPERM, name

    def test_a_process_yes_a_namespace_no(self, machine: str) -> None:
        assert decide(machine, "clone", signal.SIGCHLD) == -1
        assert decide(machine, "clone", 0x10000000 | signal.SIGCHLD) == errno.EPERM
        assert decide(machine, "clone3") == errno.ENOSYS

    def test_sockets(self, machine: str) -> None:
        vsock, alg = 40, 38
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            assert decide(machine, "socket", family) == -1
            assert decide(machine, "socket", family, alone=True) == errno.EPERM
        for family in (vsock, alg, socket.AF_PACKET):
            assert decide(machine, "socket", family, network=True) == errno.EPERM
        assert decide(machine, "socket", socket.AF_INET, network=True, alone=True) == -1
        assert decide(machine, "socket", socket.AF_UNIX, network=True, alone=True) == errno.EPERM
        for kind, answer in ((socket.SOCK_STREAM | socket.SOCK_CLOEXEC, -1), (socket.SOCK_DGRAM, errno.EPERM)):
            assert decide(machine, "socketpair", socket.AF_UNIX, kind, alone=True) == answer

    def test_no_terminal_is_typed_into(self, machine: str) -> None:
        for alone in (False, True):
            assert decide(machine, "ioctl", 0, seccomp.TIOCSTI, alone=alone) == errno.EPERM
            assert decide(machine, "ioctl", 0, 0x5401, alone=alone) == -1

    def test_among_other_processes(self, machine: str) -> None:
        assert decide(machine, "prlimit64", 0, alone=True) == -1
        assert decide(machine, "prlimit64", 1, alone=True) == errno.EPERM
        assert decide(machine, "fchmod", alone=True) == 0
        assert decide(machine, "setuid", alone=True) == errno.EPERM
        assert decide(machine, "fchmod") == -1

    def test_other_numbers_are_let_through_and_other_architectures_end(self, machine: str) -> None:
        program = seccomp.program(False, True, machine)
        own = seccomp.ARCHITECTURES[machine]
        assert run(program, own, 9999) == -1
        assert run(program, 0x40000003, 9999) == -2
        if machine == "x86_64":
            assert run(program, own, seccomp.X32 | 9999) == errno.EPERM

    def test_the_numbers_are_the_kernels(self, machine: str) -> None:
        header = HEADERS[machine]
        if not header.exists():
            pytest.skip(f"no {header} (apt install linux-libc-dev)")
        known = {
            name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
        }
        column = list(seccomp.ARCHITECTURES).index(machine)
        ours = {name: numbers[column] for name, numbers in ALL.items()}
        wrong = {
            name: number
            for name, number in ours.items()
            if number != known.get(name) and (number or 0) < NEWER_THAN_MANY_HEADERS
        }
        assert wrong == {}


def test_an_unknown_architecture_has_no_filter() -> None:
    assert seccomp.program(False, True, "pdp11") == b""


def behind(deed: Callable[[], object], network: bool = False, alone: bool = False) -> int:
    """Do something behind the filter, in a process of its own: the error, 0 for none, negative for the signal."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.refuse_new_privileges()
            kernel.filter_system_calls(seccomp.program(network, alone))
            deed()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(254)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


needs_filter = pytest.mark.skipif(os.uname().machine not in seccomp.ARCHITECTURES, reason="an unknown architecture")


@needs_filter
def test_the_kernel_takes_it() -> None:
    assert behind(lambda: socket.create_server(("127.0.0.1", 0))) == 0
    assert behind(lambda: socket.socket(40)) == errno.EPERM
    assert behind(lambda: kernel.unshare(kernel.CLONE_NEWUSER)) == errno.EPERM
    assert behind(lambda: os.waitpid(os.fork() or os._exit(0), 0)) == 0  # type: ignore[func-returns-value]
    assert behind(lambda: socket.create_server(("127.0.0.1", 0)), alone=True) == errno.EPERM
    assert behind(lambda: socket.create_server(("127.0.0.1", 0)), alone=True, network=True) == 0
    assert behind(socket.socketpair, alone=True) == 0


@needs_filter
def test_a_mode_is_said_to_be_changed_and_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    assert behind(lambda: file.chmod(0o4777), alone=True) == 0
    assert file.stat().st_mode & 0o7777 == 0o600


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="32-bit calls of x86")
def test_a_32_bit_call_ends_the_process() -> None:
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    assert behind(call) in (-signal.SIGSYS, -signal.SIGSEGV)  # a kernel without 32-bit calls has no such gate
