"""How much more may run now. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def free_cpus(running: Iterable[int], max_runners: int, machine_cpus: int) -> int:
    """Cores for another runner, given the cores each running one has; 0 when nothing more may start.

    The sum of runners' cores stays within the machine's: two 2-thread builds on 2 cores are ten times slower than one.
    """
    used = list(running)
    if len(used) >= max_runners:
        return 0
    return max(0, machine_cpus - sum(used))
