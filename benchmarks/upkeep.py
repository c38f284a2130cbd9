"""Rollback, gc and du on a hive in which the trivial recipe was really installed 100 times, each time another build.

    python benchmarks/upkeep.py [--rounds 15] [--installs 100]

Each install is a generation. `hive rollback` stands beside `hive --version`, which is start-up; du beside `du -s` of
the same home; gc, which frees all artifacts but the last, beside `rm -rf` of as many folders. Bar: rollback within
100 ms beyond start-up. gc must leave what is installed whole, and free all else.
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

from side_by_side import HIVE, INTERPRETER, Contestant, command, interleave, judge, new_home, prepare, show

from hive.service import Hive


def install_often(installs: int) -> None:
    """The trivial recipe with one seed after the other: queued at once, then built."""
    for seed in range(installs):
        command(HIVE, "install", "trivial", "--seed", str(seed), "--no-wait")()
    hive = Hive.open()
    for job in hive.jobs(installs):
        for _ in hive.watch(job.id):
            pass
    found = hive.upkeep.disk_use().holdings
    if len(found) != installs:
        sys.exit(f"{installs} installs left {len(found)} artifacts")


def copies(home: Path, scratch: Path, words: list[str]) -> Contestant:
    """How long a command takes on a copy of the home, {home} in its words, which is made and thrown away each time."""
    copy = scratch / "copy"

    def run() -> float:
        subprocess.run(["cp", "-a", home, copy], check=True)
        argv = [word.format(home=copy) for word in words]
        took = command(*argv, environment={**os.environ, "HIVE_HOME": str(copy)})()
        check(copy, argv)
        shutil.rmtree(copy)
        return took

    return run


def check(home: Path, argv: list[str]) -> None:
    """After gc: nothing that is installed is lost, nothing else is left."""
    if "gc" in argv:
        environment = {**os.environ, "HIVE_HOME": str(home)}
        command(HIVE, "verify", environment=environment)()
        if (left := len(list((home / "store").iterdir()))) != 1:
            sys.exit(f"gc left {left} artifacts, of which one is installed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--installs", type=int, default=100)
    chosen = parser.parse_args()
    prepare()
    with new_home() as home, tempfile.TemporaryDirectory(prefix="hive-bench-") as text:
        began = time.perf_counter()
        install_often(chosen.installs)
        print(f"installed trivial {chosen.installs} times in {time.perf_counter() - began:.0f} s")
        contestants = {
            "interpreter": INTERPRETER,
            "hive --version": command(HIVE, "--version"),
            "hive rollback --to N": command(HIVE, "rollback", "--to", str(chosen.installs // 2)),
            "hive rollback": command(HIVE, "rollback"),
            "hive history": command(HIVE, "history"),
            "du -s": command("du", "-s", str(home)),
            "hive du": command(HIVE, "du"),
            "hive gc --dry-run": command(HIVE, "gc", "--older-than", "0", "--dry-run"),
            "rm -rf of the store": copies(home, Path(text), ["rm", "-rf", "{home}/store"]),
            "hive gc": copies(home, Path(text), [HIVE, "gc", "--older-than", "0"]),
        }
        figures = interleave(contestants, chosen.rounds)
    show(f"{chosen.installs} installs, ratio to start-up", figures, "hive --version")
    beyond = median(mine - its for mine, its in zip(figures["hive rollback"], figures["hive --version"], strict=True))
    judge("hive rollback beyond start-up", beyond * 1e3, 100, "ms")
    for name, base in (("hive du", "du -s"), ("hive gc", "rm -rf of the store")):
        ratio = median(mine / its for mine, its in zip(figures[name], figures[base], strict=True))
        print(f"  {name} takes {ratio:.1f} x {base}")


if __name__ == "__main__":
    main()
