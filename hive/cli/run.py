"""run: use an installed model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from hive.cli.options import complete_stored, json_option, print_json

if TYPE_CHECKING:
    from hive.inference import RunOutcome


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", shell_complete=complete_stored)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="INPUT... [--OPTION VALUE]...")
@click.option("-o", "--output", help="File to write (default: named after the input, in this folder).")
@click.option("--sample", is_flag=True, help="No input of your own: let the recipe make one, and use it.")
@click.option("--runner", default="auto", show_default=True, help="Backend to run with; auto: as the model was built.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run a foreign recipe's model even where nothing isolates it.")
@json_option
def run(
    name: str,
    arguments: tuple[str, ...],
    output: str | None,
    sample: bool,
    runner: str,
    allow_unsandboxed: bool,
    as_json: bool,
) -> None:
    """Run an installed model on files, or on a text if it reads such, in the sandbox.

    The model's own options (hive info NAME lists them) are given as --OPTION VALUE.
    """
    from hive.console import BuildDisplay, say
    from hive.service import Hive

    hive = Hive.open()
    has_options = any(word.startswith("--") for word in arguments)
    inputs, options = split_arguments(arguments, hive.run_flags(name) if has_options else set())
    if not inputs and not sample:
        raise click.UsageError(f"hive run {name} wants an input (or --sample, to let the recipe make one)")
    if inputs and sample:
        raise click.UsageError("--sample makes an input; leave out yours")
    with BuildDisplay(as_json, name) as display:
        use = partial(
            hive.run, on_event=display.event, say=say, wanted_runner=runner, allow_unsandboxed=allow_unsandboxed
        )
        if sample:
            made = use(name, [], None, {}, sample=True)
            if not as_json:
                say(f"made a sample input: {made.output}")
            inputs = [str(made.output)]
        outcome = use(name, inputs, output, options)
    if as_json:
        print_json(outcome_json(outcome))
        return
    _print_outcome(outcome)


def split_arguments(arguments: tuple[str, ...], flags: set[str]) -> tuple[list[str], dict[str, str]]:
    """Inputs, and the options of the recipe: --name value, --name=value, or --name alone for true, as flags are."""
    inputs: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            if word.startswith("-") and len(word) > 1:
                raise click.UsageError(f"there is no option {word}")
            inputs.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        if not equals:
            is_flag = option.replace("-", "_") in flags or not rest or rest[0].startswith("--")
            value = "true" if is_flag else rest.pop(0)
        options[option] = value
    return inputs, options


def outcome_json(outcome: RunOutcome) -> dict[str, object]:
    return {
        "name": outcome.package.name,
        "version": outcome.package.version,
        "artifact": outcome.package.artifact,
        "inputs": list(outcome.inputs),
        "output": str(outcome.output),
        "beside": [str(path) for path in outcome.beside],
        "summary": outcome.summary,
        "runner": outcome.runner,
        "isolation": outcome.isolation,
        "wall_s": outcome.wall_s,
        "cpu_s": outcome.cpu_s,
        "peak_memory_bytes": outcome.peak_memory_bytes,
    }


def _print_outcome(outcome: RunOutcome) -> None:
    from hive.console import duration, figure, plain, say, size

    if not outcome.package.real:
        say(f"WARNING: profile {outcome.package.profile} is NO REAL MODEL; do not use what it says")
    for warning in outcome.summary.get("warnings", []):
        say(f"warning: {plain(str(warning))}")
    for key, value in outcome.summary.items():
        if key == "warnings":
            continue
        label = plain(key.replace("_", " "))
        if isinstance(value, dict):
            click.echo(f"{label}:")
            for name, each in value.items():
                click.echo(f"  {plain(str(name)):24} {_words(each)}")
        else:
            click.echo(f"{label}: {_words(value) if not isinstance(value, float) else figure(value)}")
    cost = f"{duration(outcome.wall_s)}, {size(outcome.peak_memory_bytes)} memory"
    level = outcome.isolation.partition(" ")[0]
    more = "".join(f", {path.name}" for path in outcome.beside)
    say(f"wrote {outcome.output}{more} ({cost}; {outcome.runner}, {level})")


def _words(value: object) -> str:
    from hive.console import plain

    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_words(each) for each in value)
    return plain(str(value))
