"""history, rollback, gc, du; repair and rebuild: what was installed when, what it takes, whether it is still itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_installed, complete_stored, json_option, print_json

if TYPE_CHECKING:
    from hive.model import Generation, Job
    from hive.service import Hive


@click.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.option("-q", "--quiet", is_flag=True, help="Numbers only.")
@json_option
def history(limit: int, quiet: bool, as_json: bool) -> None:
    """List the generations: what was installed after each change, the newest first."""
    from hive.console import ago, say, table
    from hive.service import Hive

    found = Hive.open().upkeep.history()
    shown = found[::-1][:limit]
    if as_json:
        print_json([_generation_json(each) for each in shown])
    elif quiet:
        for each in shown:
            click.echo(each.id)
    elif not found:
        say("nothing was ever installed")
    else:
        rows = [
            (f"{each.id}{' *' if each is found[-1] else ''}", ago(each.at), each.reason,
             ", ".join(each.changes) or "no change", str(len(each.packages)))
            for each in shown
        ]  # fmt: skip
        click.echo(table(("GENERATION", "MADE", "BY", "CHANGES", "PACKAGES"), rows))
        if len(found) > len(shown):
            say(f"{len(found) - len(shown)} older ones: hive history -n {len(found)}")


@click.command()
@click.option("--to", type=int, metavar="N", help="Go back to generation N (default: the one before).")
@click.option("--dry-run", is_flag=True, help="Say what would change.")
@json_option
def rollback(to: int | None, dry_run: bool, as_json: bool) -> None:
    """Install exactly what an earlier generation held. Nothing is built; `hive history` lists the generations."""
    from hive.console import say
    from hive.service import Hive

    upkeep = Hive.open().upkeep
    target, changes = upkeep.preview(to)
    made = None if dry_run else upkeep.roll_back(target)
    if as_json:
        print_json({"to": target, "generation": made, "dry_run": dry_run, "changes": changes})
        return
    for change in changes:
        click.echo(change)
    if not changes:
        say("no change: the same is installed")
    say(f"would go back to generation {target}" if dry_run else f"went back to generation {target} (now {made})")


@click.command()
@click.option("--older-than", metavar="TIME", help="Forget generations replaced longer ago first, such as 30d; 0: all.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@json_option
def gc(older_than: str | None, dry_run: bool, as_json: bool) -> None:
    """Free what no generation needs: artifacts in the store that nothing on record holds.

    Without --older-than every generation stays, and one can still go back to each.
    """
    from hive.config import parse_age_s
    from hive.console import say, short, size, table
    from hive.service import Hive

    try:
        older_than_s = None if older_than is None else parse_age_s(older_than)
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from error
    done = Hive.open().upkeep.collect(older_than_s, dry_run)
    garbage = done.garbage
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "freed_bytes": done.freed_bytes,
                "generations": list(garbage.generations),
                "artifacts": [{"name": a.name, "version": a.version, "digest": a.digest} for a in garbage.artifacts],
                "strays": list(garbage.strays),
                "data": list(done.data),
            }
        )
        return
    rows = [(a.name, a.version, short(a.digest), size(a.size_bytes)) for a in garbage.artifacts]
    rows += [("on no record", "", short(digest), "") for digest in garbage.strays]
    rows += [("data package", "", name, "") for name in done.data]
    if rows:
        click.echo(table(("NAME", "VERSION", "ARTIFACT", "SIZE"), rows))
    if count := len(garbage.generations):
        say(f"{'would forget' if dry_run else 'forgot'} {count} generation{'s' * (count != 1)}")
    say(f"{'would free' if dry_run else 'freed'} {size(done.freed_bytes)}" if rows else "nothing to collect")


@click.command()
@json_option
def du(as_json: bool) -> None:
    """What each artifact and each part of HIVE_HOME takes on disk, and what gc and clean would free."""
    from hive.console import short, size, table
    from hive.service import Hive

    hive = Hive.open()
    use = hive.upkeep.disk_use()
    cleanable = sum(each.size_bytes for each in hive.clean(0.0, dry_run=True))
    models = sum(each.disk_bytes for each in use.holdings)
    if as_json:
        print_json(
            {
                "artifacts": [
                    {
                        "name": each.artifact.name,
                        "version": each.artifact.version,
                        "digest": each.artifact.digest,
                        "disk_bytes": each.disk_bytes,
                        "installed": each.is_installed,
                        "generations": list(each.generations),
                    }
                    for each in use.holdings
                ],
                "parts": {"artifacts": models, **use.parts},
                "total_bytes": models + sum(use.parts.values()),
                "free_bytes": use.free_bytes,
                "gc_would_free_bytes": use.collectable_bytes,
                "clean_would_free_bytes": cleanable,
            }
        )
        return
    if use.holdings:
        rows = [
            (h.artifact.name, h.artifact.version, short(h.artifact.digest), size(h.disk_bytes), _held(h))
            for h in sorted(use.holdings, key=lambda h: -h.disk_bytes)
        ]
        click.echo(table(("NAME", "VERSION", "ARTIFACT", "SIZE", "NEEDED BY"), rows) + "\n")
    totals = [("artifacts", size(models)), *((what, size(n)) for what, n in use.parts.items())]
    totals += [("together", size(models + sum(use.parts.values()))), ("free on this disk", size(use.free_bytes))]
    totals += [("hive gc would free", size(use.collectable_bytes))]
    totals += [("hive clean --older-than 0 would free", size(cleanable))]
    width = max(len(label) for label, _ in totals)
    for label, value in totals:
        click.echo(f"{label.ljust(width)}  {value:>9}")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME[@VERSION]]...", shell_complete=complete_stored)
@click.option("--no-build", is_flag=True, help="Only from copies: build nothing anew.")
@json_option
def repair(names: tuple[str, ...], no_build: bool, as_json: bool) -> None:
    """Make damaged models whole: from copies of their files, else by building them again to the same bytes."""
    from hive.console import say
    from hive.errors import DamageFound, NotReproducible
    from hive.service import Hive

    hive = Hive.open()
    told, beyond, passive, other = [], [], [], []
    for found in hive.repair(list(names)):
        package, how = found.package, "restored from copies"
        if found.lacking and no_build:
            how = f"not repaired: there is no copy of {', '.join(found.lacking)}"
            beyond.append(package.name)
        elif found.lacking and not package.active:  # to build it would make it the active version
            how = f"not repaired: there is no copy of {', '.join(found.lacking)}, and it is not active"
            passive.append(f"{package.name}@{package.version}")
        elif found.lacking:
            say(f"{package.name}: there is no copy of {', '.join(found.lacking)}; building it again")
            job = _built(hive, hive.rebuild(package.name, check=False, say=say), as_json)
            how = "built again, to the same bytes"
            if job.artifact != package.artifact:
                how = "built again, but not to the same bytes; the new one is installed"
                other.append(package.name)
        told.append({"name": package.name, "damaged": [vars(d) for d in found.damage], "outcome": how})
        say(f"{package.name} {package.version}: {how}")
    if as_json:
        print_json(told)
    elif not told:
        say("nothing is damaged")
    if beyond:
        raise DamageFound(f"{', '.join(beyond)} cannot be repaired from copies", "", "hive repair, without --no-build")
    if passive:
        hint = f"hive install {' '.join(passive)} --rebuild, which makes them active"
        raise DamageFound(f"{', '.join(passive)} cannot be repaired from copies", "", hint)
    if other:
        raise NotReproducible(f"{', '.join(other)} could not be built to the same bytes", "", "see: hive info")


@click.command()
@click.argument("name", shell_complete=complete_installed)
@click.option("--check", is_flag=True, help="Compare with what is installed, bit for bit, and install nothing.")
@click.option("--runner", default="auto", show_default=True, help="Backend to build with.")
@json_option
def rebuild(name: str, check: bool, runner: str, as_json: bool) -> None:
    """Build an installed model again, from scratch, as it was: recipe, parameters, seed, libraries."""
    from hive.console import say
    from hive.errors import NotReproducible
    from hive.service import Hive

    hive = Hive.open()
    before = hive.details(name).artifact
    job = hive.rebuild(name, check, runner, say)
    assert before is not None  # what is not installed was refused
    across = _across(before.determinism, hive.class_here(before))
    if across:
        say(f"note: {across}; equal bytes are promised within one class")
    job = _built(hive, job, as_json)
    found = hive.differences(before.digest, job.artifact or "")
    if as_json:
        facts = [{**vars(each), "in_words": str(each)} for each in found]
        answer = {"name": name, "job": job.id, "artifact": job.artifact, "same": not found, "differences": facts}
        print_json({**answer, "class": before.determinism or None, "class_here": hive.class_here(before)})
    else:
        for each in found:
            click.echo(str(each))
    if found:
        where = "nothing was installed" if check else "the new one is installed; hive rollback brings back the other"
        why = f"{found[0]}; {across}" if across else str(found[0])
        raise NotReproducible(f"{name} was not built to the same bytes", why, where)
    if not as_json:
        say(f"{name} is reproducible: the same bytes, {before.digest}" + (f" ({across})" if across else ""))


def _across(made_on: str, here: str) -> str:
    """Which two classes of machines (determinism.py) a comparison is across, in words; "" within one."""
    if made_on == here:
        return ""
    return f"it was built on {made_on or 'a class of machines that is not known'}, and is compared on {here}"


def _built(hive: Hive, job: Job, quiet: bool) -> Job:
    """Follow a job to its end. Raises the error that a failure of it stands for."""
    from hive.cli.following import follow, unsuccessful

    job = follow(hive, job, quiet)
    if job.state != "succeeded":
        raise unsuccessful(job, f"{job.name} was not built again")
    return job


def _held(holding: Any) -> str:
    if holding.is_installed:
        return "installed"
    if not holding.generations:
        return "nothing"
    return f"generation {', '.join(map(str, holding.generations[:5]))}" + (", ..." if holding.generations[5:] else "")


def _generation_json(each: Generation) -> dict[str, Any]:
    return {
        "id": each.id,
        "at": each.at,
        "reason": each.reason,
        "origin": each.origin,
        "changes": list(each.changes),
        "packages": [{"name": p.name, "version": p.version, "artifact": p.artifact} for p in each.packages],
    }
