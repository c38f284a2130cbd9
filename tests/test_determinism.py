"""On which machines equal builds give equal bytes: the class is told apart by what changes bits, and kept on record."""

from __future__ import annotations

import pytest
from builders import build

from hive import determinism
from hive.machine import Gpu

PINS = ("numpy==2.1.0", "torch==2.6.0+cpu")


def test_a_class_names_all_that_changes_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "instruction_set", lambda: "x86_64 avx2 AMD")
    made = determinism.determinism_class(build(threads=2), PINS)
    assert made == "cpu, 2 math threads, torch 2.6.0+cpu, x86_64 avx2 AMD"
    assert determinism.determinism_class(build(), ()) == "cpu, 1 math thread, no torch, x86_64 avx2 AMD"
    monkeypatch.setattr(determinism.machine, "nvidia_gpus", lambda: [Gpu("0", "NVIDIA H100"), Gpu("1", "NVIDIA H100")])
    assert determinism.determinism_class(build(device="cuda"), PINS).startswith("cuda NVIDIA H100, 1 math thread")
    assert determinism.determinism_class(build(), PINS).startswith("cpu, ")


@pytest.mark.parametrize(
    ("cpuinfo", "words"),
    [
        ("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx fma avx2", "avx2 AMD"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fma avx2", "avx2 Intel"),
        ("vendor_id : GenuineIntel\nflags : fma avx2 avx512f avx512bw avx512dq avx512vl avx512_bf16",
         "avx512 bf16 Intel"),
        ("vendor_id : GenuineIntel\nflags : sse4_2 avx", "Intel"),
        ("BogoMIPS : 50.00\nFeatures : fp asimd bf16\nCPU implementer\t: 0x41", "bf16 0x41"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_maker_counts_beside_the_instructions(cpuinfo: str, words: str) -> None:
    """MKL takes other ways on the CPUs of another maker, whatever instructions they have."""
    both = cpuinfo + "\n\n" + "vendor_id : the next core\nflags : none\n"
    assert determinism.instructions_of(both, "x86_64") == f"x86_64 {words}".strip()


def test_this_machine_has_a_class() -> None:
    assert determinism.instruction_set()
