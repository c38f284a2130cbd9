"""Quality gates: whether a trained model is good enough to be installed."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

from hive_runner.frozen import frozen

from hive.model import Gate

OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@frozen
class GateResult:
    gate: Gate
    value: float | None  # None: the run reported no such metric
    passed: bool

    def __str__(self) -> str:
        found = "not reported" if self.value is None else f"{self.value:.4g}"
        return f"{self.gate}: {found}"


def judge(gates: Iterable[Gate], metrics: list[dict[str, Any]]) -> list[GateResult]:
    """Each gate against the metrics of a run. A metric that is missing or not a number does not pass."""
    values = {metric["name"]: float(metric["value"]) for metric in metrics}
    results = []
    for gate in gates:
        value = values.get(gate.metric)
        passed = value is not None and math.isfinite(value) and bool(OPERATORS[gate.op](value, gate.bound))
        results.append(GateResult(gate, value, passed))
    return results
