"""Options and completions that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1))


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from hive.service import Hive

    return [CompletionItem(name) for name in Hive.open().known_names() if name.startswith(incomplete)]


def complete_installed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from hive.service import Hive

    return [CompletionItem(p.name) for p in Hive.open().packages() if p.name.startswith(incomplete)]


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
