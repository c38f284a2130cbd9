"""What the bytes of a build depend on besides its build key: the class of machines on which it gives the same bytes."""

from __future__ import annotations

import os

from hive import machine
from hive.model import Build

MAKERS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
LEVELS = (  # of x86-64, by what the first of them that lacks nothing has; kernels of torch and numpy choose by these
    ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
    ("avx2", {"avx2", "fma"}),
)


def instruction_set() -> str:
    """Of this machine, such as "x86_64 avx512 Intel"."""
    try:
        with open("/proc/cpuinfo") as file:
            cpuinfo = file.read()
    except OSError:
        cpuinfo = ""
    return instructions_of(cpuinfo, os.uname().machine)


def instructions_of(cpuinfo: str, machine_name: str) -> str:
    """What numerical libraries choose their kernels by: vector instructions, and the maker of the CPU."""
    lines = cpuinfo.partition("\n\n")[0].splitlines()  # of the first core
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    maker = facts.get("vendor_id", facts.get("CPU implementer", ""))
    words = [machine_name, next((name for name, needed in LEVELS if needed <= flags), "")]
    words += ["bf16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "", MAKERS.get(maker, maker)]
    return " ".join(filter(None, words))


def determinism_class(build: Build, pins: tuple[str, ...]) -> str:
    """In words: device, math threads, torch, instructions. Equal builds of one class give equal bytes."""
    torch = next((pin.replace("==", " ") for pin in pins if pin.startswith("torch==")), "no torch")
    threads = f"{build.threads} math thread{'s' * (build.threads != 1)}"
    gpus = sorted({gpu.model for gpu in machine.nvidia_gpus()}) if build.device != "cpu" else []
    return ", ".join((" ".join((build.device, *gpus)), threads, torch, instruction_set()))
