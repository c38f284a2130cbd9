"""What an artifact consists of: a CycloneDX 1.6 bill of materials of a model, with its figures on the model card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from hive_runner.contract import Metric

from hive.model import Build, DataPackage, Recipe, canonical_json
from hive.provenance import purl

BOM = "bom.json"
SPDX_EXPRESSION = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def document(
    build: Build, recipe: Recipe, pins: Iterable[str], metrics: Sequence[Metric], files: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """The bill. Its serial number follows from its content: equal builds, equal bytes."""
    model = f"model:{build.name}"
    libraries = [_library(pin) for pin in pins]
    packages = [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{name}",
            "name": name,
            "properties": [{"name": "hive:buildKey", "value": key}],
        }
        for name, key in sorted(build.dependencies.items())
    ]
    fetched = {package.name: package for package in recipe.data}
    data = [
        {
            "type": "data",
            "bom-ref": f"data:{name}",
            "name": name,
            **(_fetched(fetched[name]) if name in fetched else {}),
            "data": [{"type": "dataset", "name": name}],
            "properties": [{"name": "hive:contentDigest", "value": source.digest}],
        }
        for name, source in sorted(build.data.items())
    ]
    components = [*libraries, *packages, *data]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"bom-ref": model, **_model(build, recipe, metrics, files)}},
        "components": components,
        "dependencies": [
            {"ref": model, "dependsOn": [component["bom-ref"] for component in components]},
            *({"ref": component["bom-ref"]} for component in components),
        ],
    }
    return {**bill, "serialNumber": _serial_number(bill)}


def _fetched(package: DataPackage) -> dict[str, Any]:
    return {
        "hashes": [{"alg": "SHA-256", "content": package.digest.removeprefix("sha256:")}],
        "licenses": [_licence(package.licence)],
        "externalReferences": [{"type": "distribution", "url": url} for url in package.urls],
    }


def _model(build: Build, recipe: Recipe, metrics: Sequence[Metric], files: Iterable[dict[str, Any]]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if recipe.task:
        parameters["task"] = recipe.task
    if recipe.run.inputs:
        parameters["inputs"] = [{"format": suffix} for suffix in recipe.run.inputs]
    if outputs := tuple(dict.fromkeys(filter(None, (recipe.run.output, *recipe.run.outputs)))):
        parameters["outputs"] = [{"format": suffix} for suffix in outputs]
    if build.data:
        parameters["datasets"] = [{"ref": f"data:{name}"} for name in sorted(build.data)]
    figures = [figure for metric in metrics for figure in _figures(metric)]
    settings = {"profile": build.profile, "seed": build.seed, "threads": build.threads, "device": build.device}
    settings |= {"buildKey": build.key, "recipe": build.recipe_digest, "environment": build.environment}
    settings |= {f"param:{name}": value for name, value in sorted(build.params.items())}
    settings |= {
        f"sha256:{entry['path']}": entry["sha256"] for entry in files if not entry["path"].startswith("recipe/")
    }
    return {
        "type": "machine-learning-model",
        "name": build.name,
        "version": build.version,
        "description": recipe.summary,
        "licenses": [_licence(recipe.licence)],
        "modelCard": {
            "modelParameters": parameters,
            **({"quantitativeAnalysis": {"performanceMetrics": figures}} if figures else {}),
        },
        "properties": [{"name": f"hive:{name}", "value": str(value)} for name, value in settings.items()],
    }


def _figures(metric: Metric) -> list[dict[str, Any]]:
    """A metric, and beside it the same figure of each method that a user would otherwise run."""

    def figure(value: float, method: str, spread: float | None = None) -> dict[str, Any]:
        deviation = "" if spread is None else f"standard deviation {spread!r}"
        of = ", ".join(filter(None, (metric.dataset, deviation, f"baseline {method}" if method else "")))
        unit = f" {metric.unit}" if metric.unit else ""
        return {"type": metric.name, "value": f"{value!r}{unit}", **({"slice": of} if of else {})}

    baselines = [figure(float(value), method) for method, value in sorted(metric.baselines.items())]
    spread = None if metric.spread is None else float(metric.spread)
    return [figure(float(metric.value), "", spread), *baselines]


def _library(pin: str) -> dict[str, Any]:
    name, _, version = pin.partition("==")
    return {"type": "library", "bom-ref": purl(pin), "name": name, "version": version, "purl": purl(pin)}


def _licence(text: str) -> dict[str, Any]:
    return {"expression": text} if SPDX_EXPRESSION.fullmatch(text) else {"license": {"name": text}}


def _serial_number(bill: dict[str, Any]) -> str:
    """A UUID of the eighth kind, whose bits are the maker's own, from the digest of the rest."""
    raw = bytearray(hashlib.sha256(canonical_json(bill).encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
