"""Sources that exist only as a table: for tests of what is chosen from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hive.errors import RequestError
from hive.index import Release
from hive.resolve import Held
from hive.versions import newest_first


@dataclass
class Universe:
    """name -> version -> what that version depends on."""

    table: Mapping[str, Mapping[str, Sequence[str]]]
    source: str = "test"
    looked_at: set[str] = field(default_factory=set)  # the names that somebody asked for

    def releases(self, name: str) -> list[Release]:
        self.looked_at.add(name)
        versions = newest_first(self.table.get(name, ()))
        return [Release(name, version, self.source, f"{self.source}/{name}/{version}") for version in versions]

    def depends(self, release: Release) -> Sequence[str]:
        return self.table[release.name].get(release.version, ())  # an installed one may be known no more

    def unknown(self, name: str) -> RequestError:
        return RequestError(f"there is no model called {name!r}")

    def held(self, name: str, version: str, pinned: bool = False) -> Held:
        """A version of it as installed."""
        depends = tuple(self.table.get(name, {}).get(version, ()))
        return Held(version, Path("store", name, version), depends, pinned)
