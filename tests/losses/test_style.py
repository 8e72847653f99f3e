from __future__ import annotations

import piq
import pytest
import torch

from tests.losses.made_up import TinyBackbone, pictures
from vidperc.losses.style import style_loss

WEIGHTS = {"first": 0.5, "second": 3.0}


def features(seed: int, *, count: int = 2, size: int = 16) -> dict[str, torch.Tensor]:
    return TinyBackbone()(pictures(count, 3, size, size, seed=seed))


def test_it_is_that_of_piq_over_c_h_w() -> None:
    # piq's Gram matrix is not normalised.
    out, style = features(0)["second"], features(1)["second"]
    _, channels, height, width = out.shape
    grams = [piq.StyleLoss.gram_matrix(given).reshape(2, 8, 8) / (channels * height * width) for given in (out, style)]
    wanted = (grams[0] - grams[1]).square().sum(dim=(1, 2)).mean()
    assert float(style_loss({"a": out}, {"a": style}, {"a": 1})) == pytest.approx(float(wanted), rel=1e-4)


def test_where_things_are_does_not_count() -> None:
    out = features(0)
    moved = {layer: found.roll((3, 1), dims=(2, 3)) for layer, found in out.items()}
    assert float(style_loss(out, moved, WEIGHTS)) < 1e-12 < float(style_loss(out, features(1), WEIGHTS))


def test_one_style_of_another_size_serves_all() -> None:
    out, style = features(0), features(1, count=1, size=24)
    each = [style_loss({"first": found[None]}, style, {"first": 1}) for found in out["first"]]
    assert float(style_loss(out, style, {"first": 1})) == pytest.approx(float(sum(each) / 2), rel=1e-5)


def test_features_that_overflow_half_precision_do_not() -> None:
    strong = {"a": torch.full((1, 4, 16, 16), 200.0, dtype=torch.float16)}
    found = style_loss(strong, {"a": torch.zeros(1, 4, 16, 16, dtype=torch.float16)}, {"a": 1})
    assert found.dtype == torch.float32 and float(found) == pytest.approx(16 * (200**2 / 4) ** 2)


def test_its_gradients_are_right() -> None:
    out, style = (torch.rand((1, 3, 4, 4), dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: style_loss({"a": a}, {"a": b}, {"a": 2}), (out, style))


def test_what_does_not_fit_is_refused() -> None:
    out = features(0)
    with pytest.raises(ValueError, match=r"^style: no layer 'third', wanted one of first, second"):
        style_loss(out, out, {"third": 1})
    with pytest.raises(ValueError, match=r"^style: first got \(2, 6, 8, 8\) and \(2, 8, 4, 4\)"):
        style_loss(out, {"first": out["second"]}, {"first": 1})
    with pytest.raises(ValueError, match=r"^style: first holds NaN"):
        style_loss({"first": out["first"] * torch.nan}, out, {"first": 1})
