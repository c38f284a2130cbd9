"""How long a mixed set of builds takes on 2 and on 4 slots, beside the least that any order could need.

    python benchmarks/makespan.py [--minute 0.1] [--error 0.2]

A replay, scaled down in time: the builds are sleeps; queue, supervisor, scheduler and store are hive's own. Each
priority is one request (`hive install A B C ... --priority high`), its builds named in the order below; what hive
expects of each is off by up to --error, as what it has learned from earlier builds may be. No order
needs less than max(longest, total / slots). Bars: at least 95 % of that bound; and image-to-3d 60, gis-lidar 30 and
geophysics-magnetic 35 minutes (125 one after the other) in 60 on 4 slots. Beside it, what the order as named takes.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import select
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from hive_runner.contract import Metric, RunResult
from side_by_side import RECIPES, at_least, judge, new_home, prepare

from hive import queue
from hive.capacity import Machine
from hive.db import Database
from hive.environments import RunnerEnvironment, Say
from hive.model import PRIORITIES, Build, Isolation, Limits, Recipe, Step, Work
from hive.paths import Home
from hive.plan import longest_first
from hive.runners.base import Ending, Mount, Order
from hive.supervisor import Supervisor

MIXED = {  # minutes, in the order in which they are named
    "high": (10, 3, 20, 5),
    "medium": (15, 8, 30, 12, 60, 25, 10, 45, 15, 20, 35, 30),
    "low": (5, 20, 10, 40, 15, 5, 25, 30),
}
THREE = {"medium": (60, 30, 35)}  # image-to-3d, gis-lidar, geophysics-magnetic
BAR = 0.95


class Sleeper:
    """A backend whose runs do nothing for as long as their parameter says, and succeed."""

    name = "sleeper"

    def __init__(self, minute_s: float) -> None:
        self.minute_s = minute_s
        self.refusals: dict[str, str] = {}
        self.at_work: dict[str, int] = {}  # handle -> pidfd

    def available(self) -> str:
        return ""

    def isolation(self) -> Isolation:
        return Isolation("none", "no", "no", "no", "no", "no", "no")

    def prepare(self, offline: bool, say: Say) -> str:
        return ""

    def environment(self, requirements: tuple[str, ...], offline: bool, say: Say) -> RunnerEnvironment:
        raise NotImplementedError("nothing is planned here")

    def has_gpu(self) -> bool:
        return False

    def place(self, mount: Mount) -> str:
        return str(mount.source)

    def start(self, order: Order) -> str:
        minutes = json.loads((order.folder / "spec.json").read_text())["params"]["minutes"]
        (order.folder / "out" / "weights.json").write_text(str(minutes))
        RunResult("succeeded", metrics=[Metric("quality", 1.0)]).write(order.folder / "result.json")
        pid = os.posix_spawn("/bin/sleep", ["sleep", str(minutes * self.minute_s)], {})
        self.at_work[str(pid)] = os.pidfd_open(pid)
        return str(pid)

    def alive(self, folder: Path, handle: str) -> bool:
        return handle in self.at_work and not select.select([self.at_work[handle]], [], [], 0)[0]

    def wait_descriptor(self, handle: str) -> int | None:
        return os.dup(self.at_work[handle])

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        raise NotImplementedError("nothing is cancelled here")

    def ending(self, folder: Path, handle: str) -> Ending | None:
        os.close(self.at_work.pop(handle))
        return Ending(0, "", 0.0, 0.0, 0)


def step(recipe: Recipe, number: int, minutes: float, expected_minutes: float) -> Step:
    build = Build(f"model-{number}", "1.0.0", "", "standard", {"minutes": minutes}, 0, 1, "cpu", "")
    return Step("build", recipe, build, (), Limits(cpus=1), expected_s=60 * expected_minutes)


def replay(home: Home, requests: dict[str, tuple[float, ...]], slots: int, minute_s: float, error: float) -> float:
    """Minutes from the start of the supervisor to its end."""
    chance = random.Random(0)
    folder = home.root / "recipe"
    shutil.copytree(RECIPES / "trivial", folder)
    recipe = Recipe("model", "1.0.0", "", "", folder, "built-in", "")
    number = 0
    db = Database(home.database)
    for priority, durations in requests.items():
        steps = []
        for minutes in durations:
            number += 1
            steps.append(step(recipe, number, minutes, minutes * chance.uniform(1 - error, 1 + error)))
        builds = [
            (each.build, Work(str(folder), each.limits, (), "", (), (), "sleeper", True, True, each.expected_s))
            for each in longest_first(steps)
        ]
        queue.enqueue(db, builds, PRIORITIES[priority], set())
    sleeper = Sleeper(minute_s)
    supervisor = Supervisor(home, db, lambda name: sleeper, Machine(slots, slots, 1 << 50), lambda text: None)
    began = time.perf_counter()
    supervisor.run()
    took = time.perf_counter() - began
    assert queue.totals(db)["succeeded"] == number
    db.close()
    return took / minute_s


def in_order(durations: Iterable[float], slots: int) -> float:
    """Minutes if each free slot takes the next one."""
    ends = [0.0] * slots
    for minutes in durations:
        heapq.heappush(ends, heapq.heappop(ends) + minutes)
    return max(ends)


def contest(name: str, requests: dict[str, tuple[float, ...]], slots: int, minute_s: float, error: float) -> None:
    with new_home() as folder:
        home = Home(folder)
        home.create()
        took = replay(home, requests, slots, minute_s, error)
    durations = [minutes for each in requests.values() for minutes in each]
    bound = max(max(durations), sum(durations) / slots)
    as_named = in_order(durations, slots)
    print(
        f"  {name} on {slots} slots: {took:.1f} minutes, {sum(durations):g} one after the other,"
        f" at the least {bound:.1f}; as named {as_named:.1f} ({bound / as_named:.3f} of the bound)"
    )
    at_least(f"the bound / {name} on {slots} slots", bound / took, BAR)
    if requests is THREE:
        judge("all three", took, 60 / BAR, "minutes")
        print(f"  {1 - took / sum(durations):.0%} saved")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minute", type=float, default=0.1, help="seconds that stand for a minute")
    parser.add_argument("--error", type=float, default=0.2, help="how wrong what hive expects may be, 0.2 for 20 %%")
    chosen = parser.parse_args()
    prepare()
    print(f"makespan of a set of builds (a minute is {chosen.minute:g} s)")
    contest("the mixed set", MIXED, 2, chosen.minute, chosen.error)
    contest("the mixed set", MIXED, 4, chosen.minute, chosen.error)
    contest("60 + 30 + 35 minutes", THREE, 4, chosen.minute, chosen.error)


if __name__ == "__main__":
    main()
