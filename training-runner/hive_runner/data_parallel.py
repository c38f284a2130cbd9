"""Training on more than one core: each process makes the gradient of its share of every batch. Needs torch.

    with mean_gradients(model, losses, streams, run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)

A second math thread would share out each small product instead, and gain little by it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")
Losses = Callable[[Batch], Mapping[str, Tensor]]
ALIGNMENT = 64  # bytes


@contextmanager
def mean_gradients(
    model: torch.nn.Module, losses: Losses[Batch], streams: Sequence[Callable[[], Iterator[Batch]]], processes: int
) -> Iterator[Iterator[dict[str, float]]]:
    """Each step leaves the mean gradient of the shares in the parameters, and yields the mean of each part of the loss.

    losses: the parts, scalars, whose sum is descended; what is drawn at random in it may depend on the batch alone.
    streams: for each share what begins its stream of batches, in the process that uses them. All end together.
    processes: as many as there are shares are forked if there may be, and the model is on the CPU with one math
        thread. Otherwise one makes the shares in turn, to the same bytes. A batch normalisation would differ.

    Raises what is raised in another process; RuntimeError if one is killed.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    on_cpu = all(p.device.type == "cpu" for p in parameters)
    if processes < len(streams) or torch.get_num_threads() > 1 or not on_cpu:
        yield _in_turn(parameters, losses, streams)
        return
    for parameter, shared in zip(parameters, _shared_like(parameters), strict=True):
        shared.copy_(parameter.data)
        parameter.data = shared
    with ExitStack() as stack:
        others = [stack.enter_context(_Share(parameters, losses, begin)) for begin in streams[1:]]
        yield _side_by_side(parameters, losses, streams[0], others)


def makers(device: str, cpus: int, shares: int) -> int:
    """How many processes make the samples of a share: all cores together, where a GPU differentiates."""
    return 1 if device == "cpu" else max(1, cpus // shares)


def part(count: int, share: int, shares: int) -> range:
    """Which of 0..count-1 are of a share."""
    return range(count * share // shares, count * (share + 1) // shares)


def _in_turn(
    parameters: Sequence[Tensor], losses: Losses[Batch], streams: Sequence[Callable[[], Iterator[Batch]]]
) -> Iterator[dict[str, float]]:
    for batches in zip(*(begin() for begin in streams), strict=True):
        gradients, parts = zip(*(_gradient(parameters, losses(batch)) for batch in batches), strict=True)
        yield _taken(parameters, gradients, parts)


def _side_by_side(
    parameters: Sequence[Tensor], losses: Losses[Batch], begin: Callable[[], Iterator[Batch]], others: Sequence[_Share]
) -> Iterator[dict[str, float]]:
    for batch in begin():
        for other in others:
            other.ask()
        gradient, parts = _gradient(parameters, losses(batch))
        all_parts = [parts, *(other.answer() for other in others)]
        yield _taken(parameters, [gradient, *(other.gradient for other in others)], all_parts)


def _gradient(parameters: Sequence[Tensor], parts: Mapping[str, Tensor]) -> tuple[Sequence[Tensor], dict[str, float]]:
    total = torch.stack(list(parts.values())).sum()
    gradient = torch.autograd.grad(total, parameters, materialize_grads=True)
    return gradient, {name: each.item() for name, each in parts.items()}


def _taken(
    parameters: Sequence[Tensor], gradients: Sequence[Sequence[Tensor]], parts: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Give the parameters the mean gradient, summed in the order of the shares. -> the mean of each part."""
    for parameter, *each in zip(parameters, *gradients, strict=True):
        total = each[0].clone(memory_format=torch.preserve_format)
        for other in each[1:]:
            total += other
        parameter.grad = total.div_(len(each))
    return {name: sum(each[name] for each in parts) / len(parts) for name in parts[0]}


def _shared_like(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the same shapes and strides, in memory that forked processes share (no /dev/shm is needed)."""
    room = [-(-t.numel() * t.element_size() // ALIGNMENT) * ALIGNMENT for t in tensors]
    memory = mmap.mmap(-1, max(sum(room), 1))
    made, offset = [], 0
    for tensor, size in zip(tensors, room, strict=True):
        flat = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
        made.append(flat.as_strided(tensor.shape, tensor.stride()))
        offset += size
    return made


class _Share:
    """A process that makes one share of the gradient when it is asked to."""

    def __init__(
        self, parameters: Sequence[Tensor], losses: Losses[Batch], begin: Callable[[], Iterator[Batch]]
    ) -> None:
        self.gradient = _shared_like(parameters)
        context = get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=self._work, args=(there, self._here, parameters, losses, begin))
        self._process.start()
        there.close()

    def __enter__(self) -> _Share:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it may be gone
            self._here.send(False)
        self._here.close()
        self._process.join()

    def ask(self) -> None:
        with suppress(ConnectionError):  # it has ended: the answer says why
            self._here.send(True)

    def answer(self) -> dict[str, float]:
        """The parts of the loss; the gradient is then in `gradient`."""
        try:
            answer: dict[str, float] | Exception = self._here.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            raise RuntimeError(f"a process of the training ended by itself (exit code {code})") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _work(
        self,
        there: Connection,
        here: Connection,
        parameters: Sequence[Tensor],
        losses: Losses[Batch],
        begin: Callable[[], Iterator[Batch]],
    ) -> None:
        here.close()
        try:
            for batch in begin():
                if not there.recv():
                    return
                gradient, parts = _gradient(parameters, losses(batch))
                for shared, made in zip(self.gradient, gradient, strict=True):
                    shared.copy_(made)
                there.send(parts)
        except (EOFError, ConnectionError):
            pass  # whoever asked is gone
        except Exception as error:
            there.send(error)
