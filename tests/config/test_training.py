from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vidperc.config.training import built_in_recipes, load_recipe, recipe_path
from vidperc.errors import VidpercError
from vidperc.models.own_card import NAMES
from vidperc.perception.own3d import NAME as OWN3D
from vidperc.training.material import Material
from vidperc.training.own3d_recipe import Own3dRecipe
from vidperc.training.recipe import Degraded, Recipe, Shape

GOOD = """\
name: mine
summary: mine alone
data: my photographs
network: {scale: 2, channels: 8, depth: 1}
images: [photographs]
validation: held_out
schedule:
  steps: 10
"""


@pytest.fixture
def refusal(tmp_path: Path):
    def refuse(text: str) -> str:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        with pytest.raises(VidpercError) as caught:
            load_recipe(str(path))
        message = str(caught.value)
        assert "\n" not in message
        return message.removeprefix(f"{tmp_path}/")

    return refuse


def test_every_shipped_network_has_its_recipe() -> None:
    recipes = built_in_recipes()
    assert set(recipes) >= {*NAMES, OWN3D}
    # The others are examples, and what `finetune` and `adapt` begin with.
    assert all(load_recipe(name).name for name in recipes)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_recipe_makes_the_network_of_its_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe == load_recipe(f"train_{name}")
    assert recipe.name == name
    family, scale, *variant = name.split("-")
    assert f"x{recipe.network.scale}" == scale
    most = {"fast": 65_000, "standard": 650_000, "quality": 1_000_000, "recurrent": 1_000_000}[family]
    assert recipe.network.own.parameters <= most
    assert (recipe.network.state > 0) == (family == "recurrent")
    assert (recipe.degraded is not None) == (variant == ["real"])
    assert (recipe.objective is not None) == (bool(variant) or family == "recurrent")
    assert recipe.licence == "Apache-2.0"


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_recipe_learns_only_from_what_its_card_names_with_a_licence(name: str) -> None:
    recipe = load_recipe(name)
    images = recipe.images if recipe.clips is None else recipe.clips.images
    assert tuple(Path(folder).name for folder in images) == ("train_photos", "gb82_cc0")
    assert recipe.validation not in images
    assert "train_photos (CC0 and Unsplash licence) and gb82_cc0 (CC0)" in recipe.data


def started_from(recipe: Recipe) -> Recipe:
    """The recipe of the network that it begins with, or that its own first stage began with."""
    return load_recipe(Path(recipe.start_from).stem.replace(f"{recipe.name}-first", "standard-x2"))


