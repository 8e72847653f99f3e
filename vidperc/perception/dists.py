"""DISTS: how different two pictures look, where another piece of the same texture is no difference.

Source: K. Ding, K. Ma, S. Wang, E. Simoncelli, "Image Quality Assessment: Unifying Structure and Texture Similarity",
2020 (doi:10.1109/TPAMI.2020.3045810).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import Said, weights_path
from vidperc.perception.backbone import Backbone, open_backbone
from vidperc.perception.weights import DISTS_WEIGHTS, read_weights

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
WIDTHS = (3, 64, 128, 256, 512, 512)  # of the picture itself and of the layers
SMALLEST = 32  # pixels of a side; as LPIPS
_STABLE = 1e-6  # c1 and c2
# Inside the root: where nothing is, its gradient would be infinite.
_EPSILON = 1e-12


class L2Pool(nn.Module):
    """The root of the Hann-weighted mean of squares over 3x3, every second pixel; channels stay, sides halve.

    Unlike the largest value, it does not alias: moving a picture by a pixel changes little.
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        slope = torch.tensor([0.5, 1.0, 0.5])  # of a Hann window of five, whose ends are 0
        self.register_buffer("window", slope[:, None] * slope / slope.sum() ** 2)

    def forward(self, features: Tensor) -> Tensor:
        weights = self.window.expand(features.shape[1], 1, 3, 3)
        mean = F.conv2d(features.square(), weights, stride=2, padding=1, groups=features.shape[1])
        return (mean + _EPSILON).sqrt()


class Dists(nn.Module):
    """DISTS of pairs of pictures; called, it gives (N,), 0 for equal ones, larger the less alike, about 1 at most.

    Takes two (N,3,H,W) floating point RGB tensors in [0,1], sides of at least 32 pixels, on the device of the module.
    Pictures are taken at their size; the authors' program shrinks the short side to 256 first. Computes in float32,
    under autocast too (in float64 after `.double()`). Gradients reach the pictures, never the weights, and are finite
    at equal pictures.
    Raises ValueError, begun with "dists", for another shape or type, and for values more than 0.5 outside [0,1] or not
    numbers.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, backbone: Backbone, alpha: Tensor, beta: Tensor) -> None:
        """backbone: VGG-16 with `L2Pool`, of LAYERS. alpha, beta: the weights of texture and structure of each channel,

        of the picture and the layers one after the other, (sum of WIDTHS,); both together they are scaled to 1.
        """
        super().__init__()
        self.backbone = backbone
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha / total)
        self.register_buffer("beta", beta / total)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        _check(one, other)
        with torch.autocast(one.device.type, enabled=False):
            both = torch.cat([one, other]).to(self.alpha.dtype)
            alike = both.new_zeros(len(one))  # (N,)
            layers = (both, *self.backbone(both).values())
            for layer, texture, structure in zip(
                layers, torch.split(self.alpha, list(WIDTHS)), torch.split(self.beta, list(WIDTHS)), strict=True
            ):
                ours, theirs = layer[: len(one)], layer[len(one) :]
                mean, mean_other = ours.mean(dim=(2, 3)), theirs.mean(dim=(2, 3))  # (N, C)
                textures = (2 * mean * mean_other + _STABLE) / (mean.square() + mean_other.square() + _STABLE)
                spread, spread_other = (ours - mean[..., None, None]), (theirs - mean_other[..., None, None])
                variance = spread.square().mean(dim=(2, 3)) + spread_other.square().mean(dim=(2, 3))
                structures = (2 * (spread * spread_other).mean(dim=(2, 3)) + _STABLE) / (variance + _STABLE)
                alike = alike + textures @ texture + structures @ structure
            return 1 - alike


def load_dists(weights: Path | None = None, *, said: Said | None = None) -> Dists:
    """DISTS, on the CPU.

    weights: a folder that holds VGG-16 and the weights of DISTS; None for the folder that VIDPERC_WEIGHTS names or
    torch's downloads, into which they are fetched if they are in neither. said: as of `open_backbone`.
    Raises VidpercError for weights that cannot be had, cannot be read, or are others.
    """
    if weights is not None and weights.is_file():
        raise VidpercError(f"{weights}: is a file; dists needs two, of VGG-16 and its own: name the folder they lie in")
    backbone = open_backbone("vgg16", layers=LAYERS, weights=weights, said=said)
    path = weights_path(DISTS_WEIGHTS, weights, said=said)
    read = read_weights(path)
    alpha, beta = (read[name].flatten() if name in read else torch.empty(0) for name in ("alpha", "beta"))
    if not len(alpha) == len(beta) == sum(WIDTHS) or not bool((alpha.sum() + beta.sum()).isfinite()):
        raise VidpercError(
            f"{path}: holds no weights of dists, wanted alpha and beta of {sum(WIDTHS)} each; get it again"
        )
    return Dists(with_l2_pools(backbone), alpha, beta)


def with_l2_pools(backbone: Backbone) -> Backbone:
    """The backbone with every MaxPool2d replaced by `L2Pool`."""
    steps = backbone.body.get_submodule("steps")
    for place, step in list(steps.named_children()):
        if isinstance(step, nn.MaxPool2d):
            setattr(steps, place, L2Pool())
    return backbone


def _check(one: Tensor, other: Tensor) -> None:
    for picture in (one, other):
        shape = tuple(picture.shape)
        if picture.ndim != 4 or shape[1] != 3 or min(shape[2:]) < SMALLEST or not picture.is_floating_point():
            raise ValueError(f"dists: got {shape} {picture.dtype}, wanted (N,3,H,W) floats, sides from {SMALLEST} px")
        low, high = (float(bound) for bound in picture.detach().aminmax())
        if not (low >= -0.5 and high <= 1.5):  # as LPIPS
            raise ValueError(f"dists: got values from {low:g} to {high:g}, wanted RGB in [0,1]")
    if one.shape != other.shape:
        raise ValueError(f"dists: got {tuple(one.shape)} and {tuple(other.shape)}, wanted equal shapes")
