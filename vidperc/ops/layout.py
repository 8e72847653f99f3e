"""Pixel layouts: how the planes of a video frame hold its numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelLayout:
    """One planar pixel format.

    bits: used bits of each sample; more than 8 are stored in two bytes, low bits first.
    shift_x, shift_y: base-2 logarithm of the chroma subsampling.
    planes: number of planes of colour: 1 grey, 3 colour.
    rgb: planes hold green, blue, red instead of Y, Cb, Cr.
    alpha: one more plane, the last, says how opaque the picture is.
    """

    name: str
    bits: int
    shift_x: int = 0
    shift_y: int = 0
    planes: int = 3
    rgb: bool = False
    alpha: bool = False

    @property
    def all_planes(self) -> int:
        """Number of planes with that of alpha."""
        return self.planes + self.alpha

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(height, width) of a plane of a frame of this width and height."""
        if plane in (0, self.planes):
            return height, width
        return -(-height >> self.shift_y), -(-width >> self.shift_x)  # rounded up, as FFmpeg does


LAYOUTS: dict[str, PixelLayout] = {
    layout.name: layout
    for layout in (
        PixelLayout("yuv420p", 8, 1, 1),
        PixelLayout("yuv422p", 8, 1, 0),
        PixelLayout("yuv444p", 8),
        PixelLayout("yuv420p10le", 10, 1, 1),
        PixelLayout("yuv422p10le", 10, 1, 0),
        PixelLayout("yuv444p10le", 10),
        PixelLayout("yuv420p12le", 12, 1, 1),
        PixelLayout("yuv422p12le", 12, 1, 0),
        PixelLayout("yuv444p12le", 12),
        PixelLayout("yuv420p16le", 16, 1, 1),
        PixelLayout("yuv422p16le", 16, 1, 0),
        PixelLayout("yuv444p16le", 16),
        PixelLayout("gray", 8, planes=1),
        PixelLayout("gray10le", 10, planes=1),
        PixelLayout("gray12le", 12, planes=1),
        PixelLayout("gray16le", 16, planes=1),
        PixelLayout("gbrp", 8, rgb=True),
        PixelLayout("gbrp10le", 10, rgb=True),
        PixelLayout("gbrp12le", 12, rgb=True),
        PixelLayout("gbrp16le", 16, rgb=True),
        PixelLayout("yuva420p", 8, 1, 1, alpha=True),
        PixelLayout("yuva422p", 8, 1, 0, alpha=True),
        PixelLayout("yuva444p", 8, alpha=True),
        PixelLayout("yuva420p10le", 10, 1, 1, alpha=True),
        PixelLayout("yuva422p10le", 10, 1, 0, alpha=True),
        PixelLayout("yuva444p10le", 10, alpha=True),
        PixelLayout("yuva422p12le", 12, 1, 0, alpha=True),
        PixelLayout("yuva444p12le", 12, alpha=True),
        PixelLayout("yuva420p16le", 16, 1, 1, alpha=True),
        PixelLayout("yuva422p16le", 16, 1, 0, alpha=True),
        PixelLayout("yuva444p16le", 16, alpha=True),
        PixelLayout("gbrap", 8, rgb=True, alpha=True),
        PixelLayout("gbrap10le", 10, rgb=True, alpha=True),
        PixelLayout("gbrap12le", 12, rgb=True, alpha=True),
        PixelLayout("gbrap16le", 16, rgb=True, alpha=True),
    )
}
