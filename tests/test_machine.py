"""What this machine lets hive have, read from a /proc and from control groups as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hive import machine
from hive.machine import Gpu

MIB = 1 << 20
HERE = len(os.sched_getaffinity(0))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  8192000 kB\nMemFree: 100 kB\nMemAvailable: 6144000 kB\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/user.slice/app.scope\n")
    return tmp_path / "proc"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    (tmp_path / "cgroup" / "user.slice" / "app.scope").mkdir(parents=True)
    return tmp_path / "cgroup"


def test_without_groups_it_is_all_that_the_kernel_counts(proc: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "none"
    assert machine.cores(proc, nothing) == HERE
    assert machine.memory_bytes(proc, nothing) == 8192000 << 10
    assert machine.memory_available_bytes(proc, nothing) == 6144000 << 10


def test_this_machine_has_some_of_each() -> None:
    assert 1 <= machine.cores() <= HERE
    assert 0 < machine.memory_available_bytes() <= machine.memory_bytes()


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", HERE)])
def test_a_quota_around_us_counts(proc: Path, groups: Path, quota: str, cores: int) -> None:
    (groups / "user.slice" / "cpu.max").write_text(quota + "\n")
    (groups / "user.slice" / "app.scope" / "cpu.max").write_text("max 100000\n")
    assert machine.cores(proc, groups) == cores


def test_version_two_limits_memory_and_files_at_hand_are_no_loss(proc: Path, groups: Path) -> None:
    inner = groups / "user.slice" / "app.scope"
    (inner / "memory.max").write_text("max\n")
    (groups / "user.slice" / "memory.max").write_text(f"{1000 * MIB}\n")
    (groups / "user.slice" / "memory.current").write_text(f"{700 * MIB}\n")
    (groups / "user.slice" / "memory.stat").write_text(f"anon {400 * MIB}\ninactive_file {200 * MIB}\n")
    assert machine.memory_bytes(proc, groups) == 1000 * MIB
    assert machine.memory_available_bytes(proc, groups) == 500 * MIB


def test_version_one_has_a_tree_a_controller_and_a_container_sees_its_own_as_the_top(proc: Path, groups: Path) -> None:
    (proc / "self" / "cgroup").write_text("4:memory:/docker/0b1c\n2:cpu,cpuacct:/docker/0b1c\n1:name=systemd:/\n")
    for name in ("memory", "cpu,cpuacct"):
        (groups / name).mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text(f"{2000 * MIB}\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text(f"{1500 * MIB}\n")
    (groups / "memory" / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {300 * MIB}\n")
    (groups / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("100000\n")
    (groups / "cpu,cpuacct" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores(proc, groups) == 1
    assert machine.memory_bytes(proc, groups) == 2000 * MIB
    assert machine.memory_available_bytes(proc, groups) == 800 * MIB


def test_version_one_without_a_limit(proc: Path, groups: Path) -> None:
    (proc / "self" / "cgroup").write_text("4:memory:/\n2:cpu:/\n")
    for name in ("memory", "cpu"):
        (groups / name).mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (groups / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (groups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores(proc, groups) == HERE
    assert machine.memory_bytes(proc, groups) == 8192000 << 10
    assert machine.memory_available_bytes(proc, groups) == 6144000 << 10


def test_the_cards_of_the_driver(proc: Path) -> None:
    assert machine.nvidia_gpus(proc) == []
    for address, uuid in (("0000:3b:00.0", "GPU-0b1c"), ("0000:5e:00.0", "GPU-????????-????")):
        folder = proc / "driver" / "nvidia" / "gpus" / address
        folder.mkdir(parents=True)
        facts = f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 18\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n"
        (folder / "information").write_text(facts)
    assert machine.nvidia_gpus(proc) == [Gpu("GPU-0b1c", "NVIDIA H100"), Gpu("1", "NVIDIA H100")]
