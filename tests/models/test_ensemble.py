from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.recurrent_files import save_recurrent
from vidperc.clip import Clip
from vidperc.compare.evaluation import Candidate
from vidperc.config.upscale import upscale_pipeline
from vidperc.engine.memory import Load, worker_bytes
from vidperc.errors import VidpercError
from vidperc.models.ensemble import COUNTS, in_orientations
from vidperc.models.load import load_model
from vidperc.models.zoo import find_chain
from vidperc.placement import Placement
from vidperc.stages.upscale import Upscale


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def lopsided(frames: Tensor) -> Tensor:
    """Twice the size, and what it makes depends on where up and left are."""
    ramp = torch.linspace(0, 1, frames.shape[2] * 2)[:, None] + 3 * torch.linspace(0, 1, frames.shape[3] * 2)[None] ** 2
    return frames.repeat_interleave(2, 2).repeat_interleave(2, 3) * (1 + ramp)


# What leaves a frame the same frame: of the half-turn, of all mirrorings, of these and transposing.
SYMMETRIES = {
    2: [lambda x: x.rot90(2, (2, 3))],
    4: [lambda x: x.flip(2), lambda x: x.flip(3)],
    8: [lambda x: x.flip(2), lambda x: x.transpose(2, 3), lambda x: x.rot90(1, (2, 3))],
}


@pytest.mark.parametrize("count", [2, 4, 8])
def test_no_orientation_is_preferred(count: int) -> None:
    frames, mean = noise(2, 1, 5, 7), in_orientations(lopsided, count)
    for turned in SYMMETRIES[count]:
        assert torch.allclose(mean(turned(frames)), turned(mean(frames)), atol=1e-6)
        assert not torch.allclose(lopsided(turned(frames)), turned(lopsided(frames)), atol=1e-2)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_every_orientation_is_seen_once(count: int) -> None:
    seen: list[Tensor] = []

    def spy(frame: Tensor) -> Tensor:
        seen.append(frame.clone())
        return frame * 1

    frame = noise(1, 3, 4, 6)
    assert torch.allclose(in_orientations(spy, count)(frame), frame, atol=1e-6)
    assert len(seen) == count
    assert torch.equal(seen[0], frame)
    assert all(one.is_contiguous() for one in seen)
    assert not any(
        one.shape == other.shape and torch.equal(one, other) for n, one in enumerate(seen) for other in seen[:n]
    )


def test_one_orientation_is_the_network_itself() -> None:
    assert in_orientations(lopsided, 1) is lopsided


def stage_result(stage: Upscale, frames: Tensor, tile: int = 0) -> Tensor:
    clip = Clip(frames=frames, source=frames, pts=tuple(range(len(frames))), time_base=Fraction(1))
    (made,) = stage.open(Placement(tile=tile))(iter([clip]))
    return made.frames


def test_the_stage_takes_the_mean_of_its_network() -> None:
    frames = noise(2, 3, 12, 20)
    model = load_model("fast-x2", None, Placement())
    wanted = torch.stack(
        [turned_back(model(turned(frames).contiguous())) for turned, turned_back in ORIENTATIONS]
    ).mean(0)
    assert torch.allclose(stage_result(Upscale(model="fast-x2", ensemble=8), frames), wanted, atol=1e-5)
    assert torch.equal(stage_result(Upscale(model="fast-x2", ensemble=1), frames), model(frames))


ORIENTATIONS = [
    (lambda x, n=n, t=t: (x.transpose(2, 3) if t else x).rot90(n, (2, 3)),
     lambda x, n=n, t=t: x.rot90(-n, (2, 3)).transpose(2, 3) if t else x.rot90(-n, (2, 3)))
    for n in range(4)
    for t in (False, True)
]  # fmt: skip


def test_chunks_and_tiles_change_nothing() -> None:
    frames, stage = noise(2, 3, 90, 70), Upscale(model="fast-x2", ensemble=8)
    whole = stage_result(stage, frames)
    assert torch.equal(torch.cat([stage_result(stage, frame) for frame in frames.split(1)]), whole)
    assert torch.equal(stage_result(stage, frames, tile=32), whole)


def test_each_network_of_a_chain_is_asked_so_often() -> None:
    frames = noise(1, 3, 10, 12)
    made = stage_result(Upscale(model="fast-real", scale=4, ensemble=2), frames)
    for name in find_chain("fast-real", 4).models:
        frames = in_orientations(load_model(name, None, Placement()), 2)(frames)
    assert torch.equal(made, frames)


@pytest.mark.parametrize("count", [0, 3, 16, -1])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"^ensemble: got {count}, wanted 1, 2, 4 or 8 orientations$"):
        Upscale(ensemble=count)
    with pytest.raises(ValueError, match=f"^ensemble: got {count}"):
        Candidate(model="fast", ensemble=count)
    with pytest.raises(VidpercError, match=f"^--ensemble {count}: wanted 1, 2, 4 or 8 orientations of a frame$"):
        upscale_pipeline(ensemble=count)


def test_a_recurrent_network_is_refused(recurrent_file: Path) -> None:
    stage = Upscale(model=str(recurrent_file), ensemble=2)
    with pytest.raises(VidpercError, match="ensemble 2 is for networks that see single frames") as caught:
        stage.output_size(64, 48)
    assert "\n" not in str(caught.value)
    assert Upscale(model=str(recurrent_file)).output_size(64, 48) == (128, 96)


@pytest.fixture
def recurrent_file(tmp_path: Path) -> Path:
    return save_recurrent(tmp_path / "mine.safetensors")


def test_the_option_reaches_the_stage_and_tables_name_it() -> None:
    assert COUNTS == (1, 2, 4, 8)
    (stage,) = upscale_pipeline(model="fast", ensemble=4).stages
    assert stage == Upscale(model="fast", ensemble=4)
    assert Candidate(model="fast", ensemble=4).shown == "fast, ensemble 4"
    assert Candidate(model="fast").shown == "fast"


def test_memory_counts_the_sum() -> None:
    load = Load(
        width=64, height=48, out_width=128, out_height=96, frames=8, encoder_bytes=8, cards=(), takes_luma=False
    )
    more = worker_bytes(Placement(), Load(**{**load.__dict__, "ensemble": True})) - worker_bytes(Placement(), load)
    assert more == 2 * 3 * 4 * 128 * 96
