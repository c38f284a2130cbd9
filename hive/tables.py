"""Reads TOML tables strictly: each key by its type, and a key that nobody asked for is a mistake."""

from __future__ import annotations

from typing import Any

from hive.config import parse_bytes, parse_count, parse_duration_s


class Table:
    """One table. Everything it finds wrong is a ValueError that names table and key."""

    def __init__(self, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise ValueError(f"{name} is not a table")
        self.name = name
        self.values: dict[str, Any] = dict(values)
        self.known: list[str] = []

    def value(self, key: str, default: Any = None) -> Any:
        self.known.append(key)
        return self.values.pop(key, default)

    def required(self, key: str) -> Any:
        if key not in self.values:
            raise ValueError(f"{self.name} has no {key}")
        return self.value(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A string. Without a default the key must be there, and not empty."""
        found = self.required(key) if default is None else self.value(key, default)
        if not isinstance(found, str) or (default is None and not found.strip()):
            raise self._wrong(key, found, "not a text")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.value(key, [])
        if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
            raise self._wrong(key, found, "not a list of texts")
        return tuple(found)

    def flag(self, key: str, default: bool) -> bool:
        found = self.value(key, default)
        if not isinstance(found, bool):
            raise self._wrong(key, found, "neither true nor false")
        return found

    def count(self, key: str, default: int) -> int:
        return int(self._parsed(key, default, parse_count))

    def size_bytes(self, key: str, default: int) -> int:
        return int(self._parsed(key, default, parse_bytes))

    def seconds(self, key: str, default: float) -> float:
        return float(self._parsed(key, default, parse_duration_s))

    def optional_seconds(self, key: str) -> float | None:
        return self.seconds(key, 0) if key in self.values else self.value(key)

    def table(self, key: str) -> Table:
        return Table(f"[{self.name.strip('[]')}.{key}]" if self.name else f"[{key}]", self.value(key, {}))

    def tables(self) -> dict[str, Table]:
        """Every key is a table of its own."""
        return {key: self.table(key) for key in list(self.values)}

    def end(self) -> None:
        """All keys were asked for."""
        for key in self.values:
            raise ValueError(f"{self.name or 'the file'} has an unknown {key!r}; known are {', '.join(self.known)}")

    def _parsed(self, key: str, default: Any, parse: Any) -> Any:
        if key not in self.values:
            return self.value(key, default)
        found = self.value(key)
        try:
            return parse(found)
        except (TypeError, ValueError) as error:
            raise self._wrong(key, found, str(error)) from error

    def _wrong(self, key: str, found: Any, why: str) -> ValueError:
        return ValueError(f"{self.name} {key} = {found!r}: {why}")
