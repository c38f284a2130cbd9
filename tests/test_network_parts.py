"""Parts that the networks of several recipes are made of."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the parts are torch's")

from hive_runner.layers import Block, Norm  # noqa: E402


@pytest.mark.parametrize("shape", [(2, 6, 8, 5), (1, 6, 4, 3, 5)])
def test_a_cell_is_normalised_by_itself(shape: tuple[int, ...]) -> None:
    norm = Norm(6)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    whole = norm(x)
    assert whole.shape == x.shape
    assert whole.mean(1).abs().max() < 1e-5
    assert torch.equal(norm(x[..., 1:3]), whole[..., 1:3])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_block_begins_with_the_same_for_every_cell_and_learns(dimensions: int) -> None:
    torch.manual_seed(0)
    block = Block(4, dimensions)
    x = torch.randn(1, 4, *dimensions * [6])
    change = (block(x) - x).flatten(2)
    assert torch.allclose(change, change[..., :1], atol=1e-6)
    block(x).square().sum().backward()
    assert block.second.weight.grad.abs().sum() > 0


def test_a_block_takes_another_norm() -> None:
    block = Block(4, norm=torch.nn.GroupNorm(2, 4))
    assert isinstance(block.norm, torch.nn.GroupNorm)
    assert {name.split(".")[0] for name in block.state_dict()} == {"first", "norm", "second"}
