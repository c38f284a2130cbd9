"""doctor, config, lock."""

from __future__ import annotations

import os

import click

from hive.cli.options import json_option, print_json


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check what this machine offers: sandbox, database, disk, training libraries."""
    from dataclasses import asdict

    from hive.console import table
    from hive.errors import RequestError
    from hive.service import Hive

    checks, isolation = Hive.open().examine()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        marks = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
        click.echo(table(("CHECK", "", "FOUND"), [(c.name, marks[c.status], c.found) for c in checks]))
        aspects = ("files", "network", "home", "processes", "memory", "cpu")
        words = {"yes": "enforced", "watched": "watched", "no": "not"}
        click.echo()
        click.echo(table(("A RUN'S", "LIMIT IS"), [(a, words[getattr(isolation, a)]) for a in aspects]))
    problems = [check for check in checks if check.status == "problem"]
    if problems:
        raise RequestError(f"{len(problems)} problem(s): {', '.join(c.name for c in problems)}", "", problems[0].hint)


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Show every setting, its value and where that came from."""
    from dataclasses import asdict

    from hive.console import table
    from hive.service import Hive

    hive = Hive.open()
    settings = asdict(hive.settings)
    origins = settings.pop("origins")
    rows = [("home", str(hive.home.root), "environment HIVE_HOME" if "HIVE_HOME" in os.environ else "default")]
    rows += [(name, str(value), origins.get(name, "default")) for name, value in settings.items()]
    if as_json:
        print_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
    else:
        click.echo(table(("SETTING", "VALUE", "FROM"), rows))


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if the lock is stale.")
@click.option("--file", "path", default="hive.lock", show_default=True, type=click.Path(dir_okay=False))
def lock(check: bool, path: str) -> None:
    """Write hive.lock: every recipe pinned by version and digest."""
    from pathlib import Path

    from hive.console import say
    from hive.service import Hive

    if check:
        say(f"{path} is up to date: {Hive.check_lock(Path(path))} recipes")
    else:
        count = Hive.lock(Path(path))
        say(f"locked {count} recipe{'s' * (count != 1)} in {path}")
