"""A film of 40 joined real shots, some of which fade, whose cuts are known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 480, 270
TIME_BASE = Fraction(1, 90000)
STEPS = (3003, 3754, 3003, 4504, 3003, 1501)  # ticks from frame to frame, over and over: a variable rate


@dataclass(frozen=True)
class Shot:
    """Frames of a clip without a cut among them, and how the film goes on: by a cut, or through black.

    out: frames that fade out. black: frames of black after them. into: frames in which the next shot fades in.
    """

    clip: str
    first: int
    frames: int
    out: int = 0
    black: int = 0
    into: int = 0


BUNNY, BIKES, ROOF = "bbb_480p_30s.mp4", "bikes_272p_scenecuts.mp4", "rooftop_pan_360p_17s.mp4"
DOG, BLOCKS, BEDROOM = "sam2_01_dog.mp4", "sam2_03_blocks.mp4", "sam2_bedroom_540p.mp4"
CARS, BOTTLES, FRIDAY = "intel_car-detection.mp4", "intel_bottle-detection.mp4", "friday_480p_bw_cc0.mp4"

SHOTS = (
    Shot(BUNNY, 60, 40),
    Shot(BIKES, 0, 30),
    Shot(DOG, 5, 45),
    Shot(DOG, 230, 40, out=8, black=2, into=8),
    Shot("flower_540p_cc0.mp4", 0, 36),
    Shot(ROOF, 40, 34),
    Shot(ROOF, 320, 30),
    Shot(BIKES, 30, 44, out=12, into=12),
    Shot(FRIDAY, 0, 40),
    Shot("bbb_720p_5s.mp4", 10, 50, out=24, black=10, into=24),
    Shot(BLOCKS, 0, 40),
    Shot(BLOCKS, 240, 40),
    Shot("intel_asl_book.mkv", 20, 40),
    Shot(BUNNY, 290, 40, out=4, black=1, into=4),
    Shot(CARS, 0, 30),
    Shot(BIKES, 80, 50),
    Shot(BEDROOM, 10, 36, out=16, black=4),
    Shot(BUNNY, 380, 60, black=6, into=16),
    Shot("intel_asl_sister.mkv", 0, 40),
    Shot(ROOF, 180, 36),
    Shot(BOTTLES, 100, 30, out=6, black=3, into=10),
    Shot("bbb_1080p60_2s_h264.mp4", 24, 60),
    Shot(DOG, 120, 12),
    Shot(BIKES, 140, 44),
    Shot("portrait_4k60_18frames.mp4", 0, 18),
    Shot(FRIDAY, 130, 40, out=10, into=4),
    Shot(BLOCKS, 120, 30),
    Shot("bbb_720p_5s.mp4", 80, 40),
    Shot(BIKES, 190, 50, out=30, black=1, into=14),
    Shot(BUNNY, 560, 60),
    Shot(CARS, 300, 40),
    Shot(BEDROOM, 150, 40, black=12),
    Shot("flower_540p_cc0.mp4", 100, 36, out=20, black=5, into=20),
    Shot(DOG, 60, 24),
    Shot(BUNNY, 500, 36),
    Shot("intel_asl_book.mkv", 70, 36, out=8, black=8, into=2),
    Shot(ROOF, 430, 40),
    Shot("bbb_1080p60_2s_h264.mp4", 2, 16),
    Shot(BEDROOM, 60, 30, out=3, black=2, into=12),
    Shot(BIKES, 90, 40),
)


def make_film(folder: Path, path: Path, *, crf: int = 23) -> list[tuple[int, int]]:
    """Write the film of the clips in a folder; returns (first, last) pts of the frames where each cut may be.

    At a hard cut they are the same: the first frame of the new shot. For a fade they are its first and last frame.
    """
    frames, places = _joined(folder)
    times = list(itertools.accumulate((STEPS[k % len(STEPS)] for k in range(len(frames) - 1)), initial=7207))
    ticks = {"video_track_timescale": "90000", "movie_timescale": "90000"}
    with av.open(str(path), "w", container_options=ticks) as container:
        options = {"crf": str(crf), "preset": "veryfast", "g": "60", "threads": "1"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        for picture, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [(times[first], times[last]) for first, last in places]


def _joined(folder: Path) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    clips = {name: _decoded(folder / name) for name in {shot.clip for shot in SHOTS}}
    frames: list[np.ndarray] = []
    places: list[tuple[int, int]] = []
    into = 0
    for shot in SHOTS:
        pictures = clips[shot.clip][shot.first : shot.first + shot.frames]
        assert len(pictures) == shot.frames
        coming = [(k + 1) / (into + 1) for k in range(into)]
        going = [1 - (k + 1) / (shot.out + 1) for k in range(shot.out)]
        light = [*coming, *[1.0] * (shot.frames - into - shot.out), *going]
        if frames:
            places[-1] = (places[-1][0], len(frames) + into)
        frames += [(picture * share).round().astype(np.uint8) for picture, share in zip(pictures, light, strict=True)]
        gone = len(frames) - shot.out
        frames += [np.zeros_like(frames[0])] * shot.black
        places.append((gone if shot.out or shot.black or shot.into else len(frames), 0))
        into = shot.into
    return frames[: len(frames) - SHOTS[-1].black], places[:-1]


def _decoded(path: Path) -> list[np.ndarray]:
    """As many frames of a clip as the film needs, (HEIGHT,WIDTH,3) each."""
    needed = max(shot.first + shot.frames for shot in SHOTS if shot.clip == path.name)
    with av.open(str(path)) as container:
        decoded = itertools.islice(container.decode(video=0), needed)
        return [f.reformat(WIDTH, HEIGHT, "rgb24", interpolation="AREA").to_ndarray() for f in decoded]
