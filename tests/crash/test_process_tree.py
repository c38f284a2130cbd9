"""Whatever a run leaves behind and however it ends: one second later none of its processes is left."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from crashing import Figure, kill_and_wait, run_pids
from hive_cli import HiveCli, processes_marked, until

GONE_WITHIN_S = 1.0

ENDS: dict[str, Callable[[HiveCli], object]] = {
    "it ends": lambda hive: hive.until_over(),
    "the run is killed": lambda hive: kill_and_wait(*run_pids(hive)[:1]),
    "the shim is killed": lambda hive: kill_and_wait(*hive.shims()),
    "the job is cancelled": lambda hive: hive.ok("queue", "cancel", "1"),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left(hive: HiveCli, end: str, figure: Figure) -> None:
    mark = uuid.uuid4().hex
    seconds = "1" if end == "it ends" else "60"
    hive.ok("install", "--no-wait", "breeds", "--param", f"mark=m{mark}", "--param", f"seconds={seconds}")
    events = hive.paths.attempt(1, 1) / "events.jsonl"
    until(lambda: events.exists() and "grown" in events.read_text(), "the family is grown")
    [shim] = hive.shims()
    born = len(processes_marked(mark))
    assert born >= 8 or end == "it ends"
    hive.ok("queue", "pause")  # no other attempt: its family would be marked alike
    ENDS[end](hive)
    until(lambda: shim not in hive.shims(), "the attempt is over", 20)
    until(lambda: not processes_marked(mark), "every process is gone", GONE_WITHIN_S)
    figure(f"process tree of {born}, {end}", f"0 left after {GONE_WITHIN_S:.0f} s")
