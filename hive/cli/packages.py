"""install, remove, autoremove, list, search, info, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_installed, complete_model, complete_stored, json_option, key_values, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hive.model import Job, Package, Plan, Step
    from hive.planning import InstallRequest
    from hive.service import Details, Hive


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--profile", help="How much to train: smoke, standard (default), ...")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the recipe (repeatable).")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Another random seed (default 0).")
@click.option("--data", metavar="FOLDER", help="Train on labelled data of your own.")
@click.option("--priority", type=click.Choice(["high", "medium", "low"]), default="medium", show_default=True)
@click.option("--runner", default="auto", show_default=True, help="Backend to build with.")
@click.option("--memory", metavar="SIZE", help="Memory limit of the build, such as 6GiB.")
@click.option("--time-limit", metavar="TIME", help="Time limit of the build, such as 90min.")
@click.option("--rebuild", is_flag=True, help="Build even what is installed or stored already.")
@click.option("--from-scratch", is_flag=True, help="Begin at the first step, whatever an earlier try has saved.")
@click.option("--pre", "prereleases", is_flag=True, help="Allow pre-releases.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run a foreign recipe even where nothing isolates it.")
@click.option("--offline", is_flag=True, help="Fetch nothing: neither libraries nor data.")
@click.option("--no-wait", is_flag=True, help="Queue the build and return.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what was installed, or the jobs with --no-wait.")
@json_option
def install(
    names: tuple[str, ...],
    profile: str | None,
    params: tuple[str, ...],
    seed: int | None,
    data: str | None,
    priority: str,
    runner: str,
    memory: str | None,
    time_limit: str | None,
    rebuild: bool,
    from_scratch: bool,
    prereleases: bool,
    allow_unsandboxed: bool,
    offline: bool,
    no_wait: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train and install models: NAME, NAME@1.2 or 'NAME>=1.1,<2'.

    What is installed already is left alone, what was built before is reused. Ctrl-C detaches; the build goes on.
    """
    from hive.config import parse_bytes, parse_duration_s
    from hive.plan import Choices
    from hive.planning import InstallRequest
    from hive.service import Hive

    try:
        memory_bytes = parse_bytes(memory) if memory else None
        wall_s = parse_duration_s(time_limit) if time_limit else None
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    pinned = None
    if data:
        from hive.data import pin

        pinned = pin(data)
    hive = Hive.open(offline=True) if offline else Hive.open()
    choices = Choices(profile, key_values(params, "--param"), seed, pinned, rebuild)
    request = InstallRequest(
        names, choices, priority, runner, memory_bytes, wall_s, allow_unsandboxed, from_scratch, prereleases,
        fetch=not dry_run,
    )  # fmt: skip
    tell = teller(quiet or as_json)
    carry_out(hive, [(request, hive.plan(request, tell))], no_wait, dry_run, quiet, as_json)


def teller(quiet: bool) -> Callable[[str], None]:
    """Where what people may want to know goes: to stderr, or nowhere."""
    from hive.console import say

    return (lambda text: None) if quiet else say


def carry_out(
    hive: Hive,
    plans: Sequence[tuple[InstallRequest, Plan]],
    no_wait: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    facts: dict[str, Any] | None = None,
) -> None:
    """Tell plans, carry them out and follow their builds to the end. facts: more for the JSON document.

    Raises the HiveError of the first build that failed, after the last one has ended.
    """
    from hive.console import render_error, say
    from hive.errors import HiveError

    tell = teller(quiet or as_json)
    steps = list({step.recipe.name: step for _, plan in plans for step in plan.steps}.values())
    for step in steps:
        _tell_step(step, tell)
    building = next((plan for _, plan in plans if plan.builds), None)
    if building:
        _tell_runner(building, tell)
    runner = _runner_json(building) if building else None
    document = {**(facts or {}), "plan": [_step_json(step) for step in steps], "runner": runner}
    if dry_run:
        done_in_s = hive.done_in_s([step for step in steps if step.action == "build"])
        if as_json:
            print_json({**document, "done_in_s": done_in_s, "dry_run": True})
        elif building:
            tell(_empty_in(hive, done_in_s))
        return
    jobs = list({job.id: job for request, plan in plans for job in hive.install(request, plan).jobs}.values())
    finished: list[Job] = []
    if jobs and no_wait:
        for job in jobs:
            tell(f"{job.name}: job {job.id}, {job.state}. Follow it: hive logs -f {job.id}")
    elif jobs:
        failures: list[HiveError] = []
        for job in jobs:
            finished.append(follow(hive, job, quiet or as_json))
            try:
                _tell_end(hive, finished[-1], tell)
            except HiveError as error:  # the others go on building, and are followed too
                failures.append(error)
        for later in failures[1:]:
            say(render_error(later))
        if failures:
            raise failures[0]
        changed = {job.name for job in finished}
        for name, bases in sorted(hive.outlived().items()):
            if changed & set(bases):
                tell(f"{name} was built on the {', '.join(bases)} before. To build it anew:")
                tell(f"  hive install --rebuild {name}")
    if as_json:
        names = {step.recipe.name for step in steps}
        print_json(
            {
                **document,
                "jobs": [_job_facts(job) for job in finished or jobs],
                "packages": [package_json(p) for p in hive.packages() if p.name in names],
            }
        )
    elif quiet:
        waiting = {job.name: job.id for job in jobs} if no_wait else {}
        for step in steps:
            click.echo(waiting.get(step.recipe.name, step.recipe.name))


