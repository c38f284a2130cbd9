"""Run a fixture recipe the way a backend does: a job folder, a process, and its result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hive_runner.contract import JobSpec, RunEvent, RunResult

REPOSITORY = Path(__file__).parent.parent
RECIPES = Path(__file__).parent / "recipes"
PARAMS: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 200, "pause_ms": 0},
    "trivial": {"size": 3},
    "eats-memory": {"mebibytes": 2048},
    "hangs": {"seconds": 60},
}


@dataclass(frozen=True)
class RunnerJob:
    """One job folder. Each `start` is an attempt in it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, recipe: str | Path, action: str = "train", **fields: Any) -> RunnerJob:
        """recipe: the name of a fixture, or the path of a folder."""
        path = RECIPES / recipe if isinstance(recipe, str) else recipe
        folder.mkdir(parents=True, exist_ok=True)
        spec: dict[str, Any] = {
            "action": action,
            "recipe": path.name,
            "version": "1.0.0",
            "recipe_path": str(path),
            "out": str(folder / "out"),
            "checkpoints": str(folder / "checkpoints"),
            "events": str(folder / "events.jsonl"),
            "result": str(folder / "result.json"),
            "params": {**PARAMS.get(path.name, {}), **fields.pop("params", {})},
            "seed": 7,
            **fields,
        }
        JobSpec(**spec).write(folder / "spec.json")
        return cls(folder)

    def start(self, memory_bytes: int = 0, **environment: str) -> subprocess.Popen[bytes]:
        def limit() -> None:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

        with open(self.folder / "log.txt", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hive_runner", str(self.folder / "spec.json")],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY / "training-runner"), **environment},
                stdout=log,
                stderr=log,
                preexec_fn=limit if memory_bytes else None,
            )

    def run(self, memory_bytes: int = 0, **environment: str) -> RunResult:
        """Start, wait, read the result. Its exit code must agree."""
        process = self.start(memory_bytes, **environment)
        code = process.wait(60)
        result = self.result()
        assert code == {"succeeded": 0, "failed": 1, "stopped": 75}[result.status], self.log()
        return result

    def result(self) -> RunResult:
        assert (self.folder / "result.json").exists(), self.log()
        return RunResult.read(self.folder / "result.json")

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def events(self, kind: str = "") -> list[RunEvent]:
        try:
            lines = (self.folder / "events.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [event for line in lines if (event := RunEvent.parse(line)) and kind in ("", event.kind)]

    def artifact(self) -> dict[str, bytes]:
        """name -> content of every file in out/."""
        out = self.folder / "out"
        return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}

    def kill_when(self, reached: Callable[..., bool], process: subprocess.Popen[bytes], number: int) -> int:
        """Send a signal as soon as `reached`; the exit code."""
        deadline = time.monotonic() + 60
        while not reached():
            assert process.poll() is None, f"ended with {process.returncode} too early: {self.log()}"
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.002)
        process.send_signal(signal.Signals(number))
        return process.wait(60)
