"""Small values for tests, with every field that does not matter filled in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hive import queue
from hive.db import Database
from hive.model import Build, Gate, Job, Limits, Param, Profile, Recipe, Work


def build(name: str = "model", **fields: Any) -> Build:
    facts: dict[str, Any] = {
        "version": "1.0.0",
        "recipe_digest": "sha256:" + "0" * 64,
        "profile": "standard",
        "params": {},
        "seed": 0,
        "threads": 1,
        "device": "cpu",
        "environment": "sha256:" + "1" * 64,
    }
    return Build(name=name, **{**facts, **fields})


def work(**fields: Any) -> Work:
    facts: dict[str, Any] = {
        "recipe_path": "/nowhere",
        "limits": Limits(cpus=1),
        "gates": (Gate("accuracy", ">=", 0.5),),
        "python": "/usr/bin/python3",
        "mounts": (),
        "pins": (),
        "runner": "auto",
        "trusted": True,
        "real": True,
    }
    return Work(**{**facts, **fields})


def enqueue(db: Database, name: str = "model", priority: int = 1, cpus: int = 1, **fields: Any) -> Job:
    """One queued job."""
    [job] = queue.enqueue(db, [(build(name, **fields), work(limits=Limits(cpus=cpus)))], priority, set())
    return job


def claimed(db: Database, name: str = "model", **fields: Any) -> Job:
    """One running job."""
    enqueue(db, name, **fields)
    job = queue.claim(db, 8)
    assert job is not None
    assert job.name == name
    return job


def recipe(name: str = "model", version: str = "1.0.0", depends: Iterable[str] = (), **fields: Any) -> Recipe:
    facts: dict[str, Any] = {
        "summary": "a model",
        "licence": "MIT",
        "path": Path("/nowhere") / name,
        "source": "test",
        "digest": "sha256:" + "2" * 64,
        "limits": Limits(cpus=1, memory_bytes=1 << 30, disk_bytes=1 << 30),
        "params": (
            Param("steps", 100, minimum=1, maximum=1000),
            Param("rate", 0.5),
            Param("mode", "a", choices=("a", "b")),
        ),
        "profiles": {
            "standard": Profile("standard"),
            "smoke": Profile("smoke", real=False, params={"steps": 5}, wall_s=60, expected_s=3),
        },
    }
    return Recipe(name=name, version=version, depends=tuple(depends), **{**facts, **fields})
