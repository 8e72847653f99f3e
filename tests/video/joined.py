"""A video encoded again in segments and joined, without a pipeline: what the floor of `video` does on its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.video.reformatter import VideoReformatter

from vidperc.video.encoder import Encoder
from vidperc.video.encoder_settings import choose_encoder
from vidperc.video.index import FrameIndex, index_frames
from vidperc.video.output import Copied, Part, write_output
from vidperc.video.planes import frame_planes, layout_of
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.source import read_frames


@dataclass
class Joined:
    output: Path
    info: VideoInfo
    index: FrameIndex
    parts: list[Part]
    copied: Copied


def encode_parts(source: Path, folder: Path, *, segments: int = 3, **choices: Any) -> list[Part]:
    """The frames of a video, as they are, in so many segments; choices are those of choose_encoder."""
    info = probe(source)
    settings = choose_encoder(source_pix_fmt=info.pix_fmt, bits=info.bits, **choices)
    frames = list(read_frames(source, timed=not index_frames(source).sequential, size=(info.width, info.height)))
    reformatter, layout = VideoReformatter(), layout_of(settings.pix_fmt)
    parts = []
    for number in range(segments):
        mine = frames[len(frames) * number // segments : len(frames) * (number + 1) // segments]
        path = folder / f"part{number}.mkv"
        with Encoder(
            path,
            settings,
            width=info.width,
            height=info.height,
            time_base=info.time_base,
            rate=info.rate,
            color=info.color,
            sample_aspect=info.sample_aspect,
        ) as encoder:
            for decoded in mine:
                encoder.encode(frame_planes(decoded.frame, layout, reformatter), decoded.pts)
        parts.append(Part(path, tuple(encoder.packet_pts)))
    return parts


def join(
    source: Path,
    output: Path,
    *,
    segments: int = 3,
    window: tuple[int, int] | None = None,
    keep_audio: bool = True,
    **choices: Any,
) -> Joined:
    """The source encoded again and joined into output, beside which the parts are left."""
    info, index = probe(source), index_frames(source)
    parts = encode_parts(source, output.parent, segments=segments, **choices)
    if window is not None:
        shown = [(part, [pts for pts in part.packet_pts if window[0] <= pts < window[1]]) for part in parts]
        assert all(len(kept) in (0, len(part.packet_pts)) for part, kept in shown), "a window is made of whole parts"
        parts = [part for part, kept in shown if kept]
    copied = write_output(
        output,
        parts,
        source=info,
        last_duration=index.last_duration,
        window=window,
        keep_audio=keep_audio,
        identity="a1b2",
    )
    return Joined(output, info, index, parts, copied)
