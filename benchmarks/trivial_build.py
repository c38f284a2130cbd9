"""One trivial build, from a committed enqueue to a recorded package, beside nix-build and a bare interpreter.

    python benchmarks/trivial_build.py [--rounds 20] [--jobs 50]

The recipe writes three numbers, so what is left is hive: launch of the supervisor, sandbox, runner, store, records.
nix-build makes a derivation of one `echo` in a private single-user store, in its sandbox (what it does by itself on
Linux) and without one. Bars: enqueued to recorded, in hive's sandbox, no slower than nix-build in its own; the whole
`hive install` within 20 interpreters; at most 5 ms of CPU for each job more in a queue, the payload's own CPU left out.

What a payload's own is can be told in two ways, and both are printed. Alone: the runner run by itself, so that the
start of the sandbox counts as hive's. Sandboxed: what the run was recorded to have used, bubblewrap and an interpreter
that starts behind its mounts included, so that only what hive itself does is left.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from side_by_side import HIVE, INTERPRETER, PYTHON, Contestant, command, interleave, judge, new_home, prepare, ratios
from side_by_side import show as show_figures

from hive import queue
from hive.launch import take_supervisor_lock
from hive.model import Job
from hive.plan import Choices
from hive.planning import InstallRequest
from hive.service import Hive

DERIVATION = """{ seed }: derivation {
  name = "trivial"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${seed} > $out" ];
}"""
SEEDS = itertools.count(1)
NIX, UNSANDBOXED_NIX = "nix-build", "nix-build, no sandbox"


def enqueue(hive: Hive, seed: int) -> Job:
    request = InstallRequest(("trivial",), Choices(seed=seed))
    [job] = hive.install(request, hive.plan(request)).jobs
    return job


def enqueued_to_recorded(hive: Hive) -> Contestant:
    """Seconds from the job's creation to the moment at which another process sees the package."""

    def run() -> float:
        _wait_for_idle(hive)
        job = enqueue(hive, next(SEEDS))
        seen = hive.db.version_seen()
        while not job.state.is_over:
            time.sleep(0.0005)
            if seen != (seen := hive.db.version_seen()):
                job = hive.job(job.id)
        recorded = time.time()
        assert job.state == "succeeded", job.failure
        return recorded - job.created_at

    return run


def _wait_for_idle(hive: Hive) -> None:
    """Each build pays for its own supervisor: wait until the last one has gone."""
    while (lock := take_supervisor_lock(hive.home)) is None:
        time.sleep(0.002)
    os.close(lock)


def whole_command(hive: Hive) -> Contestant:
    def run() -> float:
        _wait_for_idle(hive)
        return command(HIVE, "install", "trivial", "--seed", str(next(SEEDS)))()

    return run


@contextmanager
def nix_build() -> Iterator[dict[str, Contestant]]:
    """nix-build in a store of its own, with its sandbox where that works and without; nothing where there is no Nix."""
    if not shutil.which("nix-build"):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="hive-bench-nix-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        for part in ("store", "share", "log", "state", "conf"):
            (folder / part).mkdir()
        places = {"STORE": "store", "DATA": "share", "LOG": "log", "STATE": "state", "CONF": "conf"}
        environment = {
            **os.environ,
            **{f"NIX_{name}_DIR": str(folder / part) for name, part in places.items()},
            "NIX_REMOTE": "local",
        }
        settings = ("sandbox-fallback = false", "build-users-group =", "substituters =")
        seen_inside = "sandbox-paths = /bin/sh /lib /lib64 /usr"
        (folder / "conf" / "nix.conf").write_text("\n".join((*settings, seen_inside, "")))
        (folder / "trivial.nix").write_text(DERIVATION)

        def run(sandbox: str) -> float:
            words = ("--no-out-link", "--option", "sandbox", sandbox, "--argstr", "seed", str(next(SEEDS)))
            return command("nix-build", *words, str(folder / "trivial.nix"), environment=environment)()

        contestants: dict[str, Contestant] = {UNSANDBOXED_NIX: lambda: run("false")}
        try:
            run("true")
            contestants[NIX] = lambda: run("true")
        except SystemExit:  # it fails
            print("nix-build makes no sandbox here: hive's is compared with none")
        yield contestants
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def queue_cpu_s(hive: Hive, jobs: int) -> float:
    """CPU of queuing `jobs` builds here and of the supervisor with all its children."""
    _wait_for_idle(hive)
    lock = take_supervisor_lock(hive.home)  # held: nothing starts before all are queued
    assert lock is not None
    before = time.process_time()
    ids = [enqueue(hive, next(SEEDS)).id for _ in range(jobs)]
    enqueuing = time.process_time() - before
    before = _children_cpu_s()
    with open(os.devnull, "w") as null:
        subprocess.run(
            [PYTHON, "-m", "hive.supervise", str(hive.home.root), str(lock)], pass_fds=(lock,), stdout=null, check=True
        )
    os.close(lock)
    _collect_orphans()
    states = {hive.job(job_id).state for job_id in ids}
    assert states == {"succeeded"}, states
    return enqueuing + _children_cpu_s() - before


