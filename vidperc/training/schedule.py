"""The schedule of a training: how long it is, and how fast it learns at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Optimiser = Literal["adam", "muon"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how a network is trained.

    steps: optimiser steps. batch: what is drawn at once, in each process. accumulate: batches that a step learns from,
    where one of that size does not fit into memory. patch: side of a crop in pixels, of the small one of a pair.
    optimiser: of kernels, adam or muon (`training.muon`), which learns more in a step; all else is Adam's.
    learning_rate: after the warm-up; falls to a hundredth along a cosine. warmup: steps in which it rises from zero.
    ema: how much of the running mean of the weights stays at each step. clip: the largest norm of the gradient; what
    is longer is shortened to it. judge_rate: learning rate of discriminators, as a multiple of the network's.
    seed: of the first weights and of what is drawn.
    """

    steps: int
    batch: int = 16
    accumulate: int = 1
    patch: int = 64
    optimiser: Optimiser = "adam"
    learning_rate: float = 1e-3
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    judge_rate: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"steps": 1, "batch": 1, "accumulate": 1, "patch": 1, "warmup": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted at least {least}")
        for name in ("learning_rate", "clip", "judge_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted a number above 0")
        if self.optimiser not in get_args(Optimiser):
            raise ValueError(f"optimiser: got {self.optimiser!r}, wanted one of {', '.join(get_args(Optimiser))}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: got {self.ema}, wanted a share from 0 to below 1")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        along = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * along)))
