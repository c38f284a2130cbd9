"""What every backend must do, whatever it is made of. A test module gives `backend` and inherits the suite."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import REAL_HOME
from hive_cli import REPOSITORY, kill, processes_marked, until
from hive_runner.contract import JobSpec, RunResult

from hive.errors import HiveError
from hive.model import Limits
from hive.runners import bounds
from hive.runners.base import Ending, Mount, Order, Runner, work_path
from hive.runners.runlog import LOG_CAP_BYTES

LIMITS = Limits(cpus=1, threads=1, memory_bytes=1 << 30, disk_bytes=100 << 20, wall_s=60, heartbeat_s=60)
SECRET = "the-users-own-token"


@dataclass
class Backend:
    """One backend and a place for its runs. A run is given as the body of its recipe's train(run)."""

    runner: Runner
    folder: Path
    python: str = sys.executable
    image: str = ""
    orders: list[Order] = field(default_factory=list)

    def order(self, body: str, **limits: Any) -> Order:
        place = self.folder / f"run-{len(self.orders)}"
        recipe, checkpoints, folder = place / "recipe", place / "checkpoints", place / "attempt"
        for path in (recipe, checkpoints, folder / "out"):
            path.mkdir(parents=True)
        code = textwrap.indent(textwrap.dedent(body), "    ")
        (recipe / "train.py").write_text(f"import json, os, signal, subprocess, sys, time\n\ndef train(run):\n{code}\n")
        mounts = (Mount(recipe, "/recipe"), Mount(checkpoints, "/checkpoints", writable=True))
        JobSpec(
            action="train",
            recipe="probe",
            version="1.0.0",
            recipe_path=self.runner.place(mounts[0]),
            out=work_path(self.runner, folder, "out"),
            checkpoints=self.runner.place(mounts[1]),
            events=work_path(self.runner, folder, "events.jsonl"),
            result=work_path(self.runner, folder, "result.json"),
        ).write(folder / "spec.json")
        labels = {"hive.home": str(self.folder), "hive.job": "1", "hive.attempt": "1"}
        environment = {"PYTHONHASHSEED": "0"}
        order = Order(folder, self.python, mounts, replace(LIMITS, **limits), environment, labels, self.image)
        self.orders.append(order)
        return order

    def start(self, body: str, **limits: Any) -> tuple[Order, str]:
        order = self.order(body, **limits)
        return order, self.runner.start(order)

    def run(self, body: str, **limits: Any) -> tuple[Order, Ending]:
        """Start, wait for the end."""
        order, handle = self.start(body, **limits)
        return order, self.ended(order, handle)

    def ended(self, order: Order, handle: str, deadline_s: float = 60) -> Ending:
        until(lambda: not self.runner.alive(order.folder, handle), "the run has ended", deadline_s)
        ending = self.runner.ending(order.folder, handle)
        assert ending is not None, log(order)
        return ending

    def found(self, body: str, **limits: Any) -> Any:
        """What a run puts into `found`, as JSON."""
        order, ending = self.run(f"found = {{}}\n{textwrap.dedent(body)}\n{REPORT_FOUND}", **limits)
        assert ending.exit_code == 0, log(order)
        return json.loads((order.folder / "out" / "found.json").read_text())

    def until_says(self, order: Order, text: str) -> None:
        until(lambda: text in log(order), f"the run says {text!r}", 60)


REPORT_FOUND = "(run.out / 'found.json').write_text(json.dumps(found))"


