"""lock and sync: hive.toml says which models a project wants, hive.lock pins them, sync installs what is pinned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_model, json_option, print_json

if TYPE_CHECKING:
    from hive.lockfile import Lock
    from hive.projects import Projects

file_option = click.option(
    "--file", "path", default="hive.lock", show_default=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The lock; hive.toml is looked for beside it.",
)  # fmt: skip


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail (6) and name each stale field if the lock is stale.")
@click.option("--upgrade", is_flag=True, help="Lock the newest versions, not those locked before.")
@click.option("--upgrade-package", "loose", multiple=True, metavar="NAME", help="The same for one model (repeatable).")
@file_option
@json_option
def lock(check: bool, upgrade: bool, loose: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Write hive.lock: what hive.toml wants, pinned by version, recipe and parameters.

    Without hive.toml that is every built-in recipe. What is locked already stays as it is while it meets the request.
    """
    from hive.console import say
    from hive.service import Hive

    if check and (upgrade or loose):
        raise click.UsageError("--check changes nothing, so there is nothing to upgrade")
    projects = Hive.open().projects
    if check:
        found = projects.check(path.parent, path)
    else:
        found = projects.lock(path.parent, path, None if upgrade else loose)
    if as_json:
        print_json({"file": str(path), "models": [model.wanted for model in found.models]})
        return
    count = f"{len(found.models)} model{'s' * (len(found.models) != 1)}"
    say(f"{path} is up to date: {count}" if check else f"locked {count} in {path}")


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_model)
@click.option("--locked", is_flag=True, envvar="HIVE_LOCKED", help="Fail (6) if the lock is missing or stale.")
@click.option("--frozen", is_flag=True, help="Install what the lock says, without looking whether it is stale.")
@click.option("--exact", is_flag=True, help="Remove what is installed and not in the lock.")
@click.option("--profile", help="In the place of the locked profiles, such as smoke.")
@click.option("--runner", default="auto", show_default=True, help="Backend to build with.")
@click.option("--no-wait", is_flag=True, help="Queue the builds and return.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what was installed, or the jobs with --no-wait.")
@file_option
@json_option
def sync(
    names: tuple[str, ...], locked: bool, frozen: bool, exact: bool, profile: str | None, runner: str, no_wait: bool,
    dry_run: bool, quiet: bool, path: Path, as_json: bool,
) -> None:  # fmt: skip
    """Install exactly what hive.lock pins: all of it, or the models NAMED. Locks first what is not locked yet."""
    from hive.cli.install import carry_out, teller
    from hive.console import say
    from hive.plan import Choices
    from hive.planning import InstallRequest
    from hive.service import Hive

    if locked and frozen:
        raise click.UsageError("--locked looks whether the lock is stale, --frozen does not: choose one")
    hive, folder, tell = Hive.open(), path.parent, teller(quiet or as_json)
    found = _lock_for(hive.projects, path, locked, frozen, dry_run)
    base = InstallRequest((), Choices(), runner=runner)
    plans = []
    for wish in hive.projects.wishes(folder, found, names, profile):
        request = hive.as_locked(wish, base)
        plans.append((request, hive.plan(request, tell)))
    strangers = hive.projects.strangers(found) if exact else []
    if dry_run:
        for name in strangers:
            tell(f"{name}: not in the lock, would be removed")
    facts: dict[str, Any] = {"removed": strangers} if exact else {}
    carry_out(hive, plans, no_wait, dry_run, quiet, as_json, facts)
    if dry_run:
        return
    if strangers:
        for package in hive.remove(strangers):
            tell(f"removed {package.name} {package.version}: not in the lock")
    if not no_wait and profile is None:
        for note in Hive.open().projects.compare(found, {step.recipe.name for _, plan in plans for step in plan.steps}):
            say(f"note: {note}")


def _lock_for(projects: Projects, path: Path, locked: bool, frozen: bool, dry_run: bool) -> Lock:
    """The lock to sync from: as it is, checked, or brought up to date."""
    if frozen:
        return projects.read(path)
    if locked:
        return projects.check(path.parent, path)
    if dry_run:
        return projects.pin(path.parent, projects.read(path, missing_ok=True))
    return projects.lock(path.parent, path)
