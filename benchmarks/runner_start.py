"""What a run costs at each level of isolation, beside the bare interpreter that runs in it.

    python benchmarks/runner_start.py [--rounds 30]

A run does nothing here (`python -c pass`), so that what is left is the shim, the sandbox, the control group, and
exit.json, fsynced. Bar: at most 60 ms over the bare interpreter with bubblewrap.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from side_by_side import INTERPRETER, Contestant, interleave, judge, prepare, show, spread

from hive.model import Limits
from hive.runners.base import Order, work_mount
from hive.runners.isolation import levels
from hive.runners.isolation.level import Payload
from hive.runners.isolation.spawn import Launch
from hive.runners.process import HANDLE_FILE, LOCK_FILE, ProcessRunner, python_mounts

BAR_MS = 60


class BareRunner(ProcessRunner):
    """Runs the interpreter and no recipe."""

    def _launch(self, order: Order) -> Launch:
        argv = (order.python, "-c", "pass")
        mounts = (*python_mounts(order.python), *order.mounts)
        work = work_mount(order.folder)
        kept = (LOCK_FILE, HANDLE_FILE)
        return levels.launch(self._level, Payload(argv, {}, work, mounts, kept, order.limits))


def whole_run(runner: BareRunner, folder: Path) -> Contestant:
    """Seconds from the call to the end of the shim."""

    def run() -> float:
        folder.mkdir()
        order = Order(folder, sys.executable, (), Limits(cpus=1), {}, {})
        began = time.perf_counter()
        handle = runner.start(order)
        descriptor = runner.wait_descriptor(handle)
        if descriptor is not None:
            select.select([descriptor], [], [])
            os.close(descriptor)
        took = time.perf_counter() - began
        os.waitpid(int(handle.partition(":")[0]), 0)
        ending = runner.ending(folder, handle)
        assert ending is not None and ending.exit_code == 0 and not ending.reason, ending
        shutil.rmtree(folder)
        return took

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    chosen = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as text:
        contestants = {"interpreter": INTERPRETER}
        for name in levels.NAMES:
            runner = BareRunner(Path(text), name)
            if why := runner.available():
                print(f"  {name}: not here, {why}")
            else:
                contestants[name] = whole_run(runner, Path(text, "run"))
        figures = interleave(contestants, chosen.rounds)
    show("a run that does nothing, ratio to a bare interpreter", figures, "interpreter")
    print("over the bare interpreter")
    for name in list(contestants)[1:]:
        over = [(mine - bare) * 1e3 for mine, bare in zip(figures[name], figures["interpreter"], strict=True)]
        low, high = spread(over)
        print(f"  {name:<38} {median(over):9.1f} ms            ({low:.1f} to {high:.1f})")
        if "bwrap" in name:
            judge(name, median(over), BAR_MS, "ms")


if __name__ == "__main__":
    main()
