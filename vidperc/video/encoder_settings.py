"""What decides an encoder's output: settings that are repeatable, chosen for the source and the user's wishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import av
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list

from vidperc.errors import VidpercError
from vidperc.video.hdr import HdrMetadata, hdr_parameters
from vidperc.video.planes import layout_of


@dataclass(frozen=True)
class Recipe:
    """What we set for an encoder unless the user says otherwise.

    quality: the option that a quality is written to, with its default; "" when the encoder has none.
    fixed: options that make it repeatable; {threads} stands for the plan's thread count.
    params: the option that holds the encoder's own settings, to which the user's are added.
    presets: the presets it knows; empty where opening it tells.
    """

    quality: str = ""
    default_quality: str = ""
    preset: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    params: str = ""
    presets: tuple[str, ...] = ()


# Encoders whose transparency players show; that of libx265 none does but Apple's.
_ALPHA_ENCODERS = frozenset({"libvpx", "libvpx-vp9", "ffv1", "prores_ks", "prores", "png", "qtrle", "utvideo"})
_HOLDS_NO_ALPHA = frozenset({".mp4", ".m4v"})

# libx264 and libx265 complain about a wrong preset on stderr, where no capture reaches.
_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)

RECIPES: dict[str, Recipe] = {
    "libx264": Recipe(
        "crf", "18", "medium", {"x264-params": "cpu-independent=1:open-gop=0"}, "x264-params", _X26X_PRESETS
    ),
    "libx264rgb": Recipe(
        "crf", "18", "medium", {"x264-params": "cpu-independent=1:open-gop=0"}, "x264-params", _X26X_PRESETS
    ),
    "libx265": Recipe(
        "crf",
        "20",
        "medium",
        {"x265-params": "info=0:open-gop=0:pools={threads}:frame-threads=1:log-level=none", "a53cc": "1"},
        "x265-params",
        _X26X_PRESETS,
    ),
    "libsvtav1": Recipe("crf", "26", "7", {"svtav1-params": "lp={threads}"}, "svtav1-params"),
    "libvpx-vp9": Recipe("crf", "24", "", {"b": "0"}),
    "ffv1": Recipe(fixed={"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}),
    "prores_ks": Recipe(fixed={"profile": "3"}),
    "h264_nvenc": Recipe("cq", "19", "p5", {"rc": "vbr", "b": "0"}),
    "hevc_nvenc": Recipe("cq", "21", "p5", {"rc": "vbr", "b": "0"}),
}


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Everything that decides an encoder's output: part of the plan, never re-decided."""

    codec: str
    pix_fmt: str
    options: dict[str, str]
    threads: int = 1


