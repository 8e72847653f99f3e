from __future__ import annotations

import pytest
import torch

from vidperc.models.discriminators import (
    NORMS,
    multi_scale_discriminator,
    patch_discriminator,
    patch_field,
    temporal_discriminator,
)


def clip(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_patch_is_as_large_as_its_papers_say(layers: int, field: int) -> None:
    assert patch_field(layers) == field


def test_a_logit_sees_70_pixels_and_no_more() -> None:
    network = patch_discriminator(4, norm="none")
    given = clip(1, 1, 3, 128, 128).requires_grad_()
    (maps,) = network(given)
    maps[0, 0, 7, 7].backward()
    assert given.grad is not None
    seen = given.grad[0, 0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    assert int(rows.max() - rows.min() + 1) == int(columns.max() - columns.min() + 1) == network.field == 70


def test_the_logits_are_maps_for_every_frame_scale_and_moment() -> None:
    frames = clip(2, 3, 3, 96, 128)
    assert [tuple(m.shape) for m in patch_discriminator(4)(frames)] == [(6, 1, 10, 14)]
    assert [tuple(m.shape) for m in multi_scale_discriminator(4)(frames)] == [
        (6, 1, 10, 14),
        (6, 1, 4, 6),
        (6, 1, 1, 2),
    ]
    assert [tuple(m.shape) for m in temporal_discriminator(4)(frames)] == [(2, 1, 3, 10, 14)]


def test_a_temporal_one_sees_the_order_of_frames_and_a_patch_one_does_not() -> None:
    frames = clip(1, 4, 3, 32, 32)
    (there,), (back,) = (temporal_discriminator(4).eval()(f) for f in (frames, frames.flip(1)))
    torch.manual_seed(0)
    temporal, patch = temporal_discriminator(4).eval(), patch_discriminator(4).eval()
    (there,), (back,) = temporal(frames), temporal(frames.flip(1))
    assert (there - back.flip(2)).abs().max() > 1e-4
    (there,), (back,) = patch(frames), patch(frames.flip(1))
    assert torch.allclose(there, back.flip(0), atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("build", [patch_discriminator, multi_scale_discriminator, temporal_discriminator])
def test_every_norm_gives_gradients_that_are_numbers_under_autocast(build, norm) -> None:
    network = build(4, norm=norm)
    with torch.autocast("cpu", torch.bfloat16):
        sum(logits.float().square().mean() for logits in network(clip(2, 2, 3, 96, 96))).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients if gradient is not None)


def test_spectral_layers_lengthen_nothing_by_more_than_one() -> None:
    torch.manual_seed(0)
    network = patch_discriminator(4, norm="spectral")
    for _ in range(30):
        network(clip(1, 1, 3, 32, 32))
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    longest = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert longest == pytest.approx([1.0] * 5, abs=0.02)


@pytest.mark.parametrize("build", [patch_discriminator, multi_scale_discriminator, temporal_discriminator])
def test_the_smallest_side_works_and_one_less_is_refused(build) -> None:
    network = build(2, norm="none")
    side = network.smallest
    assert all(logits.numel() for logits in network(clip(1, 2, 3, side, side)))
    with pytest.raises(ValueError, match=f"discriminator: got {side}x{side - 1}, wanted sides of at least {side} px"):
        network(clip(1, 2, 3, side - 1, side))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 3, 32, 32\) torch.float32, wanted \(N,T,3,H,W\)"):
        patch_discriminator(2)(clip(1, 3, 32, 32))
    with pytest.raises(ValueError, match="got a clip of 1 frame, wanted at least 2 frames"):
        temporal_discriminator(2)(clip(1, 1, 3, 32, 32))
