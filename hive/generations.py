"""Generations: the set of installed packages after each change, kept so that one can go back to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

from hive.db import Database
from hive.errors import RequestError
from hive.installed import package_of
from hive.model import Generation, Package


def generations(db: Database) -> list[Generation]:
    """Oldest first, each with what changed against the one before it in the list."""
    found: list[Generation] = []
    before: list[Package] = []
    for row in db.all("packages.generations"):
        now = contents(db, row["id"])
        found.append(
            Generation(row["id"], row["at"], row["reason"], row["origin"], tuple(changes(before, now)), tuple(now))
        )
        before = now
    return found


def changes(before: Iterable[Package], after: Iterable[Package]) -> Iterator[str]:
    """What having `after` installed in the place of `before` means, in words: what goes, then the rest by name."""
    old, new = ({package.name: package for package in packages} for packages in (before, after))
    for name in sorted(old.keys() - new.keys()):
        yield f"-{name} {old[name].version}"
    for name, package in sorted(new.items()):
        if name not in old:
            yield f"+{name} {package.version}"
        elif old[name].version != package.version:
            yield f"{name} {old[name].version} -> {package.version}"
        elif old[name].artifact != package.artifact:
            yield f"{name} {package.version}, another build"


def contents(db: Database, generation: int) -> list[Package]:
    return [package_of(row) for row in db.all("packages.of_generation", generation=generation)]


def target(db: Database, wanted: int | None) -> int:
    """The generation to go back to: `wanted`, else the one before the present one.

    After a rollback that is the one before the generation gone back to, so that repeated rollbacks lead on into the
    past. Raises RequestError.
    """
    known = db.all("packages.generations")
    ids = [row["id"] for row in known]
    if not known:
        raise RequestError("there is nothing to go back to", "nothing was ever installed")
    if wanted is not None:
        if wanted not in ids:
            raise RequestError(f"there is no generation {wanted}", f"known are {_ranges(ids)}", "see: hive history")
        return wanted
    present = known[-1]
    earlier = [each for each in ids if each < (present["origin"] or present["id"])]
    if not earlier:
        raise RequestError(
            "there is nothing to go back to", f"generation {ids[0]} is the oldest on record", "see: hive history"
        )
    return int(earlier[-1])


def roll_back(db: Database, to: int) -> int:
    """Make a generation that holds exactly what generation `to` held; its number. Inside the caller's transaction."""
    first = db.one("packages.generation", generation=to)
    if first is None:
        raise RequestError(f"there is no generation {to}", "hive gc has just forgotten it", "see: hive history")
    origin = first["origin"] or to
    row = db.one("packages.new_generation", now=time.time(), reason=f"rollback to {to}", origin=origin)
    assert row is not None
    db.run("packages.copy", source=to, generation=row["id"])
    return int(row["id"])


def forget(db: Database, before: float) -> list[int]:
    """Forget the generations that ended before `before` (s since the epoch): which a newer one replaced by then.

    The present one always stays. Inside the caller's transaction. Their numbers.
    """
    known = db.all("packages.generations")
    old = [row["id"] for row, next_row in pairwise(known) if next_row["at"] < before]
    for generation in old:
        db.run("packages.forget_generation", generation=generation)
    return old


def _ranges(numbers: list[int]) -> str:
    """[1, 2, 3, 7] -> "1 to 3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)
