"""Every benchmark with small counts, one after the other: `just bench`. Each alone, with its defaults, says more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SMALL = {
    "startup.py": ("--rounds", "15", "--history", "100000"),
    "runner_start.py": ("--rounds", "10"),
    "trivial_build.py": ("--rounds", "10", "--jobs", "20"),
    "container_start.py": ("--rounds", "9"),
    "queue_throughput.py": ("--rounds", "3", "--jobs", "200", "--long", "1000000"),
    "trivial_queue.py": ("--rounds", "5"),
    "makespan.py": (),
    "threads.py": (),
    "supervisor_idle.py": ("--seconds", "20"),
    "bundle.py": ("--rounds", "3", "--mib", "256"),
    "training_overhead.py": ("--rounds", "2", "--steps", "4000"),
    "resolve.py": ("--rounds", "5"),
    "upkeep.py": ("--rounds", "5", "--installs", "50"),
}


def main() -> None:
    for script, arguments in SMALL.items():
        print(f"\n== {script} {' '.join(arguments)}", flush=True)
        code = subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments]).returncode
        if code:
            sys.exit(f"{script} ended with {code}")


if __name__ == "__main__":
    main()
