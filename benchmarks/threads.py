"""Small trainings on two cores: two at a time with one math thread each, or one at a time with two.

    python benchmarks/threads.py [--rounds 3] [--steps 30]

A convolutional network on drawn images; what an interpreter takes to start and to load torch is left out. The number
of math threads is part of a build (it changes the bits), so this is no choice of the scheduler's; it is what
`threads = 1`, the default of recipe.toml, costs or saves when the queue is full. Where other work fills the machine the
CPU tells more than the clock. Bar: one thread each is not slower. Takes about a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from side_by_side import PYTHON, at_least, prepare, ratios, show

BUILDS = 4
TRAINING = """
import sys, time, torch
threads, steps, builds = map(int, sys.argv[1:])
torch.set_num_threads(threads)

def train(steps):
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 16), (16, 32), (32, 32), (32, 1))]
    model = torch.nn.Sequential(*(part for layer in layers for part in (layer, torch.nn.ReLU())))
    optimiser = torch.optim.AdamW(model.parameters())
    for step in range(steps):
        images = torch.rand(8, 1, 64, 64)
        loss = torch.nn.functional.mse_loss(model(images), images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

train(2)
print("ready", flush=True)
sys.stdin.readline()
before = time.process_time()
for _ in range(builds):
    train(steps)
print(time.process_time() - before)
"""


def _trainer(cores: list[int], steps: int, builds: int) -> subprocess.Popen[str]:
    """A process that is ready to train, with a thread for each of its cores."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(len(cores))}
    words = (PYTHON, "-c", TRAINING, *map(str, (len(cores), steps, builds)))
    argv = ("taskset", "-c", ",".join(map(str, cores)), *words)
    return subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def train_all(at_once: int, steps: int) -> tuple[float, float]:
    """Seconds by the clock and of CPU for all; each has its share of two cores."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    threads = len(cores) // at_once
    trainers = [_trainer(cores[place * threads :][:threads], steps, BUILDS // at_once) for place in range(at_once)]
    for each in trainers:
        assert each.stdout
        if each.stdout.readline() != "ready\n":
            sys.exit("torch does not train here")
    began = time.perf_counter()
    for each in trainers:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    cpu_s = sum(float(each.communicate()[0]) for each in trainers)
    return time.perf_counter() - began, cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    chosen = parser.parse_args()
    prepare()
    if len(os.sched_getaffinity(0)) < 2:
        print("  this machine has one core: nothing to compare")
        return
    two, one = "two at a time, one thread each", "one at a time, two threads"
    wall: dict[str, list[float]] = {two: [], one: []}
    cpu: dict[str, list[float]] = {two: [], one: []}
    for _ in range(chosen.rounds):
        for name, at_once in ((two, 2), (one, 1)):
            wall_s, cpu_s = train_all(at_once, chosen.steps)
            wall[name].append(wall_s)
            cpu[name].append(cpu_s)
    show(f"{BUILDS} trainings of {chosen.steps} steps by the clock", wall, two)
    show("the same by CPU", cpu, two)
    at_least("one thread each beside two threads, by the clock", median(ratios(wall, one, two)), 1.0, " x as fast")


if __name__ == "__main__":
    main()
