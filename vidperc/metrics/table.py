"""The metrics that there are, by the short names that people choose them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vidperc.errors import VidpercError
from vidperc.metrics.fidelity import (
    dists_metrics,
    flolpips_metrics,
    lpips_metrics,
    ms_ssim_metrics,
    psnr_metrics,
    ssim_metrics,
    vmaf_metrics,
)
from vidperc.metrics.fvd import fvd_metrics
from vidperc.metrics.metric import AnyMetric, Conditions
from vidperc.metrics.networks import LOOKS_WITH
from vidperc.metrics.over_time import (
    flicker_metrics,
    guards,
    temporal_ssim_metrics,
    tlp_metrics,
    tof_metrics,
    tof_paper_metrics,
    warping_error_metrics,
)

METRICS: Mapping[str, Callable[[Conditions], tuple[AnyMetric, ...]]] = {
    "psnr": psnr_metrics,
    "ssim": ssim_metrics,
    "ms-ssim": ms_ssim_metrics,
    "lpips": lpips_metrics,
    "dists": dists_metrics,
    "flolpips": flolpips_metrics,
    "vmaf": vmaf_metrics,
    "warping-error": warping_error_metrics,
    "temporal-ssim": temporal_ssim_metrics,
    "flicker": flicker_metrics,
    "tof": tof_metrics,
    "tof-paper": tof_paper_metrics,
    "tlp": tlp_metrics,
    "fvd": fvd_metrics,
}
DEFAULT = ("psnr", "warping-error", "flicker", "tof")

# These need features of the moment before, too, so that keeping them saves a pass of the network.
_KEEPING = ("flolpips", "tlp")


def check_names(names: Sequence[str], option: str = "--metrics") -> None:
    """Raises VidpercError for a name that is not in the table."""
    for name in names:
        if name not in METRICS:
            raise VidpercError(f"{option}: got {name!r}, wanted some of {', '.join(METRICS)}")


def choose_metrics(names: Sequence[str], conditions: Conditions) -> tuple[AnyMetric, ...]:
    """The metrics of these short names, in the order of the table, without repetition.

    A figure about time says nothing alone: a frozen or blurred video has good ones. So PSNR comes along where no
    metric of fidelity was chosen, and movement and detail always.
    Raises VidpercError for an unknown name, and for vmaf where no program has it; ValueError for a metric whose network
    the conditions do not have.
    """
    check_names(names)
    for name in names:
        if name in LOOKS_WITH and getattr(conditions.networks, LOOKS_WITH[name]) is None:
            raise ValueError(f"{name}: wanted its network in the conditions; `open_networks` loads it")
    conditions = replace(conditions, shared=any(name in names for name in _KEEPING))
    made = {name: METRICS[name](conditions) for name in METRICS if name in names}
    if not any(metric.about == "fidelity" for metrics in made.values() for metric in metrics):
        made = {"psnr": METRICS["psnr"](conditions), **made}
    return tuple(metric for metrics in (*made.values(), guards(conditions)) for metric in metrics)
