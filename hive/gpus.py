"""The graphics cards that the NVIDIA driver knows, from /proc: asking nvidia-smi takes a second."""

from __future__ import annotations

from pathlib import Path

from hive_runner.frozen import frozen

DRIVER = Path("/proc/driver/nvidia/gpus")


@frozen
class Gpu:
    id: str  # what an engine is asked for it by: the card's UUID, or its number where that is not told
    model: str


def nvidia_gpus(driver: Path = DRIVER) -> list[Gpu]:
    """In the driver's order; none without a driver."""
    found = []
    for number, folder in enumerate(sorted(driver.glob("*"))):
        try:
            lines = (folder / "information").read_text().splitlines()
        except OSError:
            continue
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        uuid = facts.get("GPU UUID", "")
        found.append(Gpu(uuid if uuid.startswith("GPU-") and "?" not in uuid else str(number), facts.get("Model", "")))
    return found
