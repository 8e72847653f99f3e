"""Static HDR metadata: read from a decoded frame, spelled for the encoders that can write it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vidperc.video.side_data import side_data

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# What is not written again, by FFmpeg's names: what people call it, and why not. HDR10+ and Dolby Vision were tried
# with libx265 and SVT-AV1 of FFmpeg 8.1, on frames that carry them.
_ONE_BY_ONE = (
    "it describes the source's frames one by one, and no encoder here takes it; the HDR picture under it is kept"
)
_UNWRITTEN = {
    "DYNAMIC_HDR_PLUS": ("HDR10+ metadata", _ONE_BY_ONE),
    "DOVI_METADATA": ("Dolby Vision metadata", _ONE_BY_ONE),
    "DOVI_RPU_BUFFER": ("Dolby Vision metadata", _ONE_BY_ONE),
    "DYNAMIC_HDR_VIVID": ("HDR Vivid metadata", _ONE_BY_ONE),
    "DYNAMIC_HDR_SMPTE_2094_APP5": ("SMPTE 2094-50 metadata", _ONE_BY_ONE),
    "AMBIENT_VIEWING_ENVIRONMENT": ("ambient viewing environment", "no encoder here takes it; the picture is kept"),
}

Point = tuple[Fraction, Fraction]


@dataclass(frozen=True, kw_only=True)
class Mastering:
    """The display that a video was made on (SMPTE ST 2086): x, y of its primaries and white, candela per m2."""

    red: Point
    green: Point
    blue: Point
    white: Point
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True, kw_only=True)
class HdrMetadata:
    """What a source says of its light beside the colour tags.

    mastering: None where it does not say, or only in part. light: the brightest pixel and the brightest mean of a
        frame, in candela per m2 (CTA-861.3: MaxCLL, MaxFALL).
    unwritten: what else there is, which no output has, and why: mostly metadata that change with the frames.
    """

    mastering: Mastering | None = None
    light: tuple[int, int] | None = None
    unwritten: tuple[tuple[str, str], ...] = ()

    @property
    def static(self) -> bool:
        return self.mastering is not None or self.light is not None


def hdr_metadata(frame: VideoFrame) -> HdrMetadata:
    """The HDR metadata of a frame."""
    try:
        data = side_data(frame)
    except ValueError:  # PyAV gives up on all side data when it does not know the type of one
        return HdrMetadata()
    mastering, light = data.get("MASTERING_DISPLAY_METADATA"), data.get("CONTENT_LIGHT_LEVEL")
    return HdrMetadata(
        mastering=None if mastering is None else _mastering(mastering),
        light=None if light is None else struct.unpack_from("<2I", light),
        unwritten=tuple(dict.fromkeys(_UNWRITTEN[name] for name in data if name in _UNWRITTEN)),
    )


def _mastering(content: bytes) -> Mastering | None:
    """FFmpeg's AVMasteringDisplayMetadata: ten fractions, then two flags.

    The flags also say that FFmpeg holds a figure for implausible; what the source says is passed on all the same.
    """
    numbers = struct.unpack_from("<20i", content)
    found = [Fraction(top, bottom) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True) if bottom]
    if len(found) != 10 or not any(found):
        return None
    red, green, blue, white = ((found[k], found[k + 1]) for k in (0, 2, 4, 6))
    return Mastering(red=red, green=green, blue=blue, white=white, darkest=found[8], brightest=found[9])


def hdr_parameters(hdr: HdrMetadata, encoder: str, bits: int) -> str:
    """The encoder's own parameters (x265-params, ...) that make it write this; empty where it cannot.

    bits: of the output; with 8 nothing is written, for it is no HDR.
    """
    if bits < 10 or encoder not in ("libx265", "libx264", "libsvtav1"):
        return ""
    names = {
        "libx265": ("master-display", "max-cll"),
        "libx264": ("mastering-display", "cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }[encoder]
    parts: list[str] = []
    if hdr.mastering is not None:
        m = hdr.mastering
        # SVT-AV1 takes the figures themselves, the others whole numbers of the units of the messages.
        steps = (None, None) if encoder == "libsvtav1" else (50000, 10000)
        points = "".join(
            f"{name}({_spelled(x, steps[0])},{_spelled(y, steps[0])})"
            for name, (x, y) in (("G", m.green), ("B", m.blue), ("R", m.red), ("WP", m.white))
        )
        parts.append(f"{names[0]}={points}L({_spelled(m.brightest, steps[1])},{_spelled(m.darkest, steps[1])})")
    if hdr.light is not None:
        parts.append(f"{names[1]}={hdr.light[0]},{hdr.light[1]}")
    if parts and encoder == "libx265":
        parts += ["hdr10=1", "repeat-headers=1"]
    return ":".join(parts)


def _spelled(value: Fraction, steps: int | None) -> str:
    return f"{float(value):.6f}" if steps is None else str(round(value * steps))


def lost_hdr(hdr: HdrMetadata, bits: int) -> dict[str, str]:
    """What of it an output of so many bits will not have, and why: of a container, as encoders or headers tell it."""
    lost: dict[str, str] = {}
    if hdr.static and bits < 10:
        lost["mastering display and light level"] = "the output has 8 bits; libx265 or libsvtav1 with 10 bits keep them"
    return lost | dict(hdr.unwritten)
