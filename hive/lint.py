"""What is wrong with a recipe as it lies there, without running it: each finding with its file and line."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hive_runner.frozen import frozen

from hive.recipe import MODULES, RecipeError, mistakes, module_of, read_recipe
from hive.versions import split_request

ERROR, WARNING = "error", "warning"
LICENCE = re.compile(r"[A-Za-z0-9.+-]+(\s+(AND|OR|WITH)\s+[A-Za-z0-9.+-]+)*|LicenseRef-\S+")
# What a model card has to say, and how one recognises where it does.
SECTIONS = {
    "how it works, or on what it was trained": r"how it works|trained|training|data",
    "what was measured": r"measured|results|evaluation|metrics|figures|performance",
    "where it fails": r"fails|limit|caveat|not for|weak",
}
CARD_MARKER = "<!-- metrics -->"


@frozen
class Finding:
    level: str  # "error" | "warning"
    file: str  # within the recipe
    line: int  # from 1; 0: the whole file
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.level}: {self.message}" + (f" (try: {self.hint})" if self.hint else "")


def lint(folder: Path) -> list[Finding]:
    """Everything wrong that can be seen, errors first in each file. Raises RecipeError if there is no recipe."""
    if not (folder / "recipe.toml").is_file():
        raise RecipeError(f"{folder} is not a recipe", "it has no recipe.toml", "hive new NAME makes one")
    found = [*_toml(folder), *_card(folder), *_code(folder), *_tests(folder)]
    return sorted(found, key=lambda finding: (finding.file, finding.level, finding.line))


def _toml(folder: Path) -> Iterator[Finding]:
    try:
        wrong = mistakes(folder)
    except RecipeError as error:
        line = re.search(r"at line (\d+)", error.why)
        yield Finding(ERROR, "recipe.toml", int(line[1]) if line else 1, error.why)
        return
    for number, message in wrong:
        yield Finding(ERROR, "recipe.toml", number, message)
    if wrong:
        return
    recipe = read_recipe(folder, "")
    place = folder.absolute().parent.name if folder.name == recipe.version else folder.absolute().name
    if place != recipe.name:
        yield Finding(ERROR, "recipe.toml", _line(folder, "name"), f"the folder is {place}, the recipe {recipe.name!r}",
                      "give both one name")  # fmt: skip
    if not LICENCE.fullmatch(recipe.licence):
        yield Finding(WARNING, "recipe.toml", _line(folder, "licence"), f"{recipe.licence!r} is no SPDX licence",
                      "such as MIT or Apache-2.0")  # fmt: skip
    if "smoke" not in recipe.profiles:
        yield Finding(WARNING, "recipe.toml", 0, "there is no [profiles.smoke]", "real = false, and few steps")
    if not recipe.profiles["standard"].gates:
        yield Finding(WARNING, "recipe.toml", 0, "[profiles.standard] has no gates: any model will pass")


def _card(folder: Path) -> Iterator[Finding]:
    card = folder / "README.md"
    if not card.is_file():
        yield Finding(ERROR, "README.md", 0, "there is no model card", "hive new NAME makes one to start from")
        return
    text = card.read_text(errors="replace")
    headings = [line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")]
    for section, words in SECTIONS.items():
        if not any(re.search(words, heading) for heading in headings):
            yield Finding(ERROR, "README.md", 0, f"the model card has no section on {section}")
    if CARD_MARKER not in text:
        yield Finding(WARNING, "README.md", 0, f"no {CARD_MARKER}: the figures will stand at the end of the card")


def _code(folder: Path) -> Iterator[Finding]:
    """Python that cannot be read, entry points that are missing, imports that nothing provides."""
    trees: dict[str, ast.Module] = {}
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder).as_posix()
        try:
            trees[place] = ast.parse(path.read_text())
        except (SyntaxError, ValueError) as error:
            yield Finding(ERROR, place, getattr(error, "lineno", None) or 1, f"Python cannot read it: {error}")
    if "train.py" in trees and "train" not in _functions(trees["train.py"]):
        yield Finding(ERROR, "train.py", 0, "it has no function train(run)")
    if not (folder / "train.py").is_file():
        yield Finding(ERROR, "train.py", 0, "there is none, with a function train(run)")
    if "predict.py" in trees:
        for name in {"predict", "load"} - _functions(trees["predict.py"]):
            yield Finding(WARNING, "predict.py", 0, f"it has no function {name}()")
    try:
        recipe = read_recipe(folder, "")
    except RecipeError:
        return
    requirements, bases = recipe.requirements, {module_of(split_request(text)[0]) for text in recipe.depends}
    listed = {_plain(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in requirements}
    own = {path.stem for path in folder.rglob("*.py")} | {path.name for path in folder.rglob("*") if path.is_dir()}
    provided = _distributions()
    told: set[str] = set()
    for place, tree in trees.items():
        for name, line in () if place.rpartition("/")[2].startswith("test_") else _imports(tree):
            if name.startswith(MODULES) and name not in bases | told:
                told.add(name)
                base = name.removeprefix(MODULES).replace("_", "-")
                yield Finding(ERROR, place, line, f"it imports the code of {base}, which [depends] does not list",
                              f'packages = [..., "{base}"]')  # fmt: skip
            if name in own | told | bases or name == "hive_runner" or name in sys.stdlib_module_names:
                continue
            by = {_plain(each) for each in provided.get(name, [])}
            if _plain(name) in listed or by & listed:
                continue
            told.add(name)
            hint = f"packages = [..., {sorted(by)[0] if by else name!r}]".replace("'", '"')
            level = ERROR if by else WARNING  # who provides what is not installed here, only its author knows
            yield Finding(level, place, line, f"it imports {name}, which [requirements] does not list", hint)


def _tests(folder: Path) -> Iterator[Finding]:
    if not any(folder.glob("test_*.py")):
        yield Finding(WARNING, "test_recipe.py", 0, "there is no test", "hive new NAME makes one to start from")


def _line(folder: Path, key: str) -> int:
    lines = (folder / "recipe.toml").read_text().splitlines()
    return next((number for number, line in enumerate(lines, 1) if re.match(rf"\s*{key}\s*=", line)), 0)


def _functions(tree: ast.Module) -> set[str]:
    """What a module defines, or imports from a neighbour, under a name."""
    named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return named | {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Top-level packages that a module imports, with their lines; not those for type checkers, nor optional ones."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Try):
            pending += node.handlers
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0], node.lineno
        pending += ast.iter_child_nodes(node)


def _distributions() -> dict[str, list[str]]:
    """Which distributions of this Python provide a package: torch -> ["torch"], yaml -> ["PyYAML"]."""
    from importlib.metadata import packages_distributions

    return {name: list(found) for name, found in packages_distributions().items()}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
