from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import TinyVideoBackbone, pictures
from vidperc.losses.feature import Feature
from vidperc.losses.mix import Mix, mix
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import L1
from vidperc.losses.sample import Sample
from vidperc.losses.video_feature import VideoFeature


def test_lambda_lies_between_both() -> None:
    pixel, perceptual = torch.tensor(2.0), torch.tensor(10.0)
    assert [float(mix(pixel, perceptual, perceptual_share=share)) for share in (0.0, 0.25, 1.0)] == [2, 4, 10]


def test_what_has_no_share_cannot_spoil_the_rest() -> None:
    nothing, number = torch.tensor(torch.nan), torch.tensor(3.0)
    assert float(mix(number, nothing, perceptual_share=0)) == 3 == float(mix(nothing, number, perceptual_share=1))


def test_its_gradients_are_right() -> None:
    pair = torch.rand(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: mix(p[0], p[1], perceptual_share=0.3), (pair,))


def test_a_share_above_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"perceptual_share: got 1\.5, wanted 0 to 1"):
        mix(torch.tensor(0.0), torch.tensor(0.0), perceptual_share=1.5)


def test_it_needs_and_wants_what_its_terms_do() -> None:
    term = Mix(perceptual_share=0.5, pixel=L1(), perceptual=VideoFeature(layers={"layer1": 1.0}))
    assert term.needs == {"true", "clip"} and [wanted.backbone for wanted in term.wanted] == ["own"]
    feature = Mix(perceptual_share=0.5, pixel=L1(), perceptual=Feature(layers={"relu1_1": 1.0}))
    assert feature.needs == {"true"} and [wanted.layers for wanted in feature.wanted] == [("relu1_1",)]


def test_what_its_terms_refuse_begins_with_its_name(monkeypatch) -> None:
    monkeypatch.setattr("vidperc.perception.video_backbone.open_video_backbone", lambda *_, **__: TinyVideoBackbone())
    term = Mix(perceptual_share=0.5, pixel=L1(), perceptual=VideoFeature(layers={"layer1": 1.0}))
    one = pictures(1, 3, 40, 40)
    with pytest.raises(ValueError, match=r"^mix: got a clip of 1 frame, wanted at least 2 frames"):
        Objective.open([term])(Sample(out=one, true=one))
