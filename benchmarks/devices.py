"""Steps per second of the recipes' own trainings on the CPU and on a GPU, and whether a training killed there resumes.

    python benchmarks/devices.py [--device cuda] [--cpus 4] [--seconds 15] [--at-once 4] [RECIPE...]

Each recipe is run by hive's runner, without a sandbox. First the smoke profile, twice: once in one go, once stopped at
two of its checkpoints and taken up again; the weights must be equal bytes. Then the standard profile on the device with
`--cpus` cores to make its samples, and on the CPU with the cores that the recipe asks for, until each of its training
phases has been watched for some seconds. A recipe that needs other packages gets those that the smoke profile made.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hive_runner.__main__ import EXIT_CODES
from hive_runner.contract import JobSpec, RunEvent

from hive.model import Recipe
from hive.plan import Choices, pick_params
from hive.recipe import read_recipe
from hive.versions import split_request

BUILT_IN = Path(__file__).resolve().parent.parent / "recipes"
ORDER = ("shape-corpus", "image-to-3d", "enhanced-3d", "text-to-3d", "gis-lidar", "gis-buildings",
         "geophysics-magnetic", "geophysics-resistivity", "geophysics-seismic")  # fmt: skip
BASES = ("shape-corpus", "image-to-3d")  # others are built on them
# What comes before the training is cut short: it is no part of a step.
SHORT = {
    "enhanced-3d": {"base_views": 2},
    "text-to-3d": {"shapes": 200, "further": 0, "autoencoder_steps": 150, "components": 128},
}
STOPS = 2
LAST_PHASE = {"text-to-3d": "flow"}  # where there are several
START_S = 240.0  # to the first step at most: compilation, samples
SETTLING_S = 2.0  # the first steps of a phase wait for their samples


@dataclass(frozen=True)
class Machine:
    device: str
    cpus: int


def bases_of(recipe: Recipe) -> list[str]:
    return [split_request(text)[0] for text in recipe.depends]


class Execution:
    """One run of a recipe in a folder of its own."""

    def __init__(self, work: Path, recipe: Recipe, profile: str, machine: Machine, **params: object) -> None:
        chosen = pick_params(recipe, recipe.profiles[profile], Choices())
        for part in ("out", "checkpoints"):
            (work / part).mkdir(parents=True)
        bases = next(folder for folder in work.parents if (folder / "bases").is_dir()) / "bases"
        self.work = work
        self.spec = JobSpec(
            "train", recipe.name, recipe.version, str(BUILT_IN / recipe.name), str(work / "out"),
            str(work / "checkpoints"), str(work / "events.jsonl"), str(work / "result.json"), profile,
            {**chosen, **params}, cpus=machine.cpus, device=machine.device,
            deps={name: str(bases / name) for name in bases_of(recipe)},
        )  # fmt: skip
        self.spec.write(work / "spec.json")

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "hive_runner", str(self.work / "spec.json")]
        with open(self.work / "log.txt", "ab") as log:
            # A group of its own: a run that is killed leaves processes that make its samples.
            return subprocess.Popen(
                argv, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )

    def events(self) -> list[RunEvent]:
        file = self.work / "events.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [event for line in lines if line.endswith("\n") and (event := RunEvent.parse(line))]

    def checkpoints(self) -> int:
        return sum(event.kind == "checkpoint" for event in self.events())

    def digest(self) -> str:
        weights = self.work / "out" / "weights.safetensors"
        return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else ""

    def why(self) -> str:
        """The last line of its log."""
        return (self.work / "log.txt").read_text(errors="replace").strip().rpartition("\n")[2][-110:]


def smoke(work: Path, recipe: Recipe, machine: Machine) -> str:
    """What came of the smoke profile in one go and in pieces: a word."""
    whole = Execution(work / "whole", recipe, "smoke", machine)
    code = whole.start().wait()
    if recipe.name in BASES:
        kept = work.parent / "bases" / recipe.name
        shutil.copytree(whole.work / "out", kept)
        shutil.copytree(BUILT_IN / recipe.name, kept / "recipe")
    if not whole.digest():
        return f"failed: {whole.why()}" if code else "ok"
    pieces = Execution(work / "pieces", recipe, "smoke", machine)
    stops = in_pieces(pieces)
    same = "same bytes" if pieces.digest() == whole.digest() else "OTHER BYTES"
    return f"ok; stopped {stops} times: {same}" + (f"; later failed: {whole.why()}" if code else "")


def in_pieces(execution: Execution) -> int:
    """Run it to its end, but stop it at its first checkpoint, and again at the next. -> how often it stopped."""
    for stops in range(STOPS + 1):
        before = execution.checkpoints()
        process = execution.start(HIVE_CHECKPOINT_S="0")
        while stops < STOPS and process.poll() is None:
            if execution.checkpoints() > before:
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.02)
        if process.wait() != EXIT_CODES["stopped"]:
            return stops
    return STOPS


def pace(work: Path, recipe: Recipe, machine: Machine, seconds: float) -> dict[str, float]:
    """Steps per second of each training phase, until the last of them has been watched for so long."""
    execution = Execution(work, recipe, "standard", machine, **SHORT.get(recipe.name, {}))
    process = execution.start(HIVE_CHECKPOINT_S="1000000")
    found: dict[str, float] = {}
    ends = time.monotonic() + START_S
    try:
        while process.poll() is None and time.monotonic() < ends:
            time.sleep(0.2)
            for phase, seen in by_phase(execution.events()).items():
                settled = [event for event in seen if event.at - seen[0].at >= SETTLING_S]
                watched_s = settled[-1].at - settled[0].at if settled else 0.0
                if watched_s > 0:
                    found[phase] = (settled[-1].step - settled[0].step) / watched_s
                if watched_s > seconds and phase.endswith(LAST_PHASE.get(recipe.name, "")):
                    return found
        if not found:
            print(f"  {recipe.name}: {execution.why()}", flush=True)
        return found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def by_phase(events: Sequence[RunEvent]) -> dict[str, list[RunEvent]]:
    """The progress of what is training."""
    found: dict[str, list[RunEvent]] = {}
    for event in events:
        if event.kind == "progress" and event.phase.startswith("train"):
            found.setdefault(event.phase, []).append(event)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=ORDER)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="a new folder for specs, logs and events")
    chosen = parser.parse_args()
    device = Machine(chosen.device, chosen.cpus)
    recipes = [read_recipe(BUILT_IN / name, "built-in") for name in ORDER if name in chosen.recipes or name in BASES]
    trained = [recipe for recipe in recipes if recipe.name in chosen.recipes and recipe.name != "shape-corpus"]
    with tempfile.TemporaryDirectory(prefix="hive-devices-") as text:
        top = chosen.keep or Path(text)
        (top / "bases").mkdir(parents=True)
        check_all(top, recipes, device)
        cpu = {recipe.name: Machine("cpu", recipe.limits.cpus) for recipe in trained}
        fast = pace_all(top / "device", trained, dict.fromkeys(cpu, device), chosen.seconds, chosen.at_once)
        slow = pace_all(top / "cpu", trained, cpu, chosen.seconds, chosen.at_once * chosen.cpus // 2)
    print(f"\n{'steps a second':40}{chosen.device:>10}{'CPU':>10}{'times':>8}")
    for name, phases in fast.items():
        for phase, steps_s in phases.items():
            beside = slow[name].get(phase, math.nan)
            print(f"{name + ', ' + phase:40}{steps_s:10.2f}{beside:10.2f}{steps_s / beside:8.1f}", flush=True)


def check_all(top: Path, recipes: Sequence[Recipe], machine: Machine) -> None:
    """The smoke profile of each, as soon as what it is built on is there."""
    with ThreadPoolExecutor(len(recipes)) as pool:
        words: dict[str, Future[str]] = {}

        def after_bases(recipe: Recipe) -> str:
            for name in bases_of(recipe):
                words[name].result()
            return smoke(top / recipe.name, recipe, machine)

        for recipe in recipes:
            words[recipe.name] = pool.submit(after_bases, recipe)
        for name, word in words.items():
            print(f"{name:24}{word.result()}", flush=True)


def pace_all(
    top: Path, recipes: Sequence[Recipe], machines: dict[str, Machine], seconds: float, at_once: int
) -> dict[str, dict[str, float]]:
    with ThreadPoolExecutor(at_once) as pool:
        runs = {each.name: pool.submit(pace, top / each.name, each, machines[each.name], seconds) for each in recipes}
        return {name: run.result() for name, run in runs.items()}


if __name__ == "__main__":
    main()
