"""`vidperc measure`: how good a video is, in figures that say what they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import typer

from vidperc.commands.counter import Counter
from vidperc.commands.json_file import check_json_file, write_json_file
from vidperc.compare.comparison import Comparison
from vidperc.compare.videos import Means, compare_videos, fitting_metrics
from vidperc.engine.cuts import cut_choice, given_cuts
from vidperc.engine.plan import usable_cores
from vidperc.errors import VidpercError
from vidperc.metrics.metric import AnyMetric, Metric
from vidperc.metrics.networks import open_networks
from vidperc.metrics.table import DEFAULT, check_names
from vidperc.motion.estimator import open_estimator
from vidperc.motion.table import ESTIMATORS, EstimatorName, Preset
from vidperc.version import __version__
from vidperc.video.aligned import TimedVideo, align
from vidperc.video.scan import find_cuts

# What --motion takes, and metrics are named by: an estimator, with its preset where it has some.
MOTIONS: Mapping[str, tuple[EstimatorName, Preset | None]] = {
    **{f"dis-{preset}": ("dis", preset) for preset in cast("tuple[Preset, ...]", get_args(Preset))},
    **{name: (name, None) for name, card in ESTIMATORS.items() if not card.presets},
}
# A measure can afford more than a stage: its flow is nearer to the truth, at nearly twice the cost.
DEFAULT_MOTION = "dis-balanced"
# Names the folder of weights where no option does.
WEIGHTS_VARIABLE = "VIDPERC_WEIGHTS"


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What the command line says.

    metrics: short names, comma-separated; None for the usual ones. motion, motion_size, motion_weights: the flow
    estimator, the short side it works at, and the file of its weights. cuts, cut_threshold, fade_threshold: as for
    `upscale`. weights: the folder of those that metrics look with. trunk: of LPIPS. fvd: the 3D
    network of fvd, or the file of I3D.
    """

    source: Path
    out: Path
    reference: Path | None = None
    in_order: bool = False
    metrics: str | None = None
    motion: str = DEFAULT_MOTION
    motion_size: int = 0
    motion_weights: str | None = None
    cuts: str = "auto"
    cut_threshold: float | None = None
    fade_threshold: float | None = None
    weights: Path | None = None
    trunk: str = "squeeze"
    fvd: str = "own"
    json: Path | None = None
    no_progress: bool = False


def measure_video(options: MeasureOptions) -> int:
    """Print the figures of OUT, and write them all to a JSON file if asked. Returns the exit code.

    Raises VidpercError for videos that do not fit each other and options that cannot be.
    """
    if options.json is not None:
        check_json_file(options.json, option="--json", what="the figures")
    names = _names(options)
    with Counter(show=not options.no_progress) as counter:
        counter.begin("fetching weights", counted="bytes")
        means = _means(options, names, counter.said)
        paths = [options.source, options.out, *([] if options.reference is None else [options.reference])]
        videos = align(paths, in_order=options.in_order)
        source = videos[0].info
        if means.size >= min(source.width, source.height):
            means = replace(means, size=0)  # as it is: figures of two names are not comparable
        metrics = fitting_metrics(videos, names, means)
        counter.begin("looking for cuts")
        cuts = _cuts(options, videos[0], counter.said)
        counter.begin("measuring")
        found = compare_videos(videos, metrics, means, cuts=cuts, in_order=options.in_order, said=counter.said)
    for line in _lines(found, videos):
        typer.echo(line)
    if options.json is not None:
        write_json_file(options.json, _facts(found, videos, means), option="--json")
    return 0


def _names(options: MeasureOptions) -> Sequence[str]:
    if options.metrics is None:
        has_weights = options.weights is not None or bool(os.environ.get(WEIGHTS_VARIABLE))
        return (*DEFAULT, *(["lpips"] if has_weights else []))
    names = [name.strip() for name in options.metrics.split(",")]
    check_names(names)
    return names


