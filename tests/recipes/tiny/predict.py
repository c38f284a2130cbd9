"""Multiply the numbers of a text file. Needs no torch, so that `hive run tiny` is quick."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hive_runner.errors import InputError

if TYPE_CHECKING:
    from hive_runner.run import Run


@dataclass(frozen=True)
class Model:
    features: int

    def scale(self, numbers: list[float], factor: float) -> list[float]:
        return [number * factor for number in numbers]


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    return Model(json.loads((artifact / "config.json").read_text())["features"])


def predict(run: Run) -> None:
    model = load(run.artifact)
    [source] = run.inputs
    try:
        numbers = [float(line) for line in source.read_text().splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(f"{source.name} is not a list of numbers", why=str(error), hint="one number a line") from error
    scaled = model.scale(numbers, -run.options.factor if run.options.negate else run.options.factor)
    run.output.write_text("".join(f"{number}\n" for number in scaled))
    run.summary["numbers"] = len(scaled)
    run.summary["sum"] = sum(scaled)


def sample(run: Run) -> None:
    run.output.write_text("1\n2\n3.5\n")
