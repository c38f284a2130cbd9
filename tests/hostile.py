"""Whether a hostile recipe gets out of a backend. For one more backend:

    class TestInContainers(HostileContract):
        backend = ...  # a fixture

The probes are those of recipes/hostile/train.py. What they cannot know themselves is looked for by the canaries: who
reached a server, what changed, what lives on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hive_cli import kill
from hostile_canaries import PROBES, Canaries, plant, probe_names, processes_left
from runner_contract import Backend, log, processes_marked

from hive.model import Isolation
from hive.runners.base import Order
from hive.runners.runlog import LOG_CAP_BYTES

Report = dict[str, dict[str, Any]]  # probe -> {"aspect", "escaped", "detail"}


class HostileContract:
    """The suite. `backend` is a fixture of the subclass."""

    @pytest.fixture
    def canaries(self, tmp_path: Path) -> Iterator[Canaries]:
        with plant(tmp_path) as planted:
            yield planted

    def test_nothing_gets_out(self, backend: Backend, canaries: Canaries) -> None:
        found = escapes(backend, canaries)
        assert not found, "\n".join([str(backend.runner.isolation()), *found])

    def test_a_fork_bomb_leaves_the_machine_usable_and_nothing_behind(self, backend: Backend) -> None:
        mark = f"hive-bomb-{uuid.uuid4().hex}"
        order = hostile_order(backend, f"fork_bomb(run.out, {mark!r})", pids=256)
        try:
            slowest_s = usable_during(backend, order)
            left = processes_left(mark)
        finally:
            for pid in processes_marked(mark):
                kill(pid)
        assert slowest_s < 2, f"a trivial process took {slowest_s:.1f} s"
        assert not left, f"{len(left)} processes are still there after 1 s"
        ending = backend.runner.ending(order.folder, "")
        assert ending is not None
        if ending.reason:  # counted from outside, some times a second
            assert (ending.reason, "processes" in ending.message) == ("recipe_error", True), ending
        else:  # counted by the kernel
            assert 100 < int((order.folder / "out" / "forked.json").read_text()) <= 256, log(order)

    def test_a_flood_leaves_the_machine_usable_and_the_disk_free(self, backend: Backend) -> None:
        order = hostile_order(backend, "flood()")
        assert usable_during(backend, order) < 2
        ending = backend.runner.ending(order.folder, "")
        assert ending is not None and (ending.exit_code, ending.reason) == (0, ""), ending
        assert sum(path.stat().st_size for path in order.folder.glob("log*")) <= 2 * LOG_CAP_BYTES


def escapes(backend: Backend, canaries: Canaries) -> list[str]:
    """The probes that got out of what the backend says it isolates."""
    return broken_promises(attack(backend, canaries), backend.runner.isolation())


def broken_promises(report: Report, isolation: Isolation) -> list[str]:
    return [
        f"{name} ({told['aspect']}): {told['detail']}"
        for name, told in report.items()
        if told["escaped"] and getattr(isolation, told["aspect"], "no") == "yes"
    ]


def attack(backend: Backend, canaries: Canaries) -> Report:
    """Run every probe in a run of the backend."""
    order = hostile_order(backend, "probe_all(targets, run.out)", canaries.targets)
    backend.ended(order, backend.runner.start(order))
    return judged(order.folder / "out" / "probes.json", canaries, order.folder.parent, log(order))


def attack_plainly(canaries: Canaries, folder: Path) -> Report:
    """Run every probe with nothing between: what shows that they work."""
    out = folder / "out"
    out.mkdir(parents=True)
    code = "import json, sys, pathlib, train; train.probe_all(json.load(sys.stdin), pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        env={**os.environ, "PYTHONPATH": str(PROBES.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(canaries.targets), capture_output=True, text=True, close_fds=False, timeout=180,
    )  # fmt: skip
    return judged(out / "probes.json", canaries, folder, done.stderr)


def judged(probes: Path, canaries: Canaries, left: Path, said: str) -> Report:
    """What the probes say, and what happened outside. left: the folder in which the run could write."""
    assert probes.is_file(), said
    report: Report = json.loads(probes.read_text())
    assert set(report) == set(probe_names()["PROBES"])
    assert not {name: told for name, told in report.items() if told["detail"].startswith("broken: ")}
    for name, detail in canaries.findings(left).items():
        report[name] |= {"escaped": True, "detail": detail}
    return report


def hostile_order(backend: Backend, call: str, targets: dict[str, Any] | None = None, **limits: Any) -> Order:
    """A run that calls something in the hostile recipe."""
    order = backend.order(
        f"""
        from . import hostile
        targets = json.load(open(os.path.join(os.path.dirname(__file__), 'targets.json')))
        hostile.{call}
        (run.out / 'weights.json').write_text('[]')
        """,
        **limits,
    )
    recipe = order.mounts[0].source
    shutil.copyfile(PROBES, recipe / "hostile.py")
    (recipe / "targets.json").write_text(json.dumps(targets))
    return order


def usable_during(backend: Backend, order: Order) -> float:
    """Run to the end; the longest that a trivial process took meanwhile, in seconds."""
    handle = backend.runner.start(order)
    slowest_s, end = 0.0, time.monotonic() + 90
    while backend.runner.alive(order.folder, handle):
        begun = time.monotonic()
        assert begun < end, log(order)
        subprocess.run(["true"], check=True)
        slowest_s = max(slowest_s, time.monotonic() - begun)
        time.sleep(0.05)
    return slowest_s
