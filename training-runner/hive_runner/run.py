"""`Run`: everything a recipe receives, the same object for train, predict and sample."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

from hive_runner.contract import JobSpec, Metric, RunEvent
from hive_runner.errors import DivergedError, RunnerError, Stopped
from hive_runner.frozen import TYPE_CHECKING, asdict

if TYPE_CHECKING:
    from typing import Any

    from hive_runner.checkpoint import Checkpoints

PROGRESS_INTERVAL_S = 0.5  # of what is written; the recipe may call progress() at every step


class Settings(SimpleNamespace):
    """params or options of a recipe, by attribute: `run.params.steps`."""

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(sorted(vars(self))) or "none"
        raise AttributeError(f"recipe.toml defines no setting {name!r} (it defines: {known})")


class Run:
    """One run of a recipe: its settings, its folders, and the ways to tell the world how it goes."""

    def __init__(self, spec: JobSpec) -> None:
        self.recipe = spec.recipe
        self.version = spec.version
        self.action = spec.action  # "train" | "predict" | "sample"
        self.profile = spec.profile
        self.params = Settings(**spec.params)
        self.options = Settings(**spec.options)  # predict: what the user chose
        self.seed = spec.seed
        self.threads = spec.threads  # math threads; already set in torch and numba
        self.cpus = spec.cpus  # worker processes may fill this many cores
        self.device = spec.device  # "cpu", "cuda", ...
        self.memory_bytes = spec.memory_bytes  # 0: no limit
        self.out = Path(spec.out)  # train: out/figures/NAME.png are the artifact's figures, which `hive info` names
        self.scratch = Path(spec.result).parent / "scratch"  # on the job's disk: /tmp may be a small tmpfs
        self.data = {name: Path(path) for name, path in spec.data.items()}
        self.deps = {name: Path(path) for name, path in spec.deps.items()}  # artifacts of required packages
        self.artifact = Path(spec.artifact) if spec.artifact else Path()
        self.inputs = [Path(path) for path in spec.inputs]
        self.output = self.out / spec.output
        self.summary: dict[str, Any] = {}  # predict: what to tell the user
        self.metrics: list[Metric] = []
        self.should_stop = False

        self._spec = spec
        self._events = os.open(spec.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._phase = ""
        self._total = 0
        self._next_progress = 0.0
        self._saves = False  # whether this phase has offered a checkpoint
        self._checkpoints: Checkpoints | None = None

    # What the user sees

    def log(self, message: str) -> None:
        """A line for the log and for whoever watches."""
        print(message, flush=True)
        self._emit("log", message=message)

    def phase(self, name: str, total: int = 0) -> None:
        """Begin a phase: "simulate", "train", "evaluate", ... with `total` steps if they can be counted."""
        self._phase, self._total, self._next_progress, self._saves = name, total, 0.0, False
        self._emit("phase", total=total)

    def progress(self, step: int, total: int = 0, **metrics: float) -> None:
        """Heartbeat and progress line. Cheap: call it at every step. A `loss` of NaN or infinity ends the run.

        Raises Stopped if the run was asked to stop in a phase that has nothing to save.
        """
        for name, value in metrics.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise DivergedError(f"{name} became {float(value)} at step {step}", hint="try a lower learning rate")
        if self.should_stop and not self._saves:
            why = "asked to stop; it goes on from the last checkpoint, if there is one"
            raise Stopped(f"stopped in {self._phase or 'its beginning'}", why, "start it again")
        now = time.monotonic()
        if now < self._next_progress and step != (total or self._total):
            return
        self._next_progress = now + PROGRESS_INTERVAL_S
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._emit("progress", step=int(step), total=int(total or self._total), metrics=finite)

    def report(
        self,
        metric: Metric | str,
        value: float = math.nan,
        better: str = "higher",
        unit: str = "",
        dataset: str = "",
        spread: float | None = None,
        baselines: Mapping[str, float] | None = None,
    ) -> None:
        """One figure of the evaluation. It becomes part of the artifact, so nothing of clock or machine goes in."""
        if isinstance(metric, str):
            metric = Metric(metric, value, better, unit, dataset, spread, dict(baselines or {}))
        # numpy's and torch's scalars become floats here, so that every figure is written the same way
        plain = Metric(
            name=metric.name,
            value=float(metric.value),
            better=metric.better,
            unit=metric.unit,
            dataset=metric.dataset,
            spread=None if metric.spread is None else float(metric.spread),
            baselines={name: float(figure) for name, figure in metric.baselines.items()},
        )
        _check_metric(plain, self.metrics)
        self.metrics.append(plain)

    # What makes a killed run go on

    def resume(self) -> dict[str, Any] | None:
        """The state of the newest good checkpoint, or None. Call it when the model is built, right before the loop:
        it also puts the global random generators back to where they were."""
        found = self._checkpoint_folder().newest()
        if found is None:
            return None
        step, state = found
        self.log(f"going on from the checkpoint at step {step}")
        self._emit("resume", step=step)
        return state

    def checkpoint(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Save `state()` if it is time to, or if the run was asked to stop (then raise Stopped).

        The state holds model, optimiser, scheduler, averages, own generators, data position: a run killed and resumed
        must end with the same bytes. Time decides when, so `state` must only read.
        """
        self._saves = True
        checkpoints = self._checkpoint_folder()
        if not (self.should_stop or checkpoints.due()):
            return
        checkpoints.save(int(step), state)
        self._emit("checkpoint", step=int(step), total=self._total)
        if self.should_stop:
            raise Stopped(f"stopped at step {step}", why="asked to stop; a checkpoint is saved", hint="start it again")

    def request_stop(self, *_: object) -> None:
        """Stop at the next checkpoint, or sign of progress where nothing is saved. Fit to be a signal handler."""
        self.should_stop = True

    # What becomes the artifact

    def save_weights(self, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Write out/weights.safetensors and out/config.json, the same bytes for the same model."""
        from hive_runner.export import save_weights

        save_weights(self.out, tensors, config)

    def rng(self, *index: int) -> Any:
        """A numpy Generator that depends on (seed, index) only, so that workers and order do not matter."""
        from numpy.random import Generator, Philox, SeedSequence

        return Generator(Philox(SeedSequence([self.seed, *index])))

    # Inside

    def _emit(self, kind: str, **fields: Any) -> None:
        event = RunEvent(kind=kind, at=round(time.time(), 3), phase=self._phase, **fields)
        os.write(self._events, event.line().encode())  # one write to a file opened for appending: lines stay whole

    def _checkpoint_folder(self) -> Checkpoints:
        if self._checkpoints is None:
            from hive_runner.checkpoint import INTERVAL_S, Checkpoints

            # HIVE_CHECKPOINT_S overrides the shortest interval; 0: at every chance, for crash tests
            interval_s = float(os.environ.get("HIVE_CHECKPOINT_S", INTERVAL_S))
            self._checkpoints = Checkpoints(Path(self._spec.checkpoints), self._key(), interval_s, log=self.log)
        return self._checkpoints

    def _key(self) -> str:
        """What is being trained: everything of the spec that reaches the weights, and no path."""
        names = ("recipe", "version", "profile", "params", "seed", "threads", "device")
        return json.dumps({name: getattr(self._spec, name) for name in names}, sort_keys=True)


def _check_metric(metric: Metric, earlier: list[Metric]) -> None:
    """Raise DivergedError for a figure that is none, RunnerError for one that cannot be told from another."""
    figures = [metric.value, *metric.baselines.values(), *([] if metric.spread is None else [metric.spread])]
    if not all(math.isfinite(figure) for figure in figures):
        raise DivergedError(f"metric {metric.name} is not a finite number", why=json.dumps(asdict(metric)))
    if metric.better not in ("higher", "lower"):
        raise RunnerError(f"metric {metric.name} has better={metric.better!r}; it is 'higher' or 'lower'")
    if any(metric.name == other.name for other in earlier):
        raise RunnerError(f"metric {metric.name} was reported twice")