def choose_encoder(
    *,
    source_pix_fmt: str,
    bits: int,
    codec: str | None = None,
    quality: str | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
    threads: int = 1,
    alpha: bool = False,
    suffix: str = "",
    source_codec: str = "",
    hdr: HdrMetadata | None = None,
) -> EncoderSettings:
    """The settings for an output: libx264 for 8-bit sources, libx265 above, unless the user names another.

    WebM takes neither: there it is libvpx-vp9, or libsvtav1 above 8 bits and for a source in AV1 (source_codec).

    quality: written to the encoder's own quality option (crf, cq); options: the user's, which win over ours.
    alpha: the source has transparency, which is kept where the encoder takes it. suffix: of the output's name, as far
    as it is known; it chooses the encoder for transparency.
    hdr: what the output shall say of its light, where the encoder can.
    Raises VidpercError for an unknown encoder, or a pixel format that it does not take.
    """
    usual = "libx264" if bits <= 8 else "libx265"
    if suffix == ".webm":  # the VP9 of FFmpeg's wheel has 8 bits
        usual = "libvpx-vp9" if bits <= 8 and source_codec != "av1" else "libsvtav1"
    if alpha and suffix not in _HOLDS_NO_ALPHA:
        usual = "prores_ks" if suffix == ".mov" else "libvpx-vp9" if bits <= 8 or suffix == ".webm" else "ffv1"
    encoder = _encoder(codec or usual)
    name = encoder.name  # asked for a codec ("hevc"), FFmpeg gives an encoder of it
    formats = [f.name for f in encoder.video_formats or []]
    if pix_fmt is None:
        wanted = layout_of(source_pix_fmt).name
        transparent = [f for f in formats if layout_of(f).alpha]
        if name.startswith("libvpx"):
            transparent = ["yuva420p"]  # what browsers show
        if alpha and transparent and name in _ALPHA_ENCODERS:
            formats = transparent
        else:
            formats = [f for f in formats if not layout_of(f).alpha]
            wanted = wanted.replace("yuva", "yuv").replace("gbrap", "gbrp")
        best = find_best_pix_fmt_of_list(formats, wanted)[0] if formats else None
        pix_fmt = wanted if wanted in formats or best is None else best.name
    elif formats and pix_fmt not in formats:
        raise VidpercError(f"--pix-fmt {pix_fmt}: {name} does not take it, wanted one of {', '.join(formats)}")
    recipe = RECIPES.get(name, Recipe())
    chosen = {key: value.format(threads=threads) for key, value in recipe.fixed.items()}
    if quality is not None:
        if not recipe.quality and name in RECIPES:
            raise VidpercError(f"--crf {quality}: {name} has no constant quality; leave it out")
        chosen[recipe.quality or "crf"] = quality
    elif recipe.quality:
        chosen[recipe.quality] = recipe.default_quality
    if preset and name in RECIPES and not recipe.preset:
        speed = ", -e cpu-used=N sets its speed" if name.startswith("libvpx") else ""
        raise VidpercError(f"--preset {preset}: {name} has none{speed}; leave it out, or name another encoder with -c")
    preset = (options or {}).get("preset", preset)
    if preset and recipe.presets and preset not in recipe.presets:
        raise VidpercError(f"--preset {preset}: {name} does not know it, wanted one of {', '.join(recipe.presets)}")
    if name == "prores_ks" and layout_of(pix_fmt).shift_x == 0:
        chosen["profile"] = "4"  # 4444; those below it are for 4:2:2
    if preset or recipe.preset:
        chosen["preset"] = preset or recipe.preset
    light = "" if hdr is None else hdr_parameters(hdr, name, layout_of(pix_fmt).bits)
    if light:
        chosen[recipe.params] = f"{chosen[recipe.params]}:{light}"
    for key, value in (options or {}).items():
        chosen[key] = f"{chosen[key]}:{value}" if key == recipe.params and key in chosen else value
    return EncoderSettings(codec=name, pix_fmt=pix_fmt, options=chosen, threads=threads)


def held_bytes(settings: EncoderSettings, frames: int) -> int:
    """Memory that an encoder takes for each pixel of a picture, when so many frames are encoded; from above.

    It holds pictures to look ahead over and to refer back to. Measured for one of them: 3.5 bytes a pixel in x264, 4.5
    in x265, 8 with more than 8 bits.
    """
    place = _X26X_PRESETS.index(settings.options["preset"]) if settings.codec.startswith("libx26") else -1
    if place < 0:
        ahead, back = (0, 4) if settings.codec in ("ffv1", "prores_ks") else (40, 8)
    else:
        ahead = (0, 0, 10, 20, 30, 40, 50, 60, 60, 60)[place]
        back = (3, 3, 4, 5, 5, 8, 10, 12, 18, 18)[place]
    return (5 if layout_of(settings.pix_fmt).bits == 8 else 9) * (min(ahead, frames) + min(back, frames))


def _encoder(name: str) -> av.Codec:
    try:
        encoder = av.Codec(name, "w")
    except UnknownCodecError as error:
        raise VidpercError(
            f"--codec {name}: no such encoder here; `vidperc doctor` lists them, libx264 is always there"
        ) from error
    if encoder.type != "video":
        raise VidpercError(f"--codec {name}: is an encoder for {encoder.type}, wanted one for video")
    return encoder
