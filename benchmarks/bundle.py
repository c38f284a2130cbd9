"""Import of a bundle beside `cp` and `sha256sum` of the same bytes, and how much memory export and import take.

    python benchmarks/bundle.py [--rounds 3] [--mib 256]

Each round imports into an empty home. cp and sha256sum read the bundle from the page cache, as hive does. cp does not
wait for the disk and hive does, so a second cp is followed by `sync`. A round moves six times the bundle's size to the
disk: --mib 1024 takes a minute and more a round. Bars: at most 2 x (cp + sha256sum); memory of a large bundle at most
16 MiB above that of one of 1 MiB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from side_by_side import HIVE, PYTHON, RECIPES, Contestant, command, interleave, judge, new_home, prepare, ratios, show

from hive import installed, manifest
from hive.model import Build
from hive.recipe import digest_recipe, snapshot_files
from hive.service import Hive

BLOCK = 1 << 20
RECIPE = RECIPES / "trivial"


def install_large(mib: int, scratch: Path) -> None:
    """trivial, with weights of `mib` MiB that repeat nowhere."""
    out, recipe = scratch / "out", scratch / "recipe"
    for folder in (out, recipe):
        folder.mkdir(parents=True)
    for path in snapshot_files(RECIPE):
        shutil.copy(path, recipe)
    (out / "metrics.json").write_text('[{"name": "quality", "value": 1.0}]')
    with open(out / "weights.bin", "wb") as file:
        for number in range(mib):
            file.write(hashlib.shake_128(number.to_bytes(4, "big")).digest(BLOCK))
    build = Build("trivial", "1.0.0", digest_recipe(recipe), "standard", {}, 0, 1, "cpu", "sha256:" + "0" * 64)
    facts = manifest.facts(build, (), True)
    hive = Hive.open()
    db = hive.db  # there before anything is stored
    made = hive.store.add({"": out, "recipe": recipe}, facts)
    metrics = [{"name": "quality", "value": 1.0}]
    artifact = manifest.artifact(made.digest, made.size_bytes, {**facts, "format": 1}, metrics, time.time())
    with db.write():
        installed.record_artifact(db, artifact)
        installed.install(db, "trivial", "1.0.0", made.digest, False)


def import_into_nothing(bundle: Path, scratch: Path) -> Contestant:
    def run() -> float:
        home = scratch / "home"
        took = command(HIVE, "import", str(bundle), environment={**os.environ, "HIVE_HOME": str(home)})()
        shutil.rmtree(home)
        return took

    return run


def cp_and_sha256(bundle: Path, scratch: Path, sync: bool) -> Contestant:
    copy = scratch / "copy.tar"

    def run() -> float:
        words = f"cp '{bundle}' '{copy}'; sha256sum '{bundle}'" + (f"; sync '{copy}'" if sync else "")
        took = command("sh", "-ec", words)()
        copy.unlink()
        return took

    return run


WAIT = """import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""


def peak_memory_mib(*argv: str) -> float:
    """Of one command, which a small process starts: a process counts its parent's size at the fork as its own."""
    done = subprocess.run([PYTHON, "-S", "-c", WAIT, *argv], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr}")
    return int(done.stdout.split()[-1]) / 1024


def memory(mib: int) -> dict[str, float]:
    """Peaks of export and import of a model of `mib` MiB; the bundle is thrown away."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as text, new_home():
        scratch = Path(text)
        install_large(mib, scratch)
        bundle = scratch / "bundle.tar"
        peaks = {"export": peak_memory_mib(HIVE, "export", "trivial", "-o", str(bundle))}
        os.environ["HIVE_HOME"] = str(scratch / "home")
        return peaks | {"import": peak_memory_mib(HIVE, "import", str(bundle))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=256, help="weights of the model, MiB")
    chosen = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as text, new_home():
        scratch = Path(text)
        install_large(chosen.mib, scratch)
        bundle = scratch / "bundle.tar"
        command(HIVE, "export", "trivial", "-o", str(bundle))()
        contestants = {
            "cp + sha256sum": cp_and_sha256(bundle, scratch, sync=False),
            "cp + sha256sum + sync": cp_and_sha256(bundle, scratch, sync=True),
            "hive import": import_into_nothing(bundle, scratch),
            "hive export": command(HIVE, "export", "trivial", "-o", str(scratch / "again.tar")),
        }
        figures = interleave(contestants, chosen.rounds)
    show(f"a bundle of {chosen.mib} MiB", figures, "cp + sha256sum")
    judge("hive import", median(ratios(figures, "hive import", "cp + sha256sum")), 2.0, "x (cp + sha256sum)")
    synced = median(ratios(figures, "hive import", "cp + sha256sum + sync"))
    print(f"  beside cp + sha256sum + sync, which wait for the disk too: {synced:.2f} x")
    small, large = memory(1), memory(chosen.mib)
    for name in ("export", "import"):
        print(f"  hive {name}: {small[name]:.1f} MiB of memory for 1 MiB, {large[name]:.1f} MiB for {chosen.mib} MiB")
        judge(f"memory of hive {name} beyond the small one's", large[name] - small[name], 16, "MiB")


if __name__ == "__main__":
    main()
