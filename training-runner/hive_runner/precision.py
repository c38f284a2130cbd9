"""Half precision where it is faster. Only recipes that import it need torch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import torch


def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 here. On a CPU without the instructions it is emulated, and slower."""
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def fastest(device: str) -> str:
    """The precision to train in: "bfloat16" or "float32"."""
    return "bfloat16" if has_bfloat16(device) else "float32"


def autocast(precision: str, device: str) -> AbstractContextManager[object]:
    """precision: "bfloat16" or "float32"."""
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bfloat16")
