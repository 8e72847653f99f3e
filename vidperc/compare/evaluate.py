"""Test sets through networks, to tables of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean

import torch

from vidperc.compare.comparison import score
from vidperc.compare.degradations import Degradation
from vidperc.compare.enlarging import TestClip, find_clips, pipeline_of, read_picture, refuse_namesakes, show_enlarged
from vidperc.compare.evaluation import OF_ONE_FRAME, Candidate, Evaluation, TestSet
from vidperc.compare.videos import Means, any_along_motion, steps_of
from vidperc.errors import VidpercError
from vidperc.metrics.metric import AnyMetric, Conditions, Tally, WholeMetric
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import choose_metrics
from vidperc.pipeline import Pipeline
from vidperc.placement import Placement
from vidperc.video.stills import still_paths

Figures = Mapping[str, float | None]  # by the names of metrics


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network on a set: the means over its items, and each item's own. An item is a picture, or a clip's mean."""

    network: str
    means: Figures
    items: Mapping[str, Figures]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A set made small in one way. holds: what it has, as "5 images". metrics: the columns."""

    test_set: str
    scale: int
    degradation: str
    holds: str
    metrics: tuple[AnyMetric, ...]
    rows: tuple[Row, ...]


@torch.inference_mode()
def evaluate(
    evaluation: Evaluation,
    data: Path,
    means: Means,
    placements: Callable[[Candidate, int], Placement],
    *,
    said: Callable[[str], None],
) -> Iterator[Table]:
    """A table for each set, degradation and scale, as soon as it is done.

    data: the folder that holds the sets' folders. means: how motion is found, and the networks that metrics look with.
    placements: where a network runs, by its scale. said: is told what is being done, a line each time.
    A network that has not the scale is left out of a table, and this is said.
    Raises VidpercError for folders, files and networks that do not fit, and pictures too small for a metric.
    """
    for test_set in evaluation.sets:
        run = _images if test_set.images is not None else _clips
        for degradation in evaluation.degradations:
            for scale in evaluation.scales:
                networks = [network for network in evaluation.networks if network.has(scale)]
                for network in evaluation.networks:
                    if network not in networks:
                        said(f"{test_set.name} x{scale}: {network.shown} has another scale, and is left out")
                if networks:
                    task = _Task(evaluation, test_set, data / test_set.folder, degradation, scale, means, said)
                    rows = [(network.shown, run(task, network, placements(network, scale))) for network in networks]
                    yield task.table(rows)


@dataclass(frozen=True)
class _Task:
    """One table that is to be made."""

    evaluation: Evaluation
    test_set: TestSet
    folder: Path
    degradation: Degradation
    scale: int
    means: Means
    said: Callable[[str], None]

    def metrics(self) -> tuple[AnyMetric, ...]:
        names = self.evaluation.metrics
        of_images = self.test_set.images is not None
        conditions = Conditions(
            crop=self.evaluation.crop(self.scale), motion=self.means.name, networks=self.means.networks
        )
        chosen = choose_metrics([name for name in names if name in OF_ONE_FRAME] if of_images else names, conditions)
        return tuple(metric for metric in chosen if metric.about != "basis") if of_images else chosen

    def check(self, name: str, frame: torch.Tensor) -> None:
        """Raises VidpercError where a picture (3,H,W) is too small."""
        height, width = (side // self.scale * self.scale for side in frame.shape[-2:])
        for metric in self.metrics():
            if min(width, height) < max(metric.smallest, self.scale):
                raise VidpercError(
                    f"{name}: has {width}x{height} pixels, wanted sides of at least {metric.smallest} for "
                    f"{metric.name}; leave it out of `metrics`, or the picture out of its folder"
                )

    def table(self, rows: Sequence[tuple[str, tuple[Figures, Mapping[str, Figures]]]]) -> Table:
        count = len(rows[0][1][1])
        what = "image" if self.test_set.images is not None else "clip"
        each = "" if self.test_set.frames is None else f" of {self.test_set.frames} frames"
        return Table(
            test_set=self.test_set.name,
            scale=self.scale,
            degradation=self.degradation.name,
            holds=f"{count} {what}{'s' if count > 1 else ''}{each}",
            metrics=self.metrics(),
            rows=tuple(Row(network=name, means=means, items=items) for name, (means, items) in rows),
        )


def _images(task: _Task, network: Candidate, placement: Placement) -> tuple[Figures, Mapping[str, Figures]]:
    """A network's means over a set's images, and each image's figures."""
    pipeline = pipeline_of(network, task.scale, placement)
    paths = still_paths(task.folder)
    refuse_namesakes(paths, [path.stem for path in paths])
    task.said(f"{task.test_set.name} x{task.scale}, {task.degradation.name}: {network.shown}")

    def steps() -> Iterator[tuple[Fraction, Step]]:
        for number, path in enumerate(paths):
            frame = read_picture(path)
            task.check(str(path), frame)
            yield Fraction(number), Step(now=_enlarged(task, frame, pipeline))

    found = score(steps(), task.metrics(), against="REFERENCE")
    items = {
        path.stem: {series.metric.name: series.out[number] for series in found.series}
        for number, path in enumerate(paths)
    }
    return {series.metric.name: series.mean() for series in found.series}, items


