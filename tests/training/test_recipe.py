from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.recurrent_files import save_recurrent
from vidperc.errors import VidpercError
from vidperc.losses.objective import ObjectiveSpec
from vidperc.losses.pixel import L1
from vidperc.models.load import load_model
from vidperc.models.luma import LumaShape, TrainableLuma
from vidperc.models.own_card import own_card, shipped_path
from vidperc.models.trainable_recurrent import TrainableRecurrent
from vidperc.models.weights import LumaNetwork, read_network
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.placement import Placement
from vidperc.training import follow as follow_module
from vidperc.training import pairs as pairs_module
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.follow import find_start, follow
from vidperc.training.images import Pair
from vidperc.training.loop import Paid, checkpoint_path
from vidperc.training.material import Material
from vidperc.training.recipe import Degraded, Recipe, Shape
from vidperc.training.schedule import Schedule
from vidperc.training.students import begin_with, go_back, open_student

SHAPE = LumaShape(scale=2, channels=8, depth=1)
TINY = Recipe(
    name="tiny-x2",
    summary="small enough for a test",
    data="made-up textures (CC0)",
    network=Shape(scale=2, channels=8, depth=1),
    images=("textures",),
    sizes=(1.0, 0.6),
    validation="held_out",
    schedule=Schedule(steps=6, batch=2, patch=16, learning_rate=0.01, warmup=1, seed=3),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _short_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "_CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(pairs_module, "_MEASURED", 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:70, :90]
    for place, (name, count) in enumerate({"textures": 3, "held_out": 2}.items()):
        (folder / name).mkdir()
        for number in range(count):
            wave = 128 + 60 * np.sin((x + number) / (3 + place)) + 50 * np.sin((x - y) / (2 + number))
            noise = np.random.default_rng(number).normal(0, 8, (70, 90, 3))
            picture = (wave[..., None] * (1, 0.9, 0.7) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


def followed(recipe: Recipe, data: Path, folder: Path, said: list[str] | None = None) -> Path:
    return follow(recipe, data, folder, threads=1, say=(said if said is not None else []).append).path


def content(path: Path) -> tuple[dict[str, str], dict[str, list[float]]]:
    """What a file says and holds. Its bytes differ: safetensors writes the text in an order of its own each time."""
    with safe_open(path, "pt") as file:
        said = file.metadata()
    return said, {name: tensor.flatten().tolist() for name, tensor in load_file(path).items()}


def test_a_recipe_writes_a_network_that_runs_and_whose_card_says_how_it_was_made(data: Path, tmp_path: Path) -> None:
    path = followed(TINY, data, tmp_path / "out")
    assert path == tmp_path / "out" / "tiny-x2.safetensors"
    assert {file.name for file in path.parent.iterdir()} == {
        path.name,
        *(f"tiny-x2.{what}" for what in ("checkpoint.safetensors", "csv", "html")),
    }
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode, "others may read it, as any file made here"
    card = own_card(path)
    assert card is not None
    assert (card.name, card.scale, card.licence) == ("tiny-x2", 2, "Apache-2.0")
    assert (card.summary, card.data) == (TINY.summary, TINY.data)
    assert (card.parameters, card.channels, card.reach) == (SHAPE.parameters, 8, SHAPE.reach)
    assert (card.steps, card.seed) == (6, 3)
    assert card.command == "vidperc train tiny-x2 --data DATA --out FOLDER"
    assert card.figures.startswith("held_out Y-PSNR ")
    assert "dB (bicubic " in card.figures
    model = load_model(str(path), None, Placement())
    assert model.card == card
    frame = torch.rand(1, 3, 21, 30, generator=torch.Generator().manual_seed(0))
    assert model(frame).shape == (1, 3, 42, 60)


def test_a_network_learns_what_bicubic_lacks(data: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, schedule=Schedule(steps=300, batch=4, patch=16, learning_rate=0.005, warmup=5, ema=0.9))
    card = own_card(followed(recipe, data, tmp_path))
    assert card is not None
    made, bicubic = (float(db) for db in re.findall(r"\d+\.\d+", card.figures))
    assert made > bicubic + 0.2


def running(path: Path, luma: Tensor) -> Tensor:
    """What the network in the file adds to bicubic, in bfloat16."""
    model = load_model(str(path), None, Placement(precision="bfloat16"))
    height, width = (model.card.scale * side for side in luma.shape[2:])
    return model(luma) - resize(luma, (height, width), "bicubic")


def test_the_folded_network_gives_what_the_trained_one_gives(data: Path, tmp_path: Path) -> None:
    path = followed(TINY, data, tmp_path)
    network = TrainableLuma(SHAPE, expand=TINY.expand)
    saved = load_file(checkpoint_path(TINY.name, tmp_path))
    network.load_state_dict({name: saved[f"average.{name}"] for name, _ in network.named_parameters()}, strict=False)
    luma = rgb_luma(torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        wanted = torch.nn.functional.pixel_shuffle(network(luma), 2)
    # Weights and numbers between the three layers have 8 bits each, and some of the weights round the other way when
    # they were rounded to float16 before.
    assert float((running(path, luma) - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_an_interrupted_training_gives_the_same_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = followed(TINY, data, tmp_path / "whole")
    pay, calls = follow_module.pay_for_luma, iter(range(100))

    def interrupted(network: nn.Module, batch: ClipBatch) -> Paid:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return pay(network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(follow_module, "pay_for_luma", interrupted)
        with pytest.raises(KeyboardInterrupt):
            followed(TINY, data, tmp_path / "again")
    said: list[str] = []
    again = followed(TINY, data, tmp_path / "again", said)
    assert said[0] == "tiny-x2.checkpoint.safetensors: going on from step 2 of 6"
    assert content(again) == content(whole)
    assert content(followed(TINY, data, tmp_path / "again")) == content(whole)


def test_a_checkpoint_refuses_a_network_of_another_shape(data: Path, tmp_path: Path) -> None:
    followed(TINY, data, tmp_path)
    for shape in (Shape(scale=2, channels=9, depth=1), Shape(scale=4, channels=8, depth=1)):
        with pytest.raises(VidpercError, match=r"is of another recipe: network\..* remove it to begin anew") as refused:
            followed(replace(TINY, network=shape), data, tmp_path)
        assert "\n" not in str(refused.value)


def test_degraded_pairs_are_made_once_and_measured(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(TINY, degraded=Degraded(count=5, side=40))
    made, make = [], pairs_module.make_degraded_pairs

    def counted(*arguments: object, **asked: object) -> list[Pair]:
        made.append(asked["count"])
        return make(*arguments, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr(pairs_module, "make_degraded_pairs", counted)
    card = own_card(followed(recipe, data, tmp_path))
    assert card is not None
    assert "held_out Y-PSNR" in card.figures and "degraded held_out Y-PSNR" in card.figures
    assert made == [3, 5]
    checkpoint_path(recipe.name, tmp_path).unlink()
    said: list[str] = []
    followed(recipe, data, tmp_path, said)
    assert made == [3, 5, 3]
    assert "its pairs are taken" in said[0]
    checkpoint_path(recipe.name, tmp_path).unlink()
    followed(replace(recipe, sizes=(1.0,)), data, tmp_path)
    assert made == [3, 5, 3, 3, 5]


def test_a_network_begins_with_the_layers_of_another_that_fit(data: Path, tmp_path: Path) -> None:
    start = read_network(followed(TINY, data, tmp_path))
    assert isinstance(start, LumaNetwork)
    torch.manual_seed(1)
    network = TrainableLuma(LumaShape(scale=4, channels=8, depth=1), expand=2)
    last = network.folded()["2.weight"]
    assert begin_with(network, tmp_path / "tiny-x2.safetensors") == 2
    folded = network.folded()
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        torch.testing.assert_close(folded[name], start.weights[name])
    assert torch.equal(folded["2.weight"], last)


def test_a_start_is_told_and_must_stay_what_it_was(data: Path, tmp_path: Path) -> None:
    followed(TINY, data, tmp_path)
    recipe = replace(TINY, name="tiny-x4", network=replace(TINY.network, scale=4), start_from="tiny-x2.safetensors")
    recipe = replace(recipe, schedule=replace(TINY.schedule, patch=12))
    said: list[str] = []
    followed(recipe, data, tmp_path, said)
    assert said[0].startswith("tiny-x4: begins with 2 of its 3 layers from ")
    start = tmp_path / "tiny-x2.safetensors"
    other = {name: value + 1 for name, value in load_file(start).items()}
    with safe_open(start, "pt") as file:
        card = file.metadata()
    followed(recipe, data, tmp_path)  # what is finished is taken from its checkpoint
    save_file(other, start, card)
    with pytest.raises(
        VidpercError, match=r"tiny-x4\.checkpoint\.safetensors: is of another recipe: content of its start "
    ):
        followed(recipe, data, tmp_path)
    start.unlink()
    with pytest.raises(VidpercError, match="no such file, wanted the network that start_from names"):
        followed(recipe, data, tmp_path)


def test_other_pictures_of_the_same_names_are_another_training(data: Path, tmp_path: Path) -> None:
    copied, folder = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "made"
    degraded = replace(TINY, name="degraded", degraded=Degraded(count=2, side=32))
    followed(TINY, copied, folder)
    followed(degraded, copied, folder)
    pairs = set(folder.glob("*.pairs-*"))
    picture = copied / "textures" / "1.png"
    Image.open(picture).rotate(180).save(picture)
    for recipe in (TINY, degraded):
        with pytest.raises(VidpercError, match="is of another recipe: content of its files "):
            followed(recipe, copied, folder)
    assert pairs < set(folder.glob("*.pairs-*"))


def test_a_picture_that_cannot_be_read_is_left_out_and_counted(data: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(data, tmp_path / "data"))
    picture = copied / "textures" / "1.png"
    picture.write_bytes(picture.read_bytes()[:900])
    said: list[str] = []
    followed(TINY, copied, tmp_path / "made", said)
    assert any(re.match(r"left out 1 of 3 images: .*1\.png: cannot be read as an image", line) for line in said), said
    for name in ("0", "2"):
        (copied / "textures" / f"{name}.png").write_bytes(b"")
    with pytest.raises(VidpercError, match=r"0\.png: cannot be read as an image"):
        followed(TINY, copied, tmp_path / "none")


def test_muon_without_a_kernel_for_it_is_told(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    followed(replace(TINY, schedule=replace(TINY.schedule, optimiser="muon")), data, tmp_path, said)
    assert "optimiser: muon is for kernels of 32 channels and more" in " ".join(said)
    wide = replace(TINY, name="wide", network=Shape(scale=2, channels=32, depth=1))
    said = []
    followed(replace(wide, schedule=replace(TINY.schedule, optimiser="muon")), data, tmp_path, said)
    assert "muon" not in " ".join(said)


def test_frames_ahead_are_as_many_in_all_processes_of_a_step(data: Path, tmp_path: Path) -> None:
    clips = Material(images=("textures",), count=2, frames=6, side=32)
    recipe = replace(TINY, images=(), clips=clips, frames=2, ahead=4, schedule=replace(TINY.schedule, patch=8))
    open_material = follow_module._open_material
    draw = open_material(recipe, data, tmp_path, scale=2, threads=1, together=4, say=print)
    drawn = [[draw(range(first, first + 2)) for first in (4 * turn, 4 * turn + 2)] for turn in range(30)]
    assert all(one.ahead == other.ahead for one, other in drawn)
    assert {one.ahead for one, _ in drawn} == {0, 1, 2, 3, 4}
    for one, _ in drawn:
        assert one.small.shape[1] == one.ahead + 2 and one.learnt().small.shape[1] == 2
        assert torch.equal(one.learnt().small, one.small[:, one.ahead :])


def test_part_of_what_was_learnt_lies_between_the_start_and_all_of_it(data: Path, tmp_path: Path) -> None:
    start = read_network(followed(TINY, data, tmp_path))
    further = replace(TINY, name="further", start_from="tiny-x2.safetensors")
    learnt = read_network(followed(further, data, tmp_path))
    # From the same checkpoint, for the training is the same.
    part = read_network(followed(replace(further, share_learnt=0.25), data, tmp_path))
    moved = 0.0
    for name, weight in part.weights.items():
        torch.testing.assert_close(
            weight, torch.lerp(start.weights[name], learnt.weights[name], 0.25), atol=2e-3, rtol=0
        )
        moved = max(moved, float((learnt.weights[name] - start.weights[name]).abs().max()))
    assert moved > 0.02, "the bound above must tell the start from what was learnt"


def test_what_is_measured_on_the_way_is_what_would_be_written(data: Path, tmp_path: Path) -> None:
    followed(TINY, data, tmp_path)
    further = replace(TINY, name="further", start_from="tiny-x2.safetensors", share_learnt=0.25)
    made = follow(further, data, tmp_path, threads=1, say=lambda line: None)
    with (tmp_path / "further.csv").open() as file:
        *_, last = csv.DictReader(file)
    (name, figure), *_ = made.after.items()
    assert float(last[f"figure/{name}"]) == pytest.approx(figure, rel=1e-5)
    assert made.before == {} and len(list(tmp_path.glob("*.html"))) == 2


def test_part_of_what_a_network_of_others_learnt_lies_between_too(data: Path, tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    state = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2).state_dict()
    save_file(state, tmp_path / "theirs.safetensors")
    further = replace(
        TINY,
        name="further",
        network=None,
        start_from="theirs.safetensors",
        objective=ObjectiveSpec(terms=(L1(),)),
    )
    learnt = load_file(followed(further, data, tmp_path))
    part = load_file(followed(replace(further, share_learnt=0.25), data, tmp_path))
    moved = 0.0
    for name, start in state.items():
        torch.testing.assert_close(part[name].float(), torch.lerp(start, learnt[name].float(), 0.25), atol=2e-3, rtol=0)
        moved = max(moved, float((learnt[name].float() - start).abs().max()))
    assert moved > 0.02, "the bound above must tell the start from what was learnt"


def test_a_recurrent_network_goes_part_of_the_way_back(tmp_path: Path) -> None:
    path = save_recurrent(tmp_path / "moving.safetensors")
    network = open_student(path, expand=2)
    assert isinstance(network, TrainableRecurrent)
    start = network.folded()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1)
    learnt = network.folded()
    go_back(network, path, share_learnt=0.25)
    for name, weight in network.folded().items():
        torch.testing.assert_close(weight, torch.lerp(start[name], learnt[name], 0.25), atol=1e-4, rtol=0)
        assert not torch.allclose(learnt[name], start[name], atol=1e-2)
    with pytest.raises(VidpercError, match="has not the shape of the recipe's network; leave share_learnt out"):
        go_back(network, shipped_path("fast-x2"), share_learnt=0.25)


@pytest.mark.parametrize("change", [{"share_learnt": 0.0}, {"share_learnt": 1.5}, {"share_learnt": 0.5}])
def test_a_share_is_of_something_learnt_from_a_start(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share_learnt"):
        replace(TINY, **change)


def test_a_start_comes_from_the_folder_before_the_shipped_ones(tmp_path: Path) -> None:
    assert find_start("fast-x2.safetensors", tmp_path) == shipped_path("fast-x2")
    (tmp_path / "fast-x2.safetensors").touch()
    assert find_start("fast-x2.safetensors", tmp_path) == tmp_path / "fast-x2.safetensors"
    with pytest.raises(VidpercError, match="no such file"):
        find_start("other.safetensors", tmp_path)


def test_a_start_that_is_no_network_of_ours_or_fits_nowhere_is_refused(data: Path, tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    network = TrainableLuma(LumaShape(scale=2, channels=9, depth=1), expand=0)
    with pytest.raises(VidpercError, match="no known architecture has these 1 weights"):
        begin_with(network, tmp_path / "other.safetensors")
    with pytest.raises(VidpercError, match="none of its layers has a shape"):
        begin_with(network, followed(TINY, data, tmp_path))


def test_folders_that_do_not_fit_are_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases = [
        (TINY, tmp_path / "absent", tmp_path, "absent: no such folder, wanted the one that holds textures, held_out"),
        (TINY, data, tmp_path / "file", "file: no folder can be made there"),
        (replace(TINY, images=("other",)), data, tmp_path, "other: got no such folder"),
        (replace(TINY, schedule=Schedule(steps=1, patch=60)), data, tmp_path, "is smaller than 120 pixels"),
    ]
    for recipe, source, folder, told in cases:
        with pytest.raises(VidpercError, match=told) as refused:
            followed(recipe, source, folder)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scale": 1}, "scale: got 1, wanted 2 to 8"),
        ({"scale": 9}, "scale: got 9, wanted 2 to 8"),
        ({"channels": 0}, "channels: got 0, wanted at least 1"),
        ({"depth": -1}, "depth: got -1, wanted at least 0"),
        ({"state": -1}, "state: got -1, wanted at least 0"),
        ({"channels": 100_000}, "channels: got 100000, which with a depth of 1 makes 9000[0-9]+ parameters, wanted at"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Shape(**{"scale": 2, "channels": 8, "depth": 1, **wrong})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "../net"}, r"name: got '\.\./net'"),
        ({"expand": -1}, "expand: got -1"),
        ({"images": ()}, "images: got none"),
        ({"sizes": ()}, r"sizes: got \[\]"),
        ({"ahead": 2}, "ahead: got 2, and images to learn from; it is for `clips`"),
        ({"images": (), "clips": Material(videos=("a",)), "ahead": 4}, "ahead: got 4, wanted 0 to 3, as clips are no"),
        ({"validation": "textures/"}, "validation: textures/ is learnt from as well"),
        ({"sizes": (1.0, 1.5)}, r"sizes: got \[1\.0, 1\.5\]"),
        ({"degraded": Degraded(side=42)}, "degraded: got a side of 42, wanted a multiple of 4 that holds a crop of 32"),
        ({"degraded": Degraded(side=28)}, "degraded: got a side of 28"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TINY, **changed)  # type: ignore[arg-type]