def payload_cpu_s(hive: Hive) -> float:
    """CPU of what a job runs, run by itself: the runner with the spec of the newest job, outside the sandbox."""
    newest = hive.jobs(1)[0]
    given = json.loads((hive.home.attempt(newest.id, newest.attempt) / "spec.json").read_text())
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as text:
        folder = Path(text)
        for part in ("out", "checkpoints"):
            (folder / part).mkdir()
        places = {"out": "out", "checkpoints": "checkpoints", "events": "events.jsonl", "result": "result.json"}
        own = {name: str(folder / part) for name, part in places.items()}
        (folder / "spec.json").write_text(json.dumps({**given, **own, "recipe_path": newest.work.recipe_path}))
        before = _children_cpu_s()
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(
            [PYTHON, "-m", "hive_runner", str(folder / "spec.json")], env=environment, check=True, capture_output=True
        )
        return _children_cpu_s() - before


def sandboxed_cpu_s(hive: Hive, jobs: int) -> float:
    """CPU of the newest jobs' runs and of the sandbox around them, as hive has recorded it: the median."""
    return median(attempt.cpu_s for job in hive.jobs(jobs) for attempt in queue.attempts(hive.db, job.id))


def _adopt_orphans() -> None:
    """A sandbox leaves its first process to whoever adopts orphans; its CPU is to be counted here."""
    PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _collect_orphans() -> None:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_latency(hive: Hive, rounds: int) -> None:
    with nix_build() as nix:
        contestants = {
            "interpreter": INTERPRETER,
            "hive, enqueued to recorded": enqueued_to_recorded(hive),
            "hive install, whole command": whole_command(hive),
        }
        contestants |= nix
        figures = interleave(contestants, rounds)
    show_figures("one trivial build, ratio to a bare interpreter", figures, "interpreter")
    name = "hive, enqueued to recorded"
    if nix:
        peer = NIX if NIX in nix else UNSANDBOXED_NIX
        judge("enqueued to recorded", median(ratios(figures, name, peer)), 1.0, f"x {peer}")
    else:
        print("  no nix-build here: judged by the 6 interpreters that it takes elsewhere")
        judge("enqueued to recorded", median(ratios(figures, name, "interpreter")), 6)
    judge("hive install", median(ratios(figures, "hive install, whole command", "interpreter")), 20)


def measure_cpu(hive: Hive, jobs: int, rounds: int) -> None:
    contestants = {
        "one job": lambda: queue_cpu_s(hive, 1),
        f"{jobs} jobs": lambda: queue_cpu_s(hive, jobs),
        "payload, sandboxed": lambda: sandboxed_cpu_s(hive, jobs),
        "payload, alone": lambda: median(payload_cpu_s(hive) for _ in range(5)),
    }
    figures = interleave(contestants, rounds)
    print(f"CPU of a queue ({rounds} rounds)")
    for label, values in figures.items():
        print(f"  {label:<38} {median(values) * 1e3:9.1f} ms")
    each = [(many - one) / (jobs - 1) for one, many in zip(figures["one job"], figures[f"{jobs} jobs"], strict=True)]
    for payload in ("payload, alone", "payload, sandboxed"):
        extra = [whole - own for whole, own in zip(each, figures[payload], strict=True)]
        judge(f"each job more without its {payload}", median(extra) * 1e3, 5, "ms of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=50, help="how many are queued for the CPU of one more")
    chosen = parser.parse_args()
    prepare()
    _adopt_orphans()
    with new_home():
        hive = Hive.open()
        measure_latency(hive, chosen.rounds)
        _collect_orphans()
        measure_cpu(hive, chosen.jobs, max(3, chosen.rounds // 4))
        _wait_for_idle(hive)


if __name__ == "__main__":
    main()
