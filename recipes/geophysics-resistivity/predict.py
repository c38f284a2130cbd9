"""Invert one line of readings: a section, its uncertainty and depth of investigation, the misfit of each reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError

from . import formats, report
from .interpret import FINER, Interpreter, percent
from .invert import Answer, Model

if TYPE_CHECKING:
    from hive_runner.run import Run


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    """The trained model of an installed artifact."""
    import torch
    from hive_runner.export import load_weights

    torch.set_num_threads(threads)
    tensors, config = load_weights(artifact)
    return Model(Interpreter(tensors, config))


def predict(run: Run) -> None:
    """Invert run.inputs[0]; write the folder run.output, or the one file of a known kind that it names."""
    if len(run.inputs) != 1:
        raise InputError(f"{len(run.inputs)} inputs", "one line is inverted at a time", "run hive once a file")
    source = run.inputs[0]
    kind = run.output.suffix.lower()
    if kind and kind not in report.WRITERS:
        raise InputError(
            f"{run.output.name} is of no kind that is written", f"it writes {', '.join(report.WRITERS)}",
            "a name without a suffix gives a folder with everything",
        )  # fmt: skip
    run.phase("read")
    line = formats.read(source, run.options.spacing)
    run.phase("invert")
    answer = load(run.artifact, run.threads).invert(line, run.options.error)
    run.phase("write")
    if kind:
        report.WRITERS[kind](answer, line, source.stem, run.output)
    else:
        run.output.mkdir(exist_ok=True)
        report.write_all(answer, line, source.stem, run.output)
    run.summary.update(summarise(answer, line))


def summarise(answer: Answer, line: formats.FieldLine) -> dict[str, Any]:
    prepared, inside = answer.prepared, answer.reached
    values = 10 ** answer.log_rho[inside] if inside.any() else 10**answer.log_rho
    return {
        "format": line.format,
        "electrodes": len(line.positions),
        "readings": len(prepared.data),
        "readings_left_out": len(line.abmn) - len(prepared.data),
        "readings_set_apart": int(answer.result.outliers.sum()),
        "spacing_m": round(prepared.unit_m, 3),
        "resistivity_ohm_m": " to ".join(f"{v:.3g}" for v in np.quantile(values, [0.02, 0.98])),
        "depth_of_investigation_m": round(report.deepest_m(answer), 1),
        "chi2": round(answer.chi2, 2),
        "misfit_percent": round(answer.misfit_percent, 2),
        "error_percent": round(float(np.median(percent(answer.result.error))), 2),
        "notes": prepared.notes,
        "warnings": answer.warnings,
    }


def sample(run: Run) -> None:
    """Readings over made-up ground, as pyGIMLi writes them: 48 electrodes 2 m apart, Schlumberger and dipole-dipole."""
    from .arrays import layout
    from .earth import draw_section, on_cells
    from .grid import Grid
    from .solver import Solver

    count, spacing_m, share = 48, 2.0, 0.03
    abmn = np.concatenate([layout("schlumberger", count, 40), layout("dipole-dipole", count, 12)])
    solver = Solver(Grid.even(count), *FINER)
    for index in range(100):  # the first that looks like ground one would measure over
        model = on_cells(draw_section(run.rng(7, index), solver.grid.length), solver.grid)
        apparent = solver.forward(model, abmn)
        if 20 < apparent.min() < apparent.max() < 1500 and np.std(np.log10(apparent)) > 0.2:
            break
    noisy = apparent * (1 + share * run.rng(8).standard_normal(len(abmn)))
    report.write_unified(run.output, np.arange(count) * spacing_m, abmn, noisy, np.full(len(abmn), share))
    run.summary.update(electrodes=count, readings=len(abmn), noise_percent=100 * share)
