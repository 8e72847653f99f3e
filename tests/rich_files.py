"""Files with all that containers hold beside their picture: subtitles, fonts, covers, chapters, tags, other tracks."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

from tests.clips import picture

FONT = b"\0\1\0\0 not a font, but as long as it is carried whole " * 20

# (start, end) in milliseconds and text; the second begins before the first has ended.
CUES = ((200, 900, "first"), (600, 1100, "second, <i>over</i> it"), (1500, 1900, "third"))


def jpeg(side: int = 64) -> bytes:
    """A small picture in a JPEG file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(picture(3, side, side), "rgb24").reformat(format="yuvj420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def make_rich(
    path: Path,
    *,
    subtitles: tuple[str, ...] = ("subrip",),
    font: bool = False,
    cover: bool = False,
    chapters: bool = True,
    sounds: int = 2,
    second_video: bool = False,
    tags: dict[str, str] | None = None,
) -> Path:
    """Write two seconds of video with these beside it; sounds and subtitles are in English, then French."""
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": "Rich", **(tags or {})})
        videos = [_video(container, size) for size in ((96, 64), (64, 48))[: 1 + second_video]]
        voices = [container.add_stream("aac", rate=44100, layout="mono") for _ in range(sounds)]
        for voice, language in zip(voices, ("eng", "fra"), strict=False):
            voice.metadata["language"] = language
            voice.metadata["title"] = f"sound in {language}"
        texts = [container.add_stream(codec) for codec in subtitles]
        for text, language in zip(texts, ("eng", "fra"), strict=False):
            text.codec_context.subtitle_header = ASS_HEADER
            text.codec_context.time_base = Fraction(1, 1000)
            text.metadata["language"] = language
        if font:
            container.add_attachment("font.ttf", "application/x-truetype-font", FONT)
        if cover and path.suffix == ".mkv":
            container.add_attachment("cover.jpg", "image/jpeg", jpeg())
        picture_place = None
        if cover and path.suffix != ".mkv":
            picture_place = container.add_stream("mjpeg", rate=1)
            picture_place.width = picture_place.height = 64
            picture_place.pix_fmt = "yuvj420p"
            picture_place.disposition = av.stream.Disposition.attached_pic
        if chapters:
            halves = (("one", 0, 1000), ("two", 1000, 2000))
            container.set_chapters(
                [
                    {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                    for n, (title, a, b) in enumerate(halves, start=1)
                ]
            )
        container.start_encoding()
        if picture_place is not None:
            packet = av.Packet(jpeg())
            packet.pts = packet.dts = 0
            packet.stream = picture_place
            container.mux(packet)
        for stream in videos:
            _encode(container, stream)
        for voice in voices:
            _speak(container, voice)
        for text in texts:
            for start, end, said in CUES:
                event = f"0,0,Default,,0,0,0,,{said}".encode()
                packet = text.codec_context.encode_subtitle(
                    SubtitleSet.create(text=event, start=0, end=end - start, pts=start * 1000)
                )
                packet.pts = packet.dts = start
                packet.duration, packet.time_base, packet.stream = end - start, Fraction(1, 1000), text
                container.mux(packet)
    return path


ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _video(container, size):
    codec = "libvpx-vp9" if container.format.name == "webm" else "libx264"
    stream = container.add_stream(codec, rate=25, options={"g": "12"})
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    return stream


def _encode(container, stream):
    for index in range(50):
        frame = av.VideoFrame.from_ndarray(picture(index, stream.width, stream.height), "rgb24")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        container.mux(stream.encode(frame.reformat(format="yuv420p")))
    container.mux(stream.encode(None))


def _speak(container, voice):
    samples = np.sin(np.arange(2 * 44100) * 0.05).astype(np.float32)
    for start in range(0, len(samples) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, start
        container.mux(voice.encode(frame))
    container.mux(voice.encode(None))
