"""`hive run`: an installed model on a user's files, in the sandbox its build ran in, and nothing half-written."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hive_runner.contract import RunEvent

from hive.errors import HiveError, RequestError, for_failure
from hive.model import Failure, Package, Recipe
from hive.orders import input_place, run_order
from hive.paths import Home
from hive.plan import Machine
from hive.progress import EventTail
from hive.publish import verdict
from hive.recipe import module_of, parse_value, read_recipe
from hive.runners.base import Order, Runner
from hive.store import Store
from hive.suggest import did_you_mean

Say = Callable[[str], None]
GRACE_S = 3.0
# A run is not a build: it may take as long as the files are large.
RUN_WALL_S = 7 * 86400.0


@dataclass(frozen=True)
class RunOutcome:
    package: Package
    inputs: tuple[str, ...]
    output: Path
    beside: tuple[Path, ...]  # what else it wrote, in the same folder
    summary: dict[str, Any]
    runner: str
    isolation: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


def run_model(
    home: Home,
    store: Store,
    runner: Runner,
    package: Package,
    bases: Mapping[str, Path],
    offline: bool,
    machine: Machine,
    inputs: list[str],
    output: str | None,
    options: dict[str, str],
    on_event: Callable[[RunEvent], None],
    say: Say,
    sample: bool,
) -> RunOutcome:
    """Run `package` on `inputs`; with `sample`, write an example input instead. bases: artifacts it was built on.

    Raises RequestError for what the user can mend, and otherwise the error that the failure's kind stands for.
    """
    artifact = store.path(package.artifact)
    manifest = store.manifest(package.artifact)
    recipe = read_recipe(artifact / "recipe", "installed")
    given = [] if sample else [_given(recipe, text) for text in inputs]
    chosen = _options(recipe, options)
    target = _usable_output(recipe, output, given)
    environment = runner.environment(recipe.requirements, offline, say)
    limits = replace(
        recipe.limits,
        cpus=machine.cpus,
        memory_bytes=min(recipe.limits.memory_bytes, machine.memory_bytes),
        disk_bytes=0,
        wall_s=RUN_WALL_S,
    )
    folder = home.root / "runs" / uuid.uuid4().hex
    # Beside the target, so that the finished file gets there by a rename.
    with _temporary_folder(target if target.is_dir() else target.parent) as out:
        try:
            paths = [_written_down(path, text, out / f".{number}") for number, (path, text) in enumerate(given)]
            order = run_order(
                home, folder, runner, artifact, manifest, bases, paths, out, target.name, chosen, limits,
                environment, "sample" if sample else "predict",
            )  # fmt: skip
            started = time.monotonic()
            execute(runner, order, on_event)
            ending = runner.ending(folder, "")
            result, failure = verdict(folder, ending)
            if failure is not None:
                raise _error(recipe.name, folder, _as_named(failure, paths, inputs))
            assert result is not None  # it is one or the other
            written = out / target.name
            if not os.path.lexists(written):
                raise HiveError(f"{recipe.name} wrote no {target.name}", "its recipe did not do what it promised")
            more = [] if sample or written.is_dir() else sorted(_beside(recipe, written))
            for each in (written, *more):
                _refuse_all_but_plain_files(recipe.name, each)
            for each in (written, *more):  # these and nothing else: what else a run leaves there was not asked for
                _put(each, target if each == written else target.with_name(each.name))
            return RunOutcome(
                package=package,
                inputs=tuple(text or str(path) for path, text in given),
                output=target,
                beside=tuple(target.with_name(each.name) for each in more),
                summary=result.summary,
                runner=runner.name,
                isolation=str(runner.isolation()),
                wall_s=round(time.monotonic() - started, 3),
                cpu_s=ending.cpu_s if ending else 0.0,
                peak_memory_bytes=ending.peak_memory_bytes if ending else 0,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def execute(runner: Runner, order: Order, on_event: Callable[[RunEvent], None]) -> None:
    """Start and follow to the end; an interrupt ends the run first."""
    handle = runner.start(order)
    tail = EventTail()
    waiting_on = runner.wait_descriptor(handle)
    try:
        while runner.alive(order.folder, handle):
            for event in tail.read(order.folder):
                on_event(event)
            time.sleep(0.02)
        for event in tail.read(order.folder):
            on_event(event)
    except BaseException:
        runner.stop(order.folder, handle, GRACE_S)
        _await_end(runner, order.folder, handle)
        raise
    finally:
        if waiting_on is not None:
            os.close(waiting_on)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def _await_end(runner: Runner, folder: Path, handle: str) -> None:
    deadline = time.monotonic() + GRACE_S
    while runner.alive(folder, handle):
        if time.monotonic() > deadline:
            runner.stop(folder, handle, 0)
        time.sleep(0.05)


def _as_named(failure: Failure, paths: list[Path], inputs: list[str]) -> Failure:
    """A failure that speaks of the inputs as the user does, not of where the run saw them: libraries name paths."""
    words = [failure.message, failure.why, failure.hint]
    for number, (path, named) in enumerate(zip(paths, inputs, strict=False)):
        words = [each.replace(input_place(number, path), named) for each in words]
    return Failure(failure.kind, *words)


def _error(name: str, folder: Path, failure: Failure) -> HiveError:
    """The failure of a run as an error, with the run's last words where it gave no reason of its own."""
    if failure.kind == "bad_input":
        return RequestError(failure.message, failure.why, failure.hint)
    hint = failure.hint
    if failure.kind in ("recipe_error", "infrastructure", "bad_output"):
        kept = Path(tempfile.gettempdir(), f"hive-run-{folder.name[:8]}.log")
        with contextlib.suppress(OSError):
            shutil.copyfile(folder / "log.txt", kept)
            hint = hint or f"its log is in {kept}"
    return for_failure(failure.kind)(f"{name} failed: {failure.message}", failure.why, hint)


