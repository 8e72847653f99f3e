from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from vidperc.config.objective import load_objective
from vidperc.config.pipelines import built_in_folder
from vidperc.errors import VidpercError
from vidperc.losses.feature import Feature
from vidperc.losses.kl import Kl
from vidperc.losses.lpips import Lpips
from vidperc.losses.mix import Mix
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.pixel import L1, Charbonnier
from vidperc.losses.table import TERMS
from vidperc.losses.warp_loss import Warp

GOOD = """\
objective:
  terms:
    - kind: charbonnier
    - kind: feature
      layers: {relu3_3: 1.0}
      weight: 0.1
    - kind: warp
      reach: long
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


def test_every_kind_of_the_table_is_spelt_as_its_key() -> None:
    for kind, term in TERMS.items():
        assert get_args(get_type_hints(term)["kind"]) == (kind,)
        assert next(field for field in fields(term) if field.name == "kind").default == kind


def test_an_objective_is_read(tmp_path) -> None:
    spec = load_objective(written(tmp_path, GOOD))
    assert spec.terms == (Charbonnier(), Feature(layers={"relu3_3": 1.0}, weight=0.1), Warp(reach="long"))
    assert spec.motion == MotionChoice()
    moved = load_objective(written(tmp_path, GOOD + "  motion: {estimator: farneback, size: 120}\n"))
    assert moved.motion == MotionChoice(estimator="farneback", size=120)


def test_a_mix_holds_two_terms(tmp_path) -> None:
    text = """\
objective:
  terms:
    - kind: mix
      perceptual_share: 0.2
      pixel: {kind: l1}
      perceptual: {kind: lpips, trunk: squeeze, weight: 2.0}
    - {kind: kl, reduction: sum}
"""
    terms = load_objective(written(tmp_path, text)).terms
    wanted = Mix(perceptual_share=0.2, pixel=L1(), perceptual=Lpips(trunk="squeeze", weight=2.0))
    assert terms == (wanted, Kl(reduction="sum"))


def test_the_built_in_example_is_read() -> None:
    spec = load_objective(built_in_folder("configs") / "objective_video.yaml")
    called = ["charbonnier", "feature", "warp", "warp-long", "temporal-feature", "video-feature"]
    assert [term.called for term in spec.terms] == called


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("kind: charbonnier", "kind: charbonier"), "my.yaml:3: unknown kind 'charbonier', wanted one of l1, mse, "),
        (("kind: charbonnier", "weight: 1"), "my.yaml:3: missing key 'kind' in terms[0]"),
        (("reach: long", "reach: far"), "my.yaml:8: reach: got \"far\", wanted 'short' or 'long'"),
        (("reach: long", "reech: long"), "my.yaml:8: unknown key 'reech', wanted one of kind, weight, name, reach"),
        (("weight: 0.1", "weight: much"), 'my.yaml:6: weight: got "much", wanted a number'),
        (("weight: 0.1", "weight: .nan"), "my.yaml:6: weight: got "),
        (("{relu3_3: 1.0}", "[relu3_3]"), "my.yaml:5: layers: got a list, wanted "),
        (("{relu3_3: 1.0}", "{relu3_3: -1}"), "my.yaml:5: layers: got -1.0 for relu3_3, wanted a weight above 0"),
        (("      layers: {relu3_3: 1.0}\n", ""), "my.yaml:4: missing key 'layers'"),
        (("kind: charbonnier", "{kind: kl}"), "my.yaml:3: missing key 'reduction'"),
        (("kind: charbonnier", "kind: warp"), "my.yaml:7: terms: two are called warp, wanted a `name` for one of"),
        (("kind: charbonnier", "{kind: l1, name: a b}"), "my.yaml:3: name: got 'a b', wanted letters"),
        (("  terms:", "  motion: {preset: best}\n  terms:"), 'my.yaml:2: preset: got "best", wanted '),
        (("  terms:", "  motion: {size: 3}\n  terms:"), "my.yaml:2: size: got 3, wanted 16 to 16384 pixels"),
        (("  terms:", "  speed: 1\n  terms:"), "my.yaml:2: unknown key 'speed', wanted one of terms, motion"),
        (("objective:", "objectives:"), "my.yaml:1: unknown key 'objectives', wanted one of objective"),
        (
            ("kind: charbonnier", "{kind: mix, perceptual_share: 2, pixel: {kind: l1}, perceptual: {kind: dists}}"),
            "my.yaml:3: perceptual_share: got 2.0, wanted 0 to 1",
        ),
        (
            ("kind: charbonnier", "{kind: mix, perceptual_share: 1, pixel: {kind: warp}, perceptual: {kind: dists}}"),
            "my.yaml:3: unknown kind 'warp', wanted one of l1, mse, ",
        ),
        (
            (
                "kind: charbonnier",
                "{kind: mix, perceptual_share: 1, pixel: {kind: l1, x: 1}, perceptual: {kind: dists}}",
            ),
            "my.yaml:3: unknown key 'x', wanted one of kind, weight, name",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(tmp_path, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(VidpercError) as caught:
        load_objective(path)
    message = str(caught.value).removeprefix(f"{tmp_path}/")
    assert message.startswith(told) and "\n" not in message


def test_an_empty_file_and_no_terms_are_refused(tmp_path) -> None:
    with pytest.raises(VidpercError, match=r"my\.yaml:1: the file is empty, wanted `objective:`"):
        load_objective(written(tmp_path, "# nothing\n"))
    with pytest.raises(VidpercError, match=r"my\.yaml:1: terms: got an empty list, wanted at least 1 item"):
        load_objective(written(tmp_path, "objective: {terms: []}\n"))
