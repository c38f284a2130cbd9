"""new, recipe check: for whoever writes recipes."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hive.cli.options import json_option, print_json


@click.command()
@click.argument("name")
@click.option("--path", default=".", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@json_option
def new(name: str, path: Path, dry_run: bool, as_json: bool) -> None:
    """Write the skeleton of a recipe that works: code, test, model card, licence."""
    from hive.console import say
    from hive.service import Hive

    folder = Hive.open().new_recipe(name, path.absolute(), dry_run)
    if as_json:
        print_json({"name": name, "path": str(folder), "dry_run": dry_run})
        return
    say(f"{'would write' if dry_run else 'wrote'} {folder}")
    if not dry_run:
        place = os.path.relpath(folder)
        say(f"  check it:    hive recipe check {place}")
        say(f"  test it:     pytest {place}")
        say(f"  install it:  hive source add {name}-source {os.path.relpath(folder.parent)} && hive install {name}")


@click.group()
def recipe() -> None:
    """For whoever writes recipes."""


@recipe.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--no-build", is_flag=True, help="Read it only; do not build it twice to see whether bytes agree.")
@click.option("--runner", default="auto", show_default=True, help="Backend to build with.")
@click.option("--allow-unsandboxed", is_flag=True, help="Build it even where nothing isolates it.")
@json_option
def check(path: Path, no_build: bool, runner: str, allow_unsandboxed: bool, as_json: bool) -> None:
    """Look for mistakes in a recipe's folder, then build its smoke profile twice and compare the bytes.

    Exit code 1: it has errors; 8: two builds of it differ; that of the failure if it does not build.
    """
    from hive.cli.install import teller
    from hive.console import BuildDisplay
    from hive.errors import HiveError, NotReproducible, RequestError
    from hive.service import Hive

    hive = Hive.open()
    findings = hive.lint(path)
    errors = [finding for finding in findings if finding.level == "error"]
    tell = teller(as_json)
    difference, failure, built = None, None, False
    if not as_json:
        for finding in findings:
            click.echo(str(finding))
    if not errors and not no_build:
        try:
            with BuildDisplay(as_json, path.absolute().name) as display:
                difference = hive.build_twice(path, runner, allow_unsandboxed, display.event, tell)
            built = True
        except HiveError as error:
            failure = error
    if as_json:
        keys = ("level", "file", "line", "message", "hint")
        print_json(
            {
                "findings": [{key: getattr(finding, key) for key in keys} for finding in findings],
                "built": built,
                "difference": str(difference) if difference else None,
            }
        )
    if errors:
        raise RequestError(f"{path} has {len(errors)} error{'s' * (len(errors) != 1)}", str(errors[0]))
    if failure:
        raise failure
    if difference:
        raise NotReproducible(
            f"two builds of {path} differ", str(difference),
            "draw from run.rng or seeded generators, iterate in a fixed order, read no clock",
        )  # fmt: skip
    tell(f"{path} is fine" + (": two builds of its smoke profile are the same, byte for byte" if built else ""))
