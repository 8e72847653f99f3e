"""What the temporal terms are for: the pixels of a flickering real clip, optimised under L1 and such a term."""

from __future__ import annotations

import av
import pytest
import torch
import torch.nn.functional as F

from tests.clips import TEST_DATA
from tests.motion.pairs import needs_data
from vidperc.clip import Motion
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import L1
from vidperc.losses.sample import Sample
from vidperc.losses.temporal_feature import TemporalFeature
from vidperc.losses.warp_loss import Warp
from vidperc.metrics.flicker import flicker
from vidperc.metrics.warping_error import warping_error

FRAMES, HEIGHT, WIDTH = 4, 64, 96


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    """Two children who jump, (1,T,3,H,W)."""
    assert TEST_DATA is not None
    with av.open(str(TEST_DATA / "videos" / "real" / "sam2_bedroom_540p.mp4")) as container:
        frames = [next(container.decode(video=0)).to_ndarray(format="rgb24") for _ in range(FRAMES)]
    clip = torch.stack([torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in frames])
    return clip[None, :, :, 200 : 200 + HEIGHT, 380 : 380 + WIDTH].contiguous()


def figures(clip: torch.Tensor, motion: Motion) -> tuple[float, float]:
    """The mean warping error and flicker of its steps."""
    steps = [(clip[0, t - 1], clip[0, t], motion.part(t, t + 1)) for t in range(1, FRAMES)]
    errors, flickers = ([measure(*step) for step in steps] for measure in (warping_error, flicker))
    return sum(e for e in errors if e is not None) / len(steps), sum(f for f in flickers if f is not None) / len(steps)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    "term",
    [Warp(), Warp(reach="long"), TemporalFeature(backbone="wct16x", layers={"relu1_1": 1.0})],
    ids=["warp", "warp-long", "temporal-feature"],
)
def test_it_takes_flicker_out_of_a_real_clip_and_brings_it_nearer_to_what_it_was(real, term) -> None:
    assert TEST_DATA is not None
    rough = torch.randn((FRAMES, 3, HEIGHT // 4, WIDTH // 4), generator=torch.Generator().manual_seed(0))
    flickering = (real + 0.05 * F.interpolate(rough, size=(HEIGHT, WIDTH), mode="bilinear")[None]).clamp(0, 1)
    motion = MotionChoice(preset="balanced").open("cpu")(real)
    objective = Objective.open([L1(), term], weights=TEST_DATA / "weights")
    out = flickering.clone().requires_grad_()
    optimiser = torch.optim.Adam([out], lr=0.01)
    for _ in range(30):
        total = objective(Sample(out=out, true=flickering, source=real, motion=motion)).total
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    (error, shimmer), (error_now, shimmer_now) = figures(flickering, motion[0]), figures(out.detach(), motion[0])
    assert error_now < 0.5 * error and shimmer_now < 0.7 * shimmer
    assert float((out.detach() - real).square().mean()) < float((flickering - real).square().mean())
