"""The supervisor's entry point: `python -m hive.supervise HOME [LOCK [GO]]`.

LOCK is a descriptor of its lock, inherited; GO one that is at its end when whoever launched it has begun what it could.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TextIO

from hive import machine, queue
from hive.capacity import Machine
from hive.config import Settings, load_settings
from hive.db import Database
from hive.errors import DamagedDatabase, StoreError
from hive.launch import take_supervisor_lock
from hive.paths import Home
from hive.runners.all import choose
from hive.runners.base import Runner
from hive.supervisor import Supervisor


def say(text: str, log: TextIO = sys.stdout) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} [{os.getpid()}] {text}", file=log, flush=True)


def begin(home: Home, settings: Settings, db: Database) -> None:
    """Start what fits from the process that launches the supervisor. It has everything loaded; the supervisor does so
    meanwhile, and adopts the run.

    For the holder of the supervisor's lock, and without threads, since it forks.
    """
    if queue.running(db):  # of a supervisor that was killed: to be adopted and counted first
        return
    with open(home.supervisor_log, "a") as log:
        _supervisor(home, settings, db, partial(say, log=log)).start_what_fits()


def machine_of(settings: Settings) -> Machine:
    """What this machine has for runners. Without automatic scaling that is one, until somebody says how many."""
    # A build for a GPU is queued only where an engine has one; it may have one that this system does not see (WSL).
    gpus = tuple(gpu.id for gpu in machine.nvidia_gpus()) or ("0",)
    runners = settings.max_runners if settings.auto_scale else 1
    return Machine(runners, machine.cores(), machine.memory_bytes(), gpus, machine.memory_available_bytes())


def _supervisor(home: Home, settings: Settings, db: Database, say: Callable[[str], None]) -> Supervisor:
    runner: Callable[[str], Runner] = cache(partial(choose, home))
    return Supervisor(home, db, runner, machine_of(settings), say)


def main(argv: list[str] = sys.argv) -> None:
    gc.freeze()  # what is loaded stays. Looked at by the collector, its pages would be copied for each fork
    gc.enable()
    os.chdir("/")  # keep no file system busy
    home = Home(Path(argv[1]))
    lock: int | None = int(argv[2]) if len(argv) > 2 else take_supervisor_lock(home)
    if lock is None:
        sys.exit("another supervisor holds the lock")
    os.set_inheritable(lock, False)
    try:
        supervise(home, lock, int(argv[3]) if len(argv) > 3 else None)
    except StoreError as error:  # no room, say. What was done is on record, and the next one carries on
        say(f"gave up: {error.message}: {error.why}")
        sys.exit(1)


def supervise(home: Home, lock: int | None, go: int | None) -> None:
    """Work until nothing is left. Raises StoreError, DamagedDatabase."""
    settings = load_settings(home.root)
    if go is not None:  # who launched this is at work itself until it closes its end of the pipe
        with open(go, "rb") as pipe:
            pipe.read()
    if not home.database.exists():  # whoever queued something made one: it is not to be replaced by an empty one
        raise DamagedDatabase(f"{home.database} is gone")
    db = Database(home.database)

    while lock is not None:
        supervisor = _supervisor(home, settings, db, say)
        signal.signal(signal.SIGTERM, supervisor.drain)
        supervisor.run()
        os.close(lock)
        # Work may have arrived between the last look and the release. Whoever takes the lock now does it.
        lock = None if supervisor.is_idle() else take_supervisor_lock(home)
    db.close()  # the last one out writes the log back into the database


if __name__ == "__main__":
    main()
