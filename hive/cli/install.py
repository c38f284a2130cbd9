"""install, and what carries a plan out for others: tell it, queue it, follow its builds to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hive.cli.options import complete_model, json_option, key_values, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hive.model import Job, Plan, Step
    from hive.planning import InstallRequest
    from hive.service import Hive


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
    from hive.cli.following import follow
    from hive.cli.packages import package_json
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


def _tell_end(hive: Hive, job: Job, tell: Any) -> None:
    """Report a finished job; raises the error that its failure stands for."""
    from hive.cli.following import unsuccessful
    from hive.console import duration, metrics_table, short, size

    if job.state != "succeeded":
        if job.failure and job.failure.kind == "gate_refused":
            tell(metrics_table(hive.metrics_of(job)))
        active = next((package for package in hive.packages() if package.name == job.name), None)
        stays = f"; {job.name} {active.version} stays active" if active and active.version != job.version else ""
        raise unsuccessful(job, f"{job.name} {job.version} was not installed", stays)
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
        given = '"A TEXT"' if recipe.run.text else f"FILE{recipe.run.inputs[0]}"
        tell(f"  use it: hive run {package.name} {given} -o RESULT{recipe.run.output}")
        tell(f"  without a file of your own: hive run {package.name} --sample")


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
