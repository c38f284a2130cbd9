"""Load a recipe folder as the Python package `hive_recipe_<name>`, so that its modules import each other relatively.

Those of the packages it depends on it imports by that name: `from hive_recipe_base.model import Net`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType


def package_name(recipe: str) -> str:
    """`gis-lidar` -> `hive_recipe_gis_lidar`."""
    return "hive_recipe_" + recipe.replace("-", "_").replace(".", "_")


def load(recipe: str, folder: Path, module: str) -> ModuleType:
    """Import `module` ("train", "predict") of the recipe in `folder`. The folder is only read, never written."""
    provide(recipe, folder)
    return import_module(f"{package_name(recipe)}.{module}")


def provide(recipe: str, folder: Path) -> None:
    """Make the modules of the recipe in `folder` importable. The first folder of a name counts."""
    name = package_name(recipe)
    if not any(isinstance(finder, _RecipeFinder) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _RecipeFinder(name, folder))


class _SourceLoader(SourceFileLoader):
    """Compiles the source, always: a recipe's digest covers its source, so a .pyc beside it must not speak for it."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _RecipeFinder:
    """Finds the package of one recipe and its modules, with `_SourceLoader`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def package_spec(self) -> ModuleSpec:
        initial = self.folder / "__init__.py"
        loader = _SourceLoader(self.name, str(initial)) if initial.is_file() else None
        spec = ModuleSpec(self.name, loader, origin=str(initial) if loader else None, is_package=True)
        spec.submodule_search_locations = [str(self.folder)]
        spec.has_location = loader is not None
        return spec

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == self.name:
            return self.package_spec()
        if not name.startswith(self.name + ".") or path is None:
            return None
        for folder in path:
            if spec := FileFinder(folder, (_SourceLoader, [".py"])).find_spec(name):
                return spec
        return None


def importable_by_children(recipes: Mapping[str, Path], scratch: Path) -> None:
    """Let worker processes that are spawned, not forked, import recipes: they inherit sys.path and nothing else."""
    packages = scratch / ".packages"
    packages.mkdir(parents=True, exist_ok=True)
    for recipe, folder in recipes.items():
        (packages / package_name(recipe)).symlink_to(folder.absolute(), target_is_directory=True)
    sys.path.append(str(packages))
