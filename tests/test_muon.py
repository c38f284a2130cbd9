"""Steps with orthogonal matrices: what they are, what they leave alone, and that a training goes on with them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the optimiser is torch's")

from hive_runner.muon import muon, orthogonal  # noqa: E402


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(8, 8), (6, 40), (40, 6)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int], precision: str) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonal(matrix, getattr(torch, precision))
    assert made.dtype == torch.float32
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6 and values.max() < 1.25
    assert torch.linalg.svdvals(made - left @ right).max() < 0.4


def test_the_length_of_a_gradient_does_not_matter() -> None:
    matrix = torch.randn(5, 9, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(orthogonal(matrix), orthogonal(1e-3 * matrix), atol=1e-4)
    assert torch.isfinite(orthogonal(torch.zeros(5, 9))).all()


def network() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(2, 8), torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 2, 1)
    )


def stepped(model: Any, optimiser: Any, first: int, end: int) -> None:
    for step in range(first, end):
        x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        (model(x) - x[:, :2, 2:-2, 2:-2]).square().mean().backward()
        optimiser.step()


def test_only_matrices_between_first_and_last_are_stepped_so() -> None:
    model = network()
    groups = muon(model, 0.001, 0.02, plain=("0.", "3.")).param_groups
    assert [p.shape for p in groups[0]["params"]] == [(8, 8, 3, 3)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert [group["lr"] for group in groups] == [0.02, 0.001, 0.001]
    assert muon(model, 0.001, 0.02, (), matrix_rate=0.01).param_groups[0]["lr"] == 0.01


def test_it_learns_and_goes_on_from_its_state_to_the_same_bytes() -> None:
    whole = network()
    optimiser = muon(whole, 0.003, 0.02, plain=("0.", "3."))
    x = torch.randn(64, 3, 9, 9)
    before = (whole(x) - x[:, :2, 2:-2, 2:-2]).square().mean().item()
    stepped(whole, optimiser, 0, 30)
    assert (whole(x) - x[:, :2, 2:-2, 2:-2]).square().mean().item() < 0.5 * before
    first = network()
    optimiser = muon(first, 0.003, 0.02, plain=("0.", "3."))
    stepped(first, optimiser, 0, 11)
    second = network()
    second.load_state_dict(first.state_dict())
    again = muon(second, 0.003, 0.02, plain=("0.", "3."))
    again.load_state_dict(optimiser.state_dict())
    stepped(second, again, 11, 30)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
