"""What the benchmarks share: a home of their own, rounds that interleave the contestants, and ratios with their spread.

Machines are shared and noisy, so no absolute time proves anything. Each round runs every contestant once, in turn; a
ratio is taken within its round, and the median over the rounds is the figure. The spread runs from the 1st tenth of the
rounds to the 9th.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

TOP = Path(__file__).resolve().parent.parent
RECIPES = TOP / "tests" / "recipes"
PYTHON = sys.executable
HIVE = str(Path(sys.executable).with_name("hive"))

Contestant = Callable[[], float]  # one try -> its figure, seconds as a rule


def prepare() -> None:
    """Bytecode as an installer leaves it, and an environment without settings of the user's."""
    import hive_runner

    import hive

    for package in (hive, hive_runner):
        compileall.compile_dir(next(iter(package.__path__)), quiet=2)
    for name in list(os.environ):
        if name.startswith(("HIVE_", "PYTHON")):
            del os.environ[name]


@contextmanager
def new_home() -> Iterator[Path]:
    """An empty HIVE_HOME, with the fixture recipes of the tests as a source."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"HIVE_HOME": folder, "HIVE_SOURCES": str(RECIPES)}
        yield Path(folder)


def command(*argv: str, environment: Mapping[str, str] | None = None) -> Contestant:
    """How long a command takes. It must succeed."""

    def run() -> float:
        began = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, env=environment, cwd="/", text=True)
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return took

    return run


INTERPRETER = command(PYTHON, "-c", "pass")


def interleave(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Every contestant once a round, after one round that does not count."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            figure = contestant()
            if number:
                figures[name].append(figure)
    return figures


def ratios(figures: Mapping[str, list[float]], name: str, base: str) -> list[float]:
    """Round by round."""
    return [mine / its for mine, its in zip(figures[name], figures[base], strict=True)]


def spread(values: list[float]) -> tuple[float, float]:
    """The 1st and the 9th tenth."""
    if len(values) < 2:
        return values[0], values[0]
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[0], tenths[-1]


def show(title: str, figures: Mapping[str, list[float]], base: str) -> None:
    """A line a contestant: its median in milliseconds, and its ratio to `base`."""
    print(f"{title} ({len(figures[base])} rounds)")
    for name, values in figures.items():
        ratio = ratios(figures, name, base)
        low, high = spread(ratio)
        print(f"  {name:<38} {median(values) * 1e3:9.1f} ms {median(ratio):7.2f} x   ({low:.2f} to {high:.2f})")


def judge(what: str, figure: float, bar: float, unit: str = "x", aim: float | None = None) -> None:
    """Say whether a figure meets its bar; less is better."""
    word = "meets" if figure <= bar else "MISSES"
    aimed = "" if aim is None else f", aim {aim:g} {'met' if figure <= aim else 'missed'}"
    print(f"  {word} the bar: {what} is {figure:.2f} {unit}, the bar {bar:g} {unit}{aimed}")


def at_least(what: str, figure: float, bar: float, unit: str = "") -> None:
    """Say whether a figure meets its bar; more is better."""
    word = "meets" if figure >= bar else "MISSES"
    print(f"  {word} the bar: {what} is {figure:.3f}{unit}, the bar {bar:g}{unit}")
