"""Test clips made small and enlarged again, shown beside what they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from vidperc.clip import Clip
from vidperc.compare.degradations import Degradation, eight_bits
from vidperc.compare.evaluation import Candidate
from vidperc.errors import VidpercError
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.stage import Stage
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale
from vidperc.video.aligned import Together
from vidperc.video.cuts import CutThresholds
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.rgb import read_timed_rgb
from vidperc.video.scan import find_cuts
from vidperc.video.stills import SUFFIXES, read_still, still_paths
from vidperc.video.video_files import is_video_file

# Pictures of a folder have no times; this many a second are shown.
_RATE = 25


@dataclass(frozen=True)
class TestClip:
    """One clip of a set: a folder of frames, or a video file."""

    name: str
    path: Path

    __test__ = False

    def frames(self) -> Iterator[tuple[Tensor, int]]:
        """Its frames as 8 bits hold them, (3,H,W) float32 RGB in [0,1], and the number of the shot of each.

        Raises VidpercError for what cannot be read, and for frames of several sizes.
        """
        size: torch.Size | None = None
        for frame, shot in self._of_folder() if self.path.is_dir() else self._of_file():
            if size is not None and frame.shape != size:
                raise VidpercError(
                    f"{self.path}: got frames of {frame.shape[2]}x{frame.shape[1]} after {size[2]}x{size[1]}, "
                    "wanted one size; is it one clip?"
                )
            size = frame.shape
            yield frame, shot

    def _of_folder(self) -> Iterator[tuple[Tensor, int]]:
        for path in still_paths(self.path):
            yield read_picture(path), 0

    def _of_file(self) -> Iterator[tuple[Tensor, int]]:
        info, index = probe(self.path), index_frames(self.path)
        cuts = {cut.pts for cut in find_cuts(info, index, CutThresholds())}
        shot = 0
        frames = read_timed_rgb(self.path, color=info.color, timed=not index.sequential, size=(info.width, info.height))
        for pts, frame in frames:
            shot += pts in cuts
            yield eight_bits(frame), shot


def find_clips(folder: Path) -> list[TestClip]:
    """The clips in a folder, in the order of their names: video files, and folders of frames.

    A folder of frames and nothing else is one clip. Raises VidpercError for a folder that is missing or has none.
    """
    if not folder.is_dir():
        raise VidpercError(f"{folder}: no such folder, wanted one of clips; check the path")
    inside = sorted(folder.iterdir())
    found = [
        TestClip(path.stem if path.is_file() else path.name, path)
        for path in inside
        if is_video_file(path) or (path.is_dir() and _has_pictures(path))
    ]
    if not found and _has_pictures(folder):
        found = [TestClip(folder.name, folder)]
    if not found:
        raise VidpercError(f"{folder}: got no clips, wanted video files or folders of frames in it; check the path")
    refuse_namesakes([clip.path for clip in found], [clip.name for clip in found])
    return found


def refuse_namesakes(paths: Sequence[Path], names: Sequence[str]) -> None:
    """Raises VidpercError where two items of a set have one name: figures are kept under it."""
    for path, name in zip(paths, names, strict=True):
        first = paths[names.index(name)]
        if first != path:
            raise VidpercError(f"{path}: is called {name} in the tables, as {first.name} is; rename one of them")


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def read_picture(path: Path) -> Tensor:
    """A picture file as (3,H,W) float32 RGB in [0,1]. Raises VidpercError for a file that is none."""
    return torch.from_numpy(read_still(path)).permute(2, 0, 1).float().div_(255)


def pipeline_of(network: Candidate, scale: int, placement: Placement) -> Pipeline:
    """What enlarges clips by a network, held steady if it says so; with motion found on what it is given if needed."""
    upscale = Upscale(model=network.model, scale=scale, detail=network.detail, ensemble=network.ensemble)
    stages: tuple[Stage, ...] = (upscale,)
    if network.steady:
        stages = (upscale, Steady(strength=network.steady))
    if any(stage.needs for stage in stages):
        stages = (FindMotion(), *stages)
    return Pipeline(PipelineSpec(name=network.shown, description="", stages=stages), placement)


def show_enlarged(
    frames: Iterator[tuple[Tensor, int]], pipeline: Pipeline, degradation: Degradation, scale: int, cuts: set[int]
) -> Iterator[Together]:
    """Of each frame: the small one, what the pipeline made of it, and what it was.

    frames: (3,H,W) with the number of their shot; what the scale does not divide is cut off below and on the right.
    cuts: gets the pts of the first frame of each shot, before that frame is shown.
    All three are as 8 bits hold them. Holds as many frames as the pipeline does.
    """
    waiting: deque[tuple[Tensor, Tensor, bool]] = deque()

    def clips() -> Iterator[Clip]:
        last: int | None = None
        for number, (frame, shot) in enumerate(frames):
            height, width = (side // scale * scale for side in frame.shape[-2:])
            true = frame[:, :height, :width].contiguous()
            small = degradation.shrink(true, scale)
            waiting.append((small, true, shot != last))
            last = shot
            moved = small[None].to(pipeline.placement.device)
            yield Clip(frames=moved, source=moved, pts=(number,), time_base=Fraction(1, _RATE), shot=shot)

    for clip in pipeline(clips()):
        for single in clip.singles():
            small, true, starts = waiting.popleft()
            (pts,) = single.pts
            if starts:
                cuts.add(pts)
            out = eight_bits(single.frames[0].cpu())
            yield Together(seconds=Fraction(pts, _RATE), pts=pts, frames=(small, out, true))
