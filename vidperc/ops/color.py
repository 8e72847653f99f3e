"""Colour: integer planes of a video frame to RGB and back, the one place where it is done.

Source: ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance) for the matrices, ITU-T H.273 for YCgCo, the codes and
the quantisation equations, and its ChromaLocType for where chroma sits: 0 left, the default of MPEG-2, H.264 and
H.265; 1 in the middle, as in JPEG; 2 top left, as UHD video should have it; 3 top.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidperc.ops.layout import PixelLayout
from vidperc.ops.matrices import LUMA_WEIGHTS, YCGCO, equations_of

_ON_THE_LEFT = frozenset({0, 2})
_ON_TOP = frozenset({2, 3})

_STRIP_SAMPLES = 1 << 16

_Weights = tuple[float, float, float]


def planes_to_yuv(planes: Sequence[Tensor], layout: PixelLayout, *, full_range: bool) -> tuple[Tensor, Tensor | None]:
    """Luma (1,H,W) and chroma (2,h,w) of one frame as float32; grey has no chroma.

    planes: integer tensors in the order of the layout, each (h,w); not those of an RGB layout. Luma is nominal [0,1],
    chroma [-0.5,0.5] as Cb, Cr, at the size it is stored in; codes outside the legal range give values outside it.
    """
    luma_zero, luma_span, chroma_zero, chroma_span = _quantisation(layout.bits, full_range)
    luma = planes[0].to(torch.float32).sub_(luma_zero).div_(luma_span)[None]  # (1, H, W)
    if layout.planes == 1:
        return luma, None
    chroma = torch.stack([plane.to(torch.float32) for plane in planes[1:3]])  # (2, h, w)
    return luma, chroma.sub_(chroma_zero).div_(chroma_span)


def yuv_to_planes(luma: Tensor, chroma: Tensor | None, layout: PixelLayout, *, full_range: bool) -> list[Tensor]:
    """Integer planes of luma (1,H,W) and chroma (2,h,w), which has the layout's size; the way back of planes_to_yuv.

    Rounded and clamped as by `rgb_to_planes`.
    """
    luma_zero, luma_span, chroma_zero, chroma_span = _quantisation(layout.bits, full_range)
    planes = [_quantised(luma[0], luma_span, luma_zero, layout.bits)]
    if layout.planes == 1:
        return planes
    assert chroma is not None
    return planes + [_quantised(plane, chroma_span, chroma_zero, layout.bits) for plane in chroma]


def plane_to_alpha(planes: Sequence[Tensor], layout: PixelLayout) -> Tensor:
    """How opaque one frame is, (1,H,W) float32 in [0,1]; 1 where the layout has no plane for it."""
    if not layout.alpha:
        return torch.ones((1, *planes[0].shape), dtype=torch.float32, device=planes[0].device)
    return planes[-1].to(torch.float32).div_((1 << layout.bits) - 1)[None]


def alpha_to_plane(alpha: Tensor, layout: PixelLayout) -> Tensor:
    """The plane (H,W) of a frame's alpha (1,H,W), which uses all codes whatever the range of the colours."""
    return _quantised(alpha[0], float((1 << layout.bits) - 1), 0.0, layout.bits)


def chroma_site(layout: PixelLayout, siting: int = 0) -> tuple[float, float]:
    """Where in its cell a chroma sample of this layout sits, down and across, as `ops.resize.resize` takes it."""
    top, left = siting in _ON_TOP, siting in _ON_THE_LEFT
    return 0.25 if layout.shift_y and top else 0.5, 0.25 if layout.shift_x and left else 0.5


