"""init, doctor, config."""

from __future__ import annotations

import os

import click

from hive.cli.options import complete_model, json_option, print_json


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_model)
@click.option("--base-image", metavar="IMAGE", help="Build on this image instead of the public one of this Python.")
@click.option("--rebuild", is_flag=True, help="Build the image anew, with the libraries of today.")
@json_option
def init(names: tuple[str, ...], base_image: str | None, rebuild: bool, as_json: bool) -> None:
    """Make ready to build: the image that containers run in; without Docker, check the embedded sandbox.

    Models that are named get the layer of their own requirements too. Nothing needs this: install does it by itself.
    """
    from dataclasses import asdict

    from hive.console import isolation_table, say, short, size
    from hive.errors import RequestError
    from hive.service import Hive

    hive = Hive.open(**({"base_image": base_image} if base_image else {}))
    backends = hive.backends()
    engine = next(backend for backend in backends if backend.name == "docker")
    images = [] if engine.unavailable else hive.init(list(names), rebuild, (lambda text: None) if as_json else say)
    if as_json:
        facts = [{"for": name, **asdict(image)} for name, image in images]
        print_json({"images": facts, "runners": [asdict(backend) for backend in backends]})
    else:
        if engine.unavailable:
            say(f"no image was built: {engine.unavailable}")
            say("runs use the embedded sandbox, which needs no image and no engine:")
        for name, image in images:
            say(f"{name}: {image.tag} ({short(image.id)}, Python {image.python}, {size(image.size_bytes)})")
        if images and base_image:
            say(f"to keep that base: base_image = {base_image!r} in {hive.home.root}/config.toml, or HIVE_BASE_IMAGE")
        click.echo(isolation_table((b.name, b.isolation) for b in backends if b.isolation))
    if not any(backend.isolation and backend.isolation.isolates for backend in backends):
        why = "; ".join(backend.unavailable or str(backend.isolation) for backend in backends)
        raise RequestError("nothing isolates a run here", why, "apt install bubblewrap, or Docker")


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check what this machine offers: sandbox, database, disk, training libraries."""
    from dataclasses import asdict

    from hive.console import isolation_table, table
    from hive.errors import RequestError
    from hive.service import Hive

    hive = Hive.open()
    checks = hive.examine()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        marks = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
        click.echo(table(("CHECK", "", "FOUND"), [(c.name, marks[c.status], c.found) for c in checks]))
        click.echo()
        backends = hive.backends()
        click.echo(isolation_table((b.name, b.isolation) for b in backends if b.isolation))
        refused = [(b.name, level, why) for b in backends for level, why in b.refusals.items()]
        if refused:
            click.echo()
            click.echo(table(("RUNNER", "BETTER LEVEL", "NOT HERE, BECAUSE"), refused))
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
