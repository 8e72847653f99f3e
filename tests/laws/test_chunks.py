"""Law: the output does not depend on chunk or tile size, bit for bit on the CPU."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from tests.consistency_files import save_consistency
from tests.laws.recursive import Average, Blend
from tests.recurrent_files import save_recurrent
from tests.twin_files import save_pair
from vidperc.clip import Clip
from vidperc.models.precision import training_precision
from vidperc.ops.layout import LAYOUTS
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.resize import Resize
from vidperc.stages.steady import Steady
from vidperc.stages.table import STAGES
from vidperc.stages.upscale import Upscale

FRAMES = 20
CUT = 11
NUMBER = 17  # of the stages below


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=4, upscale=2)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(network.state_dict(), path)
    save_recurrent(path.with_name("recurrent.safetensors"))
    save_pair(path.parent, "pair")
    save_consistency(path.with_name("consistency.safetensors"))
    return str(path)


# Elsewhere it is emulated, and sums are in an order that depends on the size of the picture; `auto` never takes it.
OWN_BFLOAT16 = pytest.mark.skipif(
    training_precision(torch.device("cpu")) != torch.bfloat16, reason="this processor has no bfloat16 of its own"
)
PRECISIONS = ["float32", pytest.param("bfloat16", marks=OWN_BFLOAT16)]


def stages(weights):
    """Every stage of the table, in all its ways, and the two of the tests."""
    found = {
        "upscale": [
            Upscale(model="bicubic", scale=2),
            Upscale(model="lanczos", scale=3),
            Upscale(model=weights),
            Upscale(model="fast-x2"),
            Upscale(model="fast", scale=3),
            Upscale(model=str(Path(weights).with_name("recurrent.safetensors"))),
            Upscale(model=str(Path(weights).with_name("pair.safetensors")), scale=2, detail=0.3),
        ],
        "resize": [Resize(resolution=50), Resize(resolution=32, kernel="bicubic")],
        "motion": [FindMotion(), FindMotion(estimator="farneback", size=30), FindMotion(preset="medium")],
        "steady": [
            Steady(),
            Steady(strength=0.5, tolerance=4),
            Steady(method="learned", weights=str(Path(weights).with_name("consistency.safetensors"))),
        ],
    }
    assert set(found) == set(STAGES), "a new stage joins the laws here"
    return [*(stage for kind in found.values() for stage in kind), Blend(), Average()]


def clips(frames, chunk, layout=None):
    """The frames as clips of at most `chunk` frames, never across the cut; with a layout, their red and chroma."""
    for start, stop, shot in ((0, CUT, 0), (CUT, FRAMES, 1)):
        for at in range(start, stop, chunk):
            end = min(at + chunk, stop)
            part, chroma = frames[at:end], None
            if layout is not None:
                height, width = layout.plane_size(1, frames.shape[-1], frames.shape[-2])
                part, chroma = part[:, :1], part[:, 1:, :height, :width] - 0.5
            yield Clip(
                frames=part,
                source=part,
                pts=tuple(range(at, end)),
                time_base=Fraction(1, 25),
                shot=shot,
                layout=layout,
                chroma=chroma,
            )


def spec(stage):
    """A pipeline of the stage, and what it needs before it: some motion, and detail that the source has not."""
    before = (FindMotion(), Upscale(model="lanczos", scale=2)) if stage.needs else ()
    return PipelineSpec("law", "", (*before, stage))


def opened(stage, chunk, tile, precision):
    return Pipeline(spec(stage), Placement(tile=tile, chunk=chunk, precision=precision))


def made(out):
    """All that a stage made: the picture and, where there is some, the motion as further channels."""
    parts = []
    for clip in out:
        motion = clip.motion and clip.motion.at(*clip.frames.shape[-2:])
        parts.append(torch.cat([clip.frames, motion.flow, motion.visible], 1) if motion else clip.frames)
    return torch.cat(parts)


def run(stage, frames, chunk, tile=0, precision="float32"):
    out = list(opened(stage, chunk, tile, precision)(clips(frames, chunk)))
    assert [pts for clip in out for pts in clip.pts] == list(range(FRAMES)), "timestamps and their order stay"
    return made(out)


def run_yuv(stage, frames, chunk, tile=0, precision="float32", layout="yuv420p"):
    out = list(opened(stage, chunk, tile, precision)(clips(frames, chunk, LAYOUTS[layout])))
    return made(out), torch.cat([clip.chroma for clip in out])


@pytest.fixture(scope="module")
def frames():
    """A texture that a camera moves over, with a little noise that no motion explains."""
    random = torch.Generator().manual_seed(1)
    coarse = torch.rand((1, 3, 24, 40), generator=random)
    ground = torch.nn.functional.interpolate(coarse, scale_factor=3, mode="bicubic")
    moved = torch.cat([ground[..., n // 2 : n // 2 + 45, n : n + 70] for n in range(FRAMES)])
    return moved + 0.02 * torch.rand(moved.shape, generator=random)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("number", range(NUMBER))
def test_chunks_are_invisible(number, precision, frames, weights):
    stage = stages(weights)[number]
    wanted = run(stage, frames, chunk=1, precision=precision)
    for chunk in (2, 3, 7, 16):
        assert torch.equal(run(stage, frames, chunk, precision=precision), wanted), (stage, chunk)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("number", range(NUMBER))
def test_tiles_are_invisible(number, precision, frames, weights):
    stage = stages(weights)[number]
    wanted = run(stage, frames, chunk=3, precision=precision)
    for tile in (16, 33, 64):
        assert torch.equal(run(stage, frames, 3, tile, precision), wanted), (stage, tile)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("number", range(NUMBER))
def test_chunks_and_tiles_are_invisible_in_yuv(number, precision, frames, weights):
    stage = stages(weights)[number]
    if not stage.takes_luma:
        pytest.skip("takes RGB alone")
    luma, chroma = run_yuv(stage, frames, chunk=1, precision=precision)
    for chunk, tile in ((3, 0), (16, 33), (7, 16)):
        other_luma, other_chroma = run_yuv(stage, frames, chunk, tile, precision)
        assert torch.equal(other_luma, luma) and torch.equal(other_chroma, chroma), (stage, chunk, tile)


def test_yuv_gives_the_picture_that_rgb_gives(weights):
    """Up to what 4:4:4 chroma needs no resampling for: the two ways share the luma and the linear enlarging."""
    rgb = torch.rand((FRAMES, 3, 40, 60), generator=torch.Generator().manual_seed(2)) * 0.5 + 0.25
    red, green, blue = rgb.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    yuv = torch.stack([luma, (blue - luma) / 1.772 + 0.5, (red - luma) / 1.402 + 0.5], 1)
    for stage in stages(weights):
        if stage.takes_luma and not stage.needs:  # the source's sameness is that of its luma, or of red, green and blue
            made_luma, chroma = run_yuv(stage, yuv, 4, layout="yuv444p")
            red, green, blue = run(stage, rgb, 4)[:, :3].unbind(1)
            wanted = 0.299 * red + 0.587 * green + 0.114 * blue
            assert torch.allclose(made_luma[:, 0], wanted, atol=1e-5), stage
            if getattr(stage, "model", "") != "fast":  # it enlarges RGB by 4 and resamples, chroma by 3 at once
                assert torch.allclose(chroma[:, 0], (blue - wanted) / 1.772, atol=1e-5), stage


def test_state_never_crosses_a_cut(frames, weights):
    for stage in stages(weights):
        whole = run(stage, frames, chunk=4)
        changed = frames.clone()
        changed[:CUT] = 0
        assert torch.equal(run(stage, changed, chunk=4)[CUT:], whole[CUT:]), stage


def test_the_size_that_is_declared_comes_out(frames, weights):
    for stage in stages(weights):
        out = run(stage, frames, chunk=5)
        assert (out.shape[-1], out.shape[-2]) == spec(stage).size(frames.shape[-1], frames.shape[-2]), stage


def test_neighbours_that_are_declared_are_enough(frames, weights):
    """A frame does not change when everything beyond past, future and settle does."""
    for stage in stages(weights):
        reach = stage.past + stage.settle
        low, high = CUT + 4 - reach, CUT + 4 + stage.future
        changed = torch.rand_like(frames)
        changed[max(0, low) : high + 1] = frames[max(0, low) : high + 1]
        difference = (run(stage, changed, 4)[CUT + 4] - run(stage, frames, 4)[CUT + 4]).abs().max()
        assert difference <= 1 / 256, (stage, difference)  # what `settle` promises; 0 for stages without a state


def test_a_stage_is_plain_data(weights):
    for stage in stages(weights):
        assert dataclasses.is_dataclass(stage) and hash(stage) == hash(dataclasses.replace(stage))
