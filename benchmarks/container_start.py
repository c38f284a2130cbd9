"""What hive adds to `docker run`: one container that does nothing, with the same arguments, one way and the other.

    DOCKER_HOST=... python benchmarks/container_start.py [--rounds 15]

hive's way is what a supervisor does: fork a keeper, create, follow the output, start, wait, take stock, write
exit.json, remove. Bar: at most 150 ms over `docker run`, by the median.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import tempfile
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from side_by_side import INTERPRETER, Contestant, command, interleave, judge, prepare, show

from hive.model import Limits
from hive.runners.base import Order
from hive.runners.docker import DockerRunner

BAR_MS = 150.0
LIMITS = Limits(cpus=1, memory_bytes=512 << 20, disk_bytes=1 << 30)
DOCKER_RUN, HIVE = "docker run, the same arguments", "hive"


class BareRunner(DockerRunner):
    """Runs the interpreter and no recipe."""

    def specification(self, order: Order) -> dict[str, Any]:
        return {**super().specification(order), "entrypoint": ["python3", "-c", "pass"], "command": []}


def order_in(folder: Path, image: str) -> Order:
    (folder / "attempt").mkdir(parents=True)
    return Order(folder / "attempt", "python3", (), LIMITS, {}, {"hive.home": str(folder)}, image)


def by_hive(runner: BareRunner, place: Path, image: str) -> Contestant:
    """Seconds from the call to the end of the keeper."""
    numbers = count()

    def run() -> float:
        folder = place / f"hive-{next(numbers)}"
        order = order_in(folder, image)
        began = perf_counter()
        handle = runner.start(order)
        descriptor = runner.wait_descriptor(handle)
        assert descriptor is not None
        select.select([descriptor], [], [])
        took = perf_counter() - began
        os.close(descriptor)
        os.waitpid(int(handle.partition(":")[0]), 0)
        ending = runner.ending(order.folder, handle)
        assert ending is not None and (ending.exit_code, ending.reason) == (0, ""), ending
        shutil.rmtree(folder)
        return took

    return run


def by_docker(runner: BareRunner, place: Path, image: str) -> Contestant:
    order = order_in(place / "docker", image)
    asked = runner.specification(order)
    for name in ("attempt.lock", "handle"):
        (order.folder / name).touch()
    return command(*docker_run(asked, image))


def docker_run(asked: dict[str, Any], image: str) -> list[str]:
    """The same container for Docker's own command line."""
    host = asked["host_config"]
    argv = ["docker", "run", "--rm", "--init", "--read-only", "--cap-drop", "ALL", "--ipc", "private"]
    argv += ["--network", host["NetworkMode"], "--security-opt", "no-new-privileges:true", "--user", asked["user"]]
    argv += ["--memory", str(host["Memory"]), "--memory-swap", str(host["MemorySwap"])]
    argv += ["--cpus", str(host["NanoCpus"] / 1e9), "--pids-limit", str(host["PidsLimit"])]
    argv += ["--shm-size", str(host["ShmSize"]), "--oom-score-adj", str(host["OomScoreAdj"])]
    argv += ["--workdir", asked["working_dir"], "--hostname", asked["hostname"], "--log-driver", "json-file"]
    argv += ["--log-opt", "max-size=1m", "--log-opt", "max-file=2"]
    for place, options in host["Tmpfs"].items():
        argv += ["--tmpfs", f"{place}:{options}"]
    for mount in host["Mounts"]:
        readonly = ",readonly" if mount["ReadOnly"] else ""
        argv += ["--mount", f"type=bind,source={mount['Source']},target={mount['Target']}{readonly}"]
    for limit in host["Ulimits"]:
        argv += ["--ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}"]
    for name, value in asked["environment"].items():
        argv += ["--env", f"{name}={value}"]
    return [*argv, "--entrypoint", asked["entrypoint"][0], image, *asked["entrypoint"][1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    where = os.environ.get("DOCKER_HOST", "")
    prepare()
    os.environ |= {"DOCKER_HOST": where} if where else {}
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as folder:
        place = Path(folder)
        runner = BareRunner(place)
        if why := runner.available():
            print(f"not measured: {why}")
            return
        image = runner.environment((), False, print).image
        figures = interleave(
            {
                "python -c pass": INTERPRETER,
                DOCKER_RUN: by_docker(runner, place, image),
                HIVE: by_hive(runner, place, image),
            },
            rounds,
        )
    show("one container that does nothing", figures, DOCKER_RUN)
    over_ms = [(mine - its) * 1e3 for mine, its in zip(figures[HIVE], figures[DOCKER_RUN], strict=True)]
    judge("hive over docker run, the median", median(over_ms), BAR_MS, "ms")


if __name__ == "__main__":
    main()
