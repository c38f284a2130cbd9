"""Which level of isolation is chosen, and why not a better one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hive_runner.frozen import replace

from hive.errors import HiveError
from hive.model import Limits
from hive.runners.base import work_mount
from hive.runners.isolation import bubblewrap, cgroup, landlock, levels
from hive.runners.isolation.bubblewrap import Bubblewrap
from hive.runners.isolation.level import Payload
from hive.runners.process import ProcessRunner


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bwrap that is there and fails, as where user namespaces are restricted."""
    program(tmp_path / "bin", "bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


@dataclass
class Probes:
    """Counts the probes, and lets those of some levels fail."""

    refused: tuple[str, ...] = ()
    seen: int = 0

    def __call__(self, level: levels.Level, state: Path) -> str:
        self.seen += 1
        return "it fails here" if level.name in self.refused else ""


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Probes:
    """Nothing is really tried, and nothing visibly lacking."""
    probes = Probes()
    monkeypatch.setattr(levels, "probe", probes)
    for kind in (Bubblewrap, levels.Landlocked):
        monkeypatch.setattr(kind, "missing", lambda self: "")
    return probes


def test_the_order_is_from_the_best_to_nothing() -> None:
    assert levels.NAMES == ("cgroup+bwrap", "systemd+bwrap", "bwrap", "landlock", "none")


@pytest.mark.parametrize("number", range(len(levels.NAMES)))
def test_the_best_that_works_is_chosen(tmp_path: Path, probes: Probes, number: int) -> None:
    probes.refused = levels.NAMES[:number]
    runner = ProcessRunner(tmp_path)
    assert runner.isolation().level == levels.NAMES[number]
    assert runner.refusals == dict.fromkeys(levels.NAMES[:number], "it fails here")


def test_a_probe_is_remembered_until_bubblewrap_changes(
    tmp_path: Path, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ProcessRunner(tmp_path).isolation()
    assert ProcessRunner(tmp_path).isolation() == first
    assert probes.seen == 1
    program(tmp_path / "bin", "bwrap", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    ProcessRunner(tmp_path).isolation()
    assert probes.seen == 2


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"facts": "other", "refusals": {}}', '{"facts": 1, "refusals": 2}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, probes: Probes, text: str) -> None:
    (tmp_path / levels.MEMORY).write_text(text)
    assert ProcessRunner(tmp_path).isolation().level == "cgroup+bwrap"
    assert probes.seen == 1
    assert json.loads((tmp_path / levels.MEMORY).read_text())["refusals"] == {"cgroup+bwrap 0": ""}


def test_a_probe_that_cannot_be_remembered(tmp_path: Path) -> None:
    assert ProcessRunner(tmp_path / "missing").isolation().level in levels.NAMES


def test_a_level_that_is_asked_for_is_used_or_refused(tmp_path: Path, probes: Probes) -> None:
    assert ProcessRunner(tmp_path, "landlock").isolation().level == "landlock"
    assert ProcessRunner(tmp_path, "none").isolation().level == "none"
    probes.refused = ("bwrap",)
    refused = ProcessRunner(tmp_path, "bwrap")
    assert refused.available() == "it fails here"
    with pytest.raises(HiveError, match="level bwrap cannot be used here"):
        refused.isolation()
    assert "there is no isolation level 'vm'" in ProcessRunner(tmp_path, "vm").available()


@pytest.mark.usefixtures("broken")
def test_a_bubblewrap_that_fails_is_found_by_running_it(tmp_path: Path) -> None:
    runner = ProcessRunner(tmp_path)
    assert runner.isolation().level in ("landlock", "none")
    assert "Permission denied" in runner.refusals["bwrap"]


@pytest.mark.usefixtures("broken")
def test_without_any_sandbox_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    isolation = ProcessRunner(tmp_path).isolation()
    assert isolation.level == "none" and not isolation.isolates
    assert {isolation.files, isolation.network, isolation.home, isolation.processes} == {"no"}
    assert "Permission denied" in isolation.note and "this kernel has 0" in isolation.note


def test_without_bubblewrap_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runner = ProcessRunner(tmp_path)
    assert runner.isolation().level in ("landlock", "none")
    assert "apt install bubblewrap" in runner.refusals["bwrap"]


# A level that does not do what it says must not pass its probe.


def test_a_sandbox_that_hides_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bwrap that just runs the program."""
    program(tmp_path / "bin", "bwrap", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert "it can read beside its folder" in levels.probe(Bubblewrap("bwrap"), tmp_path)


def test_a_group_that_does_not_limit_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level = Bubblewrap("cgroup+bwrap", group="hive")
    if why := level.missing() or levels.probe(level, tmp_path):
        pytest.skip(why)
    make = cgroup.make
    monkeypatch.setattr(cgroup, "make", lambda limits: make(replace(limits, memory_bytes=0)))
    assert levels.probe(level, tmp_path) == "it does not keep the limit of memory"


def test_a_sandbox_that_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "bwrap", "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(levels, "DEADLINE_S", 0.2)
    assert "did not end within" in levels.probe(Bubblewrap("bwrap"), tmp_path)


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    for level in levels.LEVELS:
        if not level.missing():
            levels.probe(level, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "user"]  # the HOME of this test


# systemd


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda uid: monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_a_scope_of_systemd_has_the_limits(tmp_path: Path) -> None:
    limits = Limits(cpus=2, memory_bytes=1 << 30, pids=100)
    assert bubblewrap.scope_argv("/usr/bin/systemd-run", limits) == [
        "/usr/bin/systemd-run", "--user", "--scope", "--quiet", "--collect", "-p", "MemoryMax=1073741824",
        "-p", "MemorySwapMax=0", "-p", "CPUQuota=200%", "-p", "TasksMax=102", "--",
    ]  # fmt: skip


def test_systemd_starts_bubblewrap_and_learns_where_its_session_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "systemd-run", "exit 1")
    program(tmp_path / "bin", "bwrap", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    payload = Payload(("/bin/true",), {"SECRET": "1"}, work_mount(tmp_path), (), (), Limits())
    launch = Bubblewrap("systemd+bwrap", group="systemd").launch(payload)
    assert launch.argv[0] == str(tmp_path / "bin" / "systemd-run")
    assert launch.argv[launch.argv.index("--") + 1] == str(tmp_path / "bin" / "bwrap")
    assert launch.environment == {"XDG_RUNTIME_DIR": "/run/user/1000"}
    assert launch.measures is not None


def test_systemd_is_refused_politely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: Callable[[int], None]
) -> None:
    level = Bubblewrap("systemd+bwrap", group="systemd")
    program(tmp_path / "bin", "bwrap", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    user(0)
    assert level.missing() == "root has no systemd of its own"
    user(1000)
    assert level.missing() == "systemd-run is not installed"
    program(tmp_path / "bin", "systemd-run", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    assert level.missing() == "this user has no systemd session"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert level.missing() == ""
    assert "Failed to connect to bus" in levels.probe(level, tmp_path)
