"""remove, autoremove, list, search, info, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_installed, complete_model, complete_stored, json_option, print_json

if TYPE_CHECKING:
    from hive.model import Package
    from hive.service import Details


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_installed)
@click.option("--cascade", is_flag=True, help="Remove also what needs them.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Never ask (it does not; accepted for scripts).")
@json_option
def remove(names: tuple[str, ...], cascade: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove installed models. Their artifacts stay in the store: installing again is instant."""
    from hive.console import say
    from hive.service import Hive

    hive = Hive.open()
    removed = (hive.removable if dry_run else hive.remove)(list(names), cascade)
    _tell_removed(removed, dry_run, as_json)
    if not as_json and (orphans := hive.orphans({package.name for package in removed})):
        say(f"no longer needed: {', '.join(package.name for package in orphans)} (hive autoremove)")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Never ask (it does not; accepted for scripts).")
@json_option
def autoremove(dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove models that were installed because others needed them, and that none needs any more."""
    from hive.service import Hive

    hive = Hive.open()
    _tell_removed(hive.orphans() if dry_run else hive.autoremove(), dry_run, as_json)


def _tell_removed(packages: list[Package], dry_run: bool, as_json: bool) -> None:
    from hive.console import say

    if as_json:
        print_json({"removed": [package_json(package) for package in packages], "dry_run": dry_run})
        return
    for package in packages:
        say(f"{'would remove' if dry_run else 'removed'} {package.name} {package.version}")
    if not packages:
        say("nothing to remove")


@click.command(name="list")
@click.option("-a", "--all", "show_all", is_flag=True, help="Also versions that are in the store and not active.")
@click.option("-q", "--quiet", is_flag=True, help="Names only (with --all: NAME@VERSION).")
@json_option
def list_(show_all: bool, quiet: bool, as_json: bool) -> None:
    """List installed models."""
    from hive.console import ago, say, short, size, table
    from hive.service import Hive

    hive = Hive.open()
    packages = hive.packages()
    if show_all:
        packages = sorted([*packages, *hive.inactive()], key=lambda p: p.name)
    if as_json:
        print_json([package_json(package) for package in packages])
    elif quiet:
        for package in packages:
            click.echo(f"{package.name}@{package.version}" if show_all else package.name)
    elif not packages:
        say("nothing is installed; hive search lists what there is")
    else:
        rows = [
            (p.name, p.version, p.profile if p.real else f"{p.profile} (no real model)", size(p.size_bytes),
             short(p.artifact), ago(p.installed_at), "" if p.active else "not active", "pinned" if p.pinned else "")
            for p in packages
        ]  # fmt: skip
        click.echo(table(("NAME", "VERSION", "PROFILE", "SIZE", "ARTIFACT", "INSTALLED", "", ""), rows))


@click.command()
@click.argument("words", nargs=-1)
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@json_option
def search(words: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Search the recipes of all sources."""
    from hive.console import table
    from hive.errors import RequestError
    from hive.service import Hive
    from hive.suggest import did_you_mean

    hive = Hive.open()
    hits = hive.search(" ".join(words))
    have = {package.name for package in hive.packages()}
    if as_json:
        keys = ("name", "version", "summary", "licence", "task", "keywords", "source")
        print_json(
            [
                {key: getattr(hit.recipe, key) for key in keys}
                | {"versions": hit.versions, "shadowed_by": hit.shadowed_by or None}
                | {"installed": hit.recipe.name in have}
                for hit in hits
            ]
        )
        return
    if not hits:
        raise RequestError(f"nothing matches {' '.join(words)!r}", *did_you_mean(" ".join(words), hive.known_names()))
    if quiet:
        for hit in hits:
            if not hit.shadowed_by:
                click.echo(hit.recipe.name)
        return
    rows = []
    for hit in hits:
        recipe = hit.recipe
        state = f"shadowed by {hit.shadowed_by}" if hit.shadowed_by else "installed" if recipe.name in have else ""
        rows.append((recipe.name, recipe.version, recipe.source, state, recipe.summary))
    click.echo(table(("NAME", "VERSION", "SOURCE", "", "SUMMARY"), rows))


@click.command()
@click.argument("name", metavar="NAME[@VERSION]", shell_complete=complete_model)
@click.option("--card", is_flag=True, help="Print the model card.")
@click.option("--provenance", is_flag=True, help="Print how it was built: an in-toto statement with SLSA provenance.")
@click.option("--bom", is_flag=True, help="Print what it consists of: a CycloneDX bill of materials.")
@json_option
def info(name: str, card: bool, provenance: bool, bom: bool, as_json: bool) -> None:
    """Show everything about a model, or one version of it (NAME@1.1): figures, what it was built from."""
    from dataclasses import asdict

    from hive.service import Hive

    if card + provenance + bom > 1:
        raise click.UsageError("--card, --provenance and --bom are asked for one at a time")
    hive = Hive.open()
    if provenance or bom:
        print_json(hive.document(name, "provenance" if provenance else "bom"))
        return
    if card:
        click.echo(hive.card(name))
        return
    details = hive.details(name)
    recipe, package, artifact = details.recipe, details.package, details.artifact
    if as_json:
        facts: dict[str, Any] = {"name": details.name, "recipe": None, "installed": None}
        facts["versions"] = list(details.versions)
        facts["inactive"] = [package_json(each) for each in details.inactive]
        if recipe:
            facts["recipe"] = {
                **{k: v for k, v in asdict(recipe).items() if k != "path"},
                "path": str(recipe.path),
            }
        if package and artifact:
            facts["installed"] = {
                **package_json(package),
                "artifact": asdict(artifact),
                "path": str(details.folder),
                "figures": [str(path) for path in details.figures],
                "class_here": hive.class_here(artifact),
            }
        print_json(facts)
    else:
        _print_info(details, hive.class_here(artifact) if artifact else "")


def _print_info(details: Details, class_here: str) -> None:
    from hive.console import ago, duration, isolation_table, metrics_table, plain, short, size
    from hive.model import UNKNOWN, Isolation

    recipe, package, artifact = details.recipe, details.package, details.artifact
    is_ours = artifact is not None and artifact.isolation != UNKNOWN
    rows: list[tuple[str, str]] = [("name", details.name)]
    if recipe:
        here = f"{'installed' if package.active else 'in the store'}: {package.version}" if package else "not installed"
        rows += [
            ("summary", recipe.summary),
            ("version", f"{recipe.version} ({here})"),
            ("licence", recipe.licence),
            ("source", f"{recipe.source}: {recipe.path}"),
            ("profiles", ", ".join(p.name + ("" if p.real else " (no real model)") for p in recipe.profiles.values())),
            ("requires", ", ".join(recipe.requirements) or "nothing"),
            ("needs", ", ".join(recipe.depends) or "no other model"),
            ("limits", f"{recipe.limits.cpus} CPUs, {size(recipe.limits.memory_bytes)} memory, "
                       f"{size(recipe.limits.disk_bytes)} disk, {duration(recipe.limits.wall_s)}"),
        ]  # fmt: skip
        for each in recipe.data:
            rows.append(("data", f"{each.file} ({size(each.size_bytes)}, {each.licence}): {each.help}"))
        for option in recipe.run.options:
            rows.append(("run option", f"--{option.name.replace('_', '-')} (default {option.default}): {option.help}"))
        for param in recipe.params:
            rows.append(("param", f"{param.name} (default {param.default}): {param.help}"))
    if len(details.versions) > 1:
        rows.append(("versions", ", ".join(details.versions)))
    if details.inactive:
        rows.append(("in the store", ", ".join(f"{each.version} (not active)" for each in details.inactive)))
    if package and package.pinned:
        rows.append(("pinned", f"at {package.version}: upgrade leaves it alone"))
    if package and artifact:
        build = artifact.build
        same_on = artifact.determinism or "not known: it was imported, or the database lost"
        sources = [f"{each.path} ({short(each.digest)})" for each in build.data.values()]
        sources += [f"{name} (build {short(key)})" for name, key in build.dependencies.items()]
        if artifact.determinism != class_here:
            same_on += f" (this machine: {class_here})"
        rows += [
            (
                "installed" if package.active else "built",
                f"{ago(package.installed_at)}, {package.profile}{'' if package.real else ': NO REAL MODEL'}",
            ),
            ("artifact", f"{artifact.digest} ({size(artifact.size_bytes)})"),
            ("path", str(details.folder)),
            *(("figure", plain(str(path))) for path in details.figures),
            ("build key", artifact.build_key),
            ("recipe", short(build.recipe_digest)),
            ("seed", f"{build.seed}, {build.threads} math thread(s), {build.device}"),
            ("params", ", ".join(f"{key}={value}" for key, value in build.params.items()) or "none"),
            ("trained on", ", ".join(sources) or "its own data"),
            ("environment", ", ".join(artifact.pins) or "Python alone"),
            ("same bytes on", same_on),
            *(("built on", f"another build of {base} than is installed") for base in details.outlived),
            ("built in", duration(artifact.wall_s) if is_ours else "unknown: it was imported, or the database lost"),
        ]  # fmt: skip
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        click.echo(f"{label.ljust(width)}  {value}")
    if artifact and is_ours:
        click.echo()
        backend, _, level = artifact.isolation.partition(": ")
        click.echo(isolation_table([(backend, Isolation.parse(level))]))
    if artifact and artifact.metrics:
        click.echo()
        click.echo(metrics_table(artifact.metrics))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME[@VERSION]]...", shell_complete=complete_stored)
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Hash the files of installed models again and name each one that is damaged."""
    from hive.console import say
    from hive.errors import DamageFound
    from hive.service import Hive

    checked = list(Hive.open().verify(list(names)))
    damaged = [(package, damage) for package, found in checked for damage in found]
    if as_json:
        print_json(
            [{"name": p.name, "artifact": p.artifact, "damaged": [vars(d) for d in found]} for p, found in checked]
        )
    else:
        for package, found in checked:
            say(f"{package.name} {package.version}: {'ok' if not found else f'{len(found)} damaged'}")
        for package, damage in damaged:
            click.echo(f"{package.name}: {damage.file}: {damage.reason}")
    if damaged:
        broken = sorted({p.name if p.active else f"{p.name}@{p.version}" for p, _ in damaged})
        raise DamageFound(f"{len(damaged)} damaged files", f"in {', '.join(broken)}", f"hive repair {' '.join(broken)}")


def package_json(package: Package) -> dict[str, Any]:
    """The stable keys of a package."""
    from dataclasses import asdict

    return asdict(package)
