"""What a seismologist would otherwise pick with, and hive's model beside it, on the same records with analyst picks.

    python benchmarks/geophysics_seismic.py FOLDER [--model ARTIFACT] [--noise FOLDER] [-o table.md]

FOLDER holds records as .npz with `data` (N, 3) at 100 Hz, east, north, vertical (absent components 0), and `itp`,
`its`, the samples of P and S; or records that ObsPy reads with picks as CSV or QuakeML beside them. Every pick that is
not within the tolerance of the analyst's counts as wrong. --noise: records without earthquakes, for false picks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[1]
Waves = NDArray[np.float32]
Found = dict[str, list[float]]  # phase -> seconds
Method = Callable[[Waves], Found]
BEFORE_S, AFTER_S = 8.0, 22.0  # of P: what AR-AIC, which gives one P and one S, is shown
TOLERANCES_S = (0.1, 0.5)


@dataclass(frozen=True)
class Record:
    name: str
    waves: Waves  # (3, N) vertical, north, east
    truth: Found


def recipe(module: str) -> Any:
    from hive_runner.recipe_module import load

    return load("geophysics-seismic", REPOSITORY / "recipes" / "geophysics-seismic", module)


def read_records(folder: Path) -> Iterator[Record]:
    arrays = sorted(folder.glob("*.npz"))
    for path in arrays:
        with np.load(path) as stored:
            waves = np.ascontiguousarray(stored["data"][:, ::-1].T, np.float32)
            yield Record(path.stem, waves, {"P": [int(stored["itp"]) / 100], "S": [int(stored["its"]) / 100]})
    if arrays:
        return
    with tempfile.TemporaryDirectory() as scratch:
        user = recipe("user_picks").cut_excerpts(folder, Path(scratch))
        for excerpt in (*user.training, *user.held_out):
            truth = {phase: [second for name, second in excerpt.onsets if name == phase] for phase in "PS"}
            yield Record(excerpt.waves.stem, np.load(excerpt.waves), truth)


def hive_model(artifact: Path) -> tuple[Method, dict[str, list[float]]]:
    """The installed model on one thread; and how many spreads each of its picks is wide."""
    model = recipe("predict").load(artifact)
    spreads: dict[str, list[float]] = {}

    def pick(waves: Waves) -> Found:
        picks = model.pick(waves)
        for each in picks:
            spreads.setdefault(f"{each.phase} {each.second:.4f}", []).append(each.spread_s)
        return {phase: [each.second for each in picks if each.phase == phase] for phase in "PS"}

    return pick, spreads


def near_p(method: Method, waves: Waves, truth: Found) -> Found:
    """`method` on the 30 s around the earthquake, for one that always gives one P and one S."""
    begin = max(round((truth["P"][0] - BEFORE_S) * 100), 0)
    found = method(waves[:, begin : begin + round((BEFORE_S + AFTER_S) * 100)])
    return {phase: [second + begin / 100 for second in seconds] for phase, seconds in found.items()}


def noise_rate(method: Method, folder: Path) -> tuple[float, float]:
    """Picks an hour in records without earthquakes, and the hours."""
    records = recipe("records")
    count, hours = 0, 0.0
    for stretch in records.stretches([folder], records.Notes()):
        length_s = stretch.waves.shape[1] / 100
        begin, end = max(stretch.keep_from_s, 0), min(stretch.keep_to_s, length_s)
        found = method(stretch.waves)
        count += sum(begin <= second < end for seconds in found.values() for second in seconds)
        hours += (end - begin) / 3600
    return count / max(hours, 1e-9), hours


def station_day_s(method: Method) -> float:
    """Seconds for 24 h of one station with three components, from a tenth of that."""
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((3, 864_000)).astype(np.float32)
    begin = time.process_time()
    method(waves)
    return 10 * (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="artifact folder of an installed geophysics-seismic")
    parser.add_argument("--noise", type=Path, help="folder of records without earthquakes")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    baselines, tally_of = recipe("baselines"), recipe("score").Tally
    methods: dict[str, Method] = {
        "STA/LTA + AIC": baselines.sta_lta_aic, "kurtosis + AIC": baselines.kurtosis_aic, "AR-AIC": baselines.ar_aic
    }  # fmt: skip
    spreads: dict[str, list[float]] = {}
    if arguments.model:
        methods["hive"], spreads = hive_model(arguments.model)
    records = list(read_records(arguments.folder))
    columns = ("method", "phase", "F1 0.1 s", "precision", "recall", "F1 0.5 s", "median residual s", "median abs. s",
               "ms a record", "false/h")  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, method in methods.items():
        tallies = {(phase, tolerance): tally_of(tolerance) for phase in "PS" for tolerance in TOLERANCES_S}
        begin = time.perf_counter()
        answers = [
            near_p(method, r.waves, r.truth) if name == "AR-AIC" and r.truth["P"] else method(r.waves) for r in records
        ]
        milliseconds = 1000 * (time.perf_counter() - begin) / max(len(records), 1)
        for record, found in zip(records, answers, strict=True):
            for (phase, _), tally in tallies.items():
                width = [spreads.get(f"{phase} {second:.4f}", [0.0])[0] for second in found[phase]]
                tally.add(record.truth[phase], found[phase], (), width if name == "hive" else ())
        false = "-"
        if arguments.noise and name != "AR-AIC":
            rate, hours = noise_rate(method, arguments.noise)
            false = f"{rate:.1f} in {hours:.1f} h"
        for phase in "PS":
            strict, loose = (tallies[phase, tolerance] for tolerance in TOLERANCES_S)
            middle = float(np.median(loose.residual_s)) if loose.residual_s else float("nan")
            typical = float(np.median(np.abs(loose.residual_s))) if loose.residual_s else float("nan")
            lines.append(
                f"| {name} | {phase} | {strict.f1:.3f} | {strict.precision:.3f} | {strict.recall:.3f} | "
                f"{loose.f1:.3f} | {middle:+.3f} | {typical:.3f} | {milliseconds:.0f} | {false} |"
            )
            if name == "hive" and loose.spread_s:
                ratio = np.abs(loose.residual_s) / np.array(loose.spread_s)
                print(f"{phase}: {np.mean(ratio <= 1):.0%} of the analyst's picks lie within the spread, "
                      f"{np.mean(ratio <= 2):.0%} within two", file=sys.stderr)  # fmt: skip
    print("\n".join([f"{len(records)} records", "", *lines]))
    if arguments.model:
        print(f"\na station-day of three components: {station_day_s(methods['hive']):.0f} s of CPU, one thread")
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY / "training-runner"))
    main()