def _enlarged(task: _Task, frame: torch.Tensor, pipeline: Pipeline) -> Moment:
    (shown,) = show_enlarged(iter([(frame, 0)]), pipeline, task.degradation, task.scale, set())
    return Moment(out=shown.frames[1], true=shown.frames[2])


def _clips(task: _Task, network: Candidate, placement: Placement) -> tuple[Figures, Mapping[str, Figures]]:
    """A network's means over a set's clips, and each clip's; what is one figure of all clips has no mean."""
    pipeline = pipeline_of(network, task.scale, placement)
    metrics = task.metrics()
    pooled = [metric for metric in metrics if isinstance(metric, WholeMetric) and metric.pooled]
    items: dict[str, dict[str, float | None]] = {}
    with ExitStack() as stack:
        tallies = {metric.name: stack.enter_context(closing(metric.begin())) for metric in pooled}
        for clip in _chosen(task):
            task.said(f"{task.test_set.name} x{task.scale}, {task.degradation.name}: {network.shown}, {clip.name}")
            cuts: set[int] = set()
            shown = show_enlarged(_checked(task, clip), pipeline, task.degradation, task.scale, cuts)
            steps = steps_of(shown, task.means, cuts=cuts, with_motion=any_along_motion(metrics))
            single = [metric for metric in metrics if metric not in pooled]
            found = score(_added(steps, tallies.values()), single, against="REFERENCE")
            items[clip.name] = {series.metric.name: series.mean() for series in found.series}
        means = {
            metric.name: tallies[metric.name].figure() if metric.name in tallies else _mean(items, metric.name)
            for metric in metrics
        }
    return means, items


def _chosen(task: _Task) -> list[TestClip]:
    """The clips of the set, in the order of their names. Raises VidpercError for a name that no clip has."""
    found = find_clips(task.folder)
    wanted = task.test_set.clips
    if wanted is None:
        return found
    names = [clip.name for clip in found]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise VidpercError(
            f"{task.folder}: has no clip {missing[0]}, which `clips` of {task.test_set.name} wants; "
            f"it has {', '.join(names)}"
        )
    return [clip for clip in found if clip.name in wanted]


def _checked(task: _Task, clip: TestClip) -> Iterator[tuple[torch.Tensor, int]]:
    """The frames of a clip that the set takes. Raises VidpercError, at the end, where there are fewer than it asks."""
    skip, count = task.test_set.skip, task.test_set.frames
    taken = 0
    for frame, shot in islice(clip.frames(), skip, None if count is None else skip + count):
        task.check(str(clip.path), frame)
        taken += 1
        yield frame, shot
    if taken < (count or 1):
        raise VidpercError(
            f"{clip.path}: got {taken} frames after {skip}, wanted {count or 'some'} for {task.test_set.name}; change "
            "`frames` or `skip`, or leave the clip out"
        )


def _added(steps: Iterable[tuple[Fraction, Step]], tallies: Iterable[Tally]) -> Iterator[tuple[Fraction, Step]]:
    for seconds, step in steps:
        for tally in tallies:
            tally.add(step)
        yield seconds, step
        del step  # the moment before it is needed no more


def _mean(items: Mapping[str, Figures], name: str) -> float | None:
    there = [figure for figures in items.values() if (figure := figures.get(name)) is not None]
    return fmean(there) if there else None
