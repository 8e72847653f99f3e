"""The steady stage with a network in place of the blend by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from tests.clips import make_clip
from tests.consistency_files import SHAPE, consistency_network, save_consistency
from tests.stages.test_steady import SIZE, flickering, pan, run, texture
from vidperc.cli import app
from vidperc.config.steady import steady_pipeline
from vidperc.config.upscale import upscale_pipeline
from vidperc.errors import VidpercError
from vidperc.models.consistency import TrainableConsistency
from vidperc.models.own_card import own_card, shipped_path
from vidperc.models.zoo import find_card
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_consistency(tmp_path_factory.mktemp("weights") / "mine.safetensors"))


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "untaught.safetensors"
    return str(save_consistency(path, TrainableConsistency(SHAPE, expand=0)))


def steadied(source: Tensor, made: Tensor, stage: Steady, shots: list[int] | None = None) -> Tensor:
    return run((FindMotion(), stage), source, made=made, shots=shots)


@pytest.mark.parametrize("strength", [0.9, 0.3])
def test_with_a_network_that_has_learnt_nothing_it_is_the_blend(strength: float, untaught: str) -> None:
    source = pan(8)
    _, made = flickering(source)
    wanted = steadied(source, made, Steady(strength=strength))
    learned = steadied(source, made, Steady(strength=strength, method="learned", weights=untaught))
    torch.testing.assert_close(learned, wanted, atol=4e-6, rtol=0)
    assert float((wanted - made).abs().max()) > 0.01


def test_what_the_network_has_learnt_counts(weights: str) -> None:
    source = pan(8)
    _, made = flickering(source)
    held = steadied(source, made, Steady())
    assert float((steadied(source, made, Steady(method="learned", weights=weights)) - held).abs().max()) > 0.005


def test_a_cut_begins_anew(weights: str) -> None:
    source = torch.cat([pan(6), texture(9)[..., : SIZE[0], : SIZE[1]].expand(6, -1, -1, -1)])
    _, made = flickering(source)
    stage = Steady(method="learned", weights=weights)
    out = steadied(source, made, stage, [0] * 6 + [1] * 6)
    assert torch.allclose(out[6], made[6], atol=1e-6)
    assert torch.equal(out[6:], steadied(source[6:], made[6:], stage))


def test_without_strength_nothing_is_read_and_frames_stay(tmp_path: Path) -> None:
    source = pan(3)
    stage = Steady(strength=0, method="learned", weights=str(tmp_path / "nothing.safetensors"))
    _, made = flickering(source)
    assert torch.equal(steadied(source, made, stage), made) and stage.settle == 0


def test_it_settles_within_what_the_card_says(weights: str) -> None:
    card = own_card(Path(weights))
    assert card is not None
    held = {strength: Steady(strength=strength, method="learned", weights=weights).settle for strength in (0.5, 0.9, 1)}
    assert held == {0.5: card.settle, 0.9: card.settle, 1: 96} and 10 < card.settle < 96


def test_weights_are_for_the_learned_method_alone(weights: str) -> None:
    with pytest.raises(ValueError, match="method blend, wanted method: learned"):
        Steady(weights=weights)
    with pytest.raises(VidpercError, match="weights"):
        steady_pipeline(settings=[f"steady.weights={weights}"])


@pytest.mark.parametrize("damage", ["missing", "upscaler", "layers"])
def test_other_files_are_refused_in_a_line(damage: str, tmp_path: Path) -> None:
    path, told = tmp_path / "mine.safetensors", "no such file of weights"
    if damage == "upscaler":
        path, told = shipped_path("fast-x2"), "got a luma network, wanted a file that `vidperc train consistency` made"
    elif damage == "layers":
        network = consistency_network()
        save_consistency(path, network)
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"channels":"16"', b'"channels":"17"'))
        told = "its layers do not fit its card"
    with pytest.raises(VidpercError, match=told):
        Steady(method="learned", weights=str(path)).open(Placement())


def test_it_is_no_network_that_enlarges(weights: str) -> None:
    with pytest.raises(VidpercError, match=r"holds videos steady and enlarges nothing.*--steady-method learned"):
        find_card(weights)


def test_the_commands_ask_for_the_method(weights: str) -> None:
    settings = [f"steady.weights={weights}"]
    learned = Steady(method="learned", weights=weights)
    assert upscale_pipeline(steady=0.9, steady_method="learned", settings=settings).stages[-1] == learned
    assert steady_pipeline(method="learned", settings=settings).stages[-1] == learned
    with pytest.raises(VidpercError, match="--steady-method best: unknown, wanted blend or learned"):
        steady_pipeline(method="best")
    with pytest.raises(VidpercError, match="without --steady, wanted both"):
        upscale_pipeline(steady_method="learned")


def test_a_video_is_enlarged_and_held_by_the_network(weights: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=12)
    asked = ["upscale", str(clip), "-m", "fast-x2", "--steady", "0.9", "--steady-method", "learned", "--set"]
    found = CliRunner().invoke(app, [*asked, f"steady.weights={weights}", "-o", str(tmp_path / "out.mp4")])
    assert found.exit_code == 0, found.output
    assert (tmp_path / "out.mp4").is_file()
