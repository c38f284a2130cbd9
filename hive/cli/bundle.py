"""export, import: models in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_stored, json_option, print_json

if TYPE_CHECKING:
    from hive.console import BuildDisplay
    from hive.importing import Arrival
    from hive.model import Artifact

SHOWN_FROM_BYTES = 64 << 20
SHOWN_EVERY_S = 0.1


@click.command()
@click.argument("name", metavar="NAME[@VERSION]", shell_complete=complete_stored)
@click.option("-o", "--output", metavar="FILE", help="File to write (default: NAME-VERSION.tar, in this folder).")
@json_option
def export(name: str, output: str | None, as_json: bool) -> None:
    """Write an installed model, with the models it was built on, to one file: for a machine without a network."""
    from hive.console import BuildDisplay, say, short, size
    from hive.service import Hive

    with BuildDisplay(as_json, name) as display:
        done = Hive.open().export(name, output, _Bar(display, "export"))
    if as_json:
        packages = [_artifact_json(artifact) for artifact in done.artifacts]
        print_json({"bundle": str(done.path), "size_bytes": done.size_bytes, "packages": packages})
        return
    for artifact in done.artifacts:
        say(f"{artifact.name} {artifact.version} ({short(artifact.digest)}, {size(artifact.size_bytes)})")
    say(f"wrote {done.path} ({size(done.size_bytes)})")
    say(f"  there: hive import {done.path.name}")


@click.command(name="import")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Prove the file, say what would be installed, and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@json_option
def import_(bundle: Path, dry_run: bool, quiet: bool, as_json: bool) -> None:
    """Install the models of a file that hive export wrote.

    Every file is proven by its digest, which shows that the bundle is whole, not who made it: a model runs in the
    sandbox, as one that was built here does.
    """
    from hive.console import BuildDisplay, say
    from hive.service import Hive

    with BuildDisplay(as_json or quiet, bundle.name) as display:
        arrivals = Hive.open().import_bundle(bundle, dry_run, _Bar(display, "import"))
    if as_json:
        packages = [_arrival_json(arrival) for arrival in arrivals]
        print_json({"bundle": str(bundle), "dry_run": dry_run, "packages": packages})
        return
    for arrival in arrivals:
        if quiet:
            click.echo(arrival.artifact.name)
        else:
            say(_words(arrival, dry_run))


class _Bar:
    """Shows how far a large copy is, in MiB, where there is a terminal."""

    def __init__(self, display: BuildDisplay, phase: str) -> None:
        self.display = display
        self.phase = phase
        self.next_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        if not self.display.live or total < SHOWN_FROM_BYTES or (now := time.time()) < self.next_at:
            return
        from hive_runner.contract import RunEvent

        self.next_at = now + SHOWN_EVERY_S
        self.display.event(RunEvent("progress", now, f"{self.phase}, MiB", done >> 20, total >> 20))


def _words(arrival: Arrival, dry_run: bool) -> str:
    from hive.console import short, size

    artifact, before = arrival.artifact, arrival.before
    name = f"{artifact.name} {artifact.version} ({short(artifact.digest)}, {size(artifact.size_bytes)})"
    instead = f"{before.version} ({short(before.artifact)})" if before else ""
    would = "would be " if dry_run else ""
    words = {
        "install": f"{name} {would}installed",
        "replace": f"{name} {would}installed in place of {instead}",
        "keep": f"{name} is installed already",
        "store": f"{name} {would}stored" + (f"; installed stays {instead}" if before else ""),
    }[arrival.action]
    if arrival.why:
        words += f"\n  not active: {arrival.why}; use it as {artifact.name}@{artifact.version}"
    return words if artifact.real else f"{words}\n  WARNING: profile {artifact.build.profile} is NO REAL MODEL"


def _artifact_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "version": artifact.version,
        "artifact": artifact.digest,
        "size_bytes": artifact.size_bytes,
    }


def _arrival_json(arrival: Arrival) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "action": arrival.action,
        **_artifact_json(arrival.artifact),
        "automatic": arrival.automatic,
        "before": asdict(arrival.before) if arrival.before else None,
        "why": arrival.why,
    }
