"""What an artifact says of itself: the facts of its manifest, written at publishing and read wherever it arrives."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hive_runner.contract import Metric
from hive_runner.frozen import asdict

from hive.model import UNKNOWN, Artifact, Build, DataSource

FORMAT = 1  # of the manifest
METRICS = "metrics.json"
FIGURE = re.compile(r"figures/[^/]+\.png")


def facts(build: Build, pins: tuple[str, ...], real: bool) -> dict[str, Any]:
    """Nothing of the machine or the clock: equal builds, equal bytes."""
    made_from = asdict(build)
    made_from["data"] = {name: source.digest for name, source in build.data.items()}
    return {
        "name": build.name,
        "version": build.version,
        "build_key": build.key,
        "build": made_from,
        "pins": list(pins),
        "real": real,
    }


def figures(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """The figures among the files of an artifact: what a recipe wrote as figures/NAME.png."""
    return sorted(entry["path"] for entry in files if FIGURE.fullmatch(entry["path"]))


def artifact(digest: str, size_bytes: int, manifest: dict[str, Any], metrics: Any, now: float) -> Artifact:
    """The artifact that a manifest and a metrics.json describe, wherever they came from.

    Raises ValueError unless they say of each thing what its type and the others allow.
    """
    try:
        made_from = dict(manifest["build"])
        made_from["data"] = {name: DataSource("", pinned) for name, pinned in made_from["data"].items()}
        build = Build(**made_from)
        pins, real = manifest["pins"], manifest["real"]
        if manifest["format"] != FORMAT:
            raise ValueError(f"its manifest has format {manifest['format']!r}, this hive knows {FORMAT}")
        if not isinstance(real, bool) or not all(isinstance(pin, str) for pin in pins):
            raise TypeError("pins are texts, and real is true or false")
        _check_types(build)
        measured = [asdict(_metric(entry)) for entry in metrics]
        told = (manifest["name"], manifest["version"], manifest["build_key"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its manifest is not one of this hive ({type(error).__name__}: {error})") from error
    if told != (build.name, build.version, build.key):
        raise ValueError("its name, version and build key are not those of its build")
    return Artifact(
        digest=digest,
        name=build.name,
        version=build.version,
        build_key=build.key,
        size_bytes=size_bytes,
        created_at=now,
        real=real,
        build=build,
        metrics=measured,
        pins=tuple(pins),
        isolation=UNKNOWN,
        wall_s=0.0,
    )


def _check_types(build: Build) -> None:
    texts = [build.name, build.version, build.recipe_digest, build.profile, build.device, build.environment]
    texts += [*build.dependencies, *build.dependencies.values(), *(source.digest for source in build.data.values())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a field of its build that must be text is not")
    if not all(isinstance(count, int) for count in (build.seed, build.threads)) or not isinstance(build.params, dict):
        raise TypeError("seed, threads or params of its build are of another type")
    for name, value in build.params.items():
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"param {name} is neither a number nor a text nor a flag")


def _metric(entry: dict[str, Any]) -> Metric:
    metric = Metric(**entry)
    texts = (metric.name, metric.better, metric.unit, metric.dataset, *metric.baselines)
    figures = [metric.value, *metric.baselines.values(), *([] if metric.spread is None else [metric.spread])]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a metric is named by something else than text")
    if not all(isinstance(figure, int | float) and math.isfinite(figure) for figure in figures):
        raise TypeError(f"metric {metric.name} is not a finite number")
    return metric
