"""What is handed on: the section as VTK and CSV, the misfit of each reading, the figure; and pyGIMLi's data file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import Abmn
from .figure import draw
from .formats import FieldLine
from .grid import Floats
from .interpret import percent
from .inversion import NORMAL_80
from .invert import Answer


def surface(answer: Answer, places: Floats) -> tuple[Floats, Floats]:
    """Distances along the surface, spacings -> metres along the line and height; straight on beyond the ends."""
    stations, unit = answer.prepared.stations, answer.prepared.unit_m
    metres = places * unit
    x, height = (np.interp(metres, stations[:, 0], stations[:, i]) for i in (1, 2))
    return x + np.minimum(metres - stations[0, 0], 0) + np.maximum(metres - stations[-1, 0], 0), height


def deepest_m(answer: Answer) -> float:
    """The median over the line's columns of how deep the readings reach, metres."""
    bottom = answer.z_edges[1:] * answer.prepared.unit_m
    last = len(bottom) - 1 - np.argmax(answer.reached[::-1], 0)
    reach = np.where(answer.reached.any(0), bottom[last], 0.0)
    return float(np.median(reach))


def write_section(answer: Answer, line: FieldLine, title: str, path: Path) -> None:
    """A row a cell. rho_low and rho_high hold 80 % between them; reached: within the depth of investigation."""
    x = (answer.x_edges[1:] + answer.x_edges[:-1]) / 2
    depth = (answer.z_edges[1:] + answer.z_edges[:-1]) / 2 * answer.prepared.unit_m
    along, height = surface(answer, x)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["x_m", "elevation_m", "depth_m", "rho_ohm_m", "rho_low_ohm_m", "rho_high_ohm_m", "reached"])
        for i in range(len(depth)):
            for j in range(len(x)):
                value, spread = answer.log_rho[i, j], NORMAL_80 * answer.spread[i, j]
                rows.writerow(
                    [
                        f"{along[j]:.3f}", f"{height[j] - depth[i]:.3f}", f"{depth[i]:.3f}", f"{10**value:.5g}",
                        f"{10 ** (value - spread):.5g}", f"{10 ** (value + spread):.5g}", int(answer.reached[i, j]),
                    ]
                )  # fmt: skip


def write_misfit(answer: Answer, line: FieldLine, title: str, path: Path) -> None:
    """A row a reading of the file, in its order; those that could not be used have no prediction."""
    prepared, result = answer.prepared, answer.result
    x_m, _ = surface(answer, prepared.survey.middles)
    row_of = {int(kept): row for row, kept in enumerate(prepared.kept)}
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            [
                "reading", "a_m", "b_m", "m_m", "n_m", "x_m", "median_depth_m", "observed_ohm_m", "predicted_ohm_m",
                "misfit_percent", "error_percent", "set_apart",
            ]
        )  # fmt: skip
        errors = percent(result.error)
        for index, electrodes in enumerate(line.abmn):
            places = ["" if e < 0 else f"{line.positions[e, 0]:.3f}" for e in electrodes]
            row = row_of.get(index)
            if row is None:
                rows.writerow([index + 1, *places, "", "", f"{line.apparent[index]:.5g}", "", "", "", ""])
                continue
            observed, predicted = 10 ** prepared.data[row], 10 ** result.fit.predicted[row]
            rows.writerow(
                [
                    index + 1, *places, f"{x_m[row]:.3f}", f"{prepared.survey.depths[row] * prepared.unit_m:.3f}",
                    f"{observed:.5g}", f"{predicted:.5g}", f"{100 * (predicted / observed - 1):.3f}",
                    f"{errors[row]:.3f}", int(result.outliers[row]),
                ]
            )  # fmt: skip


def write_vtk(answer: Answer, line: FieldLine, title: str, path: Path) -> None:
    """Legacy VTK, quadrangles draped from the surface in the plane of x and z: ParaView and pyGIMLi open it."""
    along, height = surface(answer, answer.x_edges)
    depth = answer.z_edges * answer.prepared.unit_m
    layers, columns = answer.log_rho.shape
    points = [f"{along[j]:.4f} 0 {height[j] - d:.4f}" for d in depth for j in range(columns + 1)]
    corner = (np.arange(layers)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    cells = np.stack([corner, corner + 1, corner + columns + 2, corner + columns + 1], 1)
    low, high = answer.log_rho - NORMAL_80 * answer.spread, answer.log_rho + NORMAL_80 * answer.spread
    fields: dict[str, NDArray[np.float64]] = {
        "resistivity_ohm_m": 10**answer.log_rho, "low_ohm_m": 10**low, "high_ohm_m": 10**high,
        "log10_resistivity": answer.log_rho, "log10_spread": answer.spread, "reached": answer.reached.astype(float),
    }  # fmt: skip
    text = ["# vtk DataFile Version 3.0", title[:200].replace("\n", " "), "ASCII", "DATASET UNSTRUCTURED_GRID"]
    text += [f"POINTS {len(points)} float", *points, f"CELLS {len(cells)} {5 * len(cells)}"]
    text += ["4 " + " ".join(map(str, cell)) for cell in cells]
    text += [f"CELL_TYPES {len(cells)}", *(["9"] * len(cells)), f"CELL_DATA {len(cells)}"]
    for name, values in fields.items():
        text += [f"SCALARS {name} float 1", "LOOKUP_TABLE default", *(f"{value:.6g}" for value in values.ravel())]
    path.write_text("\n".join(text) + "\n")


def write_figure(answer: Answer, line: FieldLine, title: str, path: Path) -> None:
    draw(answer, surface(answer, answer.x_edges), surface(answer, answer.prepared.survey.middles)[0], title, path)


Writer = Callable[[Answer, FieldLine, str, Path], None]
WRITERS: dict[str, Writer] = {".csv": write_section, ".vtk": write_vtk, ".png": write_figure}


def write_all(answer: Answer, line: FieldLine, title: str, folder: Path) -> None:
    write_section(answer, line, title, folder / "section.csv")
    write_misfit(answer, line, title, folder / "misfit.csv")
    write_vtk(answer, line, title, folder / "section.vtk")
    write_figure(answer, line, title, folder / "section.png")


def write_unified(path: Path, positions: Floats, abmn: Abmn, apparent: Floats, error: Floats) -> None:
    """pyGIMLi's unified data format."""
    rows = [f"{len(positions)}# Number of electrodes", "# x z", *(f"{x:g} 0" for x in positions)]
    rows += [f"{len(abmn)}# Number of data", "# a b m n rhoa err"]
    rows += [
        " ".join(map(str, electrodes + 1)) + f" {value:.5g} {share:g}"
        for electrodes, value, share in zip(abmn, apparent, error, strict=True)
    ]
    path.write_text("\n".join([*rows, "0", ""]))
