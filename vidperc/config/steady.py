"""The pipeline of `vidperc steady`: the built-in one with the command's options filled in."""

from __future__ import annotations

from collections.abc import Sequence

from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.config.upscale import check_strength, steady_settings
from vidperc.pipeline import PipelineSpec


def steady_pipeline(
    *, strength: float | None = None, method: str | None = None, settings: Sequence[str] = ()
) -> PipelineSpec:
    """The pipeline that holds a processed video steady along the motion of its guide.

    strength: of the stage `steady`, 0 to 1; None as the file has it. method: blend or learned; None as the file
    has it. settings: laid over it, "stage.key=value" each.
    Raises VidpercError for what cannot be.
    """
    if strength is not None:
        check_strength("--strength", strength)
    laid = [] if strength is None else [f"steady.strength={strength:f}"]
    laid += steady_settings("--steady-method", method)
    return apply_settings(load_pipeline("steady"), [*laid, *settings])
