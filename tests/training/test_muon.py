from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vidperc.training.muon import Muon, is_kernel, orthogonal


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 32, 288), (2, 64, 32), (1, 40, 40)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    matrices = noise(*shape)
    made = orthogonal(matrices)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # In the coordinates of the singular vectors what was made is diagonal.
    inside = left.mT @ made @ right.mT
    diagonal = inside.diagonal(dim1=1, dim2=2)
    assert torch.allclose(inside, torch.diag_embed(diagonal), atol=1e-4)
    big = values > 0.05 * values.amax(1, keepdim=True)
    assert big.float().mean() > 0.8
    assert 0.6 < float(diagonal[big].min()) < float(diagonal[big].max()) < 1.3


def test_the_scale_of_a_gradient_does_not_matter() -> None:
    matrices = noise(2, 32, 64)
    assert torch.allclose(orthogonal(1e-6 * matrices), orthogonal(1e3 * matrices), atol=1e-3)


def test_no_gradient_is_no_step() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 32, 32)), torch.zeros(1, 32, 32))


@pytest.mark.parametrize("shape", [(32, 32, 3, 3), (64, 32, 3, 3), (32, 64)])
def test_a_step_is_as_long_as_one_of_adam_and_against_the_gradient(shape: tuple[int, ...]) -> None:
    start, gradient = noise(*shape, seed=1), noise(*shape, seed=2)
    value, momentum = nn.Parameter(start.clone()), torch.zeros(shape)
    value.grad = gradient.clone()
    Muon([value], [momentum]).step(0.01)
    step = value.detach() - start
    assert float(step.square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.25)
    assert float((step * gradient).sum()) < 0
    assert torch.allclose(momentum, 0.1 * gradient)
    assert value.grad is None


def test_kernels_of_one_shape_do_not_mix() -> None:
    """Two that step together end where each would alone."""
    together = [nn.Parameter(noise(32, 40, seed=seed)) for seed in range(2)]
    alone = [nn.Parameter(value.detach().clone()) for value in together]
    for seed, pair in enumerate(zip(together, alone, strict=True)):
        for value in pair:
            value.grad = noise(32, 40, seed=seed + 7)
    Muon(together, [torch.zeros(32, 40), torch.zeros(32, 40)]).step(0.1)
    for value in alone:
        Muon([value], [torch.zeros(32, 40)]).step(0.1)
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=2e-3)


def test_what_has_no_gradient_stays() -> None:
    value = nn.Parameter(noise(32, 32))
    kept = value.detach().clone()
    Muon([value], [torch.zeros(32, 32)]).step(0.1)
    assert torch.equal(value, kept)


@pytest.mark.parametrize(
    ("shape", "taken"),
    [((32, 32, 3, 3), True), ((64, 1, 3, 3), False), ((4, 64, 3, 3), False), ((64,), False), ((3, 64, 64), False)],
)
def test_what_is_a_kernel(shape: tuple[int, ...], taken: bool) -> None:
    assert is_kernel(torch.zeros(shape)) == taken
