"""upgrade, outdated, pin, unpin."""

from __future__ import annotations

import click

from hive.cli.options import complete_installed, json_option, print_json


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_installed)
@click.option("--pre", "prereleases", is_flag=True, help="Allow pre-releases.")
@click.option("--priority", type=click.Choice(["high", "medium", "low"]), default="medium", show_default=True)
@click.option("--runner", default="auto", show_default=True, help="Backend to build with.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run a foreign recipe even where nothing isolates it.")
@click.option("--no-wait", is_flag=True, help="Queue the builds and return.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what was upgraded, or the jobs with --no-wait.")
@json_option
def upgrade(
    names: tuple[str, ...],
    prereleases: bool,
    priority: str,
    runner: str,
    allow_unsandboxed: bool,
    no_wait: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring installed models to their newest version: those named, or all.

    Nothing else is touched, except what a new version needs. Each is built with the profile, seed, parameters and data
    that it was built with before. Where a build fails its gates, the old version stays active.
    """
    from hive.cli.install import carry_out, teller
    from hive.model import Plan
    from hive.plan import Choices
    from hive.planning import InstallRequest
    from hive.service import Hive

    hive = Hive.open()
    request = InstallRequest(
        names, Choices(), priority, runner, allow_unsandboxed=allow_unsandboxed, prereleases=prereleases, upgrade=True
    )
    tell = teller(quiet or as_json)
    plan, stays = hive.plan_upgrade(request, tell)
    for stay in stays:
        tell(f"{stay.name} stays at {stay.version}, though there is {stay.newest}: {stay.why}")
        if stay.hint:
            tell(f"  to change that: {stay.hint}")
    steps = tuple(step for step in plan.steps if step.action != "keep")
    if not steps:
        tell("nothing to upgrade")
    facts = {"stays": [{key: getattr(stay, key) for key in ("name", "version", "newest", "why")} for stay in stays]}
    changes = Plan(steps, plan.runner, plan.why_runner, plan.isolation, plan.as_of)
    carry_out(hive, [(request, changes)], no_wait, dry_run, quiet, as_json, facts)


@click.command()
@click.option("--pre", "prereleases", is_flag=True, help="Allow pre-releases.")
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@json_option
def outdated(prereleases: bool, quiet: bool, as_json: bool) -> None:
    """List installed models of which there is a newer version."""
    from hive.console import say, table
    from hive.service import Hive

    found = Hive.open().outdated(prereleases)
    if as_json:
        keys = ("name", "version", "newest", "source", "pinned")
        print_json([{key: getattr(each, key) for key in keys} for each in found])
    elif quiet:
        for each in found:
            click.echo(each.name)
    elif not found:
        say("everything is at its newest version")
    else:
        rows = [(e.name, e.version, e.newest, e.source, "pinned" if e.pinned else "") for e in found]
        click.echo(table(("NAME", "INSTALLED", "NEWEST", "SOURCE", ""), rows))


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_installed)
@click.option("--dry-run", is_flag=True, help="Say what would be pinned.")
@json_option
def pin(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Let upgrade leave models alone; without names, list those that it does."""
    from hive.console import say
    from hive.service import Hive

    hive = Hive.open()
    if not names:
        pinned = [package for package in hive.packages() if package.pinned]
    else:
        pinned = hive.named(list(names)) if dry_run else hive.pin(list(names))
    if as_json:
        print_json([{"name": package.name, "version": package.version} for package in pinned])
        return
    for package in pinned:
        if names:
            say(f"{'would pin' if dry_run else 'pinned'} {package.name} at {package.version}")
        else:
            click.echo(f"{package.name} {package.version}")
    if not pinned:
        say("nothing is pinned")


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_installed)
@click.option("--dry-run", is_flag=True, help="Say what would be unpinned.")
@json_option
def unpin(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Let upgrade take care of models again."""
    from hive.console import say
    from hive.service import Hive

    hive = Hive.open()
    freed = [each.name for each in hive.named(list(names)) if each.pinned] if dry_run else hive.unpin(list(names))
    if as_json:
        print_json(freed)
        return
    for name in names:
        if name in freed:
            say(f"{'would unpin' if dry_run else 'unpinned'} {name}")
        else:
            say(f"{name} is not pinned")
