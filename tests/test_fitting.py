"""The training loop that recipes share: against the loop written out, and killed and resumed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the loop is torch's")

from hive_runner.ahead import made_ahead  # noqa: E402
from hive_runner.errors import Stopped  # noqa: E402
from hive_runner.fitting import Fitting, adamw, schedule  # noqa: E402

STEPS, WARMUP, DECAY, RATE = 12, 3, 0.9, 0.05


class Told:
    """What a run is told, and what it is asked to keep."""

    def __init__(self, stop_after: int = 0) -> None:
        self.stop_after = stop_after
        self.shown: list[tuple[int, dict[str, float]]] = []
        self.saved: dict[str, Any] = {}
        self.numbers: list[int] = []

    def progress(self, step: int, total: int = 0, **metrics: float) -> None:
        self.shown.append((step, metrics))

    def checkpoint(self, step: int, state: Any) -> None:
        self.numbers.append(step)
        if len(self.numbers) == self.stop_after:
            self.saved = {key: _copied(value) for key, value in state().items()}
            raise Stopped("stopped")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value.clone() if isinstance(value, torch.Tensor) else value


def network() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def loss_at(step: int, model: Any) -> Any:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(16, 4, generator=generator)
    return (model(x)[:, 0] - x.sum(1)).square().mean()


def fitted(told: Told, state: Any = None, **how: Any) -> dict[str, Any]:
    model = network()
    fitting = Fitting(told, model, adamw(model, RATE, 0.1), STEPS, WARMUP, DECAY, **how)  # type: ignore[arg-type]
    for step in range(fitting.resume(state), STEPS):
        loss = loss_at(step, model)
        fitting.learn(loss, loss=loss.item())
    return fitting.weights()


def written_out() -> dict[str, Any]:
    model = network()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min((step + 1) / WARMUP, (STEPS - step) / (0.6 * STEPS), 1.0)
        optimiser.zero_grad()
        loss_at(step, model).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor, 1 - min(DECAY, (step + 1) / (step + 10)))
    return average


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_the_loop_written_out() -> None:
    told = Told()
    made = fitted(told)
    assert same(made, written_out())
    assert [step for step, _ in told.shown] == list(range(1, STEPS + 1))
    assert told.shown[-1][1]["loss"] < told.shown[0][1]["loss"]


@pytest.mark.parametrize("after", [1, 5, STEPS - 1])
def test_stopped_and_gone_on_with_it_ends_with_the_same_bytes(after: int) -> None:
    stopped = Told(stop_after=after)
    with pytest.raises(Stopped):
        fitted(stopped)
    assert stopped.saved["step"] == after
    assert same(fitted(Told(), stopped.saved), fitted(Told()))


def test_going_on_leaves_the_state_as_it_was() -> None:
    """A checkpoint is read to the CPU: what is copied from it goes where the model is."""
    stopped = Told(stop_after=5)
    with pytest.raises(Stopped):
        fitted(stopped)
    before = _copied(stopped.saved["average"])
    fitted(Told(), stopped.saved)
    assert same(stopped.saved["average"], before)


def test_a_later_stage_numbers_its_checkpoints_on_and_keeps_what_came_before() -> None:
    told = Told(stop_after=2)
    with pytest.raises(Stopped):
        fitted(told, earlier_steps=100, kept={"stage": "second", "first": {"weight": torch.ones(2)}})
    assert told.numbers == [101, 102]
    assert told.saved["stage"] == "second" and torch.equal(told.saved["first"]["weight"], torch.ones(2))


def test_a_state_before_the_first_step_changes_nothing() -> None:
    assert same(fitted(Told(), {"stage": "second", "step": 0}), fitted(Told()))


def test_gradients_may_come_from_elsewhere() -> None:
    model, other = network(), network()
    one = Fitting(Told(), model, adamw(model, RATE, 0.1), STEPS, WARMUP, DECAY)  # type: ignore[arg-type]
    two = Fitting(Told(), other, adamw(other, RATE, 0.1), STEPS, WARMUP, DECAY)  # type: ignore[arg-type]
    one.learn(loss_at(0, model))
    loss_at(0, other).backward()
    two.follow()
    assert same(one.weights(), two.weights())


def test_the_rate_rises_stays_and_falls_to_nearly_nothing() -> None:
    rates = [schedule(step, 100, 10) for step in range(100)]
    assert rates[0] == 0.1 and rates[9] == rates[39] == 1.0
    assert rates[41] < 1.0 and rates[99] == pytest.approx(1 / 60)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def square(number: int) -> int:
    if number == 13:
        raise ValueError("unlucky")
    return number * number


@pytest.mark.parametrize("workers, ahead", [(1, 0), (2, 0), (2, 1), (2, 50)])
def test_what_is_made_ahead_comes_in_order(workers: int, ahead: int) -> None:
    assert list(made_ahead(square, range(12), workers, ahead)) == [n * n for n in range(12)]


def test_only_so_much_is_made_ahead() -> None:
    asked = []

    def numbers() -> Any:
        for number in range(100):
            asked.append(number)
            yield number

    stream = made_ahead(square, numbers(), 1, 3)
    assert next(stream) == 0 and len(asked) == 4
    stream.close()


def test_what_fails_in_a_worker_fails_here() -> None:
    stream = made_ahead(square, range(12, 15), 1)
    assert next(stream) == 144
    with pytest.raises(ValueError, match="unlucky"):
        next(stream)