def _tell_step(step: Step, tell: Any) -> None:
    from hive.console import duration, short, size

    name = (
        f"{step.recipe.name} {step.replaces} -> {step.recipe.version}"
        if step.replaces
        else f"{step.recipe.name} {step.recipe.version}"
    )
    if step.action == "keep":
        tell(f"{name} is already installed ({step.build.profile}, {short(step.artifact)})")
        if step.note:
            tell(f"  note: {step.note}")
        return
    if step.action == "reuse":
        tell(f"{name}: built before with the same key, reused ({short(step.artifact)})")
        if step.note:
            tell(f"  note: {step.note}")
        return
    profile = step.recipe.profiles[step.build.profile]
    expected = f"about {duration(step.expected_s)}, " if step.expected_s else ""
    limits = step.limits
    tell(
        f"{name}: to be built ({profile.name}, {expected}{limits.cpus} CPUs, {size(limits.memory_bytes)} memory, "
        f"at most {duration(limits.wall_s)}, seed {step.build.seed})"
    )
    if step.note:
        tell(f"  note: {step.note}")
    if not profile.real:
        tell(f"  WARNING: profile {profile.name} only shows that everything works. The result is NO REAL MODEL.")


def _empty_in(hive: Hive, done_in_s: float | None) -> str:
    from hive.console import duration

    now = hive.queue_status()
    ahead = len(now.running) + len(now.waiting)
    before = f", with the {ahead} job{'s' * (ahead != 1)} that it holds" if ahead else ""
    if now.control.lifted_by:
        return f"  queue: nothing is started now (go on with: {now.control.lifted_by})"
    if done_in_s is None:
        return f"  queue: when it would be empty is not known{before}"
    return f"  queue: empty in about {duration(done_in_s)}{before}"


def _tell_runner(plan: Plan, tell: Any) -> None:
    from hive.console import isolation_table

    isolation = plan.isolation
    if isolation is None:
        return
    tell(f"  runner: {plan.runner}" + (f" ({plan.why_runner})" if plan.why_runner else ""))
    for line in isolation_table([(plan.runner, isolation)]).splitlines():
        tell(f"  {line}")
    if isolation.note:
        tell(f"  note: {isolation.note}")


def follow(hive: Hive, job: Job, quiet: bool) -> Job:
    """Watch a job to its end. An interrupt detaches from it and leaves it running."""
    import shlex
    import sys

    from hive.console import BuildDisplay, say

    with BuildDisplay(quiet, job.name) as display:
        display.state(job)
        try:
            for update in hive.watch(job.id):
                known, job = job, update.job
                if update.event is not None:
                    display.event(update.event)
                elif update.waits_for:
                    display.waits(update.waits_for)
                elif (job.state, job.attempt) != (known.state, known.attempt):
                    display.state(job)
        except KeyboardInterrupt:
            display.close(finished=False)
            say(f"\ndetached: the build of {job.name} (job {job.id}) goes on")
            say(f"  follow it: hive {shlex.join(sys.argv[1:])}   or   hive logs -f {job.id}")
            say(f"  cancel it: hive queue cancel {job.id}")
            raise
    return job


def _tell_end(hive: Hive, job: Job, tell: Any) -> None:
    """Report a finished job; raises the error that its failure stands for."""
    from hive.console import duration, metrics_table, short, size
    from hive.errors import BuildFailed, for_failure

    if job.state != "succeeded":
        failure = job.failure
        if failure is None:
            raise BuildFailed(f"{job.name} was not built", f"job {job.id} is {job.state}")
        if failure.kind == "gate_refused":
            tell(metrics_table(hive.metrics_of(job)))
        hint = failure.hint or f"hive logs {job.id}; hive queue show {job.id}"
        active = next((package for package in hive.packages() if package.name == job.name), None)
        stays = f"; {job.name} {active.version} stays active" if active and active.version != job.version else ""
        message = f"{job.name} {job.version} was not installed: {failure.message}{stays}"
        raise for_failure(failure.kind)(message, failure.why, hint)
    details = hive.details(job.name)
    package, artifact = details.package, details.artifact
    if package is None or artifact is None:
        return
    if package.version != job.version:
        tell(f"{job.name} {job.version} is built and in the store; {package.version} stays active for what needs it")
        return
    took = duration((job.finished_at or 0) - (job.started_at or 0))
    if artifact.metrics:
        tell(metrics_table(artifact.metrics))
    for gate in job.work.gates:
        tell(f"  gate passed: {gate}")
    name = f"{package.name} {package.version}"
    tell(f"installed {name} ({short(package.artifact)}, {size(package.size_bytes)}, took {took})")
    if not package.real:
        tell(f"  WARNING: profile {package.profile} is NO REAL MODEL; for one: hive install {package.name}")
    recipe = details.recipe
    if recipe and recipe.run.inputs:
        tell(f"  use it: hive run {package.name} FILE{recipe.run.inputs[0]} -o RESULT{recipe.run.output}")
        tell(f"  without a file of your own: hive run {package.name} --sample")


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
            ("trained on", ", ".join(f"{d.path} ({short(d.digest)})" for d in build.data.values()) or "its own data"),
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


def _job_facts(job: Job) -> dict[str, Any]:
    from hive.cli.queue import job_json

    return job_json(job)


def _runner_json(plan: Plan) -> dict[str, Any] | None:
    from dataclasses import asdict

    if plan.isolation is None:
        return None
    return {"name": plan.runner, "why": plan.why_runner, "isolation": asdict(plan.isolation)}


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "action": step.action,
        "name": step.recipe.name,
        "version": step.recipe.version,
        "profile": step.build.profile,
        "build_key": step.build.key,
        "artifact": step.artifact or None,
        "expected_s": step.expected_s,
        "note": step.note,
        "replaces": step.replaces or None,
    }
