"""Gradients made by several processes: the same bytes as by one, and no process left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import active_children
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="gradients are torch's")

from hive_runner.data_parallel import makers, mean_gradients, part  # noqa: E402
from hive_runner.fitting import Fitting, adamw  # noqa: E402

STEPS = 8


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a run: a forked process cannot use the threads of its parent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Told:
    def progress(self, step: int, total: int = 0, **metrics: float) -> None: ...
    def checkpoint(self, step: int, state: Any) -> None: ...


def network() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last), torch.nn.Tanh(), torch.nn.Conv2d(4, 1, 3)
    )


def share(number: int, first: int = 0) -> Iterator[Any]:
    for step in range(first, STEPS):
        yield torch.randn(2 + number, 2, 8, 8, generator=torch.Generator().manual_seed(100 * step + number))


def losses_of(model: Any, x: Any) -> dict[str, Any]:
    made = model(x)[:, 0]
    return {"error": (made - x[:, 0, 2:-2, 2:-2]).square().mean(), "size": 0.1 * made.abs().mean()}


def fitted(shares: int, processes: int, stop_after: int = STEPS, state: Any = None) -> tuple[dict[str, Any], Any, Any]:
    model = network()
    fitting = Fitting(Told(), model, adamw(model, 0.05, 0.1), STEPS, 2, 0.9)  # type: ignore[arg-type]
    first = fitting.resume(state)
    shown = []
    with mean_gradients(
        model, partial(losses_of, model), [partial(share, k, first) for k in range(shares)], processes
    ) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
            shown.append(parts)
            if fitting.step == stop_after:
                break
    return fitting.weights(), shown, fitting.state()


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_as_many_processes_as_shares_give_the_bytes_of_one(shares: int) -> None:
    weights, shown, _ = fitted(shares, processes=1)
    others, others_shown, _ = fitted(shares, processes=shares)
    assert same(weights, others) and shown == others_shown and len(shown) == STEPS
    assert not active_children()


def test_the_gradient_is_the_mean_of_the_shares() -> None:
    model = network()
    with mean_gradients(model, partial(losses_of, model), [partial(share, k) for k in range(2)], 2) as gradients:
        parts = next(gradients)
    made = [p.grad.clone() for p in model.parameters()]
    each = [losses_of(model, next(share(k))) for k in range(2)]
    model.zero_grad()
    (sum(sum(one.values()) for one in each) / 2).backward()
    assert all(torch.allclose(p.grad, grad, atol=1e-6) for p, grad in zip(model.parameters(), made, strict=True))
    assert parts["error"] == pytest.approx(sum(one["error"].item() for one in each) / 2)


@pytest.mark.parametrize("count, shares", [(8, 2), (7, 3), (2, 2), (1, 1)])
def test_each_of_a_batch_is_of_one_share(count: int, shares: int) -> None:
    parts = [part(count, share, shares) for share in range(shares)]
    assert [k for each in parts for k in each] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_stopped_half_way_and_gone_on_with_it_ends_with_the_same_bytes() -> None:
    _, _, state = fitted(2, 2, stop_after=3)
    assert same(fitted(2, 2, state=state)[0], fitted(2, 2)[0])
    assert not active_children()


def failing(number: int) -> Iterator[Any]:
    yield next(share(number))
    if number == 1:
        raise ValueError("unlucky")
    yield from share(number)


def killed(number: int) -> Iterator[Any]:
    yield next(share(number))
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from share(number)


def failed_before_it_is_asked(number: int) -> Iterator[Any]:
    if number == 1:
        raise ValueError("unlucky")
    time.sleep(1)
    yield from share(number)


@pytest.mark.parametrize(
    "stream, error, words",
    [
        (failing, ValueError, "unlucky"),
        (failed_before_it_is_asked, ValueError, "unlucky"),
        (killed, RuntimeError, "-9"),
    ],
)
def test_what_fails_in_a_process_fails_here(stream: Any, error: type[Exception], words: str) -> None:
    model = network()
    with (
        pytest.raises(error, match=words),
        mean_gradients(model, partial(losses_of, model), [partial(stream, k) for k in range(2)], 2) as gradients,
    ):
        list(gradients)
    assert not active_children()


def test_nothing_stays_behind_when_the_training_fails() -> None:
    model = network()
    with (
        pytest.raises(KeyError),
        mean_gradients(model, partial(losses_of, model), [partial(share, k) for k in range(2)], 2) as gradients,
    ):
        next(gradients)
        raise KeyError("training")
    assert not active_children()


def test_where_a_gpu_differentiates_all_cores_make_samples() -> None:
    assert makers("cpu", 16, 2) == 1
    assert makers("cuda", 16, 2) == 8
    assert makers("cuda", 1, 2) == 1
