"""hive: apt for trained models."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load(name: str, *, threads: int = 1, device: str = "cpu") -> Any:
    """The installed model `name` as the Python object its recipe's `load` returns, in this process.

    The recipe's requirements (torch, ...) must be importable here; a built-in recipe says in its card what the
    object offers. Raises RequestError when the model is not installed.
    """
    from hive.service import Hive

    return Hive.open().load(name, threads=threads, device=device)
