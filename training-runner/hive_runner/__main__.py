"""`python -m hive_runner SPEC.json`: run one action of one recipe and say durably how it ended.

Exit code 0: succeeded; 1: failed; 75: stopped, may go on later; 74: the result itself could not be written.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hive_runner import determinism, recipe_module
from hive_runner.contract import JobSpec, RunFailure, RunResult
from hive_runner.errors import RunnerError, Stopped
from hive_runner.frozen import TYPE_CHECKING, asdict
from hive_runner.output import check_artifact, check_written, make_durable
from hive_runner.run import Run

if TYPE_CHECKING:
    from typing import Any, NoReturn

EXIT_CODES = {"succeeded": 0, "failed": 1, "stopped": os.EX_TEMPFAIL}

# action -> (module, function) of the recipe
ENTRY_POINTS = {"train": ("train", "train"), "predict": ("predict", "predict"), "sample": ("predict", "sample")}


def main(arguments: list[str]) -> int:
    """Read the spec, run, write the result. Returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m hive_runner SPEC.json", file=sys.stderr)
        return 1
    try:
        spec = JobSpec.read(Path(arguments[0]))
    except (OSError, ValueError, TypeError) as error:
        print(f"error: {arguments[0]} is not a job\n  why: {error}", file=sys.stderr)
        return 1
    if spec.action == "train":
        determinism.restart_with_fixed_hashing()
    result = run_job(spec)
    try:
        result.write(Path(spec.result))
    except OSError as error:
        print(f"error: cannot write {spec.result}\n  why: {error}", file=sys.stderr)
        return os.EX_IOERR
    return EXIT_CODES[result.status]


def run_job(spec: JobSpec) -> RunResult:
    """Run the recipe and describe how it ended, whatever happened."""
    started = time.monotonic()
    run: Run | None = None
    failure: RunFailure | None = None
    try:
        run = Run(spec)
        _prepare(spec, run)
        action = _entry_point(spec)
        if run.should_stop:
            raise Stopped("stopped before training began", hint="start it again")
        action(run)
        _finish(spec, run)
    except BaseException as error:
        failure = _explain(error, spec)
    finally:
        _remove(Path(spec.result).parent / "scratch")  # first: on a full disk the result needs the room
    status = "succeeded" if failure is None else "stopped" if failure.kind == "stopped" else "failed"
    times = os.times()
    return RunResult(
        status=status,
        failure=failure,
        metrics=run.metrics if run else [],
        summary=_plain(run.summary) if run else {},
        wall_s=round(time.monotonic() - started, 3),
        cpu_s=round(times.user + times.system + times.children_user + times.children_system, 3),
        peak_memory_bytes=_peak_memory_bytes(),
    )


def _entry_point(spec: JobSpec) -> Callable[[Run], None]:
    """Import the recipe; its function for the action asked for."""
    for name, folder in _recipes(spec).items():
        recipe_module.provide(name, folder)
    module, function = ENTRY_POINTS[spec.action]
    action = getattr(recipe_module.load(spec.recipe, Path(spec.recipe_path), module), function, None)
    if not callable(action):
        raise RunnerError(f"recipe {spec.recipe} has no {function}() in {module}.py")
    found: Callable[[Run], None] = action
    return found


def _recipes(spec: JobSpec) -> dict[str, Path]:
    """The recipe and those of the packages it depends on: name -> folder."""
    needed = {name: Path(folder, "recipe") for name, folder in spec.deps.items()}
    return {**needed, spec.recipe: Path(spec.recipe_path)}