def _given(recipe: Recipe, argument: str) -> tuple[Path, str]:
    """An input: a file and "", or for a model that reads texts the name of a file to write one to, and the text."""
    path = Path(argument).expanduser()
    is_file = argument.lower().endswith(recipe.run.inputs or ("/",)) or (
        len(argument) < 256 and path.exists() and not path.is_dir()
    )
    if not recipe.run.text or is_file:
        return _usable_input(recipe, argument), ""
    if not argument.strip():
        raise RequestError("the text is empty", f"{recipe.name} wants {recipe.run.input_help or 'some words'}")
    words = re.sub(r"[^a-z0-9]+", "-", argument.lower())[:48].strip("-")
    return Path(f"{words or 'text'}.txt"), argument


def _written_down(path: Path, text: str, folder: Path) -> Path:
    """The file of an input, made if it is a text."""
    if not text:
        return path
    folder.mkdir()
    (folder / path).write_text(text + "\n")
    return folder / path


def _beside(recipe: Recipe, written: Path) -> Iterator[Path]:
    """What a run wrote beside its output, of what its recipe says that it does."""
    for path in written.parent.iterdir():
        end = path.name.removeprefix(written.stem)
        if path != written and end != path.name and any(fnmatchcase(end, each) for each in recipe.run.beside):
            yield path


