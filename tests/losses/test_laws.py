"""What holds for every loss of pictures: its value where both are equal, its gradients, its types, its refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.losses.made_up import TinyBackbone, TinyVideoBackbone, pictures
from vidperc.losses.along import Steps
from vidperc.losses.feature import feature_loss
from vidperc.losses.lattice import lattice
from vidperc.losses.opponent import opponent_loss
from vidperc.losses.ping_pong import ping_pong
from vidperc.losses.pixel import charbonnier, l1, mse
from vidperc.losses.structure import ms_ssim_loss, ssim_loss
from vidperc.losses.style import style_loss
from vidperc.losses.temporal_difference import temporal_difference
from vidperc.losses.temporal_feature import temporal_feature_loss
from vidperc.losses.total_variation import total_variation
from vidperc.losses.video_feature import video_feature_loss
from vidperc.losses.warp_loss import warp_loss

Loss = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = {"first": 0.5, "second": 2.0}


def through(network: torch.nn.Module, loss: Callable[..., Tensor]) -> Loss:
    def found(out: Tensor, true: Tensor) -> Tensor:
        run = network.to(out.dtype) if out.dtype == torch.float64 else network.float()
        pair = (run(given if given.dtype == torch.float64 else given.float()) for given in (out, true))
        return loss(*pair)

    return found


def features(loss: Callable[..., Tensor], **options) -> Loss:
    return through(TinyBackbone(), lambda out, true: loss(out, true, WEIGHTS, **options))


def along(loss: Callable[..., Tensor]) -> Loss:
    """Both pictures as a frame and the one before, at rest."""

    def found(out: Tensor, true: Tensor) -> Tensor:
        return loss(out, true, torch.zeros(len(out), 2, *out.shape[-2:]), torch.ones(len(out), 1, *out.shape[-2:]))

    return found


def features_along(now: dict[str, Tensor], before: dict[str, Tensor]) -> Tensor:
    count = len(now["first"])
    steps = Steps(flow=torch.zeros(count, 2, 16, 18), visible=torch.ones(count, 1, 16, 18))
    return temporal_feature_loss(now, before, steps, WEIGHTS, {"first": 2, "second": 4})


PICTURE, CLIP = (2, 3, 16, 18), (1, 3, 3, 8, 10)

# The loss, the shape of pictures that it is tried on, and its value where both are equal.
LOSSES: dict[str, tuple[Loss, tuple[int, ...], float]] = {
    "l1": (l1, PICTURE, 0),
    "mse": (mse, PICTURE, 0),
    "charbonnier": (charbonnier, PICTURE, 1e-6),
    "opponent": (opponent_loss, PICTURE, 0),
    "opponent l2": (partial(opponent_loss, distance="l2", red_green=3.0), PICTURE, 0),
    "lattice": (partial(lattice, period=2), PICTURE, 0),
    "ssim": (ssim_loss, PICTURE, 0),
    "ms-ssim": (ms_ssim_loss, (1, 3, 161, 162), 0),
    "feature l2": (features(feature_loss, distance="l2"), PICTURE, 0),
    "feature l1": (features(feature_loss, distance="l1"), PICTURE, 0),
    "feature cosine": (features(feature_loss, distance="cosine"), PICTURE, 0),
    "style": (features(style_loss), PICTURE, 0),
    "warp l1": (along(warp_loss), PICTURE, 0),
    "warp l2": (along(partial(warp_loss, distance="l2")), PICTURE, 0),
    "temporal-feature": (through(TinyBackbone(), features_along), PICTURE, 0),
    "temporal-difference": (temporal_difference, CLIP, 0),
    "ping-pong": (ping_pong, CLIP, 0),
    "video-feature": (
        through(TinyVideoBackbone(), lambda a, b: video_feature_loss(a, b, {"stem": 1.0})),
        CLIP,
        0,
    ),
}

every = pytest.mark.parametrize("name", LOSSES)


@every
def test_at_equal_pictures_it_has_its_value_and_gradients_that_are_numbers(name: str) -> None:
    loss, shape, wanted = LOSSES[name]
    true = pictures(*shape)
    out = true.clone().requires_grad_()
    value = loss(out, true)
    value.backward()
    assert float(value.detach()) == pytest.approx(wanted, abs=1e-6)
    assert out.grad is not None and torch.isfinite(out.grad).all()


@every
def test_at_equal_pictures_without_detail_its_gradients_are_numbers(name: str) -> None:
    loss, shape, _ = LOSSES[name]
    for level in (0.0, 1.0):
        out = torch.full(shape, level, requires_grad=True)
        loss(out, torch.full(shape, level)).backward()
        assert out.grad is not None and torch.isfinite(out.grad).all()


@every
def test_it_grows_with_the_error_and_does_not_care_which_is_which(name: str) -> None:
    loss, shape, least = LOSSES[name]
    true, noise = pictures(*shape), pictures(*shape, seed=1) - 0.5
    values = [float(loss(true + share * noise, true)) for share in (0.0, 0.1, 0.3)]
    assert values[0] == pytest.approx(least, abs=1e-6) and values[0] < values[1] < values[2]
    assert float(loss(true, true + 0.3 * noise)) == pytest.approx(values[2], rel=1e-4)


@every
def test_its_gradients_are_right(name: str) -> None:
    loss, shape, _ = LOSSES[name]
    small = tuple(min(side, 12) for side in shape[:-2]) + tuple(min(side, 12) for side in shape[-2:])
    if name == "ms-ssim":
        # Its sides are too large to try every pixel: the derivative in a few directions.
        out, true = (pictures(*shape, seed=seed, dtype=torch.float64) for seed in (0, 1))
        out = (0.7 * true + 0.3 * out).requires_grad_()
        assert torch.autograd.gradcheck(lambda given: loss(given, true), (out,), fast_mode=True)
        return
    if name == "temporal-feature":
        small = shape
    out, true = (pictures(*small, seed=seed, dtype=torch.float64).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(loss, (out, true), fast_mode=name == "temporal-feature")


@every
def test_under_autocast_it_is_float32_with_gradients_that_are_numbers(name: str) -> None:
    loss, shape, _ = LOSSES[name]
    true, noisy = pictures(*shape), 0.8 * pictures(*shape) + 0.2 * pictures(*shape, seed=1)
    plain = float(loss(noisy, true))
    out = noisy.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(out, true.bfloat16())
    value.backward()
    assert value.dtype == torch.float32
    # bfloat16 pictures have steps of 1/256.
    assert float(value.detach()) == pytest.approx(plain, rel=0.15, abs=0.01)
    assert out.grad is not None and torch.isfinite(out.grad).all()


@every
def test_double_precision_is_kept(name: str) -> None:
    loss, shape, _ = LOSSES[name]
    out, true = (pictures(*shape, seed=seed, dtype=torch.float64) for seed in (0, 1))
    assert loss(out, true).dtype == torch.float64


OF_PICTURES: dict[str, tuple[Loss, tuple[int, ...]]] = {
    name: LOSSES[name][:2]
    for name in ("l1", "mse", "charbonnier", "opponent", "ssim", "ms-ssim", "temporal-difference", "ping-pong")
} | {"total-variation": (lambda out, _: total_variation(out), PICTURE)}


@pytest.mark.parametrize("name", OF_PICTURES)
def test_pictures_in_codes_and_what_is_no_number_are_refused_by_its_name(name: str) -> None:
    loss, shape = OF_PICTURES[name]
    good = pictures(*shape)
    with pytest.raises(ValueError, match=rf"^{name}: .*values from .*wanted") as caught:
        loss(good * 255, good)
    assert "\n" not in str(caught.value)
    bad = good.clone()
    bad[..., 3, 4] = torch.nan
    with pytest.raises(ValueError, match=f"^{name}: "):
        loss(bad, good)
    with pytest.raises(ValueError, match=f"^{name}: "):
        loss(torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("name", sorted(OF_PICTURES.keys() - {"total-variation"}))
def test_pictures_of_unlike_shapes_are_refused_by_its_name(name: str) -> None:
    loss, shape = OF_PICTURES[name]
    good = pictures(*shape)
    with pytest.raises(ValueError, match=rf"^{name}: got .* and .*, wanted equal shapes"):
        loss(good, torch.cat([good, good], dim=-1))


def test_total_variation_has_right_gradients_too() -> None:
    out = pictures(1, 3, 5, 6, dtype=torch.float64).requires_grad_()
    for power in (1, 2):
        assert torch.autograd.gradcheck(lambda given, p=power: total_variation(given, power=p), (out,))
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    total_variation(flat).backward()
    assert flat.grad is not None and float(flat.grad.abs().max()) == 0
