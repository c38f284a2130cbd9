"""Quality gates: what passes and what does not."""

from __future__ import annotations

import math

import pytest

from hive.gates import judge
from hive.model import Gate
from hive.recipe import parse_gate


def passes(gate: str, **metrics: float) -> bool:
    [result] = judge([parse_gate(gate)], [{"name": name, "value": value} for name, value in metrics.items()])
    return result.passed


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        ("miou >= 0.5", 0.5, True),
        ("miou >= 0.5", 0.4999, False),
        ("miou > 0.5", 0.5, False),
        ("error <= 2", 2.0, True),
        ("error < 2", 2.0, False),
        ("error < 2", -7.0, True),
        ("error <= 1e-3", 0.001, True),
        ("gain >= -0.5", -0.4, True),
    ],
)
def test_operators(gate: str, value: float, passed: bool) -> None:
    assert passes(gate, **{gate.split()[0]: value}) is passed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("op", [">=", "<=", ">", "<"])
def test_what_is_no_number_passes_nothing(op: str, value: float) -> None:
    assert not passes(f"miou {op} 0.5", miou=value)


def test_a_metric_that_was_not_reported_does_not_pass_and_says_so() -> None:
    [result] = judge([Gate("miou", ">=", 0.5)], [{"name": "accuracy", "value": 1.0}])
    assert not result.passed
    assert str(result) == "miou >= 0.5: not reported"


def test_every_gate_gets_a_verdict_in_order() -> None:
    gates = [parse_gate(text) for text in ("a >= 1", "b >= 1", "c <= 1")]
    results = judge(gates, [{"name": name, "value": 0.5} for name in "abc"])
    assert [(result.gate.metric, result.passed) for result in results] == [("a", False), ("b", False), ("c", True)]
    assert str(results[0]) == "a >= 1: 0.5"


def test_no_gates_nothing_to_miss() -> None:
    assert judge([], [{"name": "a", "value": math.nan}]) == []


@pytest.mark.parametrize(
    "text", ["", "miou", "miou >= ", ">= 0.5", "miou == 0.5", "miou >= half", "a b >= 1", "a >= 1 2"]
)
def test_a_gate_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError):
        parse_gate(text)