def planes_to_rgb(
    planes: Sequence[Tensor], layout: PixelLayout, *, matrix: int, full_range: bool, siting: int = 0
) -> Tensor:
    """RGB of one frame, (3,H,W) float32, nominal [0,1]; codes outside the legal range give values outside it.

    planes: integer tensors in the order of the layout, each (h,w). siting: of subsampled chroma, as in Color.
    """
    if layout.rgb:
        zero, span, _, _ = _quantisation(layout.bits, True)
        green, blue, red = (plane.to(torch.float32).sub_(zero).div_(span) for plane in planes[:3])
        return torch.stack((red, green, blue))
    luma, chroma = planes_to_yuv(planes, layout, full_range=full_range)
    if chroma is None:
        return luma.expand(3, -1, -1).clone()
    first = luma[0]
    height, width = first.shape
    if layout.shift_y:
        # Rows that sit on pixels are doubled as columns that do, of the picture on its side.
        chroma = _double_columns(chroma.mT, height).mT if siting in _ON_TOP else _double_rows(chroma, height)
    if layout.shift_x:
        left = siting in _ON_THE_LEFT
        chroma = _double_columns(chroma, width) if left else _double_rows(chroma.mT, width).mT
    cb, cr = chroma
    if equations_of(matrix) == YCGCO:
        return torch.stack((first - cb + cr, first + cb, first - cb - cr))
    kr, kb = LUMA_WEIGHTS[equations_of(matrix)]
    rgb = torch.empty((3, height, width), dtype=torch.float32, device=first.device)
    torch.add(first, cr, alpha=2 * (1 - kr), out=rgb[0])
    torch.add(first, cb, alpha=2 * (1 - kb), out=rgb[2])
    green = rgb[1]
    torch.add(first, cr, alpha=-2 * (1 - kr) * kr / (1 - kr - kb), out=green)
    green.add_(cb, alpha=-2 * (1 - kb) * kb / (1 - kr - kb))
    return rgb


def rgb_to_planes(rgb: Tensor, layout: PixelLayout, *, matrix: int, full_range: bool, siting: int = 0) -> list[Tensor]:
    """Integer planes of one frame (3,H,W) of RGB, rounded to nearest and clamped to what the bits can hold.

    The planes are uint8 for 8 bits, int16 above, and uint16 for 16. Values outside [0,1] keep as much as the codes
    allow, so that whiter-than-white of a limited-range source survives.
    """
    luma_zero, luma_span, chroma_zero, chroma_span = _quantisation(layout.bits, full_range or layout.rgb)
    if layout.rgb:
        return [_quantised(rgb[channel], luma_span, luma_zero, layout.bits) for channel in (1, 2, 0)]
    luma, blue, red = _mixtures(equations_of(matrix))
    planes = [_quantised(_mix(rgb, luma), luma_span, luma_zero, layout.bits)]
    if layout.planes == 1:
        return planes
    # Subsampling before mixing: both are linear, and the smaller picture is mixed.
    small = rgb
    if layout.shift_y:
        small = _halve_columns(small.mT).mT if siting in _ON_TOP else _halve_rows(small)
    if layout.shift_x:
        small = _halve_columns(small) if siting in _ON_THE_LEFT else _halve_rows(small.mT).mT
    for weights in (blue, red):
        planes.append(_quantised(_mix(small, weights), chroma_span / (2 * max(weights)), chroma_zero, layout.bits))
    return planes


def _mixtures(matrix: int) -> tuple[_Weights, _Weights, _Weights]:
    """What luma and both chromas are of red, green and blue; chroma up to a factor, by which its largest is a half."""
    if matrix == YCGCO:
        return (0.25, 0.5, 0.25), (-0.5, 1.0, -0.5), (1.0, 0.0, -1.0)
    kr, kb = LUMA_WEIGHTS[matrix]
    return (kr, 1 - kr - kb, kb), (-kr, kr + kb - 1, 1 - kb), (1 - kr, kr + kb - 1, -kb)


def rgb_luma(rgb: Tensor) -> Tensor:
    """(...,3,H,W) RGB to the luma of BT.601, (...,1,H,W), in the same range."""
    kr, kb = LUMA_WEIGHTS[6]
    red, green, blue = rgb.unbind(-3)
    return (red * kr).add_(green, alpha=1 - kr - kb).add_(blue, alpha=kb).unsqueeze(-3)


def _mix(rgb: Tensor, weights: _Weights) -> Tensor:
    """(3,H,W) -> (H,W): weights . rgb."""
    return (rgb[0] * weights[0]).add_(rgb[1], alpha=weights[1]).add_(rgb[2], alpha=weights[2])


def _quantisation(bits: int, full_range: bool) -> tuple[float, float, float, float]:
    """Zero and span of luma, then of chroma, in codes."""
    step = float(1 << (bits - 8))
    if full_range:
        return 0.0, 256 * step - 1, 128 * step, 256 * step - 1
    return 16 * step, 219 * step, 128 * step, 224 * step


