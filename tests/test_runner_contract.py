"""The three documents of a run: what is written is read back, and nothing a recipe writes breaks the reader."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hive_runner.contract import JobSpec, Metric, RunEvent, RunFailure, RunResult
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(max_size=20)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SPEC = JobSpec("train", "tiny", "1.0.0", "/recipe", "/out", "/checkpoints", "/events.jsonl", "/result.json")


def test_a_spec_is_read_back(tmp_path: Path) -> None:
    SPEC.write(tmp_path / "spec.json")
    assert JobSpec.read(tmp_path / "spec.json") == SPEC


@pytest.mark.parametrize(("field", "value"), [("contract", 2), ("action", "delete")])
def test_a_spec_of_another_contract_is_refused(tmp_path: Path, field: str, value: object) -> None:
    SPEC.write(tmp_path / "spec.json")
    document = json.loads((tmp_path / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(json.dumps({**document, field: value}))
    with pytest.raises(ValueError, match=str(value)):
        JobSpec.read(tmp_path / "spec.json")


@given(
    st.builds(
        RunEvent,
        kind=st.sampled_from(["phase", "progress", "log", "checkpoint"]),
        at=FINITE,
        phase=TEXT,
        step=st.integers(0, 10**12),
        total=st.integers(0, 10**12),
        metrics=st.dictionaries(TEXT, FINITE, max_size=3),
        message=TEXT,
    )
)
def test_an_event_is_one_line_and_is_read_back(event: RunEvent) -> None:
    line = event.line()
    assert line.count("\n") == 1
    parsed = RunEvent.parse(line)
    assert parsed == event or event.at == 0  # an `at` of 0 is left out, and then it is no event


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
EVENT_FIELDS = st.sampled_from(["kind", "at", "phase", "step", "total", "metrics", "message", "other"])


@given(st.text() | JSON.map(json.dumps) | st.dictionaries(EVENT_FIELDS, JSON).map(json.dumps))
def test_garbage_is_no_event_or_a_whole_one(line: str) -> None:
    event = RunEvent.parse(line)
    if event is not None:
        assert isinstance(event.kind, str)
        assert isinstance(event.at, (int, float))
        assert all(isinstance(value, (int, float)) for value in event.metrics.values())


def test_a_line_cut_short_is_no_event() -> None:
    line = RunEvent("progress", 1.0, step=5, metrics={"loss": 0.5}, message="é").line()
    assert all(RunEvent.parse(line[:cut]) is None for cut in range(len(line) - 2))


def test_a_line_nested_too_deep_is_no_event() -> None:
    assert RunEvent.parse("[" * 200_000) is None


def test_a_result_is_read_back(tmp_path: Path) -> None:
    metric = Metric("iou", 0.5, spread=0.1, baselines={"smrf": 0.4})
    result = RunResult("failed", RunFailure("diverged", "NaN"), [metric], {"points": 3}, 1.5, 1.0, 2**30)
    result.write(tmp_path / "result.json")
    assert RunResult.read(tmp_path / "result.json") == result
    assert not list(tmp_path.glob("*.tmp"))


RESULT_FIELDS = st.sampled_from(["status", "failure", "metrics", "summary", "wall_s", "cpu_s", "contract", "other"])


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(RESULT_FIELDS, JSON | st.just("failed")).map(lambda value: json.dumps(value).encode())
)
def test_a_result_that_is_none_raises_value_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result.json")
        path.write_bytes(content)
        with suppress(ValueError):
            assert RunResult.read(path).status in ("succeeded", "failed", "stopped")


@pytest.mark.parametrize(
    "document",
    [
        {"status": "failed", "failure": {"kind": "no such kind", "message": ""}},
        {"status": "failed", "failure": {"kind": "timeout", "message": 5}},
        {"status": "succeeded", "metrics": [{"name": "x", "value": "high"}]},
        {"status": "succeeded", "metrics": [{"name": "x", "value": 1, "baselines": 3}]},
        {"status": "succeeded", "metrics": [{"name": "x", "value": 10**400}]},
        {"status": "succeeded", "wall_s": "long"},
        {"status": "succeeded", "summary": []},
        {"status": "perhaps"},
    ],
)
def test_a_result_with_a_wrong_field_is_refused(tmp_path: Path, document: object) -> None:
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"result\.json"):
        RunResult.read(tmp_path / "result.json")
