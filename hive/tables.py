"""Reads TOML tables strictly: each key by its type, and a key that nobody asked for is a mistake."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from hive.config import parse_bytes, parse_count, parse_duration_s
from hive.suggest import did_you_mean

T = TypeVar("T")
HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(#.*)?")


class Mistake(ValueError):
    """What is wrong in a table, and where: its dotted name ("": the top), and the key ("": the table itself)."""

    def __init__(self, message: str, table: str = "", key: str = "") -> None:
        super().__init__(message)
        self.table = table.strip("[]")
        self.key = key


def line_of(text: str, mistake: Mistake) -> int:
    """The line of a TOML text that a mistake is on, from 1; of its table, where the key is not to be seen; else 1."""
    table, key = mistake.table, mistake.key
    while True:
        found, inside = 0, not table
        for number, line in enumerate(text.splitlines(), 1):
            if header := HEADER.fullmatch(line):
                inside = header[1].replace('"', "").replace(" ", "") == table
                found = found or number * inside
            elif inside and key and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line):
                return number
        if found or not table:
            return found or 1
        table, _, key = table.rpartition(".")  # an inline table: the key that holds it, in the table above


class Table:
    """One table. Everything it finds wrong is a Mistake."""

    def __init__(self, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise Mistake(f"{name} is not a table", *_above(name))
        self.name = name
        self.values: dict[str, Any] = dict(values)
        self.known: list[str] = []

    def value(self, key: str, default: Any = None) -> Any:
        self.known.append(key)
        return self.values.pop(key, default)

    def required(self, key: str) -> Any:
        if key not in self.values:
            raise self.mistake(f"{self.name} has no {key}")
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

    def like(self, key: str, shape: re.Pattern[str], wanted: str, default: str | None = None) -> str:
        """A string of a certain shape; the default need not have it."""
        found = self.text(key, default)
        if found != default and not shape.fullmatch(found):
            raise self._wrong(key, found, f"not {wanted}")
        return found

    def each(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """A list of strings, each as `parse` reads it, whose ValueError says what is wrong."""
        try:
            return tuple(parse(text) for text in self.texts(key))
        except Mistake:
            raise
        except ValueError as error:
            raise self.mistake(str(error), key) from error

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
            known, guess = did_you_mean(key, self.known, "")
            raise self.mistake(f"{self.name or 'the file'} has an unknown {key!r}; {guess or known}", key)

    def mistake(self, message: str, key: str = "") -> Mistake:
        return Mistake(message, self.name, key)

    def _parsed(self, key: str, default: Any, parse: Any) -> Any:
        if key not in self.values:
            return self.value(key, default)
        found = self.value(key)
        try:
            return parse(found)
        except (TypeError, ValueError) as error:
            raise self._wrong(key, found, str(error)) from error

    def _wrong(self, key: str, found: Any, why: str) -> Mistake:
        return self.mistake(f"{self.name} {key} = {found!r}: {why}", key)


def _above(name: str) -> tuple[str, str]:
    """The table that holds a table, and its key in it."""
    table, _, key = name.strip("[]").rpartition(".")
    return table, key
