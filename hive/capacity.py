"""How much more may run now, what a job waits for, and when all will be done. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from hive_runner.frozen import frozen

from hive.model import Job, Limits, QueueControl

ABOUT_TO_START = "about to start"


@frozen
class Room:
    """What is free for another runner; no cores means that none may start."""

    cpus: int
    memory_bytes: int


@frozen
class Machine:
    """What all runners together may have."""

    runners: int
    cpus: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()  # as the driver names them
    memory_available_bytes: int = 1 << 62  # at this moment: what is not hive's needs memory too


def runners_wanted(control: QueueControl, max_runners: int) -> int:
    """How many may run at once: as many as the user said, else as many as the settings allow; none while held."""
    if control.hold:
        return 0
    return max_runners if control.target_runners is None else control.target_runners


def room(running: Iterable[Limits], machine: Machine) -> Room:
    """What another runner may have beside those that run.

    The sum of runners' cores stays within the machine's: two 2-thread builds on 2 cores are ten times slower than one.
    """
    used = list(running)
    if len(used) >= machine.runners:
        return Room(0, 0)
    return Room(
        max(0, machine.cpus - sum(limits.cpus for limits in used)),
        max(0, min(machine.memory_bytes - sum(limits.memory_bytes for limits in used), machine.memory_available_bytes)),
    )


def own_cores(wanted: int, cores: Sequence[int], taken: Iterable[Collection[int]]) -> tuple[int, ...]:
    """Which of the machine's cores another runner gets: those that the fewest have. () if it may have all.

    Two runs of one thread on the same core take twice as long, however idle the other one is.
    """
    if wanted >= len(cores):
        return ()
    users = Counter(core for each in taken for core in each)
    return tuple(sorted(cores, key=lambda core: (users[core], core))[:wanted])


def free_gpus(gpus: Sequence[str], taken: Collection[str]) -> list[str]:
    """Those that nobody has: two builds on one GPU share its memory, and one of them fails for want of it."""
    return [gpu for gpu in gpus if gpu not in taken]


def runners_available(running: Sequence[Limits], machine: Machine, cpus_each: int) -> int:
    """How many runners more, of `cpus_each` cores, could start now. Alone, a runner gets whatever there is."""
    by_cores = room(running, machine).cpus // max(1, cpus_each)
    return max(0, min(machine.runners - len(running), max(by_cores, 0 if running else 1)))


def waits_for(
    job: Job, needed: Sequence[Job], running: Sequence[Job], control: QueueControl, machine: Machine, now: float
) -> str:
    """Why a queued job is not running at this moment, in words. needed: the jobs it depends on."""
    outstanding = [f"job {each.id} ({each.name})" for each in needed if each.state != "succeeded"]
    free = room((each.work.limits for each in running), machine)
    limits = job.work.limits
    if control.hold:
        return f"the queue is {control.hold}"
    if outstanding:
        return f"needs {', '.join(outstanding)}"
    if job.not_before > now:
        return f"next try in {job.not_before - now:.0f} s"
    if machine.runners == 0:
        return "scaled to 0 runners"
    if len(running) >= machine.runners:
        return f"{len(running)} of {machine.runners} runners are busy"
    if not running:
        return ABOUT_TO_START  # alone, a job gets whatever there is
    if limits.cpus > free.cpus:
        return f"wants {limits.cpus} core{'s' * (limits.cpus != 1)}, {free.cpus} of {machine.cpus} are free"
    if limits.memory_bytes > free.memory_bytes:
        return f"wants {_gib(limits.memory_bytes)}, {_gib(free.memory_bytes)} of {_gib(machine.memory_bytes)} are free"
    gpus = len(machine.gpus) - sum(each.build.device != "cpu" for each in running)
    if job.build.device != "cpu" and gpus < 1:
        return f"wants a GPU, {max(0, gpus)} of {len(machine.gpus)} are free"
    return ABOUT_TO_START


def done_in_s(remaining_s: Sequence[float], waiting: Sequence[tuple[int, float]], machine: Machine) -> float:
    """Seconds until everything is built, if each takes as long as expected.

    remaining_s: of each that runs. waiting: (cores, seconds) of each that waits, in order. The n-th free slot takes the
    n-th job; a slot is as many cores as the largest of them wants.
    """
    cores = max((cpus for cpus, _ in waiting), default=1)
    slots = max(1, min(machine.runners or 1, machine.cpus // max(1, cores)))
    ends = sorted(max(0.0, left) for left in remaining_s) + [0.0] * (slots - len(remaining_s))
    heapq.heapify(ends)
    for _, seconds in waiting:
        heapq.heappush(ends, heapq.heappop(ends) + seconds)
    return max(ends, default=0.0)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
