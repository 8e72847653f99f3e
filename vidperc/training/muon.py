"""Muon: momentum whose steps move every direction of a kernel alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.precision import training_precision

_MOMENTUM = 0.9
# Of the polynomial that drives the singular values of a matrix towards 1, five times over.
_CUBIC, _ROUNDS = (3.4445, -4.7750, 2.0315), 5
_LEAST = 32


def is_kernel(value: Tensor) -> bool:
    """Whether Muon is for it: a convolution's or linear layer's weight, (o,i,...), with 32 outputs and inputs at least.

    Not for biases, nor for first and last layers of few channels.
    """
    return value.ndim in (2, 4) and min(value.shape[0], value[0].numel()) >= _LEAST


class Muon:
    """Steps of kernels along their momentum, made orthogonal: as long in all directions, also in rare ones.

    Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the length of a step,
    which lets a learning rate of Adam do, after J. Liu et al., "Muon is Scalable for LLM Training", 2025.
    torch has it for matrices alone; this one takes convolutions, (o,i,3,3) as (o,9i), those of one shape together.

    values: what learns, each as `is_kernel` says. momenta: the running means of their gradients, kept up to date.
    """

    def __init__(self, values: Sequence[nn.Parameter], momenta: Sequence[Tensor]) -> None:
        alike: defaultdict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for value, momentum in zip(values, momenta, strict=True):
            alike[value.shape].append((value, momentum))
        self._alike = list(alike.values())

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step of all that has a gradient, which is forgotten then. rate: as Adam's."""
        for group in self._alike:
            learning = [(value, momentum, value.grad) for value, momentum in group if value.grad is not None]
            if not learning:
                continue
            ahead: list[Tensor] = []
            for _, momentum, gradient in learning:
                momentum.lerp_(gradient, 1 - _MOMENTUM)
                ahead.append(gradient.lerp(momentum, _MOMENTUM).flatten(1))
            matrices = torch.stack(ahead)
            # What the rounding of bfloat16 does to singular values is small beside what the polynomial leaves.
            steps = orthogonal(matrices.to(training_precision(matrices.device)))
            # The root mean square of an orthogonal matrix is 1 over the root of its longer side; Adam's steps have 0.2.
            length = 0.2 * max(steps.shape[1:]) ** 0.5
            for (value, _, _), step in zip(learning, steps, strict=True):
                value.add_(step.view_as(value), alpha=-rate * length)
                value.grad = None


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (n,r,c) with their singular vectors kept and their singular values brought near 1, 0.7 to 1.2."""
    a, b, c = _CUBIC
    wide = matrices.shape[1] <= matrices.shape[2]
    x = F.normalize(matrices.flatten(1), dim=1).view_as(matrices)
    x = x if wide else x.mT
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x if wide else x.mT
