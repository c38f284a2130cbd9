"""hive on a Docker Engine as a user meets it: init, install, cancel, a killed supervisor, run; and the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import in_use
from hive_cli import REPOSITORY, HiveCli, kill, until


@pytest.fixture
def hive(hive: HiveCli) -> Iterator[HiveCli]:
    hive.deadline_s = 600  # the first builds the image
    with in_use() as host:
        hive.environment |= {"DOCKER_HOST": host, "HIVE_RUNNER": "auto"}
        yield hive
        for container in containers(hive):
            os.system(f"docker -H {host} rm -f {container} >/dev/null 2>&1")


def containers(hive: HiveCli) -> list[str]:
    """The containers that belong to this home."""
    from docker import APIClient

    client = APIClient(base_url=hive.environment["DOCKER_HOST"])
    found = client.containers(all=True, filters={"label": f"hive.home={hive.home}"})
    return [each["Names"][0].lstrip("/") for each in found]


def test_init_builds_the_image_once_and_records_it(hive: HiveCli) -> None:
    [image] = hive.ok("init", "--json").json()["images"]
    assert image["id"].startswith("sha256:") and image["tag"].startswith("hive-runner:")
    assert any(pin.startswith("torch==") for pin in image["pins"])
    again = hive.ok("init")
    assert "Step" not in again.err, "it is there already"
    assert image["id"].removeprefix("sha256:")[:12] in again.err
    [docker] = [line.split() for line in again.out.splitlines() if line.startswith("docker")]
    assert docker[1:] == ["docker", *["enforced"] * 6]


def test_the_image_is_part_of_the_build_key_and_of_the_lock(hive: HiveCli) -> None:
    [image] = hive.ok("init", "--json").json()["images"]
    hive.ok("install", "trivial")
    assert hive.job().build.environment == image["id"]
    hive.ok("lock", "--file", "hive.lock")
    assert f'image = "{image["id"]}"' in (hive.cwd / "hive.lock").read_text()
    hive.ok("lock", "--check", "--file", "hive.lock")
    text = (hive.cwd / "hive.lock").read_text()
    (hive.cwd / "hive.lock").write_text(text.replace(image["id"], "sha256:" + "0" * 64))
    stale = hive("lock", "--check", "--file", "hive.lock")
    assert stale.code == 6 and "runner.image" in stale.err


def test_install_says_which_runner_and_why(hive: HiveCli) -> None:
    done = hive.ok("install", "trivial")
    assert "runner: docker (Docker Engine " in done.err
    assert hive.job().work.runner == "docker"
    assert "docker  docker  enforced" in hive.ok("info", "trivial").out
    asked = hive.ok("install", "trivial", "--rebuild", "--runner", "process")
    assert "runner: process (asked for)" in asked.err
    assert not containers(hive)


def test_where_the_image_cannot_be_had_auto_takes_the_process_runner_and_says_why(hive: HiveCli) -> None:
    done = hive.ok("install", "trivial", HIVE_BASE_IMAGE="python:0.0-none")
    assert "runner: process" in done.err and "python:0.0-none" in done.err
    refused = hive("install", "tiny", "--runner", "docker", HIVE_BASE_IMAGE="python:0.0-none")
    assert refused.code == 1 and "--base-image" in refused.err
    offline = hive("install", "tiny", "--runner", "docker", HIVE_BASE_IMAGE="python:0.0-none", HIVE_OFFLINE="1")
    assert offline.code == 1 and "offline" in offline.err


def test_where_no_engine_answers(hive: HiveCli, tmp_path: Path) -> None:
    gone = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    refused = hive("install", "trivial", "--runner", "docker", **gone)
    assert refused.code == 4 and "no Docker Engine answers" in refused.err
    assert "runner: process (no Docker Engine answers" in hive.ok("install", "trivial", **gone).err
    told = hive.ok("init", **gone)
    assert "embedded sandbox" in told.err and told.out.splitlines()[1].startswith("process")


def test_run_uses_what_built_the_model(hive: HiveCli) -> None:
    hive.ok("install", "tiny")
    (hive.cwd / "numbers.txt").write_text("1\n2\n")
    by_docker = hive.ok("run", "tiny", "numbers.txt", "-o", "docker.txt", "--json").json()
    by_process = hive.ok("run", "tiny", "numbers.txt", "-o", "process.txt", "--json", "--runner", "process").json()
    assert (by_docker["runner"], by_process["runner"]) == ("docker", "process")
    assert (hive.cwd / "docker.txt").read_bytes() == (hive.cwd / "process.txt").read_bytes()
    assert by_docker["peak_memory_bytes"] > 1 << 20
    assert (hive.cwd / "docker.txt").stat().st_uid == os.getuid()
    (hive.cwd / "secret.txt").write_text("3\n")
    (hive.cwd / "secret.txt").chmod(0o600)
    closed = hive("run", "tiny", "secret.txt", "-o", "secret-out.txt")
    if os.getuid() == 0:  # whose containers have no rights of root's
        assert closed.code == 1 and "cannot be read by a container" in closed.err
    else:
        assert closed.code == 0
    assert not list(hive.cwd.glob(".hive-*")), "nothing half-written"


def test_cancel_ends_the_container(hive: HiveCli) -> None:
    hive.ok("install", "hangs", "--no-wait")
    hive.until_running()
    assert len(containers(hive)) == 1
    hive.ok("queue", "cancel", "1")
    until(lambda: not containers(hive), "the container is gone", 30)
    assert hive.job().state == "cancelled"


def test_a_killed_supervisor_leaves_its_containers_to_the_next(hive: HiveCli) -> None:
    """Killed with every keeper too: the next one adopts the same attempt of the same container."""
    arguments = ("install", "counter", "--param", "steps=300", "--param", "pause_ms=20")
    hive.ok(*arguments, "--no-wait")
    hive.until_running()
    for pid in (*hive.supervisors(), *hive.shims()):
        kill(pid)
    hive.ok(*arguments)
    job = hive.job()
    assert (job.attempt, job.charged, job.state) == (1, 0, "succeeded")


def test_stop_now_lets_a_container_checkpoint_and_start_goes_on(hive: HiveCli) -> None:
    hive.ok(
        "install", "counter", "--param", "steps=300", "--param", "pause_ms=20", "--no-wait", HIVE_CHECKPOINT_S="0.1"
    )
    hive.until_running()
    hive.ok("stop", "--now")
    assert not containers(hive)
    assert hive.job().state == "queued"
    hive.ok("start")
    assert hive.until_over().state == "succeeded"


@pytest.mark.parametrize("recipe", ["tiny"])
def test_both_runners_make_the_same_bytes(hive: HiveCli, recipe: str) -> None:
    assert_same_bytes(hive, recipe, "install", recipe, "--rebuild")


@pytest.mark.slow
def test_both_runners_make_the_same_real_model(hive: HiveCli) -> None:
    """The smoke profile of a built-in recipe, as the repository locks it; its own libraries are a layer of the image
    here, an overlay there.
    """
    hive.environment["HIVE_SOURCES"] = ""
    lock = ("--locked", "--file", str(REPOSITORY / "hive.lock"))
    assert_same_bytes(hive, "gis-lidar", "sync", *lock, "gis-lidar", "--profile", "smoke")


def assert_same_bytes(hive: HiveCli, recipe: str, *command: str) -> None:
    made = {}
    for runner in ("docker", "process"):
        hive("remove", recipe)  # what is installed would do
        hive.ok(*command, "--runner", runner)
        artifact = hive.service().details(recipe).artifact
        assert artifact is not None and artifact.isolation.startswith(f"{runner}: ")
        made[runner] = (files(hive.service().store.path(artifact.digest)), libraries(artifact.pins))
    (in_docker, docker_pins), (as_process, process_pins) = made["docker"], made["process"]
    assert process_pins.items() <= docker_pins.items(), "other versions of the libraries would prove nothing"
    assert in_docker == as_process
    assert "weights.safetensors" in in_docker or "weights.json" in in_docker


def files(artifact: Path) -> dict[str, bytes]:
    """What the run made. hive's own documents name the environment, which is an image here and a list of pins there."""
    documents = ("manifest.json", "bom.json", "provenance.json")
    paths = [path for path in artifact.rglob("*") if path.is_file() and path.name not in documents]
    return {path.relative_to(artifact).as_posix(): path.read_bytes() for path in paths}


def libraries(pins: tuple[str, ...]) -> dict[str, str]:
    return dict(pin.split("==") for pin in pins)
