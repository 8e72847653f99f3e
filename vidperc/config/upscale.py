"""The pipeline of `vidperc upscale`: a built-in one with the command's options filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.errors import VidpercError
from vidperc.models.ensemble import COUNTS
from vidperc.models.twins import check_detail
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.stage import Stage
from vidperc.stages.steady import Steady

# How firmly `upscale` holds what its network adds, where nothing is asked; 0 is not at all.
USUAL_STEADY = 0.0


def upscale_pipeline(
    *,
    model: str | None = None,
    scale: int | None = None,
    resolution: int | None = None,
    detail: float | None = None,
    ensemble: int | None = None,
    steady: float | None = None,
    steady_method: str | None = None,
    settings: Sequence[str] = (),
) -> PipelineSpec:
    """The pipeline that enlarges a video.

    model, scale, detail, ensemble: of the stage `upscale`; None as the file has them. resolution: of the stage
        `resize`, which is there if this is given. steady: strength of the stage `steady`, 0 to 1; at 0 it is not there.
        None for the usual one. steady_method: of that stage, blend or learned; None for blend. The stage `motion` is
        there for `steady`, and for a recurrent network.
        settings: laid over all of this, "stage.key=value" each.
    Raises VidpercError for what cannot be.
    """
    strength = USUAL_STEADY if steady is None else steady
    check_strength("--steady", strength)
    spec = load_pipeline("upscale" if resolution is None else "upscale_resize")
    asked = {"upscale.model": model, "upscale.scale": scale, "resize.resolution": resolution}
    laid = [f"{key}={value}" for key, value in asked.items() if value is not None]
    if ensemble is not None:
        if ensemble not in COUNTS:
            raise VidpercError(f"--ensemble {ensemble}: wanted 1, 2, 4 or 8 orientations of a frame")
        laid.append(f"upscale.ensemble={ensemble}")
    if detail is not None:
        check_detail("--detail", detail)
        laid.append(f"upscale.detail={Decimal(repr(float(detail))):f}")  # all its digits, without a power of ten
    if strength:
        spec = _steadied(spec)
        laid += [f"steady.strength={strength:f}", *steady_settings("--steady-method", steady_method)]
    elif steady_method is not None:
        raise VidpercError("--steady-method: got it without --steady, wanted both; add --steady 0.9, or leave it out")
    moved = replace(spec, stages=(FindMotion(), *spec.stages))
    if strength or _needs_motion(moved, [*laid, *settings]):
        spec = moved
    return apply_settings(spec, [*laid, *settings])


def steady_settings(option: str, method: str | None) -> list[str]:
    """The settings of the stage `steady` for a method, none for None. Raises VidpercError, naming the option."""
    if method not in (None, "blend", "learned"):
        raise VidpercError(f"{option} {method}: unknown, wanted blend or learned")
    return [] if method is None else [f"steady.method={method}"]


def check_strength(option: str, strength: float) -> None:
    """Raises VidpercError, naming the option, for a strength that is not from 0 to 1."""
    if not 0 <= strength <= 1:
        raise VidpercError(f"{option} {strength:g}: wanted 0 to 1, where 0 leaves frames as they are")


def _needs_motion(spec: PipelineSpec, settings: Sequence[str]) -> bool:
    """Whether the networks that the settings name are recurrent ones."""
    of_networks = [setting for setting in settings if setting.startswith(("upscale.", "upscale#"))]
    return any(stage.needs for stage in apply_settings(spec, of_networks).stages if stage.kind == "upscale")


def _steadied(spec: PipelineSpec) -> PipelineSpec:
    """The pipeline with what the last of its networks made held steady."""
    last = max(place for place, stage in enumerate(spec.stages) if stage.kind == "upscale")
    stages: tuple[Stage, ...] = (*spec.stages[: last + 1], Steady(), *spec.stages[last + 1 :])
    return replace(spec, stages=stages)
