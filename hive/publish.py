"""A finished run -> an installed package, or the reason why not. The last step of a build."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hive_runner.contract import Metric, RunResult
from hive_runner.frozen import asdict

from hive import bom, environments, gates, installed, manifest, provenance, queue
from hive.bom import BOM
from hive.card import CARD, render
from hive.db import Database
from hive.determinism import determinism_class
from hive.manifest import METRICS
from hive.model import Artifact, Failure, Job, Recipe, canonical_json
from hive.paths import Home
from hive.provenance import PROVENANCE
from hive.recipe import read_recipe
from hive.runners.base import Ending, open_plain
from hive.states import Event
from hive.store import BadOutput, Document, Store

MAX_CARD_BYTES = 1 << 20


def verdict(folder: Path, ending: Ending | None) -> tuple[RunResult | None, Failure | None]:
    """What became of an attempt whose runner is gone: a result to publish, or a failure with its kind."""
    if ending and ending.reason:
        return None, _limit_failure(ending)
    try:
        open_plain(folder / "result.json").close()
        result = RunResult.read(folder / "result.json")
    except FileNotFoundError:
        return None, _no_result(folder, ending)
    except (OSError, ValueError) as error:
        return None, Failure("bad_output", "the run wrote no valid result.json", str(error))
    if result.status == "succeeded":
        return result, None
    if result.status == "stopped":
        return None, Failure("stopped", "stopped after a checkpoint")
    reason = result.failure
    if reason is None:
        return None, Failure("bad_output", "the run failed without a reason")
    return None, Failure(reason.kind, reason.message, reason.why, reason.hint)


def _limit_failure(ending: Ending) -> Failure:
    words = {
        "out_of_memory": (
            "it needed more memory than its limit",
            "raise it: hive install --memory, or HIVE_MAX_MEMORY",
        ),
        "timeout": ("it ran longer than its time limit", "a longer limit: hive install --time-limit"),
        "disk_full": ("it wrote more than its disk limit", ""),
        "no_heartbeat": ("it hung", ""),
    }
    message, hint = words.get(ending.reason, (ending.message or ending.reason, ""))
    return Failure(ending.reason, message, ending.message, hint)


def _no_result(folder: Path, ending: Ending | None) -> Failure:
    if ending is None:
        return Failure("infrastructure", "the runner vanished", "it was killed, or the machine went down")
    if ending.exit_code < 0:
        return Failure("infrastructure", f"the runner was killed by signal {-ending.exit_code}")
    return Failure("recipe_error", f"the run ended with exit code {ending.exit_code} and no result", last_words(folder))


def last_words(folder: Path) -> str:
    """The last lines of a run's log."""
    try:
        with open_plain(folder / "log.txt") as file:
            tail = file.read()[-2000:].decode(errors="replace")
    except OSError:
        return ""
    return " / ".join(line.strip() for line in tail.splitlines()[-3:] if line.strip())


def refused(job: Job, metrics: list[dict[str, Any]]) -> Failure | None:
    """The failure of a model that does not pass its quality gates."""
    missed = [result for result in gates.judge(job.work.gates, metrics) if not result.passed]
    if not missed:
        return None
    return Failure(
        "gate_refused",
        f"{job.name} missed {len(missed)} of {len(job.work.gates)} quality gates",
        "; ".join(map(str, missed)),
        "nothing was installed; another --seed, more data or a longer --profile may help",
    )


def documents(job: Job, metrics: Sequence[Metric], card: str) -> dict[str, Document]:
    """What hive itself adds to what a run has left: path -> its content, given the entries of the other files."""
    build, pins = job.build, job.work.pins
    recipe = _recipe(job.work.recipe_path)
    return {
        METRICS: lambda files: canonical_json([asdict(metric) for metric in metrics]).encode(),
        CARD: lambda files: render(card, recipe, job.work.real, metrics, manifest.figures(files)).encode(),
        PROVENANCE: lambda files: canonical_json(
            provenance.statement(build, recipe, pins, job.work.image, files)
        ).encode(),
        BOM: lambda files: canonical_json(bom.document(build, recipe, pins, metrics, files)).encode(),
    }


@lru_cache(maxsize=8)  # of a queue of builds many are of one recipe, and its snapshot never changes
def _recipe(snapshot: str) -> Recipe:
    return read_recipe(Path(snapshot), "snapshot")


def _card(folder: Path) -> str:
    """The card that a run has left, "" without one."""
    try:
        with open_plain(folder / CARD) as file:
            return file.read(MAX_CARD_BYTES).decode()
    except (OSError, ValueError):
        return ""


def publish(db: Database, store: Store, home: Home, job: Job, result: RunResult, ending: Ending | None) -> Job | None:
    """Judge, store and install one result. None: the job was cancelled or taken over meanwhile.

    Everything is on disk before the one transaction that names artifact, package, generation and job.
    Raises BadOutput, NoCapacity.
    """
    metrics = [asdict(metric) for metric in result.metrics]
    usage: dict[str, Any] = {}
    if ending:
        usage = {"peak_memory_bytes": ending.peak_memory_bytes, "cpu_s": ending.cpu_s}
    if failure := refused(job, metrics):
        return queue.apply(db, job, Event.FAIL, failure=failure, charge=True, **usage)
    folder = home.attempt(job.id, job.attempt)
    facts = manifest.facts(job.build, job.work.pins, job.work.real)
    parts = {"": folder / "out", "recipe": Path(job.work.recipe_path)}
    own = documents(job, result.metrics, _card(folder / "out"))
    try:
        stored = store.add(parts, facts, own)
    except ValueError as error:  # NaN, or half a character
        raise BadOutput("the run reported figures that cannot be written down", str(error)) from error
    if job.work.check:  # to be compared, not installed: `hive gc` takes it if it is another
        return queue.apply(db, job, Event.SUCCEED, artifact=stored.digest, **usage)
    attempts = queue.attempts(db, job.id)
    attempt, now = attempts[-1], time.time()
    automatic = queue.is_automatic(db, job.id)
    made = Artifact(
        digest=stored.digest,
        name=job.name,
        version=job.version,
        build_key=job.build_key,
        size_bytes=stored.size_bytes,
        created_at=time.time(),
        real=job.work.real,
        build=job.build,
        metrics=metrics,
        pins=job.work.pins,
        isolation=f"{attempt.runner}: {attempt.isolation}",
        wall_s=round(sum(max(0.0, (each.ended_at or now) - each.started_at) for each in attempts), 3),
        depends=job.work.depends,
        determinism=determinism_class(job.build, job.work.pins),
        libraries={} if job.work.image else environments.contents(job.work.pins, job.work.mounts),
    )
    while True:
        with db.write():
            if store.has(stored.digest):
                done = queue.change(db, job, Event.SUCCEED, artifact=stored.digest, **usage)
                if done is not None:
                    installed.record_artifact(db, made)
                    installed.activate(db, made, automatic)
                return done
        store.add(parts, facts)  # a collection took it: nothing on record needed it yet


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run that was refused, for whoever asks why."""
    try:
        with open_plain(folder / "result.json") as file:
            found = json.loads(file.read()).get("metrics", [])
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []
