"""Artifacts on record, packages and generations. Every change of what is installed makes a new generation."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hive_runner.frozen import asdict

from hive.db import Database
from hive.errors import RequestError
from hive.model import Artifact, Build, Package
from hive.suggest import did_you_mean
from hive.versions import check_range, newest_first, satisfies, split_request


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
        pinned=bool(row["pinned"]),
    )


def artifact_of(row: dict[str, Any]) -> Artifact:
    return Artifact(
        **{
            **row,
            "real": bool(row["real"]),
            "build": Build.from_json(json.loads(row["build"])),
            "metrics": json.loads(row["metrics"]),
            "pins": tuple(json.loads(row["pins"])),
            "depends": tuple(json.loads(row["depends"])),
            "libraries": json.loads(row["libraries"]),
        }
    )


def packages(db: Database) -> list[Package]:
    return [package_of(row) for row in db.all("packages.installed")]


def names(db: Database) -> list[str]:
    """Of which there is any artifact on record, installed or not."""
    return [row["name"] for row in db.all("packages.names")]


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
            "depends": json.dumps(made.depends),
            "determinism": made.determinism,
            "libraries": json.dumps(made.libraries),
        },
    )


def install(db: Database, name: str, version: str, digest: str, automatic: bool) -> int:
    """Make a generation in which `name` is this artifact, inside the caller's transaction; its number."""
    return put(db, f"install {name} {version}", [(name, version, digest, automatic)])


def put(db: Database, reason: str, chosen: Iterable[tuple[str, str, str, bool]]) -> int:
    """Make one generation with all these in it, inside the caller's transaction: (name, version, digest, automatic)."""
    generation = _begin(db, reason)
    for each in chosen:
        _put(db, generation, *each)
    return generation


def activate(db: Database, made: Artifact, automatic: bool) -> str:
    """Install an artifact on record, inside the caller's transaction; "", or why it only waits in the store.

    No installed package may be left with needs that nothing meets. Where `active_with` finds no way yet it waits: the
    one that comes last brings all.
    """
    chosen, why = active_with(db, made, {}, ())
    if why:
        return why
    versions = ", ".join(f"{each.name} {each.version}" for each in chosen.values())
    kept = [(each.name, each.version, each.digest, automatic or each is not made) for each in chosen.values()]
    put(db, f"install {versions}", kept)
    return ""


def active_with(
    db: Database, made: Artifact, chosen: Mapping[str, Artifact], arriving: Sequence[Artifact]
) -> tuple[dict[str, Artifact], str]:
    """What becomes active if `made` does, by name, so that no package has needs that nothing meets; and "", or who
    would have: then it is `chosen` as it was.

    What an artifact was built on comes with it where the version that is active does not do; so does, for a package
    that it would leave behind, the version that was built on the same. chosen: what becomes active anyway; arriving:
    artifacts that are not on record yet.
    """
    found, pending = {**chosen, made.name: made}, [made]
    needy = depends(db)
    while pending:
        each = pending.pop()
        for name, wanted in map(split_request, each.depends):
            there = found.get(name) or find(db, name)
            if there and satisfies(there.version, wanted):
                continue
            key = each.build.dependencies.get(name, "")
            base = next((known for known in arriving if known.build_key == key), None) or artifact_by_key(db, key)
            if name in found or base is None or not satisfies(base.version, wanted):
                return dict(chosen), f"{each.name} {each.version} needs {name} {wanted}".rstrip()
            found[name] = base
            pending.append(base)
        for dependent, (version, texts) in needy.items():
            if dependent in found:
                version, texts = found[dependent].version, found[dependent].depends
            wanted = dict(map(split_request, texts)).get(each.name, "")
            if satisfies(each.version, wanted):
                continue
            heir = None if dependent in found else _built_on(db, dependent, found, arriving)
            if heir is None:
                return dict(chosen), f"{dependent} {version} needs {each.name} {wanted}"
            found[dependent] = heir
            pending.append(heir)
    return found, ""


def _built_on(db: Database, name: str, bases: Mapping[str, Artifact], arriving: Iterable[Artifact]) -> Artifact | None:
    """The newest artifact of `name` whose dependencies are these, as far as it has them."""
    for each in (*(known for known in arriving if known.name == name), *of_name(db, name)):
        shared = bases.keys() & each.build.dependencies.keys()
        if shared and all(each.build.dependencies[base] == bases[base].build_key for base in shared):
            return each
    return None


def depends(db: Database) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What each installed package that needs others was built to need: name -> its version, ("base>=1", ...)."""
    rows = db.all("packages.depends")
    return {row["name"]: (row["version"], tuple(json.loads(row["depends"]))) for row in rows}


def dependents(db: Database, names: Iterable[str]) -> dict[str, str]:
    """Who needs one of `names`, or one that does: name -> one that it needs."""
    found: dict[str, str] = {}
    pending, needs = (
        list(names),
        {name: [split_request(t)[0] for t in texts] for name, (_, texts) in depends(db).items()},
    )
    while pending:
        lost = pending.pop()
        for name, needed in needs.items():
            if lost in needed and name not in found:
                found[name] = lost
                pending.append(name)
    return found


def outlived(db: Database, only: str = "") -> dict[str, tuple[str, ...]]:
    """Packages that were built on another build of what they need than is active now: name -> what they need.

    only: look at no other package.
    """
    active = {package.name: package for package in packages(db)}
    found = {}
    for name in depends(db).keys() & ({only} if only else active.keys()):
        built_on = artifact(db, active[name].artifact).build.dependencies
        others = [base for base, key in built_on.items()
                  if base in active and artifact(db, active[base].artifact).build_key != key]  # fmt: skip
        if others:
            found[name] = tuple(sorted(others))
    return found


def orphans(db: Database, without: Iterable[str] = ()) -> list[Package]:
    """Packages that were installed for others, and that none needs; `without`: as if these were gone."""
    there = {package.name: package for package in packages(db) if package.name not in set(without)}
    needs = {name: [split_request(text)[0] for text in texts] for name, (_, texts) in depends(db).items()}
    pending = [package.name for package in there.values() if not package.automatic]
    needed = set(pending)
    while pending:
        new = set(needs.get(pending.pop(), ())) - needed
        needed |= new
        pending += new
    return [package for name, package in there.items() if name not in needed]


def of_name(db: Database, name: str) -> list[Artifact]:
    """Every usable artifact of a name; of each version the one to use first."""
    return [artifact_of(row) for row in db.all("packages.of_name", name=name)]


def choose(db: Database, request: str) -> Package:
    """The active version of `name`; for `name@1.1`, any in the store. Raises RequestError."""
    name, wanted = split_request(request)
    check_range(wanted)
    package = find(db, name)
    if not wanted or (package and satisfies(package.version, wanted)):
        return get(db, name)
    stored = {each.version: each for each in reversed(of_name(db, name))}
    for version in newest_first(stored):
        if satisfies(version, wanted):
            return _inactive(stored[version])
    if not stored:
        return get(db, name)  # which says that it is not installed
    raise RequestError(
        f"{name} {wanted.removeprefix('==')} is not installed",
        f"in the store are {', '.join(newest_first(stored))}",
        f"hive install '{request}'",
    )


def inactive(db: Database, name: str) -> list[Package]:
    """The versions of a name that are in the store and not active, the newest first."""
    active = find(db, name)
    stored = {each.version: each for each in reversed(of_name(db, name))}
    return [_inactive(stored[v]) for v in newest_first(stored) if active is None or v != active.version]


def _inactive(made: Artifact) -> Package:
    return Package(
        name=made.name,
        version=made.version,
        artifact=made.digest,
        automatic=False,
        installed_at=made.created_at,
        profile=made.build.profile,
        real=made.real,
        size_bytes=made.size_bytes,
        active=False,
    )


def pin(db: Database, names: Iterable[str]) -> None:
    with db.write():
        for name in names:
            db.run("packages.pin", name=name, now=time.time())


def unpin(db: Database, names: Iterable[str]) -> list[str]:
    """Those that were pinned."""
    with db.write():
        return [name for name in names if db.run("packages.unpin", name=name)]


def remove(db: Database, names: list[str]) -> int:
    """Make a generation without `names`; their artifacts stay in the store."""
    with db.write():
        generation = _begin(db, f"remove {' '.join(names)}")
        for name in names:
            db.run("packages.drop", generation=generation, name=name)
            db.run("packages.unpin", name=name)
    return generation


def _put(db: Database, generation: int, name: str, version: str, digest: str, automatic: bool) -> None:
    db.run(
        "packages.put",
        generation=generation,
        name=name,
        version=version,
        artifact=digest,
        automatic=int(automatic),
        now=time.time(),
    )


def _begin(db: Database, reason: str) -> int:
    row = db.one("packages.new_generation", now=time.time(), reason=reason, origin=None)
    assert row is not None
    generation = int(row["id"])
    db.run("packages.carry_over", generation=generation)
    return generation
