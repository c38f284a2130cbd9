"""The Docker runner on a real engine: the contract of every backend, the hostile recipe, and what is its alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("runner_contract", "hostile", "hostile_canaries")

from engine import SCRIPT, in_use, is_private  # noqa: E402
from hive_cli import holders, kill, until  # noqa: E402
from hive_runner.contract import RunResult  # noqa: E402
from hostile import HostileContract  # noqa: E402
from runner_contract import SECRET, Backend, RunnerContract, log, looks_often  # noqa: E402

from hive.index import Index  # noqa: E402
from hive.model import Isolation  # noqa: E402
from hive.runners.base import Order  # noqa: E402
from hive.runners.docker import LOCK_FILE, DockerRunner, container_name  # noqa: E402

__all__ = ["looks_often"]


@pytest.fixture(autouse=True)
def at_the_engine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    with in_use(alone=request.node.get_closest_marker("alone") is not None) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        yield


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is known of images, kept over the tests."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def backend(images: Path, tmp_path: Path) -> Iterator[Backend]:
    runner = DockerRunner(images)
    environment = runner.environment((), False, lambda text: print(text, file=sys.stderr))
    made = Backend(runner, tmp_path / "runs", environment.python, environment.image)
    yield made
    for order in made.orders:
        kill_keeper(order)
        with suppress(Exception):
            runner.client.remove_container(container_name(order.folder), force=True)


def kill_keeper(order: Order) -> None:
    for pid in holders(order.folder / LOCK_FILE):
        kill(pid)
        until(lambda: not holders(order.folder / LOCK_FILE), "the keeper is gone", 10)


def container(backend: Backend, order: Order) -> dict[str, Any]:
    """What the engine says of an order's container."""
    assert isinstance(backend.runner, DockerRunner)
    found: dict[str, Any] = backend.runner.client.inspect_container(container_name(order.folder))
    return found


class TestInDocker(RunnerContract):
    own_python = ()  # the image has its own

    def test_cores(self, backend: Backend) -> None:
        """A share of the processors' time, not of the processors."""
        found = backend.found(
            """
            spent, began = time.process_time(), time.monotonic()
            if not os.fork():
                while time.monotonic() - began < 2: pass
                os._exit(0)
            while time.monotonic() - began < 2: pass
            os.wait()
            times = os.times()
            found['cores'] = (times.user + times.children_user) / (time.monotonic() - began)
            """,
            cpus=1,
        )
        assert found["cores"] < 1.3

    def test_home_cannot_be_read(self, backend: Backend) -> None:
        """The image has an /etc/passwd and a /root of its own; nothing in it is this machine's."""
        secret = Path.home() / ".ssh" / "id_ed25519"
        secret.parent.mkdir()
        secret.write_text(SECRET)
        places = [str(secret), str(secret.parent), "/var/run/docker.sock", "/run/docker.sock", str(backend.folder)]
        found = backend.found(f"""
            found['seen'] = [place for place in {places!r} if os.path.exists(place)]
            found['user'] = os.getuid()
        """)
        assert found == {"seen": [], "user": 65532 if os.getuid() == 0 else os.getuid()}

    def test_what_recipes_are_made_with_works(self, backend: Backend) -> None:
        """In the layer that a recipe's own requirements make."""
        environment = backend.runner.environment(Index().recipe("gis-lidar").requirements, False, print)
        super().test_what_recipes_are_made_with_works(replace(backend, image=environment.image))

    def test_network_on_request(self, backend: Backend) -> None:
        """A network of its own, which does not lead to this machine's loopback. (Such an engine may have no bridge.)"""
        runner = backend.runner
        assert isinstance(runner, DockerRunner)
        for network, mode in ((True, "bridge"), (False, "none")):
            asked = runner.specification(backend.order("", network=network))
            assert asked["host_config"]["NetworkMode"] == mode
        backend.run("(run.out / 'w').write_text('1')", network=True)

    def test_its_container_is_gone_afterwards(self, backend: Backend) -> None:
        from docker.errors import NotFound

        order, _ = backend.run("(run.out / 'weights.json').write_text('1')")
        with pytest.raises(NotFound):
            container(backend, order)


class TestHostileInDocker(HostileContract):
    pass


def test_the_engine_is_asked_for_everything_that_holds_a_run(backend: Backend) -> None:
    """What the engine itself says of a running container, against what it should have been told."""
    order, handle = backend.start("print('ready'); time.sleep(60)", cpus=1, pids=77)
    backend.until_says(order, "ready")
    found = container(backend, order)
    host, config = found["HostConfig"], found["Config"]
    assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"] and not host["Privileged"]
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert (host["NanoCpus"], host["PidsLimit"], host["OomScoreAdj"]) == (10**9, 77, 500)
    assert host["Init"] and host["IpcMode"] == "private" and host["RestartPolicy"]["Name"] == "no"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert not host["AutoRemove"] and "noexec" in host["Tmpfs"]["/tmp"]
    assert config["User"] == ("65532:65532" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}")
    assert config["Labels"]["hive.job"] == "1" and config["Labels"]["hive.attempt"] == "1"
    writable = {mount["Destination"] for mount in found["Mounts"] if mount["RW"]}
    assert writable == {"/work", "/checkpoints"}
    backend.runner.stop(order.folder, handle, 0)
    backend.ended(order, handle)


