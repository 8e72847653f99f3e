"""Law: the output does not depend on chunk or tile size, bit for bit in float32 on the CPU."""

import dataclasses
from fractions import Fraction

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from tests.laws.recursive import Average, Blend
from vidperc.clip import Clip
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.resize import Resize
from vidperc.stages.table import STAGES
from vidperc.stages.upscale import Upscale

FRAMES = 20
CUT = 11


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=4, upscale=2)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(network.state_dict(), path)
    return str(path)


def stages(weights):
    """Every stage of the table, in all its ways, and the two of the tests."""
    found = {
        "upscale": [Upscale(model="bicubic", scale=2), Upscale(model="lanczos", scale=3), Upscale(model=weights)],
        "resize": [Resize(resolution=50), Resize(resolution=32, kernel="bicubic")],
    }
    assert set(found) == set(STAGES), "a new stage joins the laws here"
    return [*found["upscale"], *found["resize"], Blend(), Average()]


def clips(frames, chunk):
    """The frames as clips of at most `chunk` frames, never across the cut."""
    for start, stop, shot in ((0, CUT, 0), (CUT, FRAMES, 1)):
        for at in range(start, stop, chunk):
            end = min(at + chunk, stop)
            yield Clip(
                frames=frames[at:end],
                source=frames[at:end],
                pts=tuple(range(at, end)),
                time_base=Fraction(1, 25),
                shot=shot,
            )


def run(stage, frames, chunk, tile=0):
    pipeline = Pipeline(PipelineSpec("law", "", (stage,)), Placement(tile=tile, chunk=chunk))
    out = list(pipeline(clips(frames, chunk)))
    assert [pts for clip in out for pts in clip.pts] == list(range(FRAMES)), "timestamps and their order stay"
    return torch.cat([clip.frames for clip in out])


@pytest.fixture(scope="module")
def frames():
    return torch.rand((FRAMES, 3, 45, 70), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("number", range(7))
def test_chunks_are_invisible(number, frames, weights):
    stage = stages(weights)[number]
    wanted = run(stage, frames, chunk=1)
    for chunk in (2, 3, 7, 16):
        assert torch.equal(run(stage, frames, chunk), wanted), (stage, chunk)


@pytest.mark.parametrize("number", range(7))
def test_tiles_are_invisible(number, frames, weights):
    stage = stages(weights)[number]
    wanted = run(stage, frames, chunk=3)
    for tile in (16, 33, 64):
        assert torch.equal(run(stage, frames, 3, tile), wanted), (stage, tile)


def test_state_never_crosses_a_cut(frames, weights):
    for stage in stages(weights):
        whole = run(stage, frames, chunk=4)
        changed = frames.clone()
        changed[:CUT] = 0
        assert torch.equal(run(stage, changed, chunk=4)[CUT:], whole[CUT:]), stage


def test_the_size_that_is_declared_comes_out(frames, weights):
    for stage in stages(weights):
        out = run(stage, frames, chunk=5)
        assert (out.shape[-1], out.shape[-2]) == stage.size(frames.shape[-1], frames.shape[-2]), stage


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
