"""Locks that prove life."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from hive import locks


def test_a_lock_is_held_until_its_last_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not locks.is_held(path)
    held = locks.take(path)
    assert held is not None
    assert locks.is_held(path)
    assert locks.take(path) is None
    inherited = os.dup(held)
    os.close(held)
    assert locks.is_held(path)
    os.close(inherited)
    assert not locks.is_held(path)


def test_those_who_ask_do_not_keep_others_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            locks.is_held(path)
            time.sleep(0.001)  # many commands ask; none asks without a pause

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(300):
            held = locks.take(path)
            assert held is not None
            os.close(held)
    finally:
        over.set()
        asking.join()
