"""A network that learns: its weights, their running mean, and what its optimiser remembers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidperc.training.muon import Muon, is_kernel
from vidperc.training.processes import Processes
from vidperc.training.schedule import Optimiser


class Learner:
    """The parameters of a network that learn, with an optimiser around them.

    prefix: before its names in a checkpoint. averaged: whether a running mean of the weights is kept. optimiser: of the
    kernels; all else, and all of it under "adam", is Adam's. `kernels`: the names of those that are Muon's.
    """

    def __init__(self, network: nn.Module, prefix: str, *, averaged: bool, optimiser: Optimiser = "adam") -> None:
        self.parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
        self._buffers = {
            name: value for name, value in network.state_dict().items() if name not in dict(network.named_parameters())
        }
        self._prefix = prefix
        self.averages = {name: value.detach().clone() for name, value in self.parameters.items()} if averaged else {}
        self._first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.kernels = [name for name, value in self.parameters.items() if optimiser == "muon" and is_kernel(value)]
        self._muon = Muon(
            [self.parameters[name] for name in self.kernels], [self._first[name] for name in self.kernels]
        )
        rest = {name: value for name, value in self.parameters.items() if name not in self.kernels}
        self._second = {name: torch.zeros_like(value) for name, value in rest.items()}
        self._adam = torch.optim.Adam(rest.values(), lr=1e-3, betas=(0.9, 0.99), foreach=True) if rest else None

    def begin(self, step: int) -> None:
        """Go on after so many steps."""
        if self._adam is None:
            return
        for name, second in self._second.items():
            self._adam.state[self.parameters[name]] = {
                "step": torch.tensor(float(step)),
                "exp_avg": self._first[name],
                "exp_avg_sq": second,
            }

    def collect(self, processes: Processes, clip: float) -> float:
        """The norm of the gradient over all processes, which is then no longer than `clip`."""
        processes.average([value.grad for value in self.parameters.values() if value.grad is not None])
        return float(nn.utils.clip_grad_norm_(self.parameters.values(), clip))

    def step(self, rate: float) -> None:
        """One step down the gradient, which is forgotten then."""
        self._muon.step(rate)
        if self._adam is None:
            return
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()

    @torch.no_grad()
    def follow(self, ema: float, step: int) -> None:
        """Let the running mean follow the weights."""
        # Young averages forget faster, so that the start does not linger in them.
        keep = min(ema, (1 + step) / (10 + step))
        for name, value in self.parameters.items():
            self.averages[name].lerp_(value, 1 - keep)

    def round_moments(self) -> None:
        """Round what the optimiser remembers to bfloat16, which is enough of it: half the file.

        At every checkpoint, so that a run goes on as it would after an interruption.
        """
        for moments in (self._first, self._second):
            for tensor in moments.values():
                tensor.copy_(tensor.to(torch.bfloat16))

    def state(self) -> dict[str, Tensor]:
        """All that it is, under the names it has in a checkpoint; the tensors themselves, no copies."""
        state: dict[str, Tensor] = {}
        for name, value in self.parameters.items():
            state[f"{self._prefix}now.{name}"] = value.detach()
            state[f"{self._prefix}first.{name}"] = self._first[name]
        state |= {f"{self._prefix}second.{name}": value for name, value in self._second.items()}
        state |= {f"{self._prefix}average.{name}": value for name, value in self.averages.items()}
        return state | {f"{self._prefix}buffer.{name}": value for name, value in self._buffers.items()}
