"""Laws of segments for detail that is held by a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.clips import make_clip
from tests.consistency_files import save_consistency
from tests.laws.test_recurrent_segments import codes
from tests.laws.test_segments import CUT_FRAME, make_plan, rendered
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PipelineSpec:
    path = save_consistency(tmp_path_factory.mktemp("weights") / "consistency.safetensors")
    held = Steady(strength=0.6, method="learned", weights=str(path))
    # In bfloat16, as test_segments has this name.
    return PipelineSpec("steady", "", (FindMotion(), Upscale(model="fast-x2"), held))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=90, cuts=(CUT_FRAME,))


def test_a_segment_alone_gives_the_frames_it_gives_among_others(clip: Path, spec: PipelineSpec, tmp_path: Path):
    plan = make_plan(clip, spec, count=4)
    assert plan.placement.precision == "bfloat16" and plan.layout == "yuv420p"
    together = rendered(clip, spec, plan, tmp_path)
    for segment in reversed(plan.segments):
        assert rendered(clip, spec, plan, tmp_path, [segment]) == {pts: together[pts] for pts in segment.pts}


def test_how_many_segments_there_are_changes_few_codes_and_little(clip: Path, spec: PipelineSpec, tmp_path: Path):
    whole = codes(clip, spec, make_plan(clip, spec, count=1), tmp_path)
    assert len(whole) == 90
    for count in (2, 5):
        differ = np.abs(codes(clip, spec, make_plan(clip, spec, count=count), tmp_path) - whole)
        assert differ.max() <= 1  # half a code, rounded
        assert (differ > 0).mean() < 0.01


def test_without_the_frames_before_it_a_segment_would_begin_otherwise(clip: Path, spec: PipelineSpec, tmp_path: Path):
    """The test above can fail."""
    whole = codes(clip, spec, make_plan(clip, spec, count=1), tmp_path)
    plan = make_plan(clip, spec, count=5)
    plan = replace(plan, segments=tuple(replace(segment, lead=()) for segment in plan.segments))
    assert np.abs(codes(clip, spec, plan, tmp_path) - whole).max() > 1
