"""Which kind of failure an exception is, in words for the person who reads it."""

from __future__ import annotations

import errno
from pathlib import Path
from types import TracebackType

from hive_runner.contract import JobSpec, RunFailure
from hive_runner.errors import RunnerError
from hive_runner.recipe_module import package_name

# No room, no quota, or a file larger than the disk limit allows (RLIMIT_FSIZE).
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# How torch says it (CPU allocator, CUDA): a RuntimeError with one of these in its text.
_TORCH_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")


def describe(error: BaseException, spec: JobSpec) -> RunFailure:
    """The failure that `error` stands for."""
    if isinstance(error, RunnerError):
        return RunFailure(error.kind, error.message, error.why, error.hint)
    where = _recipe_frame(error, Path(spec.recipe_path))
    if _is_out_of_memory(error):
        limit = f"; the limit is {spec.memory_bytes / 2**30:.3g} GiB" if spec.memory_bytes else ""
        return RunFailure("out_of_memory", f"{spec.recipe} ran out of memory", f"{where}{limit}", "give it more memory")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return RunFailure(
            "disk_full", f"{spec.recipe} ran out of disk space", f"{where}: {error}", "make room on the disk"
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, where, spec)
    if isinstance(error, SystemExit):
        return RunFailure("recipe_error", f"the recipe called exit({error.code!r})", where)
    return RunFailure("recipe_error", _first_line(error), where)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH_OUT_OF_MEMORY)


def _missing_module(module: str, where: str, spec: JobSpec) -> RunFailure:
    package = package_name(spec.recipe)
    if module == package or module.startswith(package + "."):
        name = module.removeprefix(package).replace(".", "/").lstrip("/")
        return RunFailure("recipe_error", f"recipe {spec.recipe} has no {name}.py", where)
    return RunFailure(
        "recipe_error",
        f"recipe {spec.recipe} needs {module}, which its environment does not hold",
        where,
        f"name the package that provides {module} under [requirements] in recipe.toml",
    )


def _first_line(error: BaseException) -> str:
    """`ValueError: what it said`, as the last line of a traceback has it; long ones cut."""
    text = str(error).strip()
    name = type(error).__qualname__
    return f"{name}: {text.splitlines()[0][:500]}" if text else name


def _recipe_frame(error: BaseException, recipe: Path) -> str:
    """`train.py:12 in train`: the innermost line of the recipe itself, or of anything if the recipe has none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename, recipe)}:{error.lineno}"
    inside = outside = ""
    link: TracebackType | None = error.__traceback__
    while link is not None:
        code = link.tb_frame.f_code
        text = f"{_short(code.co_filename, recipe)}:{link.tb_lineno} in {code.co_name}"
        if Path(code.co_filename).is_relative_to(recipe):
            inside = text
        outside = text
        link = link.tb_next
    return inside or outside


def _short(filename: str, recipe: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(recipe)) if path.is_relative_to(recipe) else path.name
