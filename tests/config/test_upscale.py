"""The pipeline of `upscale`, with its options filled in."""

import pytest

from tests.recurrent_files import save_recurrent
from vidperc.config.upscale import USUAL_STEADY, upscale_pipeline
from vidperc.errors import VidpercError
from vidperc.stages.motion import FindMotion
from vidperc.stages.resize import Resize
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale


def test_without_options_it_is_the_built_in_one():
    assert USUAL_STEADY == 0, "measured before it is changed"
    assert upscale_pipeline().stages == (Upscale(model="auto"),)


@pytest.mark.parametrize("resolution", [None, 720])
def test_motion_is_found_first_and_the_network_held_before_its_picture_is_resized(resolution):
    spec = upscale_pipeline(model="fast", scale=4, resolution=resolution, steady=0.75)
    resized = () if resolution is None else (Resize(resolution=720, kernel="lanczos"),)
    assert spec.stages == (FindMotion(), Upscale(model="fast", scale=4), Steady(strength=0.75), *resized)
    assert spec.name == ("upscale" if resolution is None else "upscale_resize")


def test_at_strength_0_nothing_is_held_and_no_motion_found():
    assert upscale_pipeline(steady=0).stages == upscale_pipeline().stages


def test_settings_reach_the_stages_that_hold():
    spec = upscale_pipeline(steady=1, settings=["motion.estimator=farneback", "steady.tolerance=16"])
    assert spec.stages == (FindMotion(estimator="farneback"), Upscale(), Steady(strength=1.0, tolerance=16.0))


@pytest.mark.parametrize(("strength", "said"), [(1.5, "1.5"), (-0.1, "-0.1"), (float("nan"), "nan")])
def test_a_strength_that_cannot_be_is_refused(strength, said):
    with pytest.raises(VidpercError, match=rf"^--steady {said}: wanted 0 to 1, "):
        upscale_pipeline(steady=strength)


def test_motion_is_found_for_a_recurrent_network_and_once(tmp_path):
    model = str(save_recurrent(tmp_path / "mine.safetensors", settle=5))
    assert upscale_pipeline(model=model).stages == (FindMotion(), Upscale(model=model))
    assert upscale_pipeline(settings=[f"upscale.model={model}"]).stages == (FindMotion(), Upscale(model=model))
    assert upscale_pipeline(model=model, settings=["upscale.model=fast"]).stages == (Upscale(model="fast"),)
    steadied = upscale_pipeline(model=model, steady=0.5, settings=["motion.preset=medium"])
    assert steadied.stages == (FindMotion(preset="medium"), Upscale(model=model), Steady(strength=0.5))
    resized = upscale_pipeline(model=model, resolution=720, settings=["motion.size=360"])
    assert [stage.kind for stage in resized.stages] == ["motion", "upscale", "resize"]


def test_motion_is_no_stage_where_no_network_needs_it():
    with pytest.raises(VidpercError, match=r"^--set motion\.size=48: pipeline upscale has no stage 'motion'"):
        upscale_pipeline(model="fast", settings=["motion.size=48"])
