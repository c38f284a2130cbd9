"""The figure: measured and modelled readings, the section, how sure it is, and where the readings do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .grid import Floats
from .inversion import NORMAL_80
from .invert import Answer

COLOURS = "Spectral_r"


def draw(answer: Answer, surface: tuple[Floats, Floats], middles_m: Floats, title: str, path: Path) -> None:
    """surface: metres along the line and heights of the cells' sides; middles_m: where each reading belongs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    prepared, result = answer.prepared, answer.result
    unit = prepared.unit_m
    depths = prepared.survey.depths * unit
    observed, predicted = 10**prepared.data, 10**result.fit.predicted
    shown = 10 ** answer.log_rho[answer.reached] if answer.reached.any() else observed
    low, high = np.quantile(np.concatenate([shown, observed]), [0.01, 0.99])
    norm = LogNorm(max(low, 1e-3), max(high, low * 1.5))
    figure = Figure(figsize=(11, 13.5), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=[1, 1, 1.45, 1.45])

    for axis, values, name in ((axes[0], observed, "measured"), (axes[1], predicted, "answered by the section below")):
        size = _mark_size(middles_m)
        marks = axis.scatter(middles_m, depths, c=values, norm=norm, cmap=COLOURS, s=size, marker="s", lw=0)
        axis.set(ylim=(depths.max() * 1.08, 0), ylabel="median depth, m")
        axis.set_title(f"Apparent resistivity, {name}", loc="left", fontsize=10)
        _bar(figure, marks, axis, "ohm m")
    apart = result.outliers
    if apart.any():
        axes[0].plot(middles_m[apart], depths[apart], "kx", ms=5, label="set apart: contradicts all others")
        axes[0].legend(loc="lower right", fontsize=8, frameon=False)

    x, height = surface
    mesh_x = np.broadcast_to(x, (len(answer.z_edges), len(x)))
    mesh_z = height[None, :] - answer.z_edges[:, None] * unit
    drawn = axes[2].pcolormesh(mesh_x, mesh_z, 10**answer.log_rho, norm=norm, cmap=COLOURS)
    axes[2].pcolormesh(mesh_x, mesh_z, np.where(answer.reached, np.nan, 1.0), cmap="gray", vmin=0, vmax=1, alpha=0.65)
    _bar(figure, drawn, axes[2], "ohm m")
    axes[2].set_title("Resistivity; pale: below the depth of investigation", loc="left", fontsize=10)

    factor = 10 ** (NORMAL_80 * answer.spread)
    sure = axes[3].pcolormesh(mesh_x, mesh_z, factor, norm=LogNorm(1.05, 4.0), cmap="magma_r")
    bar = _bar(figure, sure, axes[3], "factor")
    bar.set_ticks([1.1, 1.25, 1.5, 2, 3, 4], labels=["1.1", "1.25", "1.5", "2", "3", "4"])
    bar.minorticks_off()
    meaning = "Uncertainty: the truth is within this factor, up or down, in 80 % of the cells"
    axes[3].set_title(meaning, loc="left", fontsize=10)
    flat = np.ptp(height) == 0 and height[0] == 0
    for axis in axes[2:]:
        axis.plot(prepared.stations[:, 1], prepared.stations[:, 2], "kv", ms=3, clip_on=False, zorder=5)
        axis.set_ylabel("depth, m" if flat else "elevation, m")
        if flat:
            axis.set_yticks(axis.get_yticks(), labels=[f"{abs(t):g}" for t in axis.get_yticks()])
        axis.set_ylim(mesh_z.min(), mesh_z.max() + 0.02 * np.ptp(mesh_z))
    axes[3].set(xlabel="distance along the line, m", xlim=(x.min(), x.max()))
    figure.suptitle(
        f"{title}   {len(observed)} readings, misfit {answer.misfit_percent:.1f} %, chi2 {answer.chi2:.2f}", fontsize=12
    )  # fmt: skip
    figure.savefig(path, dpi=130)


def _mark_size(x: Floats) -> float:
    """Square points so large that neighbours touch: about the width of one spacing on the page."""
    steps = np.diff(np.unique(np.round(x, 3)))
    columns = np.ptp(x) / max(float(np.quantile(steps, 0.5)), 1e-9) if len(steps) else 10.0
    return float(np.clip((640.0 / max(columns, 1)) ** 2, 12, 120))


def _bar(figure: Any, drawn: Any, axis: Any, label: str) -> Any:
    bar = figure.colorbar(drawn, ax=axis, label=label, pad=0.01, aspect=18)
    if label == "ohm m":
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        bar.locator = LogLocator(subs=(1, 2, 5))
        bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.update_ticks()
    return bar
