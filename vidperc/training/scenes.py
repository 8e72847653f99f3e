"""Scenes as training material: runs of frames of real videos between their cuts, small, in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidperc.ops.resize import resize
from vidperc.training.clips import ClipPixels, to_pixels
from vidperc.video.cuts import CutThresholds
from vidperc.video.index import FrameIndex, index_frames
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.rgb import read_timed_rgb
from vidperc.video.scan import find_cuts

# Frames a second that count as usual: what is played at them is played at its own speed.
_USUAL_RATE = (22.0, 31.0)


@dataclass(frozen=True)
class Scene:
    """Frames of one shot.

    frames: (T,H,W,3) uint8 RGB. usual: whether they come at a usual rate, so that it can be told when they are played
    faster.
    """

    frames: ClipPixels
    usual: bool


def read_scenes(paths: Sequence[Path], *, side: int, least: int, say: Callable[[str], None]) -> list[Scene]:
    """The scenes of these videos that have at least so many frames, in the order of the videos.

    side: the shorter of a frame in pixels, to which it is reduced, antialiased; smaller ones are enlarged.
    Videos of about 50 or 60 frames a second lose every other one.
    Raises VidpercError for a file that cannot be read.
    """
    scenes: list[Scene] = []
    for path in paths:
        info, index = probe(path), index_frames(path)
        rate = float(info.rate)
        every = 2 if _USUAL_RATE[0] <= rate / 2 <= _USUAL_RATE[1] else 1
        usual = _USUAL_RATE[0] <= rate / every <= _USUAL_RATE[1]
        cuts = {index.pts[first] for first, _ in find_shots(info, index)[1:]}
        shrink = side / min(info.width, info.height)
        size = round(info.height * shrink), round(info.width * shrink)
        runs: list[list[ClipPixels]] = [[]]
        for place, (pts, frame) in enumerate(read_timed_rgb(path, threads=1)):
            if pts in cuts:
                runs.append([])
            if place % every == 0:
                runs[-1].append(to_pixels(resize(frame[None], size, "bicubic")))
        found = [Scene(np.concatenate(run), usual) for run in runs if len(run) >= least]
        say(f"{path.name}: {len(found)} scenes, {sum(len(scene.frames) for scene in found)} frames")
        scenes += found
    return scenes


def find_shots(info: VideoInfo, index: FrameIndex) -> list[tuple[int, int]]:
    """The shots of a video: the place of the first frame in index.pts, and the one behind the last.

    Raises VidpercError when the file cannot be read.
    """
    cuts = find_cuts(info, index, CutThresholds())
    borders = [0, *(bisect_left(index.pts, cut.pts) for cut in cuts), len(index.pts)]
    return [(first, behind) for first, behind in pairwise(borders) if first < behind]
