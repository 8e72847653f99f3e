"""Outputs that hold pictures and nothing beside them: y4m, and images. How they are encoded, and what they lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from av.codec.codec import find_best_pix_fmt_of_list

from vidperc.errors import VidpercError
from vidperc.ops.layout import LAYOUTS
from vidperc.video.copied import describe
from vidperc.video.copied_tags import STALE_TAGS, is_statistics, spelled
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.fates import Copied, Fate
from vidperc.video.header import views
from vidperc.video.images import IMAGES
from vidperc.video.index import FrameIndex
from vidperc.video.opening import open_input
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo
from vidperc.video.read_back import NO_LANGUAGE, TECHNICAL_TAGS

UNSPECIFIED = 2  # H.273, of matrix, primaries and transfer
LEFT, TOP_LEFT, TOP = 0, 2, 3  # of its ChromaLocType


@dataclass(frozen=True, kw_only=True)
class Bare:
    """A form of output without a container.

    codec: what segments are kept in until then; it loses nothing. formats: pixel formats that it holds.
    options: of the encoder.
    """

    name: str
    codec: str
    formats: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict[str, str])


Y4M = Bare(
    name="y4m",
    codec="ffv1",
    formats=(
        *("gray", "yuv420p", "yuv422p", "yuv444p"),
        *("gray10le", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
        *("gray12le", "yuv420p12le", "yuv422p12le", "yuv444p12le"),
    ),
    options={"level": "3", "g": "1", "slices": "4", "slicecrc": "1"},
)

PNG = Bare(
    name="PNG",
    codec="png",
    formats=("rgb24", "rgba", "rgb48be", "rgba64be", "gray", "gray16be"),
    options={"pred": "mixed"},
)

FORMS = {".y4m": Y4M, ".png": PNG}


def bare_form(output: Path) -> Bare | None:
    """The form that an output's name asks for; None for a container."""
    return FORMS.get(output.suffix.lower())


def bare_encoder(
    form: Bare,
    *,
    source_pix_fmt: str,
    alpha: bool,
    codec: str | None = None,
    quality: str | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
    threads: int = 1,
) -> EncoderSettings:
    """The settings by which segments are kept: without loss, in the format nearest to the source's.

    alpha: the source has transparency, which is kept where the form holds it.
    Raises VidpercError for a wish that has no meaning in this form.
    """
    for option, value in (("--codec", codec), ("--crf", quality), ("--preset", preset)):
        if value is not None:
            raise VidpercError(f"{option} {value}: {form.name} loses nothing and has no such choice; leave it out")
    if options:
        raise VidpercError(f"-e {next(iter(options))}: {form.name} has no options; leave it out")
    if pix_fmt is not None and pix_fmt not in form.formats:
        raise VidpercError(f"--pix-fmt {pix_fmt}: {form.name} has none, wanted one of {', '.join(form.formats)}")
    wanted = layout_of(source_pix_fmt).name
    if not alpha and wanted.replace("yuva", "yuv").replace("gbrap", "gbrp") in LAYOUTS:
        wanted = wanted.replace("yuva", "yuv").replace("gbrap", "gbrp")
    formats = [name for name in form.formats if alpha or not layout_of(name).alpha]
    best, _ = find_best_pix_fmt_of_list(formats, wanted, has_alpha=alpha)
    chosen = pix_fmt or (wanted if wanted in formats or best is None else best.name)
    return EncoderSettings(codec=form.codec, pix_fmt=chosen, options=dict(form.options), threads=threads)


