"""The metrics that there are, by the short names that people choose them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vidperc.errors import VidpercError
from vidperc.metrics.detail import detail
from vidperc.metrics.flicker import flicker
from vidperc.metrics.movement import movement
from vidperc.metrics.psnr import psnr_rgb, psnr_y601
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.tof import PAPER_DROP, PAPER_SMALLEST, tof
from vidperc.metrics.warping_error import coverage, warping_error

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.clip import Motion
    from vidperc.perception.lpips import Lpips


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure over two aligned streams of frames, taken step by step; what it needs to hold is in the step.

    name: with its convention, as it is printed and stored. unit: empty for a plain number.
    about: whether it tells how near OUT is (fidelity), how it behaves over time, or what these figures rest on.
    better: which way. form: how a figure is printed, as a format specification.
    measure: the figure of OUT at one step; None where there is none, as at the start of a shot.
    of_true: the same of what OUT is held against, for metrics of one video: what is there without any processing.
    needs_motion: takes the step's motion. smallest: sides, in pixels, that what OUT is held against must have.
    drop: so many figures at each end stay out of a mean.
    """

    name: str
    about: Literal["fidelity", "time", "basis"]
    measure: Callable[[Step], float | None]
    of_true: Callable[[Step], float | None] | None = None
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    form: str = ".2f"
    needs_motion: bool = False
    smallest: int = 1
    drop: int = 0


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the names and conventions of metrics depend on.

    larger: OUT has more pixels than what it is held against, and is brought to that size by antialiased bicubic.
    crop: pixels that Y-PSNR leaves out at each border. motion: how it was found. lpips: loaded, if asked for.
    """

    larger: bool = False
    crop: int = 0
    motion: str = "dis-balanced"
    lpips: Lpips | None = None


def choose_metrics(names: Sequence[str], conditions: Conditions) -> tuple[Metric, ...]:
    """The metrics of these short names, in the order of the table, without repetition.

    A figure about time says nothing alone: a frozen or blurred video has good ones. So PSNR comes along where no
    metric of fidelity was chosen, and movement and detail always.
    Raises VidpercError for an unknown name, and for lpips without weights.
    """
    for name in names:
        if name not in METRICS:
            raise VidpercError(f"--metrics: got {name!r}, wanted some of {', '.join(METRICS)}")
    if "lpips" in names and conditions.lpips is None:
        raise VidpercError("--metrics: lpips needs its weights; name their folder with --weights")
    made = {name: METRICS[name](conditions) for name in METRICS if name in names}
    if not any(metric.about == "fidelity" for metrics in made.values() for metric in metrics):
        made = {"psnr": METRICS["psnr"](conditions), **made}
    return tuple(metric for metrics in (*made.values(), _guards(conditions)) for metric in metrics)


def _psnr(conditions: Conditions) -> tuple[Metric, ...]:
    # Held against its own source, a larger video tells whether it is consistent with it, not whether it is right.
    name = "downscale-consistency" if conditions.larger else "psnr"
    crop = conditions.crop

    def rgb(step: Step) -> float:
        return float(psnr_rgb(step.now.fitted[None], step.now.true[None]))

    def luma(step: Step) -> float:
        return float(psnr_y601(step.now.fitted[None], step.now.true[None], crop=crop))

    base = Metric(name=f"{name}@rgb", about="fidelity", measure=rgb, unit="dB", better="higher")
    cropped = f",crop{crop}" if crop else ""
    return base, replace(base, name=f"{name}@y601{cropped}", measure=luma)


def _lpips(conditions: Conditions) -> tuple[Metric, ...]:
    from vidperc.perception.lpips import SMALLEST  # torchvision, which no other metric needs

    lpips = conditions.lpips
    assert lpips is not None

    def measure(step: Step) -> float:
        return float(lpips(step.now.fitted[None].clamp(0, 1), step.now.true[None].clamp(0, 1)))

    name = f"lpips@squeeze{_downscaled(conditions)}"
    return (Metric(name=name, about="fidelity", measure=measure, better="lower", form=".4f", smallest=SMALLEST),)


def _warping_error(conditions: Conditions) -> tuple[Metric, ...]:
    def seen(step: Step) -> float | None:
        return None if step.motion is None else coverage(step.motion)

    return (
        _along_motion(f"warping-error@{conditions.motion}", warping_error, unit="", form=".2e"),
        Metric(name=f"coverage@{conditions.motion}", about="basis", measure=seen, needs_motion=True, form=".3f"),
    )


def _flicker(conditions: Conditions) -> tuple[Metric, ...]:
    return (_along_motion(f"flicker@{conditions.motion},sigma2", flicker, unit="codes", form=".3f"),)


def _along_motion(
    name: str, measure: Callable[[Tensor, Tensor, Motion], float | None], *, unit: str, form: str
) -> Metric:
    def of(picture: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        def taken(step: Step) -> float | None:
            if step.before is None or step.motion is None:
                return None
            return measure(picture(step.before), picture(step.now), step.motion)

        return taken

    return Metric(
        name=name,
        about="time",
        measure=of(lambda moment: moment.out),
        of_true=of(lambda moment: moment.true),
        unit=unit,
        better="lower",
        form=form,
        needs_motion=True,
    )


def _tof(conditions: Conditions) -> tuple[Metric, ...]:
    name = f"tof@farneback{_downscaled(conditions)}"
    return (Metric(name=name, about="time", measure=_tof_of(paper_crop=False), unit="px", better="lower", form=".3f"),)


def _tof_paper(conditions: Conditions) -> tuple[Metric, ...]:
    name = f"tof@farneback,crop32,drop{PAPER_DROP}{_downscaled(conditions)}"
    measure = _tof_of(paper_crop=True)
    base = Metric(name=name, about="time", measure=measure, unit="px", better="lower", form=".3f")
    return (replace(base, drop=PAPER_DROP, smallest=PAPER_SMALLEST),)


def _tof_of(*, paper_crop: bool) -> Callable[[Step], float | None]:
    def measure(step: Step) -> float | None:
        if step.before is None:
            return None
        before, now = ((moment.fitted, moment.true) for moment in (step.before, step.now))
        return tof(before, now, paper_crop=paper_crop)

    return measure


def _guards(conditions: Conditions) -> tuple[Metric, ...]:
    def moves(picture: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        return lambda step: None if step.before is None else movement(picture(step.before), picture(step.now))

    def has(picture: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        return lambda step: detail(picture(step.now))

    def both(name: str, of: Callable[[Callable[[Moment], Tensor]], Callable[[Step], float | None]]) -> Metric:
        # At one size: a larger picture of the same thing has less detail in each of its pixels.
        out, true = of(lambda moment: moment.fitted), of(lambda moment: moment.true)
        return Metric(name=name, about="basis", measure=out, of_true=true, unit="codes", form=".3f")

    return both(MOVEMENT, moves), both(DETAIL + _downscaled(conditions), has)


def _downscaled(conditions: Conditions) -> str:
    return ",downscaled" if conditions.larger else ""


MOVEMENT, DETAIL = "movement@cells48", "detail@gradient"

METRICS: Mapping[str, Callable[[Conditions], tuple[Metric, ...]]] = {
    "psnr": _psnr,
    "lpips": _lpips,
    "warping-error": _warping_error,
    "flicker": _flicker,
    "tof": _tof,
    "tof-paper": _tof_paper,
}
DEFAULT = ("psnr", "warping-error", "flicker", "tof")
