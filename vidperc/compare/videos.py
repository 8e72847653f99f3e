"""Video files to figures: what is read beside what, and which metrics their sizes allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vidperc.compare.comparison import Comparison, score
from vidperc.errors import VidpercError
from vidperc.metrics.metric import AnyMetric, Conditions
from vidperc.metrics.networks import NO_NETWORKS, Networks
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import choose_metrics
from vidperc.motion.find import find_motion
from vidperc.motion.table import check_size
from vidperc.video.aligned import TimedVideo, Together, read_together

if TYPE_CHECKING:
    from vidperc.motion.estimator import FlowEstimator
    from vidperc.video.probe import VideoInfo

# Encoders want even sides, so that one side may be off its share of the other by so much.
ROUNDED_PX = 2


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a comparison works with.

    estimator: of the source's motion. motion: what it is called in the names of metrics, with its preset.
    size: the short side that it works at, in pixels; 0 for the source's own. networks: loaded, those asked for.
    """

    estimator: FlowEstimator
    motion: str
    size: int = 0
    networks: Networks = NO_NETWORKS

    @property
    def name(self) -> str:
        """What the names of metrics say of the motion."""
        return self.motion + (f",size{self.size}" if self.size else "")


def fitting_metrics(videos: Sequence[TimedVideo], names: Sequence[str], means: Means) -> tuple[AnyMetric, ...]:
    """The metrics of these names, of metrics.table, as they are for videos of these sizes.

    videos: source, OUT, and perhaps a reference: the true picture at the size of OUT. Without one OUT is held against
    the source: as it is at equal size, else after antialiased downscaling.
    Raises VidpercError for sizes that do not fit each other, or that a metric does not take, and for unknown names.
    """
    source, out, *reference = (video.info for video in videos)
    _check_sizes(source, out, reference[0] if reference else None)
    scale = max(out.width / source.width, out.height / source.height)
    larger = (out.width, out.height) != (source.width, source.height)
    conditions = Conditions(
        larger=larger and not reference,
        # Super-resolution's convention; at one size, or at the source's, there is no border to leave out.
        crop=round(scale) if larger and reference else 0,
        motion=means.name,
        networks=means.networks,
    )
    metrics = choose_metrics(names, conditions)
    true = reference[0] if reference else source
    for metric in metrics:
        if min(true.width, true.height) < metric.smallest:
            raise VidpercError(
                f"{true.path}: has {true.width}x{true.height} pixels, wanted sides of at least {metric.smallest} for "
                f"{metric.name}; leave it out of --metrics"
            )
    if any_along_motion(metrics):
        check_size(means.estimator.name, source.width, source.height, means.size)
    return metrics


@torch.inference_mode()
def compare_videos(
    videos: Sequence[TimedVideo],
    metrics: Sequence[AnyMetric],
    means: Means,
    *,
    cuts: Set[int] = frozenset(),
    in_order: bool = False,
    said: Callable[[int, int], None] | None = None,
) -> Comparison:
    """The figures of OUT, for aligned videos: source, OUT, and perhaps a reference.

    metrics: those that fit them. cuts: pts of the source at which shots start; the first frame need not be among them.
    in_order: as it was for `align`. said: is told, for each frame, how many are done and how many there are.
    Frames are decoded as they are needed and let go; only figures and times grow with the videos.
    Raises VidpercError where a video turns out, as it decodes, not to have a frame that another one shows.
    """
    shown = _told(read_together(videos, in_order=in_order), said, len(videos[0].pts))
    steps = steps_of(shown, means, cuts=cuts, with_motion=any_along_motion(metrics))
    return score(steps, metrics, against="SOURCE" if len(videos) == 2 else "REFERENCE")


def steps_of(
    shown: Iterable[Together], means: Means, *, cuts: Set[int], with_motion: bool
) -> Iterator[tuple[Fraction, Step]]:
    """The steps of source, OUT and perhaps a reference shown together, each after its time; holds two moments."""
    arrived: list[tuple[Fraction, Moment, bool]] = []

    def sources() -> Iterator[tuple[Tensor, int]]:
        shot = -1
        for together in shown:
            source, out, *reference = together.frames
            starts = shot < 0 or together.pts in cuts
            shot += starts
            arrived.append((together.seconds, Moment(out=out, true=reference[0] if reference else source), starts))
            yield source[None], shot

    before: Moment | None = None
    # One motion for each frame that arrives, so that the two take turns.
    motions = find_motion(sources(), means.estimator, size=means.size) if with_motion else map(_none, sources())
    for motion in motions:
        seconds, now, starts = arrived.pop()
        step = Step(now=now, before=None if starts else before, motion=None if starts else motion)
        before = now
        yield seconds, step
        del step  # the moment before it is needed no more


def _none(_: object) -> None:
    return None


def _told(shown: Iterable[Together], said: Callable[[int, int], None] | None, count: int) -> Iterator[Together]:
    for done, together in enumerate(shown):
        if said is not None:
            said(done, count)
        yield together


def any_along_motion(metrics: Sequence[AnyMetric]) -> bool:
    """Whether some of these need the motion of the source."""
    return any(metric.needs_motion for metric in metrics)


def _check_sizes(source: VideoInfo, out: VideoInfo, reference: VideoInfo | None) -> None:
    sizes = f"got {out.width}x{out.height} for {source.width}x{source.height}"
    if reference is not None and (reference.width, reference.height) != (out.width, out.height):
        raise VidpercError(
            f"{reference.path}: has {reference.width}x{reference.height} pixels, wanted {out.width}x{out.height} as "
            f"{out.path}, for it is what OUT should have been"
        )
    if reference is None and (out.width < source.width or out.height < source.height):
        raise VidpercError(
            f"{out.path}: is smaller than its source ({sizes}), wanted the same size or a larger one; compare it "
            "with a --reference of its own size"
        )
    off = (
        abs(out.height - source.height * out.width / source.width),
        abs(out.width - source.width * out.height / source.height),
    )
    if min(off) > ROUNDED_PX:
        raise VidpercError(
            f"{out.path}: has another shape than its source ({sizes}), wanted one scale across and down; "
            "crop or turn one as the other is"
        )
