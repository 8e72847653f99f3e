"""Every stage that YAML may name."""

from __future__ import annotations

from vidperc.stages.motion import FindMotion
from vidperc.stages.resize import Resize
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale

STAGES: dict[str, type[Upscale] | type[Resize] | type[FindMotion] | type[Steady]] = {
    "upscale": Upscale,
    "resize": Resize,
    "motion": FindMotion,
    "steady": Steady,
}