def _usable_input(recipe: Recipe, text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not text or not path.exists():
        raise RequestError(
            f"there is no file {text or repr(text)}", f"{recipe.name} wants {recipe.run.input_help or 'a file'}"
        )
    if path.is_file() and not os.access(path, os.R_OK):
        raise RequestError(f"{text} cannot be read", "permission denied", "check its permissions")
    suffixes = recipe.run.inputs
    if suffixes and path.is_file() and not path.name.lower().endswith(suffixes):
        raise RequestError(
            f"{recipe.name} does not read {path.suffix or path.name!r} files", f"it reads {', '.join(suffixes)}",
            recipe.run.input_help,
        )  # fmt: skip
    return path.resolve()


def _usable_output(recipe: Recipe, text: str | None, given: list[tuple[Path, str]]) -> Path:
    """Where the result goes: as asked, or into the working folder under the input's name.

    A model that names no suffix writes a folder, or the one file whose name the user gives. A sample is of the first
    kind of input that the model reads.
    """
    suffix, inputs = recipe.run.output, [path for path, _ in given]
    if not inputs and recipe.run.inputs:
        suffix = recipe.run.inputs[0]
    if text is None:
        stem = inputs[0].stem if inputs else recipe.name
        text = f"{stem}-{recipe.name}{suffix}" if inputs else f"{recipe.name}-sample{suffix}"
    target = Path(text).expanduser().absolute()
    if target.is_dir() and suffix:
        target = target / f"{inputs[0].stem if inputs else recipe.name}-{recipe.name}{suffix}"
    allowed = (suffix, *recipe.run.outputs) if suffix else ()
    if allowed and not target.name.lower().endswith(allowed):
        raise RequestError(
            f"{recipe.name} cannot write {target.name}", f"it writes {', '.join(allowed)}",
            f"-o {target.with_suffix('').name}{suffix}",
        )  # fmt: skip
    files = [path for path, words in given if not words]
    if target in files or (target.exists() and any(target.samefile(path) for path in files)):
        raise RequestError(f"{target.name} is the input itself", "the result would replace it", "-o another name")
    for path in files:
        end = path.name.removeprefix(target.stem)
        if path.parent == target.parent and any(fnmatchcase(end, each) for each in recipe.run.beside):
            raise RequestError(f"{path.name} is the input itself", f"{recipe.name} writes one beside {target.name}",
                               "-o another name")  # fmt: skip
    place = target if target.is_dir() else target.parent
    if not place.is_dir():
        raise RequestError(f"there is no folder {place}", "the result is written there", f"mkdir -p {place}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RequestError(f"cannot write to {place}", "permission denied", "-o another folder")
    return target


def _options(recipe: Recipe, given: dict[str, str]) -> dict[str, Any]:
    known = {option.name: option for option in recipe.run.options}
    chosen = {name: option.default for name, option in known.items()}
    for name, text in given.items():
        plain = name.replace("-", "_")
        if plain not in known:
            raise RequestError(
                f"{recipe.name} has no option --{name}",
                *did_you_mean(plain, list(known)) if known else ("it has no options of its own", ""),
            )
        chosen[plain] = parse_value(known[plain], text)
    return chosen


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Any:
    try:
        folder = Path(tempfile.mkdtemp(prefix=".hive-", dir=parent))
    except OSError as error:
        raise RequestError(f"cannot write to {parent}", error.strerror or str(error), "-o another folder") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_all_but_plain_files(name: str, written: Path) -> None:
    """Raises HiveError if a run's output is or holds a link or a device: it would lead out of the user's folder."""
    for path in [written, *written.rglob("*")] if written.is_dir() and not written.is_symlink() else [written]:
        if not stat.S_ISREG(path.lstat().st_mode) and not (path.is_dir() and not path.is_symlink()):
            raise HiveError(f"{name} wrote {path.name}, which is no plain file", "its output was thrown away")
        path.chmod(path.stat().st_mode & 0o777)  # nor a program that runs as its owner


def _put(source: Path, target: Path) -> None:
    """Move what was written to where it was asked for. In a folder that is there already, other files stay."""
    if source.is_dir() and target.is_dir():
        for each in sorted(source.iterdir()):
            _put(each, target / each.name)
        return
    try:
        os.replace(source, target)
    except (IsADirectoryError, NotADirectoryError) as error:
        kinds = ("a folder", "a file") if source.is_dir() else ("a file", "a folder")
        raise RequestError(
            f"{target} cannot be written",
            f"the result is {kinds[0]}, and {kinds[1]} of that name is there",
            "-o another name",
        ) from error


class _Reader(importlib.machinery.SourceFileLoader):
    """Imports without leaving compiled files: an artifact holds what was installed and nothing else."""

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        return None


def load_model(artifact: Path, name: str, bases: Mapping[str, Path], threads: int, device: str) -> Any:
    """The recipe's own `load`, from the code that was installed with the weights. bases: artifacts it was built on.

    Raises RequestError where this Python lacks what it imports, or has the code of another version of a base.
    """
    for base, place in bases.items():
        package = module_of(base)
        _make_importable(package, place / "recipe")
        if str(place / "recipe") not in sys.modules[package].__path__:
            raise RequestError(
                f"{name} cannot be loaded in this Python", f"it was built on another {base} than is loaded already",
                "load it in a process of its own",
            )  # fmt: skip
    package = f"hive_model_{artifact.name}"  # the code of one artifact is not that of the next
    _make_importable(package, artifact / "recipe")
    try:
        predict = importlib.import_module(f"{package}.predict")
    except ImportError as error:
        raise RequestError(
            f"{name} cannot be loaded in this Python", str(error), f"hive info {name} lists its requirements"
        ) from error
    return predict.load(artifact, threads=threads, device=device)


def _make_importable(package: str, folder: Path) -> None:
    """Let the modules in a recipe's folder be imported as `package`, if that name is free."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sys.path_importer_cache[str(place)] = importlib.machinery.FileFinder(str(place), (_Reader, [".py"]))
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules.setdefault(package, importlib.util.module_from_spec(spec))
