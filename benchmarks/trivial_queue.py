"""Ten trivial builds through the queue, beside task-spooler and DVC's queue.

    python benchmarks/trivial_queue.py [--rounds 7] [--dvc]

Each recipe writes three numbers. hive's time runs from the first of ten requests to the moment at which another process
sees the last package; each build is planned, queued, run in a sandbox of its own, judged, hashed, stored and recorded.
task-spooler keeps its list in memory and runs a bare interpreter ten times, on as many slots; what hive's sandbox takes
to start is measured beside it and added. DVC is measured with --dvc, in a virtual environment that is made for it (some
minutes); otherwise the figure is that of an earlier measurement. Bars: at least 30 x faster than DVC's queue; within
2 x of task-spooler plus the sandbox's start.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from runner_start import BareRunner, whole_run
from side_by_side import (
    INTERPRETER,
    PYTHON,
    Contestant,
    at_least,
    command,
    interleave,
    judge,
    new_home,
    prepare,
    ratios,
    show,
)
from trivial_build import SEEDS, _wait_for_idle, enqueue

from hive.service import Hive

BUILDS = 10
DVC_KNOWN = 1796.0  # bare interpreters that ten took, measured on a machine like this one
SLOTS = os.cpu_count() or 1
STAGE = """stages:
  train:
    cmd: {python} -c "open('weights.json', 'w').write('[1, 2, 3]')"
    params: [seed]
    outs: [weights.json]
"""


def through_hive(hive: Hive) -> Contestant:
    def run() -> float:
        _wait_for_idle(hive)
        began = time.perf_counter()
        waiting = {enqueue(hive, next(SEEDS)).id for _ in range(BUILDS)}
        seen = -1
        while waiting:
            if seen != (seen := hive.db.version_seen()):
                jobs = [hive.job(job_id) for job_id in waiting]
                waiting -= {job.id for job in jobs if job.state == "succeeded"}
                assert not [job for job in jobs if job.state in ("failed", "cancelled")]
            time.sleep(0.001)
        return time.perf_counter() - began

    return run


def through_task_spooler(folder: Path) -> Contestant | None:
    program = shutil.which("tsp") or shutil.which("ts")
    if program is None:
        return None
    environment = {**os.environ, "TS_SOCKET": str(folder / "socket"), "TS_SLOTS": str(SLOTS), "TMPDIR": str(folder)}

    def tsp(*words: str) -> str:
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=True).stdout

    def run() -> float:
        began = time.perf_counter()
        ids = [tsp("-n", PYTHON, "-c", "pass").strip() for _ in range(BUILDS)]
        for job_id in ids:
            tsp("-w", job_id)
        took = time.perf_counter() - began
        tsp("-K")  # ends this server
        return took

    return run


def through_dvc(folder: Path) -> Contestant:
    """In an environment and a repository of its own. Raises SystemExit where pip has no DVC."""
    python = folder / "venv" / "bin" / "python"
    command(sys.executable, "-m", "venv", str(folder / "venv"))()
    command(str(python), "-m", "pip", "install", "--quiet", "dvc")()
    project = folder / "project"
    project.mkdir()
    (project / "params.yaml").write_text("seed: 0\n")
    (project / "dvc.yaml").write_text(STAGE.format(python=python))
    environment = {
        **os.environ, "HOME": str(folder), "DVC_NO_ANALYTICS": "1", "GIT_AUTHOR_NAME": "bench",
        "GIT_AUTHOR_EMAIL": "bench@localhost", "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
    }  # fmt: skip

    def call(*words: str) -> str:
        done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    dvc = (str(python), "-m", "dvc")
    for words in (("git", "init", "-q"), (*dvc, "init", "-q"), ("git", "add", "."), ("git", "commit", "-qm", "bench")):
        call(*words)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(BUILDS):
            call(*dvc, "exp", "run", "--queue", "-S", f"seed={next(SEEDS)}")
        call(*dvc, "queue", "start", "-j", str(SLOTS))
        while True:
            status = call(*dvc, "queue", "status")
            assert "Failed" not in status, status
            if "Queued" not in status and "Running" not in status:
                break
            time.sleep(0.2)
        took = time.perf_counter() - began
        call(*dvc, "queue", "remove", "--all")
        return took

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dvc", action="store_true", help="measure DVC too, once")
    chosen = parser.parse_args()
    prepare()
    with new_home() as home, tempfile.TemporaryDirectory(prefix="hive-bench-") as text:
        hive, folder = Hive.open(), Path(text)
        contestants: dict[str, Contestant] = {"interpreter": INTERPRETER, "hive": through_hive(hive)}
        spooler = through_task_spooler(folder)
        if spooler:
            contestants["task-spooler"] = spooler
        contestants["a run that does nothing"] = whole_run(BareRunner(home), folder / "run")
        figures = interleave(contestants, chosen.rounds)
        show(f"{BUILDS} trivial builds on {SLOTS} slots, ratio to a bare interpreter", figures, "interpreter")
        dvc = DVC_KNOWN
        if chosen.dvc:
            dvc = through_dvc(folder)() / median(figures["interpreter"])
            print(f"  DVC's queue, measured now                       {dvc:19.0f} x")
        else:
            print(f"  DVC's queue, as measured before (not now)       {dvc:19.0f} x")
        at_least("hive beside DVC's queue", dvc / median(ratios(figures, "hive", "interpreter")), 30, " x faster")
        if not spooler:
            print("  no task-spooler here (apt install task-spooler)")
            return
        rounds = zip(figures["task-spooler"], figures["a run that does nothing"], figures["interpreter"], strict=True)
        floor = [tsp + BUILDS / SLOTS * max(0.0, run - bare) for tsp, run, bare in rounds]
        beside = {"hive": figures["hive"], "floor": floor}
        judge("hive beside task-spooler + sandbox", median(ratios(beside, "hive", "floor")), 2.0)
        _wait_for_idle(hive)


if __name__ == "__main__":
    main()
