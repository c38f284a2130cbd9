"""Options and completions that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from hive.service import Hive

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1))


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names that a source has or that are installed; after NAME@, versions."""
    from hive.service import Hive

    hive = Hive.open()
    name, at, _ = incomplete.partition("@")
    if at:
        return _starting(incomplete, (*(f"{name}@{v}" for v in hive.known_versions(name)), *_stored(hive, name)))
    return _starting(incomplete, sorted({*hive.known_names(), *(package.name for package in hive.packages())}))


def complete_installed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of what is installed."""
    from hive.service import Hive

    return _starting(incomplete, [package.name for package in Hive.open().packages()])


def complete_stored(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of what is installed; after NAME@, versions in the store."""
    from hive.service import Hive

    hive = Hive.open()
    name, at, _ = incomplete.partition("@")
    return _starting(incomplete, _stored(hive, name) if at else [package.name for package in hive.packages()])


def _stored(hive: Hive, name: str) -> list[str]:
    return [f"{each.name}@{each.version}" for each in (*hive.packages(), *hive.inactive()) if each.name == name]


def _starting(incomplete: str, words: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(word) for word in dict.fromkeys(words) if word.startswith(incomplete)]


def complete_job(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from hive.service import Hive

    jobs = Hive.open().jobs(50)
    return [
        CompletionItem(str(job.id), help=f"{job.name}, {job.state}")
        for job in jobs
        if str(job.id).startswith(incomplete)
    ]


def key_values(pairs: tuple[str, ...], option: str) -> dict[str, str]:
    """('a=1', 'b=2') -> {"a": "1", "b": "2"}."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} wants NAME=VALUE, not {pair!r}")
        values[name] = value
    return values