@pytest.mark.parametrize("name", ["recurrent-x2", "recurrent-x4"])
def test_a_recurrent_network_begins_with_its_image_twin(name: str) -> None:
    recipe = load_recipe(name)
    twin = started_from(recipe)
    assert replace(recipe.network, state=0) == twin.network
    # What learns, and what is measured: nothing is both, and only free videos are learnt from.
    free = ("bbb_", "flower_540p_cc0", "intel_")
    learnt = [Path(video).name for video in recipe.clips.videos if Path(video).name not in recipe.clips.held_out]
    assert all(name.startswith(free) for name in learnt)
    assert not any(name.startswith(free) for name in recipe.clips.held_out)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_recipe_starts_from_a_network_as_wide_and_no_deeper(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.start_from is None:
        return
    start = started_from(recipe)
    assert start.name in NAMES and start.name != name
    if start.start_from is not None:  # which begins anew itself
        assert load_recipe(Path(start.start_from).stem).start_from is None
    assert start.name in recipe.data
    assert start.network.channels == recipe.network.channels
    assert start.network.depth <= recipe.network.depth


def test_a_path_is_read_with_the_settings_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "my.yml"
    path.write_text(GOOD)
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.images, recipe.sizes) == ("mine", ("photographs",), (1.0,))
    assert (recipe.schedule.steps, recipe.schedule.batch) == (10, 16)
    assert recipe.degraded is None
    path.write_text(GOOD + "degraded: {count: 7}\n")
    assert load_recipe(str(path)).degraded == Degraded(count=7)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        VidpercError, match=r"unknown recipe 'fast-x3', wanted one of consistency, fast-x2, .* did you mean 'fast-x"
    ):
        load_recipe("fast-x3")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match=r"absent\.yaml: cannot be read"):
        load_recipe(str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("summary:", "sumary:"), "my.yaml:2: unknown key 'sumary', wanted one of name, summary, "),
        (("depth: 1", "dept: 1"), "my.yaml:4: unknown key 'dept', wanted one of scale, channels, depth"),
        (("  steps: 10", "  stepz: 10"), "my.yaml:8: unknown key 'stepz'"),
        (("name: mine\n", ""), "my.yaml:1: missing key 'name'"),
        (("steps: 10", "steps: ten"), 'my.yaml:8: steps: got "ten", wanted an integer'),
        (("steps: 10", "steps: true"), "my.yaml:8: steps: got true, wanted an integer"),
        (("steps: 10", "steps: 0"), "my.yaml:8: steps: got 0, wanted at least 1"),
        (("[photographs]", "photographs"), 'my.yaml:5: images: got "photographs", wanted a'),
        (("[photographs]", "[]"), "my.yaml:5: images: got none"),
        (("scale: 2", "scale: 9"), "my.yaml:4: scale: got 9, wanted 2 to 8"),
        (("name: mine", "name: a/b"), "my.yaml:1: name: got 'a/b'"),
        (("images:", "sizes: [2]\nimages:"), "my.yaml:5: sizes: got [2.0], wanted factors"),
        (("images:", "degraded: {side: 10}\nimages:"), "my.yaml:5: degraded: got a side of 10"),
        (("images:", "degraded: {count: 0}\nimages:"), "my.yaml:5: count: got 0, wanted at least 1"),
        (("images:", "degraded: {runs: 3}\nimages:"), "my.yaml:5: unknown key 'runs', wanted one of count, side"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(refusal, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    assert refusal(GOOD.replace(*change)).startswith(told)


def test_an_empty_file_and_a_list_are_refused(refusal) -> None:
    assert "the file is empty, wanted a recipe" in refusal("# nothing\n")
    assert refusal("- name: mine\n").startswith("my.yaml:1: ")


def test_the_recipe_of_the_3d_network_names_its_sources_with_their_licences() -> None:
    recipe = load_recipe(OWN3D)
    assert isinstance(recipe, Own3dRecipe)
    assert recipe.name == OWN3D
    assert recipe.images == ("images/train_photos", "images/gb82_cc0")
    free = ("bbb_", "flower_540p_cc0", "friday_480p_bw_cc0", "intel_")
    assert all(Path(video).name.startswith(free) for video in recipe.videos)
    assert not any(Path(video).name.startswith(free) for video in recipe.held_out_videos)
    for source in ("Big Buck Bunny", "CC-BY 3.0", "intel-iot-devkit", "CC-BY 4.0", "MDN", "CC0"):
        assert source in recipe.data


def test_a_mistake_in_a_recipe_of_a_3d_network_is_told_with_its_line(refusal: Callable[[str], str]) -> None:
    text = recipe_path(OWN3D).read_text()
    assert refusal(text.replace("frames: 16", "frame: 16")).startswith("my.yaml:9: unknown key 'frame', wanted one of")
    assert refusal(text.replace("kind: own-3d", "kind: own-4d")).startswith('my.yaml:2: kind: got "own-4d", wanted ')


def test_an_objective_stands_in_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(GOOD + "objective:\n  terms:\n    - kind: l1\n    - {kind: ssim, weight: 0.1}\n")
    objective = load_recipe(str(path)).objective
    assert [(term.called, term.weight) for term in objective.terms] == [("l1", 1.0), ("ssim", 0.1)]


def test_a_mistake_in_an_objective_is_told_with_its_line(refusal) -> None:
    told = refusal(GOOD + "objective:\n  terms:\n    - kind: l3\n")
    assert told.startswith("my.yaml:11: unknown kind 'l3', wanted one of l1, mse")


def test_settings_are_laid_over_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(GOOD)
    recipe = load_recipe(str(path), ["steps=200", "network.depth=3", "schedule.batch=4", "sizes=[0.5]"])
    assert (recipe.schedule.steps, recipe.schedule.batch, recipe.sizes) == (200, 4, (0.5,))
    assert recipe.network == Shape(scale=2, channels=8, depth=3)
    for setting, told in {
        "steps=many": '--set steps=many: steps: got "many", wanted an integer',
        "steps=0": "--set steps=0: steps: got 0, wanted at least 1",
        "stepz=1": "--set stepz=1: unknown key 'stepz'",
        "steps": "--set steps: not a setting, wanted key=value",
        "name.x=1": "--set name.x=1: name is no mapping",
        "expand=-1": "--set expand=-1: expand: got -1",
    }.items():
        with pytest.raises(VidpercError) as caught:
            load_recipe(str(path), [setting])
        assert str(caught.value).startswith(told)
        assert "\n" not in str(caught.value)


def test_a_state_makes_a_network_recurrent_and_wants_clips(tmp_path: Path, refusal: Callable[[str], str]) -> None:
    path = tmp_path / "my.yaml"
    recurrent = GOOD.replace("depth: 1}", "depth: 1, state: 4}")
    on_clips = recurrent.replace("images: [photographs]", "clips: {images: [photographs], held_out: [a.png]}")
    path.write_text(on_clips)
    recipe = load_recipe(str(path))
    assert recipe.network == Shape(scale=2, channels=8, depth=1, state=4)
    assert recipe.clips == Material(images=("photographs",), held_out=("a.png",))
    assert refusal(recurrent).startswith("my.yaml:4: network: a recurrent one learns from clips, got images;")
    assert refusal(recurrent.replace("state: 4", "stat: 4")).startswith("my.yaml:4: unknown key 'stat'")
    for change, told in {
        "frames: 1": "my.yaml:5: frames: got 1, wanted at least 2",
        "side: 100": "my.yaml:5: clips: got a side of 100, wanted one that holds a crop of 128",
        "flow: none": "my.yaml:5: flow: got ",
    }.items():
        assert refusal(on_clips.replace("{images:", "{" + change + ", images:")).startswith(told)


def test_a_network_may_be_what_another_file_holds(tmp_path: Path, refusal) -> None:
    path = tmp_path / "my.yaml"
    without = GOOD.replace("network: {scale: 2, channels: 8, depth: 1}\n", "")
    path.write_text(without + "start_from: other.pth\n")
    recipe = load_recipe(str(path))
    assert (recipe.network, recipe.start_from) == (None, "other.pth")
    assert "network: got neither a shape nor start_from" in refusal(without)
