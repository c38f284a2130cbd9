"""What the bytes of a build depend on besides its build key: the class of machines on which it gives the same bytes."""

from __future__ import annotations

import os

from hive.model import Build

LEVELS = (  # of x86-64, by what the first of them that lacks nothing has; kernels of torch and numpy choose by these
    ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
    ("avx2", {"avx2", "fma"}),
)


def instruction_set() -> str:
    """Such as "x86_64 avx512": the vector instructions by which numerical libraries choose their kernels."""
    machine = os.uname().machine
    try:
        with open("/proc/cpuinfo") as file:
            line = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        line = ""
    flags = set(line.partition(":")[2].split())
    extra = " bf16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else ""
    return machine + next((f" {name}" for name, needed in LEVELS if needed <= flags), "") + extra


def determinism_class(build: Build, pins: tuple[str, ...]) -> str:
    """In words: device, math threads, torch, instructions. Equal builds of one class give equal bytes."""
    torch = next((pin.replace("==", " ") for pin in pins if pin.startswith("torch==")), "no torch")
    threads = f"{build.threads} math thread{'s' * (build.threads != 1)}"
    return ", ".join((build.device, threads, torch, instruction_set()))
