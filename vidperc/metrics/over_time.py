"""The metrics of the table that tell how a video behaves over time, and what their figures rest on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vidperc.metrics.detail import detail
from vidperc.metrics.fidelity import farneback_of, lpips_between
from vidperc.metrics.flicker import flicker
from vidperc.metrics.metric import Conditions, Metric
from vidperc.metrics.movement import movement
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.tof import PAPER_DROP, PAPER_SMALLEST, flows_apart
from vidperc.metrics.warping_error import coverage, warping_error

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.clip import Motion

MOVEMENT, DETAIL = "movement@cells48", "detail@gradient"


def warping_error_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    def seen(step: Step) -> float | None:
        return None if step.motion is None else coverage(step.motion)

    return (
        _along_motion(f"warping-error@{conditions.motion}", warping_error, form=".2e"),
        Metric(name=f"coverage@{conditions.motion}", about="basis", measure=seen, needs_motion=True, form=".3f"),
    )


def flicker_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    return (_along_motion(f"flicker@{conditions.motion},sigma2", flicker, unit="codes"),)


def temporal_ssim_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    from vidperc.metrics.temporal_ssim import temporal_ssim

    name = f"temporal-ssim@{conditions.motion}"
    return (_along_motion(name, temporal_ssim, better="higher", form=".4f", smallest=11),)


def tof_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    measure = _tof_of(paper_crop=False)
    name = f"tof@farneback{conditions.downscaled}"
    return (Metric(name=name, about="time", measure=measure, unit="px", better="lower", form=".3f"),)


def tof_paper_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    name = f"tof@farneback,crop32,drop{PAPER_DROP}{conditions.downscaled}"
    return (
        Metric(
            name=name,
            about="time",
            measure=_tof_of(paper_crop=True),
            unit="px",
            better="lower",
            form=".3f",
            smallest=PAPER_SMALLEST,
            drop=PAPER_DROP,
        ),
    )


def tlp_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    """`tlp100`: by how much LPIPS between neighbours differs from that of what OUT is held against, times 100.

    Source: M. Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation", 2020.
    """
    from vidperc.perception.lpips import SMALLEST

    def measure(step: Step) -> float | None:
        if step.before is None:
            return None
        out = lpips_between(conditions, (step.before, "out"), (step.now, "out"))
        true = lpips_between(conditions, (step.before, "true"), (step.now, "true"))
        return 100 * abs(out - true)

    name = f"tlp100@{conditions.networks.trunk}{conditions.downscaled}"
    return (Metric(name=name, about="time", measure=measure, better="lower", form=".3f", smallest=SMALLEST),)


def guards(conditions: Conditions) -> tuple[Metric, ...]:
    """What a figure over time never comes without: how much the videos move, and how much detail they have."""

    def moves(of: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        return lambda step: None if step.before is None else movement(of(step.before), of(step.now))

    def has(of: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        return lambda step: detail(of(step.now))

    def both(name: str, make: Callable[[Callable[[Moment], Tensor]], Callable[[Step], float | None]]) -> Metric:
        # At one size: a larger picture of the same thing has less detail in each of its pixels.
        out, true = make(lambda moment: moment.fitted), make(lambda moment: moment.true)
        return Metric(name=name, about="basis", measure=out, of_true=true, unit="codes", form=".3f")

    return both(MOVEMENT, moves), both(DETAIL + conditions.downscaled, has)


def _along_motion(
    name: str,
    measure: Callable[[Tensor, Tensor, Motion], float | None],
    *,
    unit: str = "",
    better: str = "lower",
    form: str = ".3f",
    smallest: int = 1,
) -> Metric:
    def of(shown: Callable[[Moment], Tensor]) -> Callable[[Step], float | None]:
        def taken(step: Step) -> float | None:
            if step.before is None or step.motion is None:
                return None
            return measure(shown(step.before), shown(step.now), step.motion)

        return taken

    return Metric(
        name=name,
        about="time",
        measure=of(lambda moment: moment.out),
        of_true=of(lambda moment: moment.true),
        unit=unit,
        better="higher" if better == "higher" else "lower",
        form=form,
        needs_motion=True,
        smallest=smallest,
    )


def _tof_of(*, paper_crop: bool) -> Callable[[Step], float | None]:
    def measure(step: Step) -> float | None:
        if step.before is None:
            return None
        return flows_apart(farneback_of(step, "out"), farneback_of(step, "true"), paper_crop=paper_crop)

    return measure
