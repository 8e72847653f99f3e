"""The metrics of the table that tell how near frames are to what they are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from vidperc.metrics.flolpips import flolpips
from vidperc.metrics.metric import Conditions, Metric, WholeMetric, picture
from vidperc.metrics.psnr import limited_luma, psnr_rgb, psnr_y601, rgb_codes
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.tof import Flow, farneback

if TYPE_CHECKING:
    from torch import Tensor


def psnr_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    # Held against its own source, a larger video tells whether it is consistent with it, not whether it is right.
    name = "downscale-consistency" if conditions.larger else "psnr"
    crop = conditions.crop

    def rgb(step: Step) -> float:
        return float(psnr_rgb(step.now.fitted[None], step.now.true[None]))

    def luma(step: Step) -> float:
        return float(psnr_y601(step.now.fitted[None], step.now.true[None], crop=crop))

    base = Metric(name=f"{name}@rgb", about="fidelity", measure=rgb, unit="dB", better="higher")
    return base, replace(base, name=f"{name}@y601{_cropped(conditions.crop)}", measure=luma)


def ssim_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    from vidperc.perception.ssim import ssim

    crop = conditions.crop

    def rgb(step: Step) -> float:
        return float(ssim(*_codes(step.now)))

    def luma(step: Step) -> float:
        return float(ssim(*_luma(step.now, crop)))

    name = f"ssim@rgb{conditions.downscaled}"
    base = Metric(name=name, about="fidelity", measure=rgb, better="higher", form=".4f", smallest=11)
    name = f"ssim@y601{_cropped(conditions.crop)}{conditions.downscaled}"
    return base, replace(base, name=name, measure=luma, smallest=11 + 2 * crop)


def ms_ssim_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    from vidperc.perception.ssim import ms_ssim

    crop = conditions.crop

    def luma(step: Step) -> float:
        return float(ms_ssim(*_luma(step.now, crop)))

    name = f"ms-ssim@y601{_cropped(conditions.crop)}{conditions.downscaled}"
    smallest = 161 + 2 * crop
    return (Metric(name=name, about="fidelity", measure=luma, better="higher", form=".4f", smallest=smallest),)


def lpips_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    lpips = conditions.networks.lpips
    assert lpips is not None

    def measure(step: Step) -> float:
        if conditions.shared:
            return lpips_between(conditions, (step.now, "out"), (step.now, "true"))
        return float(lpips(picture(step.now, "out"), picture(step.now, "true")))

    return (_of_networks(f"lpips@{conditions.networks.trunk}", measure, conditions),)


def flolpips_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    """Of the earlier frame of a pair, for the flow from it to the later one lies on its pixels."""
    from vidperc.motion.estimator import flow_tensor

    lpips = conditions.networks.lpips
    assert lpips is not None

    def measure(step: Step) -> float | None:
        if step.before is None:
            return None
        maps = lpips.maps(*(lpips_features(conditions, step.before, of) for of in ("out", "true")))
        apart = flow_tensor(farneback_of(step, "out") - farneback_of(step, "true"))
        return flolpips(maps, apart[None].to(maps[0].device))

    return (_of_networks(f"flolpips@{conditions.networks.trunk},farneback", measure, conditions),)


def dists_metrics(conditions: Conditions) -> tuple[Metric, ...]:
    dists = conditions.networks.dists
    assert dists is not None

    def measure(step: Step) -> float:
        return float(dists(picture(step.now, "out"), picture(step.now, "true")))

    return (_of_networks("dists@vgg16", measure, conditions),)


def vmaf_metrics(conditions: Conditions) -> tuple[WholeMetric, ...]:
    from vidperc.metrics.vmaf import SMALLEST, VmafTally, find_vmaf

    program = find_vmaf()
    name = f"vmaf@v0.6.1,y709{conditions.downscaled}"
    return (
        WholeMetric(
            name=name,
            about="fidelity",
            begin=lambda: VmafTally(program),
            pooled=False,
            better="higher",
            smallest=SMALLEST,
        ),
    )


Of = Literal["out", "true"]


def lpips_features(conditions: Conditions, moment: Moment, of: Of) -> tuple[Tensor, ...]:
    """LPIPS's features of a picture of a moment, computed once however many metrics look at them."""
    lpips = conditions.networks.lpips
    assert lpips is not None
    return moment.once(f"features of {of}", lambda: lpips.features(picture(moment, of)))


def lpips_between(conditions: Conditions, one: tuple[Moment, Of], other: tuple[Moment, Of]) -> float:
    """LPIPS of two pictures by their features."""
    lpips = conditions.networks.lpips
    assert lpips is not None
    maps = lpips.maps(lpips_features(conditions, *one), lpips_features(conditions, *other))
    return sum(float(plane.mean()) for plane in maps)


def farneback_of(step: Step, of: Of) -> Flow:
    """The flow of OUT, or of what it is held against, from the moment before to this one; found once a step."""
    before, now = step.before, step.now
    assert before is not None

    def frame(moment: Moment) -> Tensor:
        return moment.fitted if of == "out" else moment.true

    return step.once(f"farneback of {of}", lambda: farneback(frame(before), frame(now)))


def _of_networks(name: str, measure: Callable[[Step], float | None], conditions: Conditions) -> Metric:
    from vidperc.perception.lpips import SMALLEST  # torchvision, which no other metric needs

    name += conditions.downscaled
    return Metric(name=name, about="fidelity", measure=measure, better="lower", form=".4f", smallest=SMALLEST)


def _codes(moment: Moment) -> tuple[Tensor, Tensor]:
    """Both pictures in the codes that 8 bits hold, (1,3,h,w) in [0,1]: metrics are of what a viewer gets."""
    out, true = (rgb_codes(frame[None]).div_(255) for frame in (moment.fitted, moment.true))
    return out, true


def _luma(moment: Moment, crop: int) -> tuple[Tensor, Tensor]:
    """Limited-range BT.601 luma of both, without the border, (1,1,h,w) in [0,1]."""
    inside = slice(crop, -crop or None)
    out, true = (limited_luma(frame[None])[..., inside, inside] / 255 for frame in (moment.fitted, moment.true))
    return out, true


def _cropped(pixels: int) -> str:
    return f",crop{pixels}" if pixels else ""
