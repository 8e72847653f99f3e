from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vidperc.training.lessons import FACTS, KINDS
from vidperc.training.own3d import TrainableOwn3d, balance, guessed_right, own3d_loss, told_right

NAN = math.nan
#                     backwards speed damage strength right down nearer turn
REAL = torch.tensor([1.0, 2.0, 0.0, 0.0, NAN, NAN, NAN, NAN])
PHOTO = torch.tensor([NAN, NAN, 2.0, 0.5, 1.0, -1.0, 0.5, 0.0])
SHUFFLED = torch.tensor([NAN, NAN, 3.0, 0.25, NAN, NAN, NAN, NAN])


class Answering(nn.Module):
    """Gives these answers, whatever it is asked; one row for every clip."""

    def __init__(self, *answers: Tensor) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        return self.answers


def knowing(facts: Tensor, *, sure: float = 30.0) -> Answering:
    """Answers right, of what is known."""
    known = facts.nan_to_num(0)
    return Answering(
        sure * (2 * known[:, :1] - 1),
        sure * nn.functional.one_hot(known[:, 1].long(), 3).float(),
        sure * nn.functional.one_hot(known[:, 2].long(), len(KINDS)).float(),
        known[:, 3:4],
        known[:, 4:],
    )


def clips_of(count: int, side: int = 32) -> Tensor:
    return torch.rand(count, 8, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_who_knows_all_pays_nothing_and_who_guesses_pays_for_each_question() -> None:
    facts = torch.stack([REAL, PHOTO, SHUFFLED])
    assert float(own3d_loss(knowing(facts), clips_of(3), facts)) == pytest.approx(0, abs=1e-6)
    silent = Answering(*(torch.zeros(3, width) for width in (1, 3, len(KINDS), 1, 4)))
    told = math.log(2) + math.log(3) + math.log(len(KINDS))  # of direction, speed and damage
    strength = (0 + (0.5 - 0.05) + (0.25 - 0.05)) / 3  # smooth L1 with beta 0.1
    camera = (0.5 + 0.5 + 0.125 + 0) / 4
    assert float(own3d_loss(silent, clips_of(3), facts)) == pytest.approx(told + strength + camera, rel=1e-5)


def test_a_batch_in_which_nothing_can_be_asked_costs_the_damage_alone() -> None:
    facts = torch.stack([SHUFFLED, SHUFFLED])
    silent = Answering(*(torch.zeros(2, width) for width in (1, 3, len(KINDS), 1, 4)))
    assert float(own3d_loss(silent, clips_of(2), facts)) == pytest.approx(math.log(len(KINDS)) + 0.2, rel=1e-5)


def test_shares_are_those_of_the_clips_that_could_be_asked() -> None:
    facts = torch.stack([REAL, REAL, PHOTO, SHUFFLED])
    network = knowing(facts)
    network.answers[0][0] *= -1  # one of two directions wrong
    network.answers[2][3] = 0  # one of four damages
    network.answers[4][2, 0] += 1  # two pixels to the right, of two directions
    found = told_right([(clips_of(4), facts)])(network)
    assert found["backwards"] == 0.5
    assert found["speed"] == 1
    assert found["damage"] == 0.75
    assert found["strength off by"] == 0
    assert found["pan off by"] == 1
    assert set(FACTS[:4]) >= {"backwards", "speed", "damage"}


def test_guessing_is_as_right_as_one_answer_can_be() -> None:
    backwards = REAL.clone()
    backwards[0] = 0
    found = guessed_right([(clips_of(5), torch.stack([REAL, REAL, backwards, PHOTO, SHUFFLED]))])
    assert found["backwards"] == (pytest.approx(2 / 3), 3)
    assert found["speed"] == (1, 3)
    assert found["damage"] == (pytest.approx(3 / 5), 5)
    assert found["strength off by"] == (pytest.approx((0.5 + 0.25) / 5), 5)
    assert found["pan off by"] == (0, 1)


def test_what_no_clip_was_asked_has_no_figure() -> None:
    lessons = [(clips_of(2), torch.stack([SHUFFLED, SHUFFLED]))]
    names = ["damage", "strength off by"]
    assert list(told_right(lessons)(knowing(lessons[0][1]))) == list(guessed_right(lessons)) == names


def test_all_that_is_trained_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = TrainableOwn3d(bfloat16=True)
    own3d_loss(network, clips_of(2), torch.stack([REAL, PHOTO])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.abs().max()) > 0, name


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    network = TrainableOwn3d(bfloat16=False)
    clips = clips_of(2)
    with torch.no_grad():
        trained = network.network(clips)
        for name, features in network.folded()(clips).items():
            torch.testing.assert_close(features, trained[name], rtol=1e-4, atol=1e-5)


def test_balancing_scales_every_layer_to_one_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    network = TrainableOwn3d(bfloat16=False).folded()
    clips, others = clips_of(2), clips_of(3, 48)
    before = network(others)
    sizes = {name: features.square().mean().sqrt() for name, features in network(clips).items()}
    balance(network, clips)
    for name, features in network(clips).items():
        assert float(features.square().mean()) == pytest.approx(1, rel=1e-4)
        torch.testing.assert_close(network(others)[name], before[name] / sizes[name], rtol=1e-4, atol=1e-4)