def test_a_gpu_is_asked_for_where_the_build_wants_one(backend: Backend) -> None:
    assert isinstance(backend.runner, DockerRunner)
    order = backend.order("")
    assert backend.runner.specification(order)["host_config"].get("DeviceRequests") is None
    [asked] = backend.runner.specification(replace(order, gpu="GPU-1"))["host_config"]["DeviceRequests"]
    assert (asked["DeviceIDs"], asked["Capabilities"]) == (["GPU-1"], [["gpu"]])


# A keeper that is killed, and an engine that goes away


def test_a_container_whose_keeper_was_killed_gets_another_and_goes_on(backend: Backend) -> None:
    order, handle = backend.start("""
        print('before')
        time.sleep(4)
        print('after')
        (run.out / 'weights.json').write_text('1')
    """)
    backend.until_says(order, "before")
    began = container(backend, order)["State"]["StartedAt"]
    kill_keeper(order)
    assert backend.runner.alive(order.folder, handle), "the container lives, so the run does"
    assert container(backend, order)["State"]["StartedAt"] == began, "and it is the same one"
    ending = backend.ended(order, handle)
    assert (ending.exit_code, ending.reason) == (0, "")
    assert "before" in log(order) and "after" in log(order)


def test_a_run_that_ended_while_nobody_looked_is_found(backend: Backend) -> None:
    order, handle = backend.start("print('ready'); time.sleep(1); (run.out / 'weights.json').write_text('1')")
    backend.until_says(order, "ready")
    kill_keeper(order)
    until(lambda: container(backend, order)["State"]["Status"] == "exited", "it has ended", 20)
    ending = backend.ended(order, handle)
    assert (ending.exit_code, ending.reason) == (0, "") and "ready" in log(order)


def test_limits_hold_after_a_new_keeper(backend: Backend) -> None:
    order, handle = backend.start("print('ready'); time.sleep(60)", wall_s=6)
    backend.until_says(order, "ready")
    kill_keeper(order)
    assert backend.runner.alive(order.folder, handle)
    ending = backend.ended(order, handle, 30)
    assert ending.reason == "timeout" and 6 <= ending.wall_s < 15, ending


def test_a_container_that_somebody_removed(backend: Backend) -> None:
    order, handle = backend.start("print('ready'); time.sleep(60)")
    backend.until_says(order, "ready")
    kill_keeper(order)
    assert isinstance(backend.runner, DockerRunner)
    backend.runner.client.remove_container(container_name(order.folder), force=True)
    ending = backend.ended(order, handle)
    assert ending.reason == "infrastructure" and "gone" in ending.message


def test_what_killed_keepers_left_is_swept_by_the_next_run(backend: Backend) -> None:
    from docker.errors import NotFound

    order, _ = backend.start("print('ready'); time.sleep(0.5); (run.out / 'weights.json').write_text('1')")
    backend.until_says(order, "ready")
    kill_keeper(order)
    until(lambda: container(backend, order)["State"]["Status"] == "exited", "it has ended", 20)
    (order.folder / "exit.json").write_text("{}")  # as if the keeper had come so far
    backend.run("(run.out / 'weights.json').write_text('1')")
    with pytest.raises(NotFound):
        container(backend, order)


@pytest.mark.alone
def test_the_engine_is_restarted_under_a_run(backend: Backend) -> None:
    """Its containers end with it; that is nobody's fault, and the run may checkpoint first."""
    if not is_private():
        pytest.skip("this engine is not the tests' own to restart")
    order, handle = backend.start("""
        print('ready')
        for step in range(6000):
            run.checkpoint(step, lambda: {'step': step})
            time.sleep(0.01)
    """)
    backend.until_says(order, "ready")
    subprocess.run([str(SCRIPT), "stop"], check=True, capture_output=True, timeout=120)
    time.sleep(1)
    assert backend.runner.alive(order.folder, handle) or backend.runner.ending(order.folder, handle)
    subprocess.run([str(SCRIPT), "start"], check=True, capture_output=True, timeout=300)
    ending = backend.ended(order, handle, 90)
    assert ending.reason in ("", "infrastructure"), ending
    if not ending.reason:
        assert ending.exit_code == os.EX_TEMPFAIL or ending.exit_code < 0, ending
    if ending.exit_code == os.EX_TEMPFAIL:
        assert RunResult.read(order.folder / "result.json").status == "stopped"


# Out of memory, and what only looks like it

EAT = "kept = [b'1' * (16 << 20) for _ in range(64)]"


@pytest.mark.parametrize(
    ("body", "reason", "exit_code"),
    [
        (EAT, "out_of_memory", -signal.SIGKILL),
        (f"subprocess.run([sys.executable, '-c', {EAT!r}]); os._exit(3)", "out_of_memory", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", "", -signal.SIGKILL),
        ("os._exit(137)", "", -signal.SIGKILL),
    ],
    ids=["it eats too much", "its child does", "it kills itself", "it says 137"],
)
def test_out_of_memory_is_told_from_what_looks_like_it(
    backend: Backend, body: str, reason: str, exit_code: int
) -> None:
    _, ending = backend.run(body, memory_bytes=256 << 20)
    assert (ending.reason, ending.exit_code) == (reason, exit_code), ending


def test_what_it_says_it_enforces(backend: Backend) -> None:
    assert backend.runner.isolation() == Isolation("docker", *["yes"] * 6)
