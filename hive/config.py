"""Typed settings: environment variable, else config.toml in HIVE_HOME, else the default."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hive_runner.frozen import field, frozen

from hive.errors import RequestError

DECIMAL = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
BINARY = {
    prefix + suffix: 2**power for prefix, power in zip("kmgt", (10, 20, 30, 40), strict=True) for suffix in ("", "ib")
}
UNITS = DECIMAL | BINARY
SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)")


def parse_bytes(text: str | int) -> int:
    """'4GiB', '500 MB', '1g' or a number of bytes: more than none. Raises ValueError."""
    number, unit = _quantity(str(text), f"{text!r} is not a size such as 4GiB")
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r} in {text!r}")
    return int(number * UNITS[unit])


def parse_duration_s(text: str | float) -> float:
    """'90', '90s', '30min', '2h' -> seconds, more than none. Raises ValueError."""
    number, unit = _quantity(str(text), f"{text!r} is not a time such as 90min")
    if unit not in SECONDS:
        raise ValueError(f"unknown unit {unit!r} in {text!r}")
    return number * SECONDS[unit]


def parse_age_s(text: str) -> float:
    """The same, where 0 stands for any age. Raises ValueError."""
    return 0.0 if text.strip() == "0" else parse_duration_s(text)


def _quantity(text: str, complaint: str) -> tuple[float, str]:
    """'1.5 GiB' -> (1.5, 'gib'). A limit of nothing, or less, is no limit."""
    match = QUANTITY.fullmatch(text.strip().lower())
    if not match or not float(match[1]) > 0:
        raise ValueError(complaint)
    return float(match[1]), match[2]


def parse_count(text: str | int) -> int:
    """A whole number of at least 1. Raises ValueError."""
    count = int(str(text))  # neither 2.7 nor true
    if count < 1:
        raise ValueError("at least 1")
    return count


def parse_flag(text: str | bool) -> bool:
    if isinstance(text, bool):
        return text
    word = str(text).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"not true or false: {text!r}")


def parse_name(text: str) -> str:
    if not isinstance(text, str):
        raise ValueError("not a name")
    return text


def parse_paths(text: str | list[str]) -> tuple[str, ...]:
    return tuple(part for part in (text.split(os.pathsep) if isinstance(text, str) else text) if part)


@frozen
class Settings:
    """Each field: a HIVE_<NAME> variable, a key of config.toml, a default."""

    max_runners: int = 4
    auto_scale: bool = True  # False: one runner at a time, or as many as `hive scale` says
    gpu_enabled: bool = True
    max_memory: int = 4 << 30  # bytes a runner
    cpus: int = 2  # a runner
    runner: str = "auto"
    base_image: str = ""  # of the runner image; "": the public image of this Python
    offline: bool = False
    sources: tuple[str, ...] = ()  # folders of recipes, before the built-in one
    origins: dict[str, str] = field(default_factory=dict)  # name -> "environment HIVE_X", "config.toml"


PARSERS: dict[str, Callable[[Any], Any]] = {
    "max_runners": parse_count,
    "auto_scale": parse_flag,
    "gpu_enabled": parse_flag,
    "max_memory": parse_bytes,
    "cpus": parse_count,
    "runner": parse_name,
    "base_image": parse_name,
    "offline": parse_flag,
    "sources": parse_paths,
}
# The seed's own names, without the prefix.
ALIASES = {"max_runners": "MAX_RUNNERS", "auto_scale": "AUTO_SCALE", "gpu_enabled": "GPU_ENABLED",
           "max_memory": "MAX_MEMORY"}  # fmt: skip


def load_settings(home: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises RequestError naming the variable or line that cannot be read."""
    filed = _read_config(home / "config.toml")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in PARSERS:
        candidates: list[tuple[str, Any]] = []
        for variable in (f"HIVE_{name.upper()}", ALIASES.get(name, "")):
            if variable and variable in environment:
                candidates.append((f"environment {variable}", environment[variable]))
        if name in filed:
            candidates.append(("config.toml", filed[name]))
        if not candidates:
            continue
        origin, raw = candidates[0]
        try:
            values[name] = PARSERS[name](raw)
        except (ValueError, TypeError) as error:
            raise RequestError(f"setting {name} cannot be read", f"{origin} says {raw!r}: {error}") from error
        origins[name] = origin
    return Settings(**values, origins=origins)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if not path.exists():
            return {}
    except PermissionError as error:
        raise RequestError(
            f"{path.parent} is not yours to read", str(error), "set HIVE_HOME to a folder of your own"
        ) from error
    import tomllib

    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read", str(error), "mend or remove the file") from error
    if unknown := sorted(set(document) - set(PARSERS)):
        raise RequestError(
            f"{path} has an unknown setting {unknown[0]!r}", f"known are {', '.join(PARSERS)}", "see: hive config"
        )
    return document
