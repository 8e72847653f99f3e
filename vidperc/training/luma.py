"""What a luma network learns, and how well it does: the loss, and Y-PSNR on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial
from vidperc.losses.objective import Objective
from vidperc.losses.sample import Sample
from vidperc.metrics.psnr import psnr
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training.images import Pair, Pixels


def missing_from_bicubic(small: Tensor, large: Tensor) -> Tensor:
    """What bicubic enlarging of the small luma (N,1,h,w) lacks of the large one (N,1,h*s,w*s), as (N,s*s,h,w)."""
    scale = large.shape[-1] // small.shape[-1]
    base = resize(small, (large.shape[-2], large.shape[-1]), "bicubic")
    return F.pixel_unshuffle(large - base, scale)  # (N, s*s, h, w)


def luma_loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
    """Charbonnier distance of the enlarged luma to the true one; crops in RGB, (N,3,h,w) and (N,3,h*s,w*s).

    A thousandth where the network gives just what bicubic lacks.
    Source: W. Lai et al., "Deep Laplacian Pyramid Networks", 2017; epsilon squared is 1e-6.
    """
    small = rgb_luma(small)
    wanted = missing_from_bicubic(small, rgb_luma(large))
    return ((network(small) - wanted).square() + 1e-6).sqrt().mean()


def objective_loss(objective: Objective) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """A loss as `luma_loss`, of an objective: the total over the enlarged luma and the true one, as grey pictures.

    Raises VidpercError for terms that need more than a picture and its truth.
    """
    for term in objective.terms:
        lacking = sorted(set(term.needs) - {"true", "style"})
        if lacking or isinstance(term, Adversarial):
            needs = f"needs {', '.join(lacking)}" if lacking else "needs a discriminator that learns beside it"
            raise VidpercError(f"objective: {term.called} {needs}; recipes of luma networks have single pictures only")

    def loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
        luma, true = rgb_luma(small), rgb_luma(large)
        base = resize(luma, (true.shape[-2], true.shape[-1]), "bicubic")
        made = base + F.pixel_shuffle(network(luma), true.shape[-1] // luma.shape[-1])
        return objective(Sample(out=made, true=true, space="grey")).total

    return loss


def luma_psnr(pairs: Sequence[Pair]) -> Callable[[Callable[[Tensor], Tensor]], float]:
    """A measure: the mean Y-PSNR in dB over these pairs.

    What is measured gives for RGB (1,3,h,w) what its luma lacks after bicubic, (1,s*s,h,w).
    Limited-range BT.601 luma, not rounded, a border of the scale in pixels cut off, as the super-resolution papers do.
    """
    prepared = [(_rgb(pair.small), rgb_luma(_rgb(pair.large))) for pair in pairs]

    @torch.no_grad()
    def measure(network: Callable[[Tensor], Tensor]) -> float:
        found: list[float] = []
        for small, large in prepared:
            scale = large.shape[-1] // small.shape[-1]
            base = resize(rgb_luma(small), (large.shape[-2], large.shape[-1]), "bicubic")
            made = (base + F.pixel_shuffle(network(small), scale)).clamp(0, 1)
            # Codes of limited range, but for the 16 that black has, which cancels out.
            found.append(float(psnr(219 * made, 219 * large, crop=scale)))
        return sum(found) / len(found)

    return measure


def _rgb(image: Pixels) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float().div(255)  # (1, 3, H, W)