def bare_fates(
    form: Bare,
    source: VideoInfo,
    index: FrameIndex,
    encoder: EncoderSettings,
    *,
    turned: bool,
    keep_audio: bool,
    excerpt: bool,
) -> Copied:
    """What becomes of all that is not the picture itself, for y4m; PNGs as frames have a time of 0 each.

    source: as it is stored. index: of the frames as they are read. turned: so are its pictures, as its mark wants it.
    excerpt: it starts at time 0, as was asked.
    """
    copied = Copied()
    why = f"{form.name} holds pictures alone"
    with open_input(source.path) as container:
        main = container.streams[source.stream]
        for stream in container.streams:
            if stream.index == source.stream:
                continue
            asked = stream.type == "audio" and not keep_audio
            copied.drop(describe(stream), "--no-audio" if asked else why, asked=asked)
        if source.chapters:
            copied.drop(f"{source.chapters} chapters", why)
        if main.language not in NO_LANGUAGE:
            copied.drop("video", why, f"language {spelled(main.language or '')}")
        for what in views(main):
            copied.drop("video", why, what)
        for subject, tags in (("video", main.metadata), ("file", container.metadata)):
            for key in tags:
                technical = subject == "video" and key.lower() in TECHNICAL_TAGS - {"title", "timecode"}
                if not technical and key.lower() not in STALE_TAGS and not is_statistics(key):
                    copied.drop(subject, why, f"tag {spelled(key)}")
    if turned:
        copied.convert("video", f"the pictures are turned, for {form.name} has no mark that would", "rotation")
    elif source.rotation or source.display_matrix is not None:
        copied.drop("video", f"{form.name} has no mark for it; turn the pictures where they are shown", "rotation")
    for what, lost in (*_times(form, source, index, excerpt=excerpt), *_color(form, source, encoder)):
        if lost:
            copied.drop("video", lost, what)
        else:
            copied.keep("video", what)
    return copied


def _times(form: Bare, source: VideoInfo, index: FrameIndex, *, excerpt: bool) -> Iterator[tuple[str, str]]:
    """Each property of the frames' times, and why it is lost; empty where it is kept."""
    if source.container == IMAGES:
        return
    if form is PNG:
        yield "times", f"images have none; the frames are in order, at {float(source.rate):g} a second"
        return
    first = index.pts[0] * source.time_base
    if constant_rate(source, index):
        yield "times", ""
    else:
        yield "times", f"{form.name} has none; each frame comes, at {float(source.rate):g} a second; .mkv keeps them"
    if first and not excerpt:
        yield "start", f"its first frame is at {float(first):.3f} s, and comes at 0"


def form_fate(form: Bare, source: VideoInfo, *, asked: bool) -> Fate:
    """Whether the output has the source's form. asked: the user named the output."""
    was = source.path.suffix.lower() or source.container
    if (was, form) == (".y4m", Y4M) or (source.container, source.codec, form) == (IMAGES, "png", PNG):
        return Fate(subject="file", field="container", outcome="kept")
    why = f"{was} to {form.name}" + (", as -o says" if asked else ", which loses nothing")
    return Fate(subject="file", field="container", outcome="converted", reason=why, asked=asked)


def constant_rate(source: VideoInfo, index: FrameIndex) -> bool:
    """Whether frames come at the stated rate, each as far as the ticks of its time can tell."""
    step = 1 / (source.rate * source.time_base)  # ticks
    return index.sequential or all(abs(pts - index.pts[0] - number * step) <= 1 for number, pts in enumerate(index.pts))


def _color(form: Bare, source: VideoInfo, encoder: EncoderSettings) -> Iterator[tuple[str, str]]:
    """Each property of the colours, and why it is lost."""
    color, layout = source.color, layout_of(encoder.pix_fmt)
    if form is PNG:
        yield "colour description", ""  # FFmpeg writes it as a cICP chunk
        return
    stated = [
        f"{name} {code}"
        for name, code in (("primaries", color.primaries), ("transfer", color.transfer))
        if code not in (0, UNSPECIFIED)
    ]
    if color.matrix and not any(guess.startswith("matrix") for guess in color.guessed):
        stated.insert(0, f"matrix {color.matrix}")
    if stated:
        yield "colour description", f"{form.name} does not hold it, tell the reader: {', '.join(stated)} (H.273)"
    named = layout.shift_y and layout.bits == 8 and color.siting != TOP
    on_the_left = color.siting == LEFT or (color.siting == TOP_LEFT and not layout.shift_y)
    if layout.shift_x and not on_the_left and not named:
        yield "place of chroma", f"{form.name} has no name for it with {layout.bits} bits; readers take it for left"
