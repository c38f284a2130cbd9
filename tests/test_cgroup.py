"""Control groups: real ones where this machine has them, and the files of version 2 on a folder that stands for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hive_cli import until

from hive.model import Limits
from hive.runners.identity import start_ticks
from hive.runners.isolation import cgroup

LIMITS = Limits(cpus=1, memory_bytes=64 << 20, pids=8)
EAT = "import sys; sys.stdin.read(1); kept = b'1' * (200 << 20)"
FORK = "import os, sys, time; sys.stdin.read(1)\nwhile True: os.fork()"


@pytest.fixture
def group() -> cgroup.Group:
    try:
        return cgroup.make(LIMITS)
    except OSError as error:
        pytest.skip(f"no control groups here: {error}")


def started(group: cgroup.Group, code: str) -> subprocess.Popen[bytes]:
    """A Python that waits, outside; let go once it is inside."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    group.add(process.pid)
    assert process.stdin
    process.stdin.write(b"+")
    process.stdin.close()
    return process


class TestARealGroup:
    def test_memory_is_limited_and_the_kill_counted(self, group: cgroup.Group) -> None:
        assert group.out_of_memory_kills() == 0
        assert started(group, EAT).wait(30) == -signal.SIGKILL
        assert group.out_of_memory_kills() >= 1  # version 2 counts each process of the group
        assert 32 << 20 < group.most_memory_bytes() <= LIMITS.memory_bytes
        group.remove()

    def test_cpu_is_limited_and_counted(self, group: cgroup.Group) -> None:
        burn = "import os, sys, time; sys.stdin.read(1); child = os.fork(); end = time.monotonic() + 1\n"
        burn += "while time.monotonic() < end: pass\nif child: os.wait()"
        began = time.monotonic()
        started(group, burn).wait(30)
        assert 0.1 < group.cpu_s() < 1.2 * (time.monotonic() - began), "one core for both"
        group.remove()

    def test_a_fork_bomb_is_limited_and_all_of_it_killed(self, group: cgroup.Group) -> None:
        bomb = started(group, FORK)
        until(lambda: len(group.pids()) >= LIMITS.pids, "it has grown", 20)
        assert len(group.pids()) <= LIMITS.pids + cgroup.OWN_PROCESSES
        group.kill()
        bomb.wait(5)
        until(lambda: not group.pids(), "all of it is gone", 1)
        group.remove()

    def test_what_is_still_in_it_is_killed_when_it_is_removed(self, group: cgroup.Group) -> None:
        process = started(group, "import sys, time; sys.stdin.read(1); time.sleep(60)")
        group.remove()
        assert process.wait(5) == -signal.SIGKILL
        assert not any(folder.exists() for folder in group.folders)
        group.remove()  # once more is no error

    def test_a_process_enters_alone(self, group: cgroup.Group) -> None:
        if not group.enters_alone:
            group.remove()
            pytest.skip("in version 2 its parent adds it")
        entered, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                group.enter()
                os.write(tell, b"+")
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(entered, 1) == b"+"
        os.close(entered)
        assert all((folder / "cgroup.procs").read_text().split() == [str(pid)] for folder in group.folders)
        group.remove()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    def test_a_group_whose_shim_is_gone_is_swept_and_a_living_one_is_not(self, group: cgroup.Group) -> None:
        gone = subprocess.Popen(["sleep", "60"])
        ticks = start_ticks(gone.pid)
        gone.kill()
        gone.wait()
        orphan = type(group).named(cgroup.TOP, f"{cgroup.PREFIX}{gone.pid}-{ticks}")  # type: ignore[attr-defined]
        for folder in orphan.folders:
            folder.mkdir()
        process = started(orphan, "import time; time.sleep(60)")
        cgroup.sweep()
        assert process.wait(5) == -signal.SIGKILL
        assert not any(folder.exists() for folder in orphan.folders)
        assert all(folder.exists() for folder in group.folders)
        group.remove()

    def test_a_group_that_was_half_made_is_swept_too(self, group: cgroup.Group) -> None:
        half = group.folders[0].with_name(f"{cgroup.PREFIX}{2**22}-1")
        half.mkdir()
        cgroup.sweep()
        assert not half.exists()
        group.remove()


class TestVersion2OnAFolderThatStandsForIt:
    @pytest.fixture
    def top(self, tmp_path: Path) -> Path:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")
        (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
        return tmp_path

    @pytest.fixture
    def group(self, top: Path) -> cgroup.GroupV2:
        group = cgroup.GroupV2.named(top, "hive-1-2")
        [folder] = group.folders
        folder.mkdir()
        names = (
            "cgroup.procs", "memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "memory.peak",
            "memory.stat", "memory.events", "cpu.stat",
        )  # fmt: skip
        for name in names:
            (folder / name).touch()
        return group

    def test_limits(self, group: cgroup.GroupV2) -> None:
        group.limit(LIMITS)
        [folder] = group.folders
        written = {path.name: path.read_text() for path in folder.iterdir() if path.read_text()}
        assert written == {
            "memory.max": str(64 << 20), "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "100000 100000",
            "pids.max": str(8 + cgroup.OWN_PROCESSES),
        }  # fmt: skip

    def test_figures(self, group: cgroup.GroupV2) -> None:
        [folder] = group.folders
        (folder / "memory.stat").write_text("anon 1000\nfile 7000\nkernel 5\nshmem 24\n")
        (folder / "memory.peak").write_text("9000\n")
        (folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n")
        (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
        assert (group.memory_bytes(), group.most_memory_bytes(), group.out_of_memory_kills()) == (1024, 9000, 2)
        assert group.cpu_s() == 2.5

    def test_it_is_chosen_where_it_has_the_controllers(self, top: Path) -> None:
        assert cgroup.version(top) is cgroup.GroupV2
        (top / "cgroup.controllers").write_text("hugetlb\n")
        assert cgroup.version(top) is None
        with pytest.raises(OSError, match="no control groups"):
            cgroup.make(LIMITS, top)

    def test_missing_controllers_are_asked_for(self, top: Path) -> None:
        cgroup._enable_controllers(top)
        assert (top / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_version_2_joins_kills_and_goes_on_the_real_tree() -> None:
    """Its limits need controllers; its tree does not."""
    top = next((top for top in (cgroup.TOP, cgroup.TOP / "unified") if (top / "cgroup.controllers").exists()), None)
    if top is None or not os.access(top, os.W_OK):
        pytest.skip("no tree of version 2 in which a group may be made")
    group = cgroup.GroupV2.named(top, f"{cgroup.PREFIX}{os.getpid()}-{start_ticks(os.getpid())}")
    group.folders[0].mkdir()
    process = started(group, "import sys, time; sys.stdin.read(1); time.sleep(60)")
    try:
        assert group.pids() == [process.pid]
        found = cgroup.of_process(process.pid, top)
        assert found is not None and found.folders == group.folders
        assert cgroup.of_process(os.getpid(), top) is None
    finally:
        group.remove()
    assert process.wait(5) == -signal.SIGKILL and not group.folders[0].exists()
