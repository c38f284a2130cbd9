"""SIGKILL of anything at random moments while many jobs are queued and built: nothing lost, nothing doubled."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

from crashing import MANY, Figure, check_whole, run_pids
from hive_cli import HiveCli, kill, until, wait_gone

from hive import installed
from hive.model import Job

STEPS = ("--param", "steps=20", "--param", "pause_ms=20")
USERS = 2  # commands at a time
LONGEST_PAUSE_S = 0.3  # between two kills
PATIENCE_S = 900  # at the end: the pause before another try doubles each time
COMPARED = 10  # builds that are compared with ones that nobody disturbed


class Users:
    """They want a model of each seed, and repeat a command that was killed until it says that it is done."""

    def __init__(self, hive: HiveCli, chance: random.Random) -> None:
        self.hive = hive
        self.chance = chance
        self.wanted: list[int] = []
        self.commands: dict[int, subprocess.Popen[str]] = {}  # by seed
        self.served: set[int] = set()

    def act(self) -> None:
        for seed, command in list(self.commands.items()):
            if command.poll() is None:
                continue
            out, err = command.communicate()
            del self.commands[seed]
            if command.returncode == 0:
                self.served.add(seed)
            else:
                assert command.returncode == -signal.SIGKILL, out + err
                self.wanted.append(seed)
        while self.wanted and len(self.commands) < USERS:
            seed = self.wanted.pop(0)
            patience = self.chance.choice([(), ("--no-wait",)])
            self.commands[seed] = self.hive.start("install", "counter", "--seed", str(seed), *STEPS, *patience)

    def pids(self) -> list[int]:
        return [command.pid for command in self.commands.values() if command.poll() is None]


def test_random_kills(
    hive: HiveCli, reference: Callable[..., str], whole: bool, chance: random.Random, figure: Figure
) -> None:
    jobs, kills = (200, 1000) if whole else (4, 20)
    users, killed = Users(hive, chance), Counter[str]()
    while killed.total() < kills or len(users.served) < jobs:
        begun = len(users.served) + len(users.wanted) + len(users.commands)
        if begun - len(users.served) < USERS:  # the storm may last longer than the jobs that were meant for it
            users.wanted.append(begun)
        users.act()
        time.sleep(chance.uniform(0, LONGEST_PAUSE_S))
        if killed.total() < kills:
            kill_one_of(users, hive, chance, killed)
    users.wanted.clear()
    until(lambda: users.act() or not users.commands, "every command has ended", PATIENCE_S)
    hive.ok("start")
    done = until(lambda: all_over(hive), "every job is over", PATIENCE_S)
    asked = len(users.served)
    check_whole(hive, jobs=asked)
    assert len({job.build_key for job in done}) == asked
    compare(hive, reference, chance.sample(sorted(users.served), min(COMPARED, asked)))
    victims = ", ".join(f"{number} {kind}" for kind, number in killed.most_common())
    attempts = sum(job.attempt for job in done)
    figure(
        f"{killed.total():,} random SIGKILLs, {asked} jobs",
        f"0 lost, 0 doubled, verify clean ({victims}; {attempts} attempts)",
    )


def kill_one_of(users: Users, hive: HiveCli, chance: random.Random, killed: Counter[str]) -> None:
    living = {
        "commands": users.pids(),
        "supervisors": [pid for pid in hive.supervisors() if pid not in users.pids()],
        "shims": list(hive.shims()),
        "runs": run_pids(hive),
    }
    if killed["commands"] > killed.total() / 3:  # there is always one of them, and the others have their turn
        del living["commands"]
    if kinds := [kind for kind, pids in living.items() if pids]:
        kind = chance.choice(kinds)
        victim = chance.choice(living[kind])
        kill(victim)
        killed[kind] += 1
        wait_gone(victim)


def all_over(hive: HiveCli) -> list[Job]:
    service = hive.service()
    jobs = service.jobs(MANY)
    for job in jobs:
        if job.state == "failed" and job.failure and job.failure.kind == "infrastructure":  # out of tries
            service.retry(job.id)
            return []
    return jobs if all(job.state.is_over for job in jobs) else []


def compare(hive: HiveCli, reference: Callable[..., str], seeds: list[int]) -> None:
    """The builds of these seeds are what they would have been without a kill."""
    made = {artifact.build.seed: artifact.digest for artifact in installed.artifacts(hive.service().db)}
    for seed in seeds:
        assert made[seed] == reference("counter", "--seed", str(seed), *STEPS)