def _prepare(spec: JobSpec, run: Run) -> None:
    """Signals, seeds, threads and folders, before the first line of the recipe runs."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # A prediction has nothing to save: end it at once, even inside a long call into C.
        signal.signal(number, run.request_stop if spec.action == "train" else signal.SIG_DFL)
    _leave_signals_to_workers()
    os.environ.update(determinism.environment(spec.threads))
    sys.dont_write_bytecode = True
    determinism.prepare(spec.seed, spec.threads)
    _remove(run.scratch)  # an attempt that was killed leaves its own behind
    if spec.action == "train":
        _remove(run.out)  # so does a half-written artifact
    for folder in (run.scratch, run.out, run.output.parent):
        folder.mkdir(parents=True, exist_ok=True)
    recipe_module.importable_by_children(_recipes(spec), run.scratch)


def _leave_signals_to_workers() -> None:
    """A process forked from this one ends when it is told to, as pools of workers rely on: it has nothing to save.

    Python forgets a signal that arrives while it forks, so they have to wait meanwhile.
    """
    numbers = {signal.SIGTERM, signal.SIGINT}

    def in_worker() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, numbers),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, numbers),
        after_in_child=in_worker,
    )


def _finish(spec: JobSpec, run: Run) -> None:
    """Check what the recipe wrote; add the figures and the model card to an artifact."""
    if spec.action != "train":
        check_written(run.output)
        return
    check_artifact(run.out)
    from hive_runner.export import CARD, METRICS, canonical_json, render_card

    (run.out / METRICS).write_text(canonical_json([asdict(metric) for metric in run.metrics]), encoding="utf-8")
    template = Path(spec.recipe_path) / CARD
    if template.is_file() and not (run.out / CARD).exists():
        card = render_card(template.read_text(encoding="utf-8"), run.metrics)
        (run.out / CARD).write_text(card, encoding="utf-8")
    make_durable(run.out)


def _explain(error: BaseException, spec: JobSpec) -> RunFailure:
    """The failure for result.json; the whole traceback goes to the log."""
    from hive_runner.failures import describe

    failure = describe(error, spec)
    try:
        if failure.kind == "recipe_error":
            import traceback

            traceback.print_exception(error)
        print(f"{failure.kind}: {failure.message}", file=sys.stderr, flush=True)
    except (OSError, MemoryError):
        pass  # a full disk or memory must not hide the failure itself
    return failure


def _plain(value: Any) -> Any:
    """JSON's own types: numpy and torch scalars become numbers, paths strings, NaN null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def _peak_memory_bytes() -> int:
    """The largest resident size that this process or one of its finished children had."""
    import resource

    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    try:
        # VmHWM begins anew at exec; ru_maxrss would show the supervisor's size if that was larger
        status = Path("/proc/self/status").read_text()
        own = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return max(own, children)


def _remove(folder: Path) -> None:
    """Delete a folder and what is in it, as far as that is possible. (shutil would take longer to import.)"""
    for root, folders, names in os.walk(folder, topdown=False):
        for name in [*names, *folders]:
            _remove_one(os.path.join(root, name))
    _remove_one(os.fspath(folder))


def _remove_one(path: str) -> None:
    """A file, a link or an empty folder, if that is possible."""
    is_folder = os.path.isdir(path) and not os.path.islink(path)
    try:
        os.rmdir(path) if is_folder else os.unlink(path)
    except OSError:
        return


def _end_workers() -> None:
    """End the processes that a recipe left behind: a training that was stopped between two batches leaves those that
    make them, and waiting for these, as multiprocessing does at the end, would never end. What else it would clean up
    was in the scratch folder, and is gone."""
    if multiprocessing := sys.modules.get("multiprocessing"):
        for worker in multiprocessing.active_children():
            worker.kill()
    if util := sys.modules.get("multiprocessing.util"):
        util._finalizer_registry.clear()


def command() -> NoReturn:
    """The process of a run, from its arguments to its exit code."""
    gc.freeze()  # what stands here stays: the collector need not look at it
    gc.enable()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # log.txt is followed while it grows
    code = main(sys.argv[1:])
    # The result is written. End without waiting for a thread the recipe forgot or for torch to take itself apart.
    _end_workers()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    command()