def _quantised(plane: Tensor, span: float, zero: float, bits: int) -> Tensor:
    """The nearest whole codes, of those that the bits can hold, to plane * span + zero; (H,W) to (H,W)."""
    whole = torch.uint8 if bits == 8 else torch.uint16 if bits == 16 else torch.int16
    out = torch.empty(plane.shape, dtype=whole, device=plane.device)
    # A few rows at a time, which stay in the cache; a GPU has better things to do than small steps.
    rows = max(1, _STRIP_SAMPLES // plane.shape[1]) if plane.device.type == "cpu" else plane.shape[0]
    for top in range(0, plane.shape[0], rows):
        codes = plane[top : top + rows] * span
        # Conversion cuts off what is after the point.
        out[top : top + rows] = codes.add_(zero + 0.5).clamp_(0.5, (1 << bits) - 0.5)
    return out


def _double_columns(chroma: Tensor, width: int) -> Tensor:
    """(2,h,w) -> (2,h,width): even columns sit on chroma samples, odd ones between two."""
    out = torch.empty((*chroma.shape[:-1], 2 * chroma.shape[-1]), dtype=chroma.dtype, device=chroma.device)
    out[..., 0::2] = chroma
    torch.add(chroma[..., :-1], chroma[..., 1:], out=out[..., 1:-1:2])
    out[..., 1:-1:2].mul_(0.5)
    out[..., -1] = chroma[..., -1]
    return out[..., :width]


def _double_rows(chroma: Tensor, height: int) -> Tensor:
    """(2,h,w) -> (2,height,w): every row is a quarter of a chroma row away from the nearest one."""
    padded = torch.cat((chroma[..., :1, :], chroma, chroma[..., -1:, :]), dim=-2)
    near = chroma * 0.75
    out = torch.empty(
        (*chroma.shape[:-2], 2 * chroma.shape[-2], chroma.shape[-1]), dtype=chroma.dtype, device=chroma.device
    )
    torch.add(near, padded[..., :-2, :], alpha=0.25, out=out[..., 0::2, :])
    torch.add(near, padded[..., 2:, :], alpha=0.25, out=out[..., 1::2, :])
    return out[..., :height, :]


def _halve_columns(frame: Tensor) -> Tensor:
    """(...,H,W) -> (...,H,ceil(W/2)): weights -1 2 6 2 -1 of 8 around every even column.

    They undo _double_columns exactly, so that chroma which nothing changed stays (LeGall and Tabatabai's 5/3 wavelet).
    """
    if frame.shape[-1] % 2:
        frame = torch.cat((frame, frame[..., -1:]), dim=-1)
    even, odd = frame[..., 0::2], frame[..., 1::2]
    out = (even * 0.75).add_(odd, alpha=0.25)
    out[..., 1:].add_(odd[..., :-1], alpha=0.25)
    out[..., 0].add_(even[..., 0], alpha=0.25)
    out[..., 1:].sub_(even[..., :-1], alpha=0.125)
    out[..., :-1].sub_(even[..., 1:], alpha=0.125)
    out[..., 0].sub_(even[..., 0], alpha=0.125)
    out[..., -1].sub_(even[..., -1], alpha=0.125)
    return out


def _halve_rows(frame: Tensor) -> Tensor:
    """(...,H,W) -> (...,ceil(H/2),W): weights -1 5 5 -1 of 8 around every pair of rows.

    Half way to -2 6 6 -2, which would undo _double_rows and ring: it makes fine chroma 1.4 times as strong.
    """
    if frame.shape[-2] % 2:
        frame = torch.cat((frame, frame[..., -1:, :]), dim=-2)
    upper, lower = frame[..., 0::2, :], frame[..., 1::2, :]
    out = (upper + lower).mul_(0.625)
    out[..., 1:, :].sub_(lower[..., :-1, :], alpha=0.125)
    out[..., :-1, :].sub_(upper[..., 1:, :], alpha=0.125)
    out[..., 0, :].sub_(upper[..., 0, :], alpha=0.125)
    out[..., -1, :].sub_(lower[..., -1, :], alpha=0.125)
    return out
