"""The process runner: the contract of every backend inside bubblewrap and without it, and what is its alone."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

pytest.register_assert_rewrite("runner_contract")

from hive_cli import holders, kill, until  # noqa: E402
from runner_contract import (  # noqa: E402
    Backend,
    RunnerContract,
    log,
    looks_often,
    processes_marked,
    python_of_another_process,
)

from hive.runners.base import Mount  # noqa: E402
from hive.runners.isolation import bubblewrap, cgroup, levels  # noqa: E402
from hive.runners.isolation.bubblewrap import NOBODY  # noqa: E402
from hive.runners.process import HANDLE_FILE, LOCK_FILE, ProcessRunner  # noqa: E402

__all__ = ["looks_often"]

# Where the user's systemd is, kept from the fixture that hides all of the user's own from a test.
SESSION = {name: os.environ[name] for name in bubblewrap.SESSION if name in os.environ}


def backend_in(folder: Path, level: str | None = None) -> Iterator[Backend]:
    state = folder / "state"
    state.mkdir(exist_ok=True)
    runner = ProcessRunner(state, level)
    if why := runner.available():
        pytest.skip(f"{level}: {why}")
    backend = Backend(runner, folder / "runs")
    yield backend
    for order in backend.orders:
        for pid in holders(order.folder / LOCK_FILE):
            kill(pid)
        with suppress(ValueError, OSError):
            os.waitpid(int((order.folder / HANDLE_FILE).read_text().split(":")[0]), 0)
    cgroup.sweep()


@pytest.fixture(scope="session")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the outcome of probes is remembered for all tests."""
    return tmp_path_factory.mktemp("probes")


@pytest.fixture
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, probes: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Backend]:
    for name, value in SESSION.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "state").symlink_to(probes)
    yield from backend_in(tmp_path, request.param)


def at(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("backend", names, indirect=True)


@at(*levels.NAMES)
class TestEveryLevel(RunnerContract):
    """The whole contract, at each level that this machine can reach."""

    def test_it_says_what_it_is(self, backend: Backend) -> None:
        assert backend.runner.isolation().level == backend.runner.wanted

    def test_nothing_outlives_a_killed_shim(self, backend: Backend) -> None:
        """Or it would write into the checkpoints of the attempt that follows."""
        mark = uuid.uuid4().hex
        order, handle = backend.start(f"""
            child = "import os, time; os.setsid(); os.fork(); time.sleep(60)"
            subprocess.Popen([sys.executable, '-c', child, '{mark}'])
            print('ready')
            time.sleep(60)
        """)
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, handle, 0)
        until(lambda: not processes_marked(mark) and not processes_marked(str(order.folder)), "all is gone", 1)
        until(lambda: not backend.runner.alive(order.folder, handle), "the attempt is over", 1)
        assert backend.runner.ending(order.folder, handle) is None, "nobody lived to record it"

    def test_the_cpu_time_of_the_whole_tree_is_known(self, backend: Backend) -> None:
        if backend.runner.isolation().level == "bwrap" and os.geteuid():
            pytest.skip("bubblewrap leaves it to a process that hive does not see the end of")
        burn = "import time\nwhile time.process_time() < 0.5: pass"
        _, ending = backend.run(f"subprocess.run([sys.executable, '-c', {burn!r}]); (run.out / 'w').write_text('1')")
        assert 0.5 <= ending.cpu_s < 5


@at(*levels.NAMES[:-1])
class TestBehindAFilter:
    def test_it_is_on_for_the_run_and_its_children(self, backend: Backend) -> None:
        found = backend.found("""
            found['own'] = int(open('/proc/self/status').read().partition('Seccomp:')[2].split()[0])
            import socket
            calls = {'vsock': lambda: socket.socket(40), 'cores': lambda: os.sched_setaffinity(0, {0, 1})}
            for name, call in calls.items():
                child = os.fork()
                if child == 0:
                    try:
                        call()
                    except PermissionError:
                        os._exit(1)
                    os._exit(0)
                found[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """)
        assert found == {"own": 2, "vsock": 1, "cores": 1}


@at("cgroup+bwrap", "systemd+bwrap", "bwrap")
class TestInBubblewrap:
    def test_nothing_of_the_machine_is_there(self, backend: Backend) -> None:
        places = [str(Path.home()), "/etc/passwd", "/etc/shadow", "/run", "/sys/fs", str(backend.folder)]
        assert backend.found(f"found['seen'] = [p for p in {places!r} if os.path.exists(p)]") == {"seen": []}


