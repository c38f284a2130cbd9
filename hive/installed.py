"""Artifacts on record, packages and generations. Every change of what is installed makes a new generation."""

from __future__ import annotations

import json
import time
from typing import Any

from hive_runner.frozen import asdict

from hive.db import Database
from hive.errors import RequestError
from hive.model import Artifact, Build, Package
from hive.suggest import did_you_mean


def package_of(row: dict[str, Any]) -> Package:
    return Package(
        name=row["name"],
        version=row["version"],
        artifact=row["artifact"],
        automatic=bool(row["automatic"]),
        installed_at=row["installed_at"],
        profile=row["profile"],
        real=bool(row["real"]),
        size_bytes=row["size_bytes"],
    )


def artifact_of(row: dict[str, Any]) -> Artifact:
    return Artifact(
        **{
            **row,
            "real": bool(row["real"]),
            "build": Build.from_json(json.loads(row["build"])),
            "metrics": json.loads(row["metrics"]),
            "pins": tuple(json.loads(row["pins"])),
        }
    )


def packages(db: Database) -> list[Package]:
    return [package_of(row) for row in db.all("packages.installed")]


def find(db: Database, name: str) -> Package | None:
    row = db.one("packages.by_name", name=name)
    return package_of(row) if row else None


def get(db: Database, name: str) -> Package:
    """The installed package. Raises RequestError."""
    package = find(db, name)
    if package is None:
        names = [p.name for p in packages(db)]
        why, hint = did_you_mean(name, names)
        hint = hint if hint.startswith("did") else f"hive install {name}"
        raise RequestError(f"{name} is not installed", why.replace("known are", "installed are") if names else "", hint)
    return package


def artifact(db: Database, digest: str) -> Artifact:
    row = db.one("packages.artifact", digest=digest)
    if row is None:
        raise RequestError(f"there is no artifact {digest}")
    return artifact_of(row)


def artifact_by_key(db: Database, build_key: str) -> Artifact | None:
    row = db.one("packages.artifact_by_key", build_key=build_key)
    return artifact_of(row) if row else None


def artifacts(db: Database) -> list[Artifact]:
    return [artifact_of(row) for row in db.all("packages.artifacts")]


def record_artifact(db: Database, made: Artifact) -> None:
    """Put an artifact on record, inside the caller's transaction. Known already: unchanged."""
    db.run(
        "packages.insert_artifact",
        **{
            **{
                name: getattr(made, name) for name in ("digest", "name", "version", "build_key", "size_bytes", "wall_s")
            },
            "now": made.created_at,
            "real": int(made.real),
            "build": json.dumps(asdict(made.build)),
            "metrics": json.dumps(made.metrics),
            "pins": json.dumps(made.pins),
            "isolation": made.isolation,
        },
    )


def install(db: Database, name: str, version: str, digest: str, automatic: bool) -> int:
    """Make a generation in which `name` is this artifact, inside the caller's transaction; its number."""
    generation = _begin(db, f"install {name} {version}")
    db.run(
        "packages.put",
        generation=generation,
        name=name,
        version=version,
        artifact=digest,
        automatic=int(automatic),
        now=time.time(),
    )
    return generation


def remove(db: Database, names: list[str]) -> int:
    """Make a generation without `names`; their artifacts stay in the store."""
    with db.write():
        generation = _begin(db, f"remove {' '.join(names)}")
        for name in names:
            db.run("packages.drop", generation=generation, name=name)
    return generation


def _begin(db: Database, reason: str) -> int:
    row = db.one("packages.new_generation", now=time.time(), reason=reason, origin=None)
    assert row is not None
    generation = int(row["id"])
    db.run("packages.carry_over", generation=generation)
    return generation
