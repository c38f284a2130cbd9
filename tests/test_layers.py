"""Who may import whom. Read from the source text, inside functions too, so that no import hides."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hive_cli import REPOSITORY

# Each module imports only from those before it, from left to right too.
ROWS = (
    "errors suggest locks machine",
    "states model",
    "paths config data versions tables",
    "db",
    "recipe lint skeleton index lockfile project environments datasets",
    "resolve gates plan pinning determinism",
    "manifest card provenance bom modelpack tarball",
    "queue store installed generations garbage mending sources compare",
    "runners.identity runners.base runners.attempt runners.runlog runners.bounds",
    "runners.isolation.kernel runners.isolation.tree runners.isolation.memory runners.isolation.reaper",
    "runners.isolation.seccomp runners.isolation.landlock runners.isolation.idmap runners.isolation.cgroup",
    "runners.isolation.spawn runners.isolation.level runners.isolation.bubblewrap runners.isolation.direct",
    "runners.isolation.levels runners.shim runners.process",
    "runners.containers.engine runners.containers.wheels runners.containers.images runners.containers.keeper",
    "runners.docker runners.all",
    "orders progress pace publish capacity launch supervisor supervise",
    "usage snapshot cleaning recovery",
    "rebuild inference doctor trial upkeep projects builds authoring planning bundle exporting importing",
    "service",
    "console monitor",
    "cli.options cli.completion cli.following cli.runners cli.queue cli.packages cli.install cli.upkeep cli.upgrade",
    "cli.source cli.recipe cli.bundle cli.project cli.run cli.system cli.status cli",
)
ORDER = [name for row in ROWS for name in row.split()]

# What faces a person asks the service; besides, it reads values and makes them from text.
FRONT_ENDS = ("console", "monitor", "cli")
FRONT_ENDS_MAY_IMPORT = {
    "service",
    "model",
    "errors",
    "suggest",
    "console",
    "monitor",
    "config",
    "plan",
    "data",
    "planning",
    "pace",
}

# A command must start like a small tool: nothing of what trains is ever imported here.
HEAVY = {"torch", "numpy", "scipy", "safetensors", "pandas", "sklearn", "numba", "laspy"}

# The two pages that hive and the runner share.
SHARED = ("hive_runner.contract.", "hive_runner.frozen.")

PACKAGE = REPOSITORY / "hive"
RUNNER = REPOSITORY / "training-runner" / "hive_runner"


def sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "recipes" not in path.relative_to(folder).parts]


def module_name(path: Path) -> str:
    """hive/runners/base.py -> runners.base; hive/cli/__init__.py -> cli; hive/__init__.py -> ""."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, type_checking: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, `from a import b` as a.b; those under TYPE_CHECKING only if asked."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse if not type_checking else [*node.body, *node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        pending += ast.iter_child_nodes(node)


def own_imports(path: Path, type_checking: bool = False) -> set[str]:
    """The modules of hive that a file imports, as named in ORDER; the package itself is ""."""
    found = set()
    for name in imports(path, type_checking):
        if name != "hive" and not name.startswith("hive."):
            continue
        parts = name.split(".")[1:]
        while parts and not (PACKAGE.joinpath(*parts).with_suffix(".py").exists() or PACKAGE.joinpath(*parts).is_dir()):
            parts.pop()
        found.add(".".join(parts))
    return found


@pytest.mark.parametrize("path", sources(PACKAGE), ids=module_name)
def test_a_module_imports_only_from_rows_above(path: Path) -> None:
    name = module_name(path)
    if name in ("", "__main__", "runners", "runners.isolation", "runners.containers"):
        return
    assert name in ORDER, f"give {name} its place in ORDER"
    below = {each for each in own_imports(path) - {"", name} if ORDER.index(each) >= ORDER.index(name)}
    assert not below, f"{name} imports {', '.join(sorted(below))}"


def test_order_names_only_what_exists() -> None:
    assert set(ORDER) <= {module_name(path) for path in sources(PACKAGE)}


def test_types_lead_in_no_circle_either() -> None:
    """Even imports for type checkers alone point upwards, except those of the console: it renders what others make."""
    for path in sources(PACKAGE):
        name = module_name(path)
        if name in ORDER:
            later = {each for each in own_imports(path, True) - {"", name} if ORDER.index(each) > ORDER.index(name)}
            assert not later, f"{name} names types of {later}"


@pytest.mark.parametrize(
    "path", [p for p in sources(PACKAGE) if module_name(p).startswith(FRONT_ENDS)], ids=module_name
)
def test_front_ends_ask_the_service(path: Path) -> None:
    allowed = FRONT_ENDS_MAY_IMPORT | {""}
    strangers = {each for each in own_imports(path) if each not in allowed and not each.startswith("cli")}
    assert not strangers, (
        f"{module_name(path)} imports {', '.join(sorted(strangers))}: give it a method of service.Hive"
    )


@pytest.mark.parametrize("path", sources(PACKAGE), ids=module_name)
def test_hive_imports_nothing_that_trains(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & HEAVY


@pytest.mark.parametrize("path", sources(PACKAGE), ids=module_name)
def test_hive_knows_only_what_it_shares_with_the_runner(path: Path) -> None:
    known = {name for name in imports(path, type_checking=True) if name.partition(".")[0] == "hive_runner"}
    strangers = {name for name in known if name != "hive_runner" and not name.startswith(SHARED)}
    assert not strangers
    if "hive_runner" in known:
        assert module_name(path) in ("runners.process", "paths"), "only who needs the package's path"


@pytest.mark.parametrize("path", sources(RUNNER), ids=lambda path: path.stem)
def test_the_runner_imports_nothing_of_hive(path: Path) -> None:
    assert not {name for name in imports(path, type_checking=True) if name.partition(".")[0] == "hive"}


@pytest.mark.parametrize("name", SHARED)
def test_what_both_share_is_standard_library_only(name: str) -> None:
    path = RUNNER / f"{name.split('.')[1]}.py"
    assert {each.partition(".")[0] for each in imports(path)} <= {*sys.stdlib_module_names, "hive_runner"}


def test_list_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    """What `hive list` imports in the end, whatever the source text looks like."""
    program = "import sys, hive.cli\nhive.cli.app.main(['list', '-q'], standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "numpy", "rich", "dataclasses", "subprocess", "hive.supervisor", "packaging"} & set(
        done.stdout.split()
    )
