"""A video to look at: source, its flow, what of it is visible in the frame before, and what was made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import torch
from torch import Tensor

from vidperc.clip import Motion
from vidperc.compare.panels import BAR_PX, Picture, codes, fitted, grid, titled
from vidperc.compare.xt import Row, instants, middle_row, xt_picture
from vidperc.errors import VidpercError
from vidperc.motion.colors import flow_to_rgb
from vidperc.motion.estimator import FlowEstimator
from vidperc.motion.find import find_motion
from vidperc.video.aligned import TimedVideo, Together, read_together
from vidperc.video.drawing import video_of_pictures

MOST_WIDE_PX = 1920
# Motion of this share of the short side in a frame has the full colour: 8 pixels of 360.
_FULL_COLOR = 1 / 45


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """Source and OUT at one time, and the source's motion. number: of the frame. shot: which it is of, from 1."""

    together: Together
    motion: Motion
    number: int
    shot: int


@torch.inference_mode()
def draw_motion(
    videos: Sequence[TimedVideo],
    file: Path,
    slices: Path,
    estimator: FlowEstimator,
    *,
    size: int = 0,
    cuts: Set[int] = frozenset(),
    said: Callable[[int, int], None] | None = None,
) -> None:
    """Write the panels as a video, and x-t slices beside it as PNG.

    videos: source and OUT, aligned. file: .mp4 or .mkv. slices: .png. size: the short side that the flow is computed
    at; 0 for the source's. cuts: pts of the source at which shots start. said: is told how many frames are done, and
    of how many.
    Each frame has the time that the source shows it at, counted from the start of an excerpt. Both files get their
    names when they are whole. Holds two frames, and a row of each of at most xt.MOST_INSTANTS frames.
    Raises VidpercError where the videos turn out not to have the same frames, or a file cannot be written.
    """
    source, out = videos
    partial = file.with_name(f".{file.stem}.partial{file.suffix}")
    partial_slices = slices.with_name(f".{slices.stem}.partial.png")
    width, height = _panel_size(source)
    chosen, rows, times = instants(len(source.pts)), list[Row](), list[Fraction]()
    try:
        with video_of_pictures(
            partial,
            width=2 * width,
            height=2 * (height + BAR_PX),
            time_base=source.info.time_base,
            rate=source.info.rate,
            sample_aspect=source.info.sample_aspect,
        ) as add:
            for shown in _with_motion(read_together(videos), estimator, size, cuts):
                together = shown.together
                add(_picture(shown, source, out, (height, width)), int(together.seconds / source.info.time_base))
                if shown.number in chosen:
                    rows.append(middle_row(*together.frames))
                    times.append(together.seconds)
                if said is not None:
                    said(shown.number + 1, len(source.pts))
        span = f"{float(times[0]):.2f} to {float(times[-1]):.2f} s"
        titles = f"source, middle row, {span} downwards", f"output, middle row, {span} downwards"
        _write_png(partial_slices, xt_picture(rows, titles))
        partial.replace(file)
        partial_slices.replace(slices)
    except OSError as error:
        raise VidpercError(f"{file}: cannot be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)
        partial_slices.unlink(missing_ok=True)


def _with_motion(shown: Iterator[Together], estimator: FlowEstimator, size: int, cuts: Set[int]) -> Iterator[_Shown]:
    arrived: list[tuple[Together, int]] = []

    def sources() -> Iterator[tuple[Tensor, int]]:
        shot = 0
        for together in shown:
            shot += shot == 0 or together.pts in cuts
            arrived.append((together, shot))
            yield together.frames[0][None], shot

    # One motion for each frame that arrives, so that the two take turns.
    for number, motion in enumerate(find_motion(sources(), estimator, size=size)):
        together, shot = arrived.pop()
        yield _Shown(together=together, motion=motion, number=number, shot=shot)


def _panel_size(source: TimedVideo) -> tuple[int, int]:
    """Width and height of one panel."""
    width = min(source.info.width, MOST_WIDE_PX // 2)
    return width, max(1, round(source.info.height * width / source.info.width))


def _picture(shown: _Shown, source: TimedVideo, out: TimedVideo, size: tuple[int, int]) -> Picture:
    """The four panels of one moment."""
    frame, made = shown.together.frames
    full_px = max(1, round(min(source.info.width, source.info.height) * _FULL_COLOR))
    flow, visible = shown.motion.flow, shown.motion.visible
    colors = codes(flow_to_rgb(flow, full_px * flow.shape[-1] / source.info.width)[0])
    mask = codes(visible[0].expand(3, -1, -1))
    when = f"{float(shown.together.seconds):.3f} s, frame {shown.number}, shot {shown.shot}"
    return grid(
        [
            [
                titled(fitted(codes(frame), size), f"source {source.info.width}x{source.info.height}, {when}"),
                titled(fitted(colors, size, smooth=False), f"flow to the frame before, full colour at {full_px} px"),
            ],
            [
                titled(fitted(mask, size, smooth=False), f"visible in the frame before: {float(visible.mean()):.0%}"),
                titled(fitted(codes(made), size), f"output {out.info.width}x{out.info.height}"),
            ],
        ]
    )


def _write_png(path: Path, picture: Picture) -> None:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())
