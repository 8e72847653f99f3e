"""Pixel layouts: how the planes of a video frame hold its numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelLayout:
    """One planar pixel format.

    bits: used bits of each sample; more than 8 are stored in two bytes, low bits first.
    shift_x, shift_y: base-2 logarithm of the chroma subsampling.
    planes: number of planes: 1 grey, 3 colour.
    rgb: planes hold green, blue, red instead of Y, Cb, Cr.
    """

    name: str
    bits: int
    shift_x: int = 0
    shift_y: int = 0
    planes: int = 3
    rgb: bool = False

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(height, width) of a plane of a frame of this width and height."""
        if plane == 0:
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
        PixelLayout("gray", 8, planes=1),
        PixelLayout("gray10le", 10, planes=1),
        PixelLayout("gray12le", 12, planes=1),
        PixelLayout("gbrp", 8, rgb=True),
        PixelLayout("gbrp10le", 10, rgb=True),
        PixelLayout("gbrp12le", 12, rgb=True),
    )
}
