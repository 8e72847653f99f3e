"""What the steady stage holds, and what it lets pass."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from vidperc.clip import Clip
from vidperc.errors import VidpercError
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale

SIZE = 96, 128
CODE = 1 / 255


def texture(seed=0, size=(160, 240)):
    """A picture with detail of every size, (1,3,H,W)."""
    random = torch.Generator().manual_seed(seed)
    parts = [
        resize(torch.rand((1, 3, size[0] // step, size[1] // step), generator=random), size, "bicubic") * step
        for step in (2, 4, 8)
    ]
    return (sum(parts) / 14).clamp(0, 1)


def pan(frames=16, step=1):
    """What a camera sees that moves over the texture, (T,3,96,128)."""
    ground = texture()
    return torch.cat([ground[..., 10 : 10 + SIZE[0], step * n : step * n + SIZE[1]] for n in range(frames)])


def clips(source, shots=None, made=None):
    """Each frame as a clip of its own; made: what a network made of the source, else the source itself."""
    for n in range(len(source)):
        here = source[n : n + 1]
        yield Clip(
            frames=here if made is None else made[n : n + 1],
            source=here,
            pts=(n,),
            time_base=Fraction(1, 25),
            shot=0 if shots is None else shots[n],
        )


def run(stages, source, **how):
    return torch.cat([c.frames for c in Pipeline(PipelineSpec("test", "", stages), Placement())(clips(source, **how))])


def flickering(source, seed=3):
    """The source at twice its size, with noise and a gain that are new in each frame."""
    random = torch.Generator().manual_seed(seed)
    large = torch.cat([resize(frame[None], (2 * SIZE[0], 2 * SIZE[1]), "bicubic") for frame in source])
    gain = 1 + 0.02 * torch.randn((len(source), 1, 1, 1), generator=random)
    return large, large * gain + 0.02 * torch.randn(large.shape, generator=random)


def test_it_is_refused_without_motion():
    with pytest.raises(VidpercError, match=r"stage 1 \(steady\) needs motion"):
        PipelineSpec("test", "", (Steady(),)).check()


@pytest.mark.parametrize(("setting", "value"), [("strength", -0.1), ("strength", 1.1), ("tolerance", 0)])
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Steady(**{setting: value})


def test_without_strength_frames_stay_as_they_are():
    source = pan()
    _, made = flickering(source)
    assert torch.equal(run((FindMotion(), Steady(strength=0)), source, made=made), made)


def test_what_flickers_is_held_along_the_motion():
    source = pan()
    clean, made = flickering(source)
    steadied = run((FindMotion(), Steady()), source, made=made)
    before, after = ((frames[6:] - clean[6:]).square().mean().sqrt() for frames in (made, steadied))
    assert after < 0.6 * before  # a blend of 0.81 would leave 0.32 of independent noise, were all visible and alike


def test_it_holds_along_the_motion_and_not_against_it():
    """Where the motion is taken the other way round, detail is held in the wrong place."""
    source = pan(step=3)
    _, made = flickering(source)
    sharp = made + 0.1 * (made - F.avg_pool2d(made, 3, 1, 1))
    found = Pipeline(PipelineSpec("motion", "", (FindMotion(),)), Placement())(clips(source, made=sharp))
    ways = {}
    for sign in (1, -1):
        turned = (replace(c, motion=replace(c.motion, flow=sign * c.motion.flow)) for c in found)
        ways[sign] = list(Steady().open(Placement())(iter(list(turned))))
        found = Pipeline(PipelineSpec("motion", "", (FindMotion(),)), Placement())(clips(source, made=sharp))
    flow = torch.tensor([6.0, 0]).view(1, 2, 1, 1).expand(1, 2, *sharp.shape[2:])

    def unsteadiness(made):
        return sum(float((b.frames - warp(a.frames, flow)).square()[..., :-16].mean()) for a, b in pairwise(made))

    assert unsteadiness(ways[1]) < 0.7 * unsteadiness(ways[-1])


def test_hidden_pixels_are_shown_as_they_are():
    source = pan(4)
    _, made = flickering(source)
    found = list(Pipeline(PipelineSpec("motion", "", (FindMotion(),)), Placement())(clips(source, made=made)))
    hidden = [replace(c, motion=replace(c.motion, visible=torch.zeros_like(c.motion.visible))) for c in found]
    steadied = torch.cat([c.frames for c in Steady().open(Placement())(iter(hidden))])
    assert torch.allclose(steadied, made, atol=1e-6)  # the base is taken off and put back


def test_what_the_source_does_passes_when_the_network_adds_nothing():
    """The detail is zero, whatever the source does: nothing of the frames before is seen."""
    source = torch.cat([pan(4), torch.rand((4, 3, *SIZE))])
    large, _ = flickering(source)
    assert torch.allclose(run((FindMotion(), Steady()), source, made=large), large, atol=1e-6)


def test_a_cut_begins_anew():
    source = torch.cat([pan(6), texture(9)[..., : SIZE[0], : SIZE[1]].expand(6, -1, -1, -1)])
    _, made = flickering(source)
    shots = [0] * 6 + [1] * 6
    steadied = run((FindMotion(), Steady()), source, made=made, shots=shots)
    assert torch.allclose(steadied[6], made[6], atol=1e-6)
    alone = run((FindMotion(), Steady()), source[6:], made=made[6:])
    assert torch.equal(steadied[6:], alone)


def fade(source):
    return source * torch.linspace(1, 0.05, len(source)).view(-1, 1, 1, 1)


def flash(source):
    lit = source.clone()
    lit[7] = (lit[7] + 0.5).clamp(0, 1)
    return lit


def cut(source):
    return torch.cat([source[:8], texture(9)[..., : SIZE[0], : SIZE[1]].expand(len(source) - 8, -1, -1, -1)])


def foreground(_):
    """A still picture with a square that moves before it."""
    still, square = texture()[..., : SIZE[0], : SIZE[1]], texture(5)[..., :30, :30]
    made = still.repeat(16, 1, 1, 1)
    for n, frame in enumerate(made):
        frame[:, 20:50, 4 * n : 4 * n + 30] = square[0]
    return made


@pytest.mark.parametrize("happens", [fade, flash, cut, foreground])
@pytest.mark.parametrize("told", [True, False])
def test_what_happens_in_the_source_passes(happens, told):
    """The mean of every frame stays within a code of that of the frame that was not held, told of the cut or not."""
    source = happens(pan())
    network = Upscale(model="fast-x2")
    shots = [int(happens is cut and told and n >= 8) for n in range(len(source))]
    plain = run((network,), source, shots=shots)
    steadied = run((FindMotion(), network, Steady(strength=1)), source, shots=shots)
    assert (steadied.mean((1, 2, 3)) - plain.mean((1, 2, 3))).abs().max() <= CODE
    # Not by doing nothing: noise that the network adds is held all the same.
    noisy = plain + 0.02 * torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    held = run((FindMotion(), Steady(strength=1)), source, made=noisy, shots=shots)
    assert (held - plain).square().mean() < 0.8 * (noisy - plain).square().mean()


def test_no_outline_stays_behind_on_the_ground():
    # What flow does beside a fast foreground: the ground goes along with it, and passes for the same surface.
    ground = torch.full((4, 3, *SIZE), 0.6)
    made = resize(ground, (2 * SIZE[0], 2 * SIZE[1]), "bicubic")
    for n in range(4):
        made[n, :, :, 60 + 40 * n : 62 + 40 * n] -= 0.3
    out = run((FindMotion(), Steady()), ground, made=made)
    assert (made[3] - out[3]).abs()[..., :150].max() < CODE


def test_nothing_lags():
    """Each steadied frame is nearer to the clean frame of its own time than to those before and after."""
    source = pan(step=2)
    clean, made = flickering(source)
    steadied = run((FindMotion(), Steady(strength=1)), source, made=made)
    for n in range(1, len(source) - 1):
        errors = [(steadied[n] - clean[n + lag]).square().mean() for lag in (-1, 0, 1)]
        assert errors.index(min(errors)) == 1, n


def test_it_settles_within_what_it_declares():
    for strength in (0.3, 0.9, 1.0):
        stage = Steady(strength=strength)
        assert (0.9 * strength) ** stage.settle <= 1 / 256 < (0.9 * strength) ** (stage.settle - 1)
    assert Steady(strength=0).settle == 0