def _means(options: MeasureOptions, names: Sequence[str], said: Callable[[int, int], None]) -> Means:
    if options.motion not in MOTIONS:
        raise VidpercError(f"--motion: got {options.motion!r}, wanted one of {', '.join(MOTIONS)}")
    name, preset = MOTIONS[options.motion]
    if options.motion_weights is not None and not ESTIMATORS[name].weights:
        raise VidpercError(
            f"--motion-weights: {options.motion} takes none; leave it out, or choose a RAFT with --motion"
        )
    return Means(
        estimator=open_estimator(name, preset=preset, weights=options.motion_weights),
        motion=options.motion,
        size=options.motion_size,
        networks=open_networks(names, weights=options.weights, trunk=options.trunk, fvd=options.fvd, said=said),
    )


def _cuts(options: MeasureOptions, source: TimedVideo, said: Callable[[int, int], None]) -> frozenset[int]:
    choice = cut_choice(options.cuts, options.cut_threshold, options.fade_threshold)
    given = given_cuts(choice, source.info, source.index)
    if given is not None:
        return frozenset(given)
    found = find_cuts(source.info, source.index, choice.thresholds, threads=usable_cores(), progress=said)
    return frozenset(cut.pts for cut in found)


def _lines(found: Comparison, videos: Sequence[TimedVideo]) -> Iterator[str]:
    source, out, *reference = videos
    span = float(found.seconds[-1] - found.seconds[0])
    yield (
        f"{out.path.name} of {source.path.name}: {len(found.seconds)} frames over {span:.2f} s, "
        f"{source.info.width}x{source.info.height} to {out.info.width}x{out.info.height}, "
        f"{len(found.shots)} shot{'s' if len(found.shots) > 1 else ''}"
    )
    if reference:
        yield f"held against REFERENCE, {reference[0].path.name}"
    wide = max(len(series.metric.name) for series in found.series)
    yield f"{'':{wide}}{'OUT':>12}{found.against:>12}"
    for series in found.series:
        metric = series.metric
        true = _number(series.true_mean(), metric) if isinstance(metric, Metric) and metric.of_true is not None else ""
        better = f"{metric.better} is better" if metric.better else ""
        yield f"{metric.name:{wide}}{_number(series.mean(), metric):>12}{true:>12}  {metric.unit:5}  {better}".rstrip()
    for note in found.notes():
        yield f"note: {note}"
    if len(found.shots) > 1:
        yield from _shot_lines(found)


def _shot_lines(found: Comparison) -> Iterator[str]:
    """OUT's figures of every shot; a metric's name stands above its column in two lines."""
    names = [series.metric.name.partition("@") for series in found.series]
    wide = [max(len(base), len(rest) + 1, 8) + 2 for base, _, rest in names]
    yield f"{'':26}" + "".join(f"{base:>{width}}" for (base, _, _), width in zip(names, wide, strict=True))
    head = f"{'shot':>5}{'from':>12}{'frames':>9}"
    yield head + "".join(f"{'@' + rest:>{width}}" for (_, _, rest), width in zip(names, wide, strict=True))
    for number, (first, after) in enumerate(found.spans()):
        row = f"{number:5}{float(found.seconds[first]):10.3f} s{after - first:9}"
        figures = [_number(series.mean(first, after), series.metric) for series in found.series]
        yield row + "".join(f"{figure:>{width}}" for figure, width in zip(figures, wide, strict=True))


def _number(figure: float | None, metric: AnyMetric) -> str:
    return "-" if figure is None else f"{figure:{metric.form}}"


def _facts(found: Comparison, videos: Sequence[TimedVideo], means: Means) -> dict[str, Any]:
    return {
        "vidperc": __version__,
        "videos": {
            role: {"path": str(video.path), "width": video.info.width, "height": video.info.height}
            for role, video in zip(("source", "out", "reference"), videos, strict=False)
        },
        "motion": means.name,
        "frames": len(found.seconds),
        "seconds": [float(time) for time in found.seconds],
        "metrics": {
            series.metric.name: {
                "unit": series.metric.unit,
                "better": series.metric.better,
                "mean": series.mean(),
                "values": list(series.out),
                **({"true_mean": series.true_mean(), "true_values": list(series.true)} if series.true else {}),
            }
            for series in found.series
        },
        "shots": [
            {
                "first_frame": first,
                "frames": after - first,
                "from_seconds": float(found.seconds[first]),
                "means": {series.metric.name: series.mean(first, after) for series in found.series},
            }
            for first, after in found.spans()
        ],
        "notes": list(found.notes()),
    }
