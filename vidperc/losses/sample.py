"""Sample: what an objective looks at, with the range and the colour space that its numbers are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vidperc.clip import Motion
from vidperc.losses.checks import OVERSHOOT, bounds, in_range, wide
from vidperc.losses.range_signs import other_range

Range = Literal["unit", "signed", "codes", "imagenet"]
Space = Literal["rgb", "bgr", "grey"]

# unit = stored * scale + shift, for each channel in the order red, green, blue.
_TO_UNIT: Mapping[Range, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "unit": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "codes": ((1 / 255, 1 / 255, 1 / 255), (0.0, 0.0, 0.0)),
    "imagenet": ((0.229, 0.224, 0.225), (0.485, 0.456, 0.406)),
}
_TOLD: Mapping[Range, str] = {
    "unit": "[0,1]",
    "signed": "[-1,1]",
    "codes": "0 to 255",
    "imagenet": "ImageNet's mean and deviation",
}
# How far around [0,1] resampling takes pictures of the world; networks, and noise in a source, go further.
_RESAMPLED = 0.2


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a network made of a batch, and what it is held against.

    out: (N,T,C,H,W), or (N,C,H,W) for single pictures. true: of the same shape; None where no term needs it.
    range: of all pictures here: `unit` [0,1], `signed` [-1,1], `codes` 0 to 255, `imagenet` less its mean and over its
    deviation. space: of their channels: `rgb`, `bgr`, or `grey` with C = 1, which counts as three equal channels.
    source: (N,T,C,h,w), the frames before processing, of any size, which motion is found in; else it is found in true.
    motion: of the source, one for each of the N clips, with T frames; None where it is to be found.
    to_first: the same from each frame to the *first* of its clip; None to chain it from motion.
    back: (N,T,C,H,W) or (N,T-1,C,H,W), what a reversed pass made, in the order of `out` (see `ping_pong`).
    style: (N,C,h,w) or (1,C,h,w), a picture whose style is wanted; None for that of true.
    latent: mean and log-variance, (N,...) each.
    """

    out: Tensor
    true: Tensor | None = None
    range: Range = "unit"
    space: Space = "rgb"
    source: Tensor | None = None
    motion: Sequence[Motion] | None = None
    to_first: Sequence[Motion] | None = None
    back: Tensor | None = None
    style: Tensor | None = None
    latent: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.range not in _TO_UNIT:
            raise ValueError(f"Sample.range: got {self.range!r}, wanted one of {', '.join(_TO_UNIT)}")
        if self.space not in ("rgb", "bgr", "grey"):
            raise ValueError(f"Sample.space: got {self.space!r}, wanted rgb, bgr or grey")


def to_unit_rgb(picture: Tensor, range: Range, space: Space, *, term: str, what: str) -> Tensor:
    """A picture (...,C,H,W) of a declared range and space as RGB in [0,1], float32, or float64 if it is so.

    term, what: begin a message; what is the field of a sample. Overshoot stays.
    Raises ValueError for another number of channels, and for values that do not fit what is declared.
    """
    channels = 1 if space == "grey" else 3
    if picture.ndim < 4 or picture.shape[-3] != channels or not picture.is_floating_point() or not picture.numel():
        raise ValueError(
            f"{term}: {what} got {tuple(picture.shape)} {picture.dtype}, wanted (N,T,{channels},H,W) floats, for the "
            f"space is declared {space}"
        )
    picture = wide(picture)
    if space == "grey":
        picture = picture.expand(*picture.shape[:-3], 3, *picture.shape[-2:])
    elif space == "bgr":
        picture = picture.flip(-3)
    low, high = bounds(term, what, picture)
    unit = picture
    if range != "unit":
        scale, shift = (picture.new_tensor(numbers).view(3, 1, 1) for numbers in _TO_UNIT[range])
        unit = picture * scale + shift
    wanted = f"wanted {_TOLD[range]}, for the range is declared {range}; declare the range it has, or convert it"
    slack = _RESAMPLED if what in ("true", "style") else OVERSHOOT
    if not in_range(unit, *bounds(term, what, unit), slack):
        raise ValueError(f"{term}: {what} has values from {low:g} to {high:g}, {wanted}")
    against = other_range(picture, range, low, high, made=what in ("out", "back"))
    if against:
        raise ValueError(f"{term}: {what} has values from {low:g} to {high:g} ({against}), {wanted}")
    return unit
