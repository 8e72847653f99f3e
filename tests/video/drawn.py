"""Drawn shots, as small pictures and as videos, whose cuts are known because somebody drew them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vidperc.video.novelty import HEIGHT, WIDTH

Pictures = list[np.ndarray]


def scene(seed: int, frames: int, *, move: int = 1) -> Pictures:
    """(40,64) luma of a scene of its own, over which a camera moves `move` pixels a frame."""
    rng = np.random.default_rng(seed)
    canvas = np.kron(rng.normal(0, 40, (16, 80)), np.ones((5, 5)))
    canvas += np.kron(rng.normal(0, 15, (40, 200)), np.ones((2, 2)))
    return [
        np.clip(128 + canvas[20 : 20 + HEIGHT, 10 + move * k : 10 + move * k + WIDTH], 0, 255) for k in range(frames)
    ]


def flat(level: float, frames: int) -> Pictures:
    """A surface of one colour."""
    return [np.full((HEIGHT, WIDTH), float(level))] * frames


def light(pictures: Sequence[np.ndarray], shares: Sequence[float]) -> Pictures:
    """The pictures under more or less light."""
    return [picture * share for picture, share in zip(pictures, shares, strict=True)]


def make_drawn_clip(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 12800),
    options: dict[str, str] | None = None,
) -> Path:
    """Write small pictures, twice as large, as a video; pts in ticks of time_base, else 25 a second."""
    times = pts if pts is not None else [k * int(1 / (25 * time_base)) for k in range(len(pictures))]
    ticks = str(time_base.denominator)
    container_options = {"video_track_timescale": ticks, "movie_timescale": ticks} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", container_options=container_options) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "preset": "ultrafast", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = 2 * WIDTH, 2 * HEIGHT, "yuv420p"
        stream.codec_context.time_base = time_base
        for picture, time in zip(pictures, times, strict=True):
            large = np.clip(np.rint(picture), 0, 255).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
            frame = av.VideoFrame.from_ndarray(large, "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
