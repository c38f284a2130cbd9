"""The levels of isolation of the process runner, best first, and which of them works here: found by trying.

A level is tried with the very steps that start a run. What came out is remembered until something changes that it may
depend on, so that only the first command after that pays for it.
"""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from hive.model import Limits
from hive.runners.base import work_mount
from hive.runners.identity import boot_id
from hive.runners.isolation.bubblewrap import SESSION, Bubblewrap, find_program
from hive.runners.isolation.direct import Landlocked, Plain
from hive.runners.isolation.level import Level, Payload
from hive.runners.isolation.spawn import Launch, spawn

LEVELS: tuple[Level, ...] = (
    Bubblewrap("cgroup+bwrap", group="hive", other_user=True),
    Bubblewrap("cgroup+bwrap", group="hive"),
    Bubblewrap("systemd+bwrap", group="systemd"),
    Bubblewrap("bwrap", other_user=True),
    Bubblewrap("bwrap"),
    Landlocked(),
    Plain(),
)
NAMES = tuple(dict.fromkeys(level.name for level in LEVELS))

MEMORY = "isolation.json"
EDITION = 1  # of the probes: one more, and what earlier ones found is forgotten
DEADLINE_S = 5.0
PROBE_LIMITS = Limits(cpus=1, memory_bytes=32 << 20, pids=32)
# A program that shall write in its folder and not read beside it, and one that takes more memory than it may.
REACH = 'if (read line < "$1") 2> /dev/null; then echo "it can read beside its folder"; exit 1; fi; echo yes > made'
EAT = "head -c 67108864 /dev/zero | tail > /dev/null"


def choose(state: Path, name: str | None = None) -> tuple[Level | None, dict[str, str]]:
    """The best level that works here, or just the one of that name if it does; and why each better one does not.

    state: a folder in which the outcome of probes is remembered.
    """
    found = _remembered(state)
    refusals: dict[str, str] = {}
    for number, level in enumerate(LEVELS):
        if name not in (None, level.name):
            continue
        why = level.missing()
        if not why and level.isolation().isolates:  # the others promise nothing
            key = f"{level.name} {number}"
            if key not in found:
                found[key] = probe(level, state)
                _remember(state, found)
            why = found[key]
        if not why:
            refusals.pop(level.name, None)  # of a better form of the same
            return level, refusals
        refusals[level.name] = why
    return None, refusals


def launch(level: Level, payload: Payload) -> Launch:
    """How the level starts a payload. A file system that cannot show root's files as another user's (not every one
    can) leaves the run root's, as the next form of the same level has it. Raises OSError.
    """
    forms = [form for form in LEVELS[LEVELS.index(level) :] if form.name == level.name]
    for form in forms[:-1]:
        with suppress(OSError):
            return form.launch(payload)
    return forms[-1].launch(payload)


def probe(level: Level, state: Path) -> str:
    """Why the level does not do here what it says, "" if it does."""
    import tempfile

    place = str(state) if state.is_dir() and os.access(state, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="probe-", dir=place) as text:
        work, beside = Path(text, "work"), Path(text, "beside")
        work.mkdir()
        beside.write_text("out of reach\n")
        try:
            code, said = _run(level, work, REACH, str(beside))
            if code != 0:
                return said or f"its probe ended with {code}"
            if (work / "made").stat().st_uid != os.geteuid():
                return "what it writes is not hive's"
            if level.isolation().memory == "yes" and _run(level, work, EAT)[0] == 0:
                return "it does not keep the limit of memory"
        except OSError as error:
            return str(error)
    return ""


def _run(level: Level, work: Path, script: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a shell script at that level, and what it said. Raises OSError if it cannot be started."""
    argv = ("/bin/sh", "-c", script, "sh", *arguments)
    ready = level.launch(Payload(argv, {"PATH": "/usr/bin:/bin"}, work_mount(work), (), (), PROBE_LIMITS))
    group = ready.group(PROBE_LIMITS) if ready.group else None
    output, end = os.pipe()
    try:
        try:
            pid = spawn(ready, end, group)
        finally:
            os.close(end)
        pidfd = os.pidfd_open(pid)
        in_time, _, _ = select.select([pidfd], [], [], DEADLINE_S)
        os.close(pidfd)
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not in_time:
            return code, f"it did not end within {DEADLINE_S:.0f} s"
        os.set_blocking(output, False)  # something of it may still hold the other end
        try:
            return code, os.read(output, 1000).decode(errors="replace").strip()
        except BlockingIOError:
            return code, ""
    finally:
        os.close(output)
        if group:
            group.remove()


def _facts() -> str:
    """What the outcome of the probes depends on."""
    bwrap = find_program("bwrap")
    return " ".join(
        [
            str(EDITION), boot_id(), str(os.geteuid()), os.environ.get(SESSION[0], "-"),
            *((bwrap, str(os.stat(bwrap).st_mtime_ns)) if bwrap else ()),
        ]
    )  # fmt: skip


def _remembered(state: Path) -> dict[str, str]:
    """What is known of each level that was tried: why it does not work, or ""."""
    try:
        known = json.loads((state / MEMORY).read_text())
        return dict(known["refusals"]) if known["facts"] == _facts() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _remember(state: Path, refusals: dict[str, str]) -> None:
    temporary = state / f"{MEMORY}.{os.getpid()}"
    with suppress(OSError):  # a read-only home: try again next time
        temporary.write_text(json.dumps({"facts": _facts(), "refusals": refusals}))
        os.replace(temporary, state / MEMORY)
