"""The figure of a report: what was measured, what explains it, what is left, and what it says about the ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .interpretation import Interpretation

MOST_INTERVALS = 12  # bodies with their interval beside the depth; of more, the depths alone are written
LABEL_ROOM = (0.11, 0.045)  # of the map's width and height, which a label takes
DPI = 130


def draw(path: Path, found: Interpretation) -> None:
    """Six maps on one page."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    grid = found.grid
    rows, columns = grid.values.shape
    unit, scale = ("km", 1000.0) if max(rows, columns) * grid.spacing_m >= 3000 else ("m", 1.0)
    to_unit = grid.unit_m / scale
    extent = [
        edge * to_unit
        for edge in (grid.west, grid.west + columns * grid.cell, grid.south, grid.south + rows * grid.cell)
    ]
    cell = grid.cell * to_unit
    wider = [edge + step for edge, step in zip(extent, (-cell, cell, -cell, cell), strict=True)]
    body = found.label > 0
    computed = found.anomaly - found.fit.residual
    limit = float(np.nanquantile(np.abs(found.anomaly), 0.995)) or 1.0
    depth = np.where(body, found.depth_m(found.maps.top), np.nan)
    spread = np.where(body, found.depth_m(found.maps.top_high) - found.depth_m(found.maps.top_low), np.nan)
    moment = np.where(body, found.susceptibility_thickness_m(found.fit.moment), np.nan)
    strong = float(np.nanquantile(np.abs(moment), 0.98)) if body.any() else 1.0
    field = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    panels: list[tuple[str, str, NDArray[Any], dict[str, Any]]] = [
        ("Measured, less the regional", "nT", found.anomaly, field),
        ("Computed from the bodies", "nT", computed, field),
        (f"Misfit, {found.fit.share:.1%} of the spread", "nT", found.fit.residual, field),
        ("Probability of a body", "", np.where(np.isfinite(grid.values), found.maps.probability, np.nan),
         {"cmap": "Greys", "vmin": 0, "vmax": 1}),
        ("Depth to top below ground, median", "m", depth, {"cmap": "viridis_r", **_ends(depth)}),
        ("Susceptibility x thickness", "SI m", moment, {"cmap": "PuOr_r", "vmin": -strong, "vmax": strong}),
    ]  # fmt: skip
    height = 3.7 * np.clip(rows / columns, 0.35, 2.2)  # of a map; its width is about 3.7 inches
    size = (14.5, 2 * height + 1.9)
    figure, axes = pyplot.subplots(2, 3, figsize=size, layout="constrained", sharex=True, sharey=True)
    for axis, (title, colour_unit, values, style) in zip(axes.ravel(), panels, strict=True):
        image = axis.imshow(values, origin="lower", extent=extent, interpolation="nearest", **style)
        axis.set_title(title, fontsize=11)
        axis.tick_params(labelsize=8)
        axis.ticklabel_format(useOffset=False, style="plain")
        figure.colorbar(image, ax=axis, label=colour_unit, pad=0.02)
        if body.any():
            outline = np.pad(body, 1)  # closed at the rim, too
            axis.contour(outline, [0.5], origin="lower", extent=wider, colors="black", linewidths=0.7)
            axis.axis(extent)
    for axis in axes[1]:
        axis.set_xlabel(f"x ({unit})", fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"y ({unit})", fontsize=9)
    _write_depths(axes[1, 1], found, to_unit)
    height_note = f", sensor {found.sensor_height_m:g} m above ground" if found.sensor_height_m else ""
    interval = f"; 10-90 % interval typically {np.nanmedian(spread):.0f} m wide" if body.any() else ""
    figure.suptitle(
        f"{grid.name}: {len(found.solutions)} magnetic bodies{interval}\n"
        f"cells of {grid.spacing_m:g} m, inclination {found.inclination_deg:.1f}°, "
        f"declination {found.declination_deg:.1f}°{height_note}",
        fontsize=11,
    )
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _ends(depth: NDArray[Any]) -> dict[str, float]:
    """Of the colours of depths."""
    if not np.isfinite(depth).any():
        return {"vmin": 0.0, "vmax": 1.0}
    low, high = np.nanquantile(depth, [0.02, 0.98])
    return {"vmin": float(low), "vmax": float(max(high, low * 1.05 + 1e-6))}


def _write_depths(axis: Any, found: Interpretation, to_unit: float) -> None:
    """Each body's depth below it, the largest first, where there is room."""
    from matplotlib import patheffects

    grid = found.grid
    rows, columns = grid.values.shape
    taken: list[tuple[float, float]] = []
    for body in sorted(found.solutions, key=lambda each: -each.cells):
        place = (body.east / columns, body.north / rows)
        if any(_beside(place, other, 0) and _beside(place, other, 1) for other in taken):
            continue
        taken.append(place)
        low, middle, high = (float(found.depth_m(each)) for each in (body.top_low, body.top, body.top_high))
        text = f"{middle:.0f}"
        if len(found.solutions) <= MOST_INTERVALS:
            text += f"\n({low:.0f}-{high:.0f})"
        x, y = (grid.west + (body.east + 0.5) * grid.cell, grid.south + (body.north + 0.5) * grid.cell)
        axis.annotate(
            text, (x * to_unit, y * to_unit),
            ha="center", va="center", fontsize=7.5, fontweight="bold", annotation_clip=True, linespacing=0.95,
            path_effects=[patheffects.withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip


def _beside(place: tuple[float, float], other: tuple[float, float], axis: int) -> bool:
    return abs(place[axis] - other[axis]) < LABEL_ROOM[axis]
