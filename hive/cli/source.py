"""source: where recipes come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from hive.cli.options import json_option, print_json

if TYPE_CHECKING:
    from hive.sources import SourceRecord


def complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from hive.service import Hive

    return [CompletionItem(each.name) for each in Hive.open().sources() if each.name.startswith(incomplete)]


@click.group()
def source() -> None:
    """Where recipes come from: the built-in ones, folders, git repositories, searched in order."""


@source.command()
@click.argument("name")
@click.argument("location", metavar="PATH-OR-URL")
@click.option("--branch", help="Follow this branch of a repository (default: its own).")
@click.option("--ref", help="Take this tag or commit of a repository.")
@click.option("--git", "as_git", is_flag=True, help="PATH is a repository, to be taken at a commit, not a live folder.")
@click.option("--first", is_flag=True, help="Search it before all others.")
@click.option("--before", metavar="SOURCE", shell_complete=complete_source, help="Search it before that one.")
@click.option("--offline", is_flag=True, help="Use no network.")
@click.option("--dry-run", is_flag=True, help="Look, and add nothing.")
@json_option
def add(
    name: str,
    location: str,
    branch: str | None,
    ref: str | None,
    as_git: bool,
    first: bool,
    before: str | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a folder of recipes (NAME/recipe.toml or NAME/VERSION/recipe.toml), or a git repository of such.

    It is searched last, so that it takes no name away from another source, unless you say otherwise. A repository is
    taken at the commit of today; `hive source update` moves on.
    """
    from hive.cli.install import teller
    from hive.console import say

    if branch and ref:
        raise click.UsageError("--branch and --ref exclude each other")
    if first and before:
        raise click.UsageError("--first and --before exclude each other")
    hive = _open(offline)
    wanted = f"refs/heads/{branch}" if branch else ref or ""
    place = "" if first else before
    record = hive.add_source(name, location, wanted, as_git, place, dry_run, teller(as_json))
    if as_json:
        print_json({**_json(record), "dry_run": dry_run})
        return
    at = f" at commit {record.commit[:12]}" if record.commit else ""
    if dry_run:
        say(f"would add {record.name}: {record.location}{at}")
        return
    position = next(each.position for each in hive.sources() if each.name == name)
    say(f"added {record.name}: {record.location}{at}, number {position} of {len(hive.sources())}")


@source.command(name="list")
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@json_option
def list_(quiet: bool, as_json: bool) -> None:
    """List the sources in the order in which they are searched."""
    from hive.console import table
    from hive.service import Hive

    found = Hive.open().sources()
    if as_json:
        print_json([_json(record) for record in found])
    elif quiet:
        for record in found:
            click.echo(record.name)
    else:
        rows = [
            (str(r.position), r.name, "HIVE_SOURCES" if r.kind == "setting" else r.kind, r.location,
             r.ref.removeprefix("refs/heads/"), r.commit[:12])
            for r in found
        ]  # fmt: skip
        click.echo(table(("#", "NAME", "KIND", "LOCATION", "REF", "COMMIT"), rows))


@source.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_source)
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@json_option
def remove(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Forget sources. What was installed from them stays."""
    from hive.console import say
    from hive.service import Hive

    hive = Hive.open()
    gone = [hive.remove_source(name, dry_run) for name in names]
    if as_json:
        print_json({"removed": [_json(record) for record in gone], "dry_run": dry_run})
        return
    for record in gone:
        say(f"{'would remove' if dry_run else 'removed'} {record.name} ({record.location})")


@source.command()
@click.argument("names", nargs=-1, shell_complete=complete_source)
@click.option("--offline", is_flag=True, help="Use no network.")
@click.option("--dry-run", is_flag=True, help="Look, and move nothing.")
@json_option
def update(names: tuple[str, ...], offline: bool, dry_run: bool, as_json: bool) -> None:
    """Move repositories to where their branch or tag stands now: those named, or all."""
    from hive.cli.install import teller
    from hive.console import say

    moves = list(_open(offline).update_sources(list(names), dry_run, teller(as_json)))
    if as_json:
        print_json([{"name": move.name, "before": move.before, "after": move.after} for move in moves])
        return
    for move in moves:
        if move.before == move.after:
            say(f"{move.name} stays at {move.after[:12]}")
        else:
            say(f"{move.name}: {move.before[:12]} -> {move.after[:12]}{' (not moved: dry run)' if dry_run else ''}")


def _open(offline: bool) -> Any:
    from hive.service import Hive

    return Hive.open(offline=True) if offline else Hive.open()


def _json(record: SourceRecord) -> dict[str, Any]:
    keys = ("name", "position", "kind", "location", "ref", "commit")
    return {key: getattr(record, key) for key in keys}
