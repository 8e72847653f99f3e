"""Several processes that train one network together, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Processes:
    """How many train together, and which of them this is, from 0; alone where nothing else is said."""

    count: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that saves, measures and speaks."""
        return self.rank == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type, in place, by their means over all processes. Every process calls it alike."""
        if self.count == 1 or not tensors:
            return
        # One message for all: its latency is paid once.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat.div_(self.count)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined_processes(device: str) -> Generator[Processes]:
    """A context in which those that torchrun started know each other; alone where it did not start this one.

    device: what they compute on, which says how they talk. The environment holds RANK and WORLD_SIZE, and where to
    meet, as PyTorch's documentation of torchrun has it.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(count, distributed.get_rank())
    finally:
        distributed.destroy_process_group()
