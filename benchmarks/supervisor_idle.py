"""What hive itself costs while builds run, and what is left of it when none do.

    python benchmarks/supervisor_idle.py [--seconds 20] [--builds 2]

The builds sleep, and more wait in the queue; measured are the supervisor's CPU and its memory (proportional set size:
what it shares with others counts by halves), and beside it what each run's keeper takes. Bars: under 1 % of a core and
60 MB for the supervisor; when the queue is empty, no process at all.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from side_by_side import judge, new_home, prepare

from hive.launch import supervisor_pid
from hive.model import Job
from hive.plan import Choices
from hive.planning import InstallRequest
from hive.service import Hive

WAITING = 20  # builds in the queue besides
SETTLE_S = 3.0


def enqueue(hive: Hive, seed: int) -> Job:
    request = InstallRequest(("hangs",), Choices(params={"seconds": "50"}, seed=seed))
    [job] = hive.install(request, hive.plan(request)).jobs
    return job


def cpu_s(pid: int) -> float:
    """Seconds on a core, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def processes_of(home: Path) -> list[int]:
    """Whatever still knows of this HIVE_HOME, by its arguments or its environment; this process aside."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            said = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(home) in said and int(name) != os.getpid():
            found.append(int(name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure; a build ends after 50")
    parser.add_argument("--builds", type=int, default=2, help="how many sleep at once, if the machine has the cores")
    chosen = parser.parse_args()
    prepare()
    with new_home() as home:
        hive = Hive.open(max_runners=chosen.builds)
        os.environ["HIVE_MAX_RUNNERS"] = str(chosen.builds)
        for seed in range(chosen.builds + WAITING):
            enqueue(hive, seed)
        time.sleep(SETTLE_S)
        running = hive.live_runners()
        supervisor = supervisor_pid(hive.home)
        assert running and supervisor, "nothing runs"
        keepers = [int(each.attempt.handle.partition(":")[0]) for each in running]
        began, before = time.monotonic(), {pid: cpu_s(pid) for pid in (supervisor, *keepers)}
        time.sleep(chosen.seconds)
        took = time.monotonic() - began
        share = {pid: 100 * (cpu_s(pid) - at_first) / took for pid, at_first in before.items()}
        memory = {pid: pss_bytes(pid) / 1e6 for pid in before}
        print(f"supervisor and keepers while {len(running)} builds run and {WAITING} wait, {took:.0f} s")
        for pid, name in ((supervisor, "supervisor"), *((pid, "keeper of a run") for pid in keepers)):
            print(f"  {name:<38} {share[pid]:9.2f} % of a core {memory[pid]:7.1f} MB")
        judge("the supervisor's CPU", share[supervisor], 1.0, "% of a core")
        judge("the supervisor's memory", memory[supervisor], 60.0, "MB")
        hive.clear()
        for each in running:
            hive.cancel(each.job.id)
        hive.wait_until_still()
        deadline = time.monotonic() + 10
        while (left := processes_of(home)) and time.monotonic() < deadline:
            time.sleep(0.05)
        judge("what is left when nothing runs", len(left), 0, "processes")


if __name__ == "__main__":
    main()
