"""Versions and ranges of them, as PEP 440 has them. `packaging` is imported where a comparison needs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from hive.errors import RequestError

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

REQUEST = re.compile(r"([a-z0-9][a-z0-9._-]*)\s*(?:@\s*([0-9][^\s]*)|([<>=!~].*))?")
PRERELEASE = re.compile(r"\d(a|b|rc)\d|\.dev\d")


def split_request(request: str) -> tuple[str, str]:
    """`name@1.2` -> ("name", "==1.2"); `name>=1` -> ("name", ">=1"); `name` -> ("name", ""). Raises RequestError."""
    match = REQUEST.fullmatch(request.strip())
    if not match:
        raise RequestError(f"{request!r} is not a model's name", "names are lower-case, like gis-lidar", "hive search")
    name, exact, wanted = match.groups()
    return name, f"=={exact}" if exact else wanted or ""


def check_range(wanted: str) -> None:
    """Raises RequestError for what is no range of versions."""
    try:
        parse_range(wanted) if wanted else None
    except ValueError as error:
        raise RequestError(f"{wanted!r} is not a version or range", str(error)) from error


@cache
def is_prerelease(text: str) -> bool:
    """Whether a version is one before the real one, or a range names such a version."""
    return PRERELEASE.search(text) is not None


@cache
def parsed(version: str) -> Version:
    """Something that can be compared. Raises ValueError."""
    from packaging.version import Version

    return Version(version)


@cache
def parse_range(text: str) -> SpecifierSet:
    """'>=1.1,<2' as a set of versions. Raises ValueError."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(text)


@cache
def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a range, "" for any; a pre-release like any other. Raises ValueError."""
    if not wanted or wanted == f"=={version}":
        return True
    return parse_range(wanted).contains(parsed(version), prereleases=True)


def newest_first(versions: Iterable[str]) -> list[str]:
    found = list(versions)
    return sorted(found, key=parsed, reverse=True) if len(found) > 1 else found


def newest(versions: Iterable[str]) -> str:
    """The newest that is no pre-release, else the newest. There must be one."""
    found = newest_first(versions)
    return next((version for version in found if not is_prerelease(version)), found[0])
