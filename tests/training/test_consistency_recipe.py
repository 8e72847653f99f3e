"""The recipe of the consistency network, followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vidperc.config.training import load_recipe, recipe_path
from vidperc.errors import VidpercError
from vidperc.losses.objective import ObjectiveSpec
from vidperc.losses.pixel import Charbonnier
from vidperc.losses.warp_loss import Warp
from vidperc.models.own_card import own_card
from vidperc.placement import Placement
from vidperc.stages.steady import Steady
from vidperc.training import consistency_recipe as recipe_module
from vidperc.training.consistency_recipe import ConsistencyRecipe, follow_consistency
from vidperc.training.loop import Made
from vidperc.training.material import Material
from vidperc.training.schedule import Schedule

TINY = ConsistencyRecipe(
    name="tiny",
    summary="small enough for a test",
    data="made-up textures (CC0)",
    channels=16,
    depth=0,
    clips=Material(images=("photos",), count=6, frames=4, side=64, held_out=("2.png",)),
    frames=3,
    objective=ObjectiveSpec(terms=(Charbonnier(), Warp(weight=0.3), Warp(name="warp-long", reach="long", weight=0.1))),
    schedule=Schedule(steps=6, batch=2, patch=24, learning_rate=0.003, warmup=1, ema=0.5, seed=3),
)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(recipe_module, "_CHECKPOINT_EVERY", 3)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    y, x = np.mgrid[:110, :140]
    for number in range(3):
        wave = 128 + 60 * np.sin((x + number) / 3) + 50 * np.sin((x - y) / (2 + number))
        noise = np.random.default_rng(number).normal(0, 8, (110, 140, 3))
        picture = (wave[..., None] * (1, 0.9, 0.7) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "photos" / f"{number}.png")
    return folder


def followed(recipe: ConsistencyRecipe, data: Path, folder: Path, said: list[str] | None = None) -> Made:
    say = (said if said is not None else []).append
    return follow_consistency(recipe, data, folder, threads=1, say=say, command="vidperc train tiny")


def test_it_writes_a_network_that_the_stage_takes_and_a_log(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = followed(TINY, data, tmp_path, said)
    assert made.path == tmp_path / "tiny.safetensors"
    assert (tmp_path / "tiny.csv").is_file() and "warp-long" in (tmp_path / "tiny.html").read_text()
    card = own_card(made.path)
    assert card is not None
    assert (card.architecture, card.name, card.parameters) == ("consistency", "tiny", TINY.shape.parameters)
    assert (card.steps, card.seed, card.command) == (6, 3, "vidperc train tiny")
    assert card.figures.startswith("clips Y-PSNR ") and "(blend by hand " in card.figures
    Steady(method="learned", weights=str(made.path)).open(Placement())
    assert any("clips warping error" in line for line in said)


def test_it_learns_to_be_nearer_to_what_does_not_flicker_than_the_blend(data: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, schedule=replace(TINY.schedule, steps=60, batch=4, learning_rate=0.01))
    made = followed(recipe, data, tmp_path)
    assert made.after["clips Y-PSNR"] > made.before["clips Y-PSNR"] + 0.1


def test_stopped_and_taken_up_again_it_makes_the_same(data: Path, tmp_path: Path) -> None:
    whole = followed(TINY, data, tmp_path / "whole").path
    said: list[str] = []

    class Stop(Exception):
        pass

    def say(line: str) -> None:
        if line.startswith("step 3 of 6"):
            raise Stop

    with pytest.raises(Stop):
        follow_consistency(TINY, data, tmp_path / "parts", threads=1, say=say, command="vidperc train tiny")
    parts = followed(TINY, data, tmp_path / "parts", said).path
    assert any("going on from step 3 of 6" in line for line in said)
    wanted, found = load_file(whole), load_file(parts)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_what_cannot_be_followed_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match="tiny: got no objective"):
        followed(replace(TINY, objective=None), data, tmp_path)
    with pytest.raises(VidpercError, match="no such folder"):
        followed(TINY, data / "elsewhere", tmp_path)
    for field, value, told in (
        ("channels", 8, "at least 16"),
        ("frames", 9, "the 4 of the clips"),
        ("name", "", "name"),
    ):
        with pytest.raises(ValueError, match=told):
            replace(TINY, **{field: value})


def test_the_shipped_recipe_is_under_its_limit_and_names_its_sources() -> None:
    recipe = load_recipe("consistency")
    assert isinstance(recipe, ConsistencyRecipe) and recipe.objective is not None
    assert recipe.shape.parameters < 150_000
    assert [term.called for term in recipe.objective.terms] == ["charbonnier", "warp", "warp-long"]
    for source in ("CC0", "Unsplash", "Big Buck Bunny", "CC-BY 3.0", "CC-BY 4.0"):
        assert source in recipe.data


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    text = recipe_path("consistency").read_text()
    path.write_text(text.replace("frames: 8", "frame: 8"))
    with pytest.raises(VidpercError, match=r"my\.yaml:\d+: unknown key 'frame'"):
        load_recipe(str(path))
