"""The Docker runner on a real engine: the contract of every backend, and what is its alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.register_assert_rewrite("runner_contract")

from engine import require_engine  # noqa: E402
from hive_cli import holders, kill  # noqa: E402
from runner_contract import SECRET, Backend, RunnerContract, looks_often  # noqa: E402

from hive.runners.docker import LOCK_FILE, DockerRunner, container_name  # noqa: E402

__all__ = ["looks_often"]


@pytest.fixture(autouse=True)
def at_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", require_engine())


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
        for pid in holders(order.folder / LOCK_FILE):
            kill(pid)
        with suppress(Exception):
            runner.client.remove_container(container_name(order.folder), force=True)


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

    def test_home_is_invisible(self, backend: Backend) -> None:
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

    def test_network_on_request(self, backend: Backend) -> None:
        """A network of its own, which does not lead to this machine's loopback. (Such an engine may have no bridge.)"""
        runner = backend.runner
        assert isinstance(runner, DockerRunner)
        for network, mode in ((True, "bridge"), (False, "none")):
            asked = runner.specification(backend.order("", network=network))
            assert asked["host_config"]["NetworkMode"] == mode
        backend.run("(run.out / 'w').write_text('1')", network=True)