@at("cgroup+bwrap", "bwrap")
class TestRootsRuns:
    """What is true of root's runs alone: they are another user's to the kernel, and root's on disk."""

    @pytest.fixture(autouse=True)
    def root(self, backend: Backend) -> None:
        if os.geteuid():
            pytest.skip("not root")
        if note := backend.runner.isolation().note:
            pytest.skip(note)

    def test_they_are_not_root(self, backend: Backend) -> None:
        mark = uuid.uuid4().hex
        order, handle = backend.start(
            f"subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
        )
        [pid] = until(lambda: processes_marked(mark), "it is at work", 30)
        assert os.stat(f"/proc/{pid}").st_uid == NOBODY
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status and "Groups:\t \n" in status
        assert "Seccomp:\t2" in status
        backend.runner.stop(order.folder, handle, 0)

    def test_what_they_write_is_roots_and_what_root_keeps_to_itself_they_read(self, backend: Backend) -> None:
        backend.folder.parent.chmod(0o700)
        order = backend.order("(run.out / 'weights.json').write_text('1'); (run.out / 'folder').mkdir()")
        for path in (order.folder, *order.folder.parent.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        assert backend.ended(order, backend.runner.start(order)).exit_code == 0, log(order)
        assert {path.stat().st_uid for path in order.folder.rglob("*")} == {0}

    def test_a_file_system_that_shows_no_other_owners_does_not_stop_them(self, backend: Backend) -> None:
        order = backend.order("(run.out / 'weights.json').write_text(open('/data/ostype').read())")
        order = replace(order, mounts=(*order.mounts, Mount(Path("/proc/sys/kernel/ostype"), "/data/ostype")))
        assert backend.ended(order, backend.runner.start(order)).exit_code == 0, log(order)
        assert (order.folder / "out" / "weights.json").read_text() == "Linux\n"


@at("cgroup+bwrap")
class TestControlGroups:
    def test_none_is_left_after_a_run(self, backend: Backend) -> None:
        order, handle = backend.start("time.sleep(1); (run.out / 'w').write_text('1')")
        assert until(lambda: groups_of(handle), "it has its group", 5)
        backend.ended(order, handle)
        assert not groups_of(handle)

    def test_those_of_a_killed_shim_are_removed_by_the_next(self, backend: Backend) -> None:
        order, handle = backend.start("print('ready'); time.sleep(60)")
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, handle, 0)
        until(lambda: not processes_marked(str(order.folder)), "all is gone", 1)
        assert groups_of(handle)
        os.waitpid(int(handle.split(":")[0]), 0)
        backend.run("(run.out / 'w').write_text('1')")
        assert not groups_of(handle)


def groups_of(handle: str) -> list[Path]:
    pid, ticks, _ = handle.split(":")
    return list(cgroup.TOP.rglob(f"hive-{pid}-{ticks}"))


def test_another_process_finds_a_run_by_its_handle(tmp_path: Path) -> None:
    for backend in backend_in(tmp_path):
        order, handle = backend.start("print('ready'); time.sleep(60)")
        backend.until_says(order, "ready")
        told = python_of_another_process(
            """
            import sys, time
            from pathlib import Path
            from hive.runners.process import ProcessRunner
            state, folder, handle = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
            runner = ProcessRunner(state)
            assert runner.alive(folder, handle) and runner.wait_descriptor(handle) is not None
            runner.stop(folder, handle, 0)
            while runner.alive(folder, handle):
                time.sleep(0.01)
            print("stopped")
            """,
            str(tmp_path / "state"), str(order.folder), handle,
        )  # fmt: skip
        assert told == "stopped"


@pytest.mark.parametrize("level", ["landlock", "none"])
def test_a_shim_that_cannot_start_the_payload_says_why(tmp_path: Path, level: str) -> None:
    for backend in backend_in(tmp_path, level):
        order = replace(backend.order(""), python=str(tmp_path / "no-python"))
        ending = backend.ended(order, backend.runner.start(order))
        assert ending.reason == "infrastructure" and "no-python" in ending.message


def test_a_signal_before_the_payload_is_there_is_not_lost(tmp_path: Path) -> None:
    """SIGTERM at once after the fork, many times over: each run ends, none goes on as if nobody had asked."""
    for backend in backend_in(tmp_path):
        for delay_s in (0, 0.001, 0.003, 0.01, 0.03):
            order, handle = backend.start("time.sleep(60)")
            time.sleep(delay_s)
            os.kill(int(handle.split(":")[0]), signal.SIGTERM)
            assert backend.ended(order, handle, 20).exit_code != 0


def test_the_python_of_the_tests_runs_recipes(tmp_path: Path) -> None:
    for backend in backend_in(tmp_path):
        assert backend.found("found['python'] = sys.prefix") == {"python": sys.prefix}