def log(order: Order) -> str:
    try:
        return (order.folder / "log.txt").read_text()
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits that are looked at every few seconds are looked at more often: the tests have no time."""
    monkeypatch.setattr(bounds, "DISK_EVERY_S", 0.3)
    monkeypatch.setattr(bounds, "GRACE_S", 1.0)


class RunnerContract:
    """The suite. `backend` is a fixture of the subclass."""

    own_python: tuple[str, ...] = (sys.prefix,)  # of the tests, where a run uses it too

    # Beginning and end

    def test_a_run_succeeds(self, backend: Backend) -> None:
        order, handle = backend.start("print('hello'); (run.out / 'weights.json').write_text('[1]')")
        assert handle
        ending = backend.ended(order, handle)
        assert (ending.exit_code, ending.reason) == (0, ""), ending
        assert ending.wall_s > 0 and ending.peak_memory_bytes > 1 << 20
        assert RunResult.read(order.folder / "result.json").status == "succeeded"
        assert "hello" in log(order)

    def test_it_is_alive_until_it_ends(self, backend: Backend) -> None:
        order, handle = backend.start("time.sleep(0.5); (run.out / 'weights.json').write_text('[1]')")
        assert backend.runner.alive(order.folder, handle)
        backend.ended(order, handle)
        assert not backend.runner.alive(order.folder, handle)

    def test_the_descriptor_tells_of_the_end(self, backend: Backend) -> None:
        import select

        order, handle = backend.start("time.sleep(0.3); (run.out / 'weights.json').write_text('[1]')")
        descriptor = backend.runner.wait_descriptor(handle)
        if descriptor is not None:
            try:
                assert select.select([descriptor], [], [], 30)[0]
            finally:
                os.close(descriptor)
        backend.ended(order, handle, 5)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("os._exit(3)", 3),
            ("raise ValueError('no')", 1),
            ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
            ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ],
    )
    def test_exit_codes(self, backend: Backend, body: str, code: int) -> None:
        _, ending = backend.run(body)
        assert (ending.exit_code, ending.reason) == (code, "")

    def test_standard_error_is_in_the_log(self, backend: Backend) -> None:
        order, _ = backend.run("os.write(2, b'to stderr'); (run.out / 'weights.json').write_text('1')")
        assert "to stderr" in log(order)

    def test_a_second_start_is_refused(self, backend: Backend) -> None:
        order, handle = backend.start("time.sleep(60)")
        with pytest.raises(HiveError, match="already"):
            backend.runner.start(order)
        assert backend.runner.alive(order.folder, handle), "the refused one must not end the first"
        backend.runner.stop(order.folder, handle, 0)

    def test_an_interpreter_that_is_not_there(self, backend: Backend) -> None:
        order = replace(backend.order(""), python="/nonexistent/bin/python")
        ending = backend.ended(order, backend.runner.start(order))
        assert ending.exit_code != 0 or ending.reason == "infrastructure"

    def test_nobody_recorded_an_ending(self, backend: Backend) -> None:
        folder = backend.order("").folder
        assert backend.runner.ending(folder, "") is None
        assert not backend.runner.alive(folder, "")
        backend.runner.stop(folder, "", 0)  # nothing to stop is no error

    # Stop

    def test_stop_lets_it_checkpoint(self, backend: Backend) -> None:
        order, handle = backend.start("""
            print('ready')
            for step in range(6000):
                run.checkpoint(step, lambda: {'step': step})
                time.sleep(0.01)
        """)
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, handle, 10)
        assert backend.ended(order, handle).exit_code == os.EX_TEMPFAIL
        assert RunResult.read(order.folder / "result.json").status == "stopped"
        assert list((order.folder.parent / "checkpoints").glob("*.ckpt"))

    def test_stop_lets_its_workers_work_until_it_has_checkpointed(self, backend: Backend) -> None:
        order, handle = backend.start("""
            from multiprocessing import get_context
            with get_context('fork').Pool(2) as pool:
                print('ready')
                for step in range(6000):
                    pool.apply(time.sleep, (0.01,))
                    run.checkpoint(step, lambda: {'step': step})
        """)
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, handle, 10)
        assert backend.ended(order, handle).exit_code == os.EX_TEMPFAIL, log(order)
        assert RunResult.read(order.folder / "result.json").status == "stopped"

    def test_stop_right_after_the_start(self, backend: Backend) -> None:
        order, handle = backend.start("run.checkpoint(1, dict); time.sleep(60)")
        backend.runner.stop(order.folder, handle, 10)
        backend.ended(order, handle, 20)

    def test_the_deaf_are_killed(self, backend: Backend) -> None:
        order, handle = backend.start("signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)")
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, handle, 10)
        ending = backend.ended(order, handle, 10)
        assert (ending.exit_code, ending.reason) == (-signal.SIGKILL, "stopped")

    @pytest.mark.parametrize("how", ["stop", "end"])
    def test_no_process_outlives_the_run(self, backend: Backend, how: str) -> None:
        mark = uuid.uuid4().hex
        order, handle = backend.start(f"""
            child = "import os, time; os.fork() or (os.setsid(), os.fork()); time.sleep(60)"
            subprocess.Popen([sys.executable, '-c', child, '{mark}'], start_new_session=True)
            time.sleep(0.7)  # it forks thrice
            print('ready')
            {"time.sleep(60)" if how == "stop" else "(run.out / 'weights.json').write_text('1')"}
        """)
        backend.until_says(order, "ready")
        if how == "stop":
            assert len(processes_marked(mark)) >= 3
            backend.runner.stop(order.folder, handle, 10)
        backend.ended(order, handle, 20)
        until(lambda: not processes_marked(mark), "the whole tree is gone", 1)

    # Limits

    def test_memory(self, backend: Backend) -> None:
        _, ending = backend.run(
            "kept = []\nfor _ in range(64):\n    kept.append(b'1' * (16 << 20)); time.sleep(0.05)",
            memory_bytes=200 << 20,
        )
        assert ending.reason == "out_of_memory", ending
        assert ending.peak_memory_bytes > 180 << 20

    def test_memory_of_all_processes_together(self, backend: Backend) -> None:
        eater = "kept = b'1' * (100 << 20); import time; time.sleep(20)"
        _, ending = backend.run(
            f"""
            children = [subprocess.Popen([sys.executable, '-c', {eater!r}]) for _ in range(4)]
            time.sleep(20)
            """,
            memory_bytes=250 << 20,
        )
        assert ending.reason == "out_of_memory", ending

    def test_what_forks_have_in_common_counts_once(self, backend: Backend) -> None:
        _, ending = backend.run(
            """
            kept = b'1' * (120 << 20)
            for _ in range(2):
                if not os.fork():
                    time.sleep(1.5)
                    os._exit(0)
            os.wait(), os.wait()
            os._exit(3)
            """,
            memory_bytes=250 << 20,
        )
        assert (ending.exit_code, ending.reason) == (3, ""), ending

    def test_the_death_of_one_child_for_memory_is_the_failure_of_the_run(self, backend: Backend) -> None:
        """The kernel kills the largest process only; what its parent makes of that says nothing of why."""
        self.needs(backend, "memory")
        _, ending = backend.run(
            """
            eater = subprocess.run([sys.executable, '-c', "kept = b'1' * (300 << 20)"])
            os._exit(3 if eater.returncode == -signal.SIGKILL else 4)
            """,
            memory_bytes=200 << 20,
        )
        assert ending.reason == "out_of_memory", ending

    @pytest.mark.parametrize("body", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(137)"])
    def test_what_only_looks_like_a_lack_of_memory(self, backend: Backend, body: str) -> None:
        _, ending = backend.run(body, memory_bytes=200 << 20)
        assert ending.exit_code in (-signal.SIGKILL, 137) and ending.reason == "", ending

    def test_a_fork_bomb(self, backend: Backend) -> None:
        """It gets no further than its limit, the machine answers, and all of it is gone at once."""
        mark = uuid.uuid4().hex
        bomb = "import os, time; [os.fork() for _ in range(9)]; time.sleep(60)"  # 512 processes, if it may
        order, handle = backend.start(
            f"""
            subprocess.Popen([sys.executable, '-c', {bomb!r}, '{mark}'], stderr=subprocess.DEVNULL)
            time.sleep(1.5)
            """,
            pids=40, wall_s=10,
        )  # fmt: skip
        most = 0
        deadline = time.monotonic() + 30
        while backend.runner.alive(order.folder, handle) and time.monotonic() < deadline:
            most = max(most, len(processes_marked(mark)))
            time.sleep(0.05)
        until(lambda: not processes_marked(mark), "all of it is gone", 1)
        assert backend.runner.ending(order.folder, handle) is not None
        if backend.runner.isolation().memory == "yes":  # one group limits both
            assert most <= 40

    def test_wall_time(self, backend: Backend) -> None:
        _, ending = backend.run("time.sleep(60)", wall_s=1)
        assert ending.reason == "timeout", ending
        assert 1 <= ending.wall_s < 20

    @pytest.mark.parametrize("place", ["run.scratch", "run.out", "Path(run._spec.checkpoints)"])
    def test_disk(self, backend: Backend, place: str) -> None:
        _, ending = backend.run(
            f"""
            from pathlib import Path
            for number in range(10):
                ({place} / str(number)).write_bytes(b'1' * (4 << 20))
            time.sleep(60)
            """,
            disk_bytes=10 << 20,
        )
        assert ending.reason == "disk_full", ending

    def test_a_file_larger_than_the_disk_limit(self, backend: Backend) -> None:
        order, _ = backend.run("(run.scratch / 'large').write_bytes(b'1' * (8 << 20))", disk_bytes=4 << 20)
        failure = RunResult.read(order.folder / "result.json").failure
        assert failure is not None and failure.kind == "disk_full", failure

    def test_heartbeat(self, backend: Backend) -> None:
        _, ending = backend.run("run.phase('train'); time.sleep(60)", heartbeat_s=1)
        assert ending.reason == "no_heartbeat", ending

    def test_who_reports_is_not_hung(self, backend: Backend) -> None:
        body = "for step in range(25):\n    run.phase(f'{step}'); time.sleep(0.1)\n(run.out / 'w').write_text('1')"
        _, ending = backend.run(body, heartbeat_s=1.5)
        assert (ending.exit_code, ending.reason) == (0, ""), ending

    def test_a_flood_of_output_is_capped(self, backend: Backend) -> None:
        order, ending = backend.run("""
            block = b'flood ' * 10_000 + b'\\n'
            for _ in range(10_000):
                os.write(1, block)
            print('the last line')
            (run.out / 'weights.json').write_text('1')
        """)
        assert (ending.exit_code, ending.reason) == (0, ""), ending
        kept = sum(path.stat().st_size for path in order.folder.glob("log*"))
        assert kept <= 2 * LOG_CAP_BYTES, "600 MB were written"
        assert "the last line" in log(order)

    def test_cores(self, backend: Backend) -> None:
        assert backend.found("found['cores'] = len(os.sched_getaffinity(0))", cpus=1) == {"cores": 1}

    # Adoption

    def test_the_run_outlives_who_started_it_and_another_adopts_it(self, backend: Backend) -> None:
        order = backend.order("time.sleep(1.5); (run.out / 'weights.json').write_text('1')")
        pid = os.fork()
        if pid == 0:
            backend.runner.start(order)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        # It died before it could pass the handle on: the folder is enough.
        assert backend.runner.alive(order.folder, "")
        assert backend.ended(order, "").exit_code == 0
        assert RunResult.read(order.folder / "result.json").status == "succeeded"

    def test_the_adopter_can_stop_it(self, backend: Backend) -> None:
        order = backend.order("print('ready'); time.sleep(60)")
        pid = os.fork()
        if pid == 0:
            backend.runner.start(order)
            os._exit(0)
        os.waitpid(pid, 0)
        backend.until_says(order, "ready")
        backend.runner.stop(order.folder, "", 0)
        until(lambda: not backend.runner.alive(order.folder, ""), "the run has ended", 10)

    def test_who_dies_with_its_caller(self, backend: Backend) -> None:
        mark = uuid.uuid4().hex
        body = f"subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])"
        order = replace(backend.order(body), dies_with_caller=True)
        pid = os.fork()
        if pid == 0:
            backend.runner.start(order)
            time.sleep(60)
        until(lambda: processes_marked(mark), "the run is at work", 30)
        kill(pid)
        os.waitpid(pid, 0)
        assert backend.ended(order, "", 20).reason == "cancelled"
        until(lambda: not processes_marked(mark), "nothing of it is left", 1)

    def test_a_foreign_handle_kills_nobody(self, backend: Backend) -> None:
        order, handle = backend.start("time.sleep(60)")
        bystander = subprocess.Popen(["sleep", "60"])
        try:
            for foreign in (f"{bystander.pid}:1:2", f"{bystander.pid}", "nonsense", "1:2:3:4"):
                backend.runner.stop(order.folder, foreign, 0)
                assert backend.runner.wait_descriptor(foreign) is None
            assert bystander.poll() is None
            assert backend.runner.alive(order.folder, handle)
        finally:
            bystander.kill()
            bystander.wait()
            backend.runner.stop(order.folder, handle, 0)

    # What it can see and do

    def test_the_callers_environment_is_not_passed_on(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        found = backend.found("found['variables'] = dict(os.environ)")
        assert SECRET not in found["variables"].values()
        assert str(Path.home()) not in found["variables"].values()

    def test_no_secret_in_any_environment_it_can_read(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.needs(backend, "processes")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        holder = subprocess.Popen(["sleep", "60"])
        try:
            found = backend.found("""
                import glob
                found['processes'], found['text'] = 0, ''
                for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
                    found['processes'] += path.endswith('cmdline')
                    try:
                        found['text'] += open(path, errors='replace').read()
                    except OSError:
                        pass
            """)
        finally:
            holder.kill()
            holder.wait()
        assert SECRET not in found["text"]
        assert found["processes"] < 6, "it sees only its own"

    def test_home_cannot_be_read(self, backend: Backend) -> None:
        self.needs(backend, "home")
        secret = Path.home() / ".ssh" / "id_ed25519"
        secret.parent.mkdir()
        secret.write_text(SECRET)
        files = [str(secret), "/etc/passwd", "/etc/shadow", str(backend.folder.parent / "beside")]
        (backend.folder.parent / "beside").write_text(SECRET)
        folders = [str(Path.home()), "/run", "/home", str(backend.folder), str(REAL_HOME)]
        found = backend.found(f"""
            found['read'], found['listed'] = [], []
            for kind, look, places in (('read', open, {files!r}), ('listed', os.listdir, {folders!r})):
                for place in places:
                    try:
                        look(place)
                        found[kind].append(place)
                    except OSError:
                        pass
        """)
        assert found["read"] == []
        prefixes = (Path(sys.prefix), Path(sys.base_prefix))  # an interpreter may live there
        assert all(any(prefix.is_relative_to(path) for prefix in prefixes) for path in found["listed"]), found

    def test_no_network(self, backend: Backend) -> None:
        self.needs(backend, "network")
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = backend.found(connect(server), network=False)
        assert found["error"], "it reached a service of this machine"

    def test_network_on_request(self, backend: Backend) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = backend.found(connect(server), network=True)
        assert not found["error"]

    def test_what_a_run_on_the_network_needs_is_there(self, backend: Backend) -> None:
        """Or no name could be looked up."""
        look = "found['seen'] = os.path.exists('/etc/hosts')"
        assert backend.found(look, network=True)["seen"] == Path("/etc/hosts").exists()

    def test_no_local_service_either(self, backend: Backend) -> None:
        """A socket with a path, as docker.sock is, and one without."""
        self.needs(backend, "network")
        with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
            path = backend.folder.parent / "s"
            for server, address in ((named, str(path)), (abstract, f"\0{path}")):
                server.bind(address)
                server.listen()
            found = backend.found(f"""
                import socket
                for name, address in (('named', {str(path)!r}), ('abstract', '\\0' + {str(path)!r})):
                    try:
                        socket.socket(socket.AF_UNIX).connect(address)
                        found[name] = 'reached'
                    except OSError:
                        found[name] = 'refused'
            """)
        assert found == {"named": "refused", "abstract": "refused"}

    def test_it_writes_only_where_it_may(self, backend: Backend) -> None:
        self.needs(backend, "files")
        places = ["/", "/usr", "/etc", "/dev", "/runner", "/proc", "/data", "/home", "/var", *self.own_python]
        found = backend.found(f"""
            import tempfile
            work, checkpoints = os.path.dirname(run._spec.result), run._spec.checkpoints
            allowed = [work, str(run.out), str(run.scratch), checkpoints, tempfile.gettempdir()]
            for place in {places!r} + [run._spec.recipe_path] + allowed:
                try:
                    os.makedirs(place, exist_ok=True)
                    open(place + '/hive-was-here', 'w').close()
                    os.unlink(place + '/hive-was-here')
                    found[place] = place in allowed
                except OSError:
                    found[place] = place not in allowed
        """)
        assert [place for place, as_expected in found.items() if not as_expected] == []

    def test_it_cannot_get_more_rights(self, backend: Backend) -> None:
        """Remount, mount, a namespace of its own with all capabilities, ptrace of init, device nodes."""
        self.needs(backend, "files")
        found = backend.found("""
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            REMOUNT, BIND, NEWUSER, NEWNS = 32, 4096, 0x10000000, 0x00020000
            found['remount /usr'] = libc.mount(b'none', b'/usr', None, REMOUNT | BIND, None)
            found['remount /'] = libc.mount(b'none', b'/', None, REMOUNT | BIND, None)
            found['mount proc'] = libc.mount(b'proc', b'/tmp', b'proc', 0, None)
            found['user namespace'] = libc.unshare(NEWUSER)
            found['mount namespace'] = libc.unshare(NEWNS)
            found['setuid'] = libc.setuid(0)
            found['chroot'] = libc.chroot(b'/tmp')
            found['mknod'] = libc.mknod(b'/work/disk', 0o60666, 8 << 8)
            status = open('/proc/self/status').read()
            found['capabilities'] = int(status.partition('CapEff:')[2].split()[0], 16)
            found['new privileges'] = int(status.partition('NoNewPrivs:')[2].split()[0]) - 1
        """)
        assert {name for name, code in found.items() if code == 0} == {"capabilities", "new privileges"}, found

    def test_what_recipes_are_made_with_works(self, backend: Backend) -> None:
        """Threads, compiled code, processes that share a lock and memory."""
        pytest.importorskip("torch"), pytest.importorskip("numba")
        found = backend.found(
            """
            import multiprocessing, numba, numpy, torch
            x = torch.ones(64, 64, requires_grad=True)
            (x @ x).sum().backward()
            found['torch'] = float(x.grad[0, 0])
            found['numba'] = numba.njit(lambda n: n * n)(7)
            context = multiprocessing.get_context('fork')
            lock, shared = context.Lock(), context.Value('i', 0)
            def work(n):
                with lock:
                    shared.value += n
            workers = [context.Process(target=work, args=(n,)) for n in (1, 2)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()
            found['shared'] = shared.value
            pool = context.Pool(2)
            found['pool'] = pool.map(abs, [-1, -2])
            pool.close()
            pool.join()
            """,
            memory_bytes=4 << 30,
        )
        assert found == {"torch": 128.0, "numba": 49, "shared": 3, "pool": [1, 2]}

    def test_no_descriptor_of_the_caller_is_open(self, backend: Backend, tmp_path: Path) -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        os.set_inheritable(descriptor, True)
        try:
            found = backend.found("""
                found['open'] = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')
                                 if os.path.exists(f'/proc/self/fd/{n}')]
            """)
        finally:
            os.close(descriptor)
        assert str(tmp_path) not in found["open"]
        assert not any("lock" in path for path in found["open"]), found

    def test_links_in_its_folder_lead_the_runner_nowhere(self, backend: Backend) -> None:
        """A hostile run puts links where the runner itself will write, outside the sandbox."""
        victim = Path.home() / "victim"
        victim.write_text("precious")
        _, ending = backend.run(f"""
            work = os.path.dirname(run._spec.result)
            for name in ('exit.json', 'exit.json.tmp', 'log.1.txt', 'handle'):
                try:
                    if os.path.exists(f'{{work}}/{{name}}'):
                        os.unlink(f'{{work}}/{{name}}')
                    os.symlink('{victim}', f'{{work}}/{{name}}')
                except OSError:
                    pass
            for _ in range(200):
                os.write(1, b'x' * (1 << 16))
            (run.out / 'weights.json').write_text('1')
        """)
        assert ending.exit_code == 0
        assert victim.read_text() == "precious"

    def test_the_lock_cannot_be_taken_away(self, backend: Backend) -> None:
        """A run that makes itself look dead would be started twice."""
        self.needs(backend, "files")
        order, handle = backend.start("""
            for take in (os.unlink, lambda path: os.rename(path, path + '.old')):
                try:
                    take(os.path.dirname(run._spec.result) + '/attempt.lock')
                except OSError:
                    pass
            print('ready')
            time.sleep(60)
        """)
        backend.until_says(order, "ready")
        assert backend.runner.alive(order.folder, handle)
        backend.runner.stop(order.folder, handle, 0)

    @staticmethod
    def needs(backend: Backend, aspect: str) -> None:
        """Skip where the backend says itself that it does not isolate this."""
        isolation = backend.runner.isolation()
        if getattr(isolation, aspect) != "yes":
            pytest.skip(f"{aspect}: {isolation}; {isolation.note}")


def connect(server: socket.socket) -> str:
    return f"""
        import socket
        found['error'] = ''
        try:
            socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=5).close()
        except OSError as error:
            found['error'] = str(error)
    """


def python_of_another_process(code: str, *arguments: str) -> str:
    """What another process prints."""
    path = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'training-runner'}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
