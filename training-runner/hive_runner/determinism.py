"""Same seed, same threads, same machine class: the same bits.

Libraries are prepared at the moment the recipe imports them, wherever that import stands, so that a recipe without
torch pays nothing and a recipe that imports torch inside a function is not forgotten.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from hive_runner.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def environment(threads: int) -> dict[str, str]:
    """Variables that must stand before a library is loaded (PYTHONHASHSEED: before Python itself starts)."""
    count = str(max(1, threads))
    return {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # the workspace that makes cuBLAS deterministic
        "PYTHONHASHSEED": "0",  # the order of a set of strings reaches results
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def prepare(seed: int, threads: int) -> None:
    """Seed Python now, and numpy and torch as soon as they are imported. Call before the recipe is imported."""
    actions: dict[str, Callable[[], None]] = {
        "random": lambda: sys.modules["random"].seed(seed),
        "numpy.random": lambda: sys.modules["numpy.random"].seed(seed % 2**32),
        "torch": lambda: _prepare_torch(seed, threads),
    }
    waiting: dict[str, Callable[[], None]] = {}
    for name, action in actions.items():
        if name in sys.modules:
            action()
        else:
            waiting[name] = action
    sys.meta_path.insert(0, _AfterImport(waiting))


def _prepare_torch(seed: int, threads: int) -> None:
    torch = sys.modules["torch"]
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # picks kernels by a stopwatch
    torch.set_num_threads(max(1, threads))  # 1 or 2 threads sum in another order
    torch.set_num_interop_threads(1)


class _AfterImport:
    """A meta path finder that runs an action right after a module's first import. Finds nothing itself."""

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        self.actions = actions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        action = self.actions.pop(name, None)
        if action is None:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, action)  # type: ignore[assignment]  # importlib.abc takes 10 ms to import
                return spec
        self.actions[name] = action  # not installed, perhaps later
        return None


class _Loader:
    """The real loader, and an action after it."""

    def __init__(self, loader: Any, action: Callable[[], None]) -> None:
        self.loader = loader
        self.action = action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module must look as if nobody had stood between: resources are read through its loader.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.action()


def rng_state() -> dict[str, Any]:
    """The state of every global generator in use. Reading it changes none of them."""
    state: dict[str, Any] = {}
    if random := sys.modules.get("random"):
        state["python"] = random.getstate()
    if numpy_random := sys.modules.get("numpy.random"):
        state["numpy"] = numpy_random.get_state(legacy=False)
    if torch := sys.modules.get("torch"):
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the global generators back to what `rng_state` saw."""
    if "python" in state:
        import random

        random.setstate(state["python"])
    if "numpy" in state:
        import numpy.random

        numpy.random.set_state(state["numpy"])
    if "torch" in state:
        import torch

        torch.set_rng_state(state["torch"])
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"])


def restart_with_fixed_hashing() -> None:
    """Start this very command again with PYTHONHASHSEED=0, unless it runs with it already."""
    if sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
