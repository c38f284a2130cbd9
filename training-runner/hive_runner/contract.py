"""The runner contract: a folder, and the three JSON documents in it.

`spec.json` goes in; `events.jsonl` grows while the run lasts; `result.json` is written last, so its presence is the
proof that everything it names is complete. Standard library only: hive imports this file, what its values are made with
(frozen.py), and no other of the package; a recipe in another language can read this page as its specification.

    job folder/
      spec.json        JobSpec
      out/             what becomes the artifact (train) or the user's output (predict, sample)
      checkpoints/     survives the attempt; the next attempt of the same build finds it
      events.jsonl     one RunEvent a line
      log.txt          stdout and stderr of the run
      result.json      RunResult
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hive_runner.frozen import TYPE_CHECKING, asdict, field, frozen

if TYPE_CHECKING:
    from typing import Any

CONTRACT_VERSION = 1

ACTIONS = ("train", "predict", "sample")

# Formats that run code when they are opened: never in an artifact. Weights are safetensors.
PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")

# How a run can fail. The queue decides by kind whether another attempt makes sense.
FAILURE_KINDS = (
    "recipe_error",  # the recipe raised
    "bad_input",  # the user's file or option cannot be used
    "gate_refused",  # trained, but below its quality gates
    "out_of_memory",
    "disk_full",
    "timeout",
    "no_heartbeat",
    "diverged",  # NaN or infinite loss
    "bad_output",  # the result does not hold what the contract asks for
    "cancelled",
    "infrastructure",  # the machine, engine or supervisor went away: not charged to the job
    "stopped",  # asked to stop, checkpointed, may go on later
)


@frozen
class JobSpec:
    """What to run. Every path is as the run sees it (inside the sandbox where there is one)."""

    action: str  # one of ACTIONS
    recipe: str  # the recipe's name
    version: str
    recipe_path: str  # folder with the recipe's Python, read-only
    out: str  # folder to write to
    checkpoints: str  # folder for checkpoints; may hold those of an earlier attempt
    events: str  # events.jsonl, append only
    result: str  # result.json, written last
    profile: str = "standard"
    params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1  # math threads: a different count gives different bits
    cpus: int = 2  # cores the run may keep busy, data workers included
    device: str = "cpu"
    gpu: str = ""  # which of the machine's it has for itself: the only one that it sees
    memory_bytes: int = 0  # 0: no limit
    data: dict[str, str] = field(default_factory=dict)  # name -> file or folder, read-only
    deps: dict[str, str] = field(default_factory=dict)  # package name -> artifact folder, read-only
    artifact: str = ""  # predict: the installed artifact, read-only
    inputs: list[str] = field(default_factory=list)  # predict: the user's files, read-only
    output: str = ""  # predict, sample: the file or folder to write, below `out`
    options: dict[str, Any] = field(default_factory=dict)  # predict: the recipe's own options
    contract: int = CONTRACT_VERSION

    @classmethod
    def read(cls, path: Path) -> JobSpec:
        """Read spec.json. Raises ValueError for another contract version or unknown action."""
        document = json.loads(path.read_text())
        if document.get("contract") != CONTRACT_VERSION:
            raise ValueError(f"contract {document.get('contract')} is unknown; this runner speaks {CONTRACT_VERSION}")
        if document.get("action") not in ACTIONS:
            raise ValueError(f"spec.json asks for {document.get('action')!r}; known actions are {', '.join(ACTIONS)}")
        return cls(**document)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), sort_keys=True))


@frozen
class RunEvent:
    """One line of events.jsonl. A progress event is a heartbeat."""

    kind: str  # "phase" | "progress" | "log" | "checkpoint" | "resume", whose step is where it goes on
    at: float  # seconds since the epoch, for display only
    phase: str = ""
    step: int = 0
    total: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""

    def line(self) -> str:
        """The event as one JSON line, empty fields left out."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in ("", 0, {})}) + "\n"

    @classmethod
    def parse(cls, line: str) -> RunEvent | None:
        """The event of a line, or None for a torn or foreign one: a run may die while it writes."""
        try:
            event = cls(**json.loads(line))
            known = (
                all(isinstance(text, str) for text in (event.kind, event.phase, event.message))
                and all(_is_number(number) for number in (event.at, event.step, event.total))
                and all(_is_number(figure) for figure in event.metrics.values())
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
        return event if known else None


@frozen
class Metric:
    """One figure of an evaluation, with what a user would otherwise run beside it."""

    name: str  # unique in the run; gates refer to it
    value: float
    better: str = "higher"  # "higher" | "lower"
    unit: str = ""  # "" for a fraction
    dataset: str = ""  # what it was measured on, in words
    spread: float | None = None  # standard deviation over the units of evaluation (scenes, tiles, records)
    baselines: dict[str, float] = field(default_factory=dict)  # method -> the same figure


@frozen
class RunFailure:
    kind: str  # one of FAILURE_KINDS
    message: str
    why: str = ""
    hint: str = ""


@frozen
class RunResult:
    """How a run ended. Written last, durably."""

    status: str  # "succeeded" | "failed" | "stopped"
    failure: RunFailure | None = None
    metrics: list[Metric] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)  # predict: what to tell the user
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    contract: int = CONTRACT_VERSION

    @classmethod
    def read(cls, path: Path) -> RunResult:
        """Read result.json. Raises ValueError if it is not a result of this contract."""
        try:
            document = json.loads(path.read_text())
            failure = document.pop("failure", None)
            metrics = document.pop("metrics", [])
            result = cls(
                failure=RunFailure(**failure) if failure else None, metrics=[Metric(**m) for m in metrics], **document
            )
            _check_result(result)
        except (TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{path.name} is not a result of the runner contract: {error}") from error
        if result.status not in ("succeeded", "failed", "stopped"):
            raise ValueError(f"{path.name} has status {result.status!r}")
        return result

    def write(self, path: Path) -> None:
        """Write durably: temporary file, fsync, rename, fsync of the folder."""
        temporary = path.with_suffix(".tmp")
        with open(temporary, "w") as file:
            json.dump(asdict(self), file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_number(value: Any) -> bool:
    """A number that a float can hold; JSON's own go on for ever."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)


def _check_result(result: RunResult) -> None:
    """Raise TypeError for a value of another type than the field's: a hostile recipe writes this file too."""
    figures = [result.wall_s, result.cpu_s, result.peak_memory_bytes]
    texts: list[Any] = []
    for metric in result.metrics:
        texts += [metric.name, metric.better, metric.unit, metric.dataset]
        figures += [metric.value, *metric.baselines.values(), *([] if metric.spread is None else [metric.spread])]
    if result.failure:
        texts += [result.failure.kind, result.failure.message, result.failure.why, result.failure.hint]
        if result.failure.kind not in FAILURE_KINDS:
            raise TypeError(f"{result.failure.kind!r} is no kind of failure")
    if not all(isinstance(text, str) for text in texts) or not isinstance(result.summary, dict):
        raise TypeError("a field that must be text is not")
    if not all(_is_number(figure) for figure in figures):
        raise TypeError("a field that must be a number is not")
