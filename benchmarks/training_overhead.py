"""Samples per second of one training loop: inside hive, under its runner alone, and as a plain script.

    python benchmarks/training_overhead.py [--rounds 6] [--steps 12000]

The loop is that of the fixture recipe `tiny`, word for word. The plain script gives it a Run that does nothing; the
runner gives it one that reports and checkpoints; hive adds sandbox, shim and supervisor. Bar: within 3 %. Where other
work fills the machine, the CPU that the steps took tells more than the clock: that of a run less that of a short one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from side_by_side import PYTHON, RECIPES, command, judge, new_home, prepare, ratios, show

from hive.model import Job
from hive.plan import Choices
from hive.planning import InstallRequest
from hive.service import Hive

Took = tuple[float, float]  # the loop by the clock, and the CPU of its whole process: seconds
BATCH = 64  # samples a step, as tiny draws them
FEW = 20  # steps of the short run
SEEDS = itertools.count(1)
PLAIN_SCRIPT = """
import sys, time
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.manual_seed(0)
from tiny.train import train
times = []
nothing = lambda *arguments, **named: None
train(SimpleNamespace(
    params=SimpleNamespace(steps=int(sys.argv[2]), pause_ms=0), seed=0, phase=lambda *a, **n: times.append(time.time()),
    resume=nothing, progress=nothing, checkpoint=nothing, report=nothing, save_weights=nothing,
))
open(sys.argv[3], "w").write(f"{times[1] - times[0]} {time.process_time()}")
"""


def in_hive(hive: Hive, steps: int) -> Job:
    request = InstallRequest(("tiny",), Choices(params={"steps": str(steps)}, seed=next(SEEDS)))
    [job] = hive.install(request, hive.plan(request)).jobs
    for update in hive.watch(job.id):
        job = update.job
    failure = job.failure
    assert job.state == "succeeded" or (failure and failure.kind == "gate_refused"), failure  # few steps learn little
    return job


def told(folder: Path) -> Took:
    """What a runner's files say: seconds from the phase `train` to the phase `evaluate`, and the CPU of the whole."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    began = {line["phase"]: line["at"] for line in lines if line["kind"] == "phase"}
    return began["evaluate"] - began["train"], json.loads((folder / "result.json").read_text())["cpu_s"]


def plain_script(steps: int) -> Took:
    with tempfile.NamedTemporaryFile("r") as answer:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command(PYTHON, "-c", PLAIN_SCRIPT, str(RECIPES), str(steps), answer.name, environment=environment)()
        wall_s, cpu_s = map(float, answer.read().split())
    return wall_s, cpu_s


def runner_alone(hive: Hive, steps: int) -> Took:
    """The spec of the newest job in hive, run without hive."""
    job = hive.jobs(1)[0]
    spec = json.loads((hive.home.attempt(job.id, job.attempt) / "spec.json").read_text())
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as text:
        folder = Path(text)
        for part in ("out", "checkpoints"):
            (folder / part).mkdir()
        places = {"out": "out", "checkpoints": "checkpoints", "events": "events.jsonl", "result": "result.json"}
        spec |= {name: str(folder / part) for name, part in places.items()}
        spec |= {"recipe_path": str(RECIPES / "tiny"), "params": {**spec["params"], "steps": steps}}
        (folder / "spec.json").write_text(json.dumps(spec))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        command(PYTHON, "-m", "hive_runner", str(folder / "spec.json"), environment=environment)()
        return told(folder)


def whole(hive: Hive, steps: int) -> Took:
    job = in_hive(hive, steps)
    return told(hive.home.attempt(job.id, job.attempt))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=12_000)
    chosen = parser.parse_args()
    prepare()
    wall: dict[str, list[float]] = {"hive": [], "hive_runner alone": [], "plain script": []}
    cpu: dict[str, list[float]] = {name: [] for name in wall}
    with new_home():
        hive = Hive.open()
        sides: dict[str, Callable[[int], Took]] = {
            "hive": lambda steps: whole(hive, steps),
            "hive_runner alone": lambda steps: runner_alone(hive, steps),
            "plain script": plain_script,
        }
        for _ in range(chosen.rounds):
            for name, side in sides.items():
                _, starting = side(FEW)
                wall_s, cpu_s = side(FEW + chosen.steps)
                wall[name].append(wall_s)
                cpu[name].append(cpu_s - starting)
    show(f"{chosen.steps:,} steps of {BATCH} samples by the clock, ratio to the plain script", wall, "plain script")
    for name, values in wall.items():
        print(f"  {name:<38} {chosen.steps * BATCH / median(values):12,.0f} samples/s")
    show("the same by CPU", cpu, "plain script")
    for label, figures in (("by the clock", wall), ("by CPU", cpu)):
        for other in ("hive_runner alone", "plain script"):
            judge(f"hive beside {other} {label}", median(ratios(figures, "hive", other)), 1.03)


if __name__ == "__main__":
    main()
