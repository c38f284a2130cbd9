"""Keeps one container: creates it, copies what it says into the log, holds the limits, writes down how it ended.

The container lives in the engine and outlives its keeper; a keeper that was killed is replaced by another, which finds
the container by name. An engine that restarts is waited for.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from docker.errors import APIError, DockerException, NotFound
from hive_runner.contract import RunResult

from hive.errors import NoCapacity
from hive.model import Limits
from hive.runners import bounds
from hive.runners.attempt import detach
from hive.runners.base import EXIT_FILE, Ending, open_plain
from hive.runners.bounds import Bounds
from hive.runners.containers.engine import connect, reason
from hive.runners.runlog import Log

if TYPE_CHECKING:
    from docker.api.client import APIClient

PATIENCE_S = 60.0  # how long an engine may be gone before its containers are given up
STATS_EVERY_S = 2.0
TELL_EVERY_S = 1.0  # a signal that comes before the run can answer to it is lost
LAST_WORDS_S = 5.0  # for what a container said last to arrive
NOT_STARTED = (126, 127, 128)  # the engine's exit codes for a command that cannot be run


def keep(name: str, specification: dict[str, Any] | None, folder: Path, lock: int, caller: int | None) -> NoReturn:
    """Run the container called `name` to its end; then exit.json in `folder`. The process ends with it.

    specification: what to create it from, or None to take over one that is there. lock: the descriptor of the
    attempt's lock, kept open until the end. caller: a process whose death ends the run. SIGTERM arrives blocked.
    """
    gc.freeze()  # a collection would touch, and so copy, every page shared with the process it is a fork of
    try:
        detach("hive-container", lock)
        keeper = _Keeper(name, folder, caller)
        ending = keeper.run(specification)
        if os.getuid() == 0:  # what the run wrote as nobody becomes the caller's
            give([folder, *keeper.bounds.writable], 0, 0)
        ending.write(folder)
        keeper.remove(name)
    except BaseException as error:  # the last line of defence: nobody else will tell
        why = f"the container's keeper failed: {type(error).__name__}: {error}"
        Ending(1, "infrastructure", 0.0, 0.0, 0, why).write(folder)
    finally:
        os._exit(0)


class _Keeper:
    def __init__(self, name: str, folder: Path, caller: int | None) -> None:
        self.name = name
        self.folder = folder
        self.caller = caller
        self.reason = ""
        self.message = ""
        self.peak_memory_bytes = 0
        self.cpu_s = 0.0
        self.begun_at = time.time()
        self.told_at = 0.0
        self.killed = False
        self.stats_seen = 0.0
        self.bounds = Bounds(folder, [], Limits(), caller)  # until the real ones are known
        self.follower: threading.Thread | None = None
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.client: APIClient = connect()
        self.log = Log(folder)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.bounds.ask_to_stop()

    def run(self, specification: dict[str, Any] | None) -> Ending:
        if specification is None:
            self.log.rotate()  # what follows begins with what the engine kept of the output so far
        else:
            try:
                self._create(specification)
            except (DockerException, OSError) as error:
                self.remove(self.name)
                return self._ending(1, "infrastructure", f"the container did not start: {reason(error)}")
        return self._watch()

    def _create(self, specification: dict[str, Any]) -> None:
        self._sweep(specification["labels"]["hive.home"])
        self.client.create_container(name=self.name, **specification)
        self._read_labels(specification["labels"])
        self._follow(past=False)
        self.client.start(self.name)

    def _read_labels(self, labels: dict[str, str]) -> None:
        """The limits stand with the engine, where the run cannot change them and a later keeper finds them."""
        limits = Limits(**json.loads(labels["hive.limits"]))
        writable = [Path(path) for path in json.loads(labels["hive.writable"])]
        asked_to_stop_at = self.bounds.asked_to_stop_at
        self.bounds = Bounds(self.folder, writable, limits, self.caller)
        self.bounds.started = min(self.bounds.started, float(labels["hive.started"]))  # of another boot: later
        self.bounds.asked_to_stop_at = asked_to_stop_at

    def _sweep(self, home: str) -> None:
        """Remove what keepers that were killed left behind: containers of this home whose ending is on record."""
        for found in self.client.containers(
            all=True, filters={"label": f"hive.home={home}", "status": ["exited", "created", "dead"]}
        ):
            folder = Path(found["Labels"].get("hive.folder", "/nonexistent"))
            if not folder.exists() or (folder / EXIT_FILE).exists():
                self.remove(found["Id"])

    def _follow(self, past: bool) -> None:
        """Copy the output into the log, in a thread: what the engine kept of it first if `past`, then what comes."""
        if past:
            stream = self.client.logs(self.name, stream=True, follow=True)
        else:  # never behind, however much comes
            stream = self.client.attach(self.name, stdout=True, stderr=True, stream=True)

        def copy() -> None:
            with suppress(Exception):  # the engine went away; whoever watches notices it too
                for block in stream:
                    self.log.write(block)

        self.follower = threading.Thread(target=copy, daemon=True)
        self.follower.start()

    def _watch(self) -> Ending:
        """Until the container has ended, through restarts of the engine."""
        while True:
            try:
                if self.follower is None:
                    self._take_over()
                return self._ended(self._wait())
            except NotFound:
                return self._ending(1, self.reason or "infrastructure", "its container is gone")
            except (DockerException, OSError) as error:
                self.follower = None
                if not self._await_engine():
                    return self._ending(1, "infrastructure", f"the Docker Engine went away: {reason(error)}")

    def _take_over(self) -> None:
        """Find a container that another keeper, or this one before the engine was restarted, had begun."""
        found = self.client.inspect_container(self.name)
        self._read_labels(found["Config"]["Labels"])
        self._follow(past=True)
        if found["State"]["Status"] == "created":  # its keeper died in between
            self.client.start(self.name)

    def _wait(self) -> int:
        """The exit code, once there is one; the limits are kept meanwhile."""
        found: dict[str, Any] = {}
        over = threading.Event()

        def wait() -> None:
            try:
                found["code"] = connect().wait(self.name)["StatusCode"]
            except Exception as error:
                found["error"] = error
            over.set()

        threading.Thread(target=wait, daemon=True).start()
        while not over.wait(bounds.TICK_S):
            self._look()
        if "error" in found:
            raise found["error"]
        return int(found["code"])

    def _look(self) -> None:
        now = time.monotonic()
        asked = self.bounds.asked_to_stop_at is not None
        if asked and now - self.told_at > TELL_EVERY_S and self._signal("SIGTERM"):
            self.told_at = now
        if not self.killed and (exceeded := self.bounds.exceeded()):
            self._end(*exceeded)
        if now - self.stats_seen > STATS_EVERY_S:
            self.stats_seen = now
            self._measure()

    def _end(self, why: str, message: str) -> None:
        if not self.killed:
            self.reason, self.message = why, message
        self.killed = self._signal("SIGKILL")

    def _signal(self, name: str) -> bool:
        """Send a signal; False if there was nothing yet to send it to."""
        try:
            self.client.kill(self.name, name)
            return True
        except APIError:  # it has just ended, or has not begun
            return False

    def _measure(self) -> None:
        with suppress(APIError, KeyError, TypeError):
            stats = self.client.stats(self.name, stream=False, one_shot=True)
            memory = stats["memory_stats"]
            used = max(int(memory.get("usage", 0)), int(memory.get("max_usage", 0)))
            self.peak_memory_bytes = max(self.peak_memory_bytes, used)
            self.cpu_s = max(self.cpu_s, int(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9)

    def _await_engine(self) -> bool:
        """Whether the engine came back in time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self.client = connect()
                return True
            except NoCapacity:
                time.sleep(0.2)
        return False

    def _ended(self, code: int) -> Ending:
        """What the engine's own account of the end comes to."""
        state = self.client.inspect_container(self.name)["State"]
        if self.follower is not None:
            self.follower.join(LAST_WORDS_S)
        self.log.close()
        limit = self.bounds.limits.memory_bytes
        if state.get("OOMKilled") or self._ran_out_of_memory():
            self.peak_memory_bytes = max(self.peak_memory_bytes, limit)
            return self._ending(code, "out_of_memory", f"the kernel ended it at its limit of {limit:,} bytes")
        if code in NOT_STARTED and state.get("Error"):
            return self._ending(code, "infrastructure", f"the container did not start: {state['Error']}")
        return self._ending(code, self.reason, self.message)

    def _ran_out_of_memory(self) -> bool:
        """Whether the engine told of an oom event. OOMKilled alone misses some with cgroup v2."""
        try:
            events = self.client.events(
                since=f"{self.begun_at:.9f}", until=f"{time.time():.9f}", decode=True,
                filters={"container": self.name, "event": "oom"},
            )  # fmt: skip
            return any(True for _ in events)
        except (DockerException, OSError):
            return False

    def _ending(self, code: int, why: str, message: str) -> Ending:
        memory_bytes, cpu_s = _own_figures(self.folder)
        return Ending(
            exit_code=code if code <= 128 else 128 - code,  # 128 + signal
            reason=why,
            wall_s=round(time.monotonic() - self.bounds.started, 3),
            cpu_s=round(max(self.cpu_s, cpu_s), 3),
            peak_memory_bytes=max(self.peak_memory_bytes, memory_bytes),
            message=message,
        )

    def remove(self, container: str) -> None:
        with suppress(DockerException, OSError):
            self.client.remove_container(container, force=True, v=True)


def _own_figures(folder: Path) -> tuple[int, float]:
    """Peak memory and CPU seconds as the run itself measured them: the engine is asked too seldom for short runs."""
    try:
        open_plain(folder / "result.json").close()
        result = RunResult.read(folder / "result.json")
    except (OSError, ValueError):
        return 0, 0.0
    return int(result.peak_memory_bytes), float(result.cpu_s)


def give(folders: Iterable[Path], uid: int, gid: int) -> None:
    """Make a user the owner of folders and of all that is in them, links not followed."""
    for folder in folders:
        os.chown(folder, uid, gid)
        for parent, names, files in os.walk(folder):
            for name in (*names, *files):
                with suppress(OSError):  # gone meanwhile
                    os.chown(os.path.join(parent, name), uid, gid, follow_symlinks=False)
