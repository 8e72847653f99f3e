from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.clips import make_clip
from vidperc.commands.train import train_network
from vidperc.errors import VidpercError
from vidperc.perception.own3d import own3d_card, read_own3d
from vidperc.training import own3d_recipe as recipe_module
from vidperc.training.log import log_paths
from vidperc.training.loop import checkpoint_path
from vidperc.training.own3d_recipe import Own3dRecipe, follow_own3d
from vidperc.training.rows import read_rows
from vidperc.training.schedule import Schedule

TINY = Own3dRecipe(
    name="tiny",
    summary="for a test",
    data="texture (CC0)",
    frames=4,
    bfloat16=False,
    videos=("videos/learnt.mp4",),
    images=("photos",),
    held_out_videos=("videos/other.mp4",),
    schedule=Schedule(steps=4, batch=3, patch=32, warmup=1, learning_rate=0.01),
)


TINY_YAML = """\
kind: own-3d
name: tiny
summary: for a test
data: texture (CC0)
frames: 4
bfloat16: false
videos: [videos/learnt.mp4]
images: [photos]
held_out_videos: [videos/other.mp4]
schedule: {steps: 4, batch: 3, patch: 32, warmup: 1, learning_rate: 0.01}
"""

COMMAND = "vidperc train tiny.yaml --data DATA --out FOLDER"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, few in {"_CHECKPOINT_EVERY": 2, "_ASKED": 8, "_AT_ONCE": 4, "_BALANCED": 4}.items():
        monkeypatch.setattr(recipe_module, name, few)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Holds what the recipe names."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "photos").mkdir()
    make_clip(tmp_path / "videos" / "learnt.mp4", frames=20)
    make_clip(tmp_path / "videos" / "other.mp4", frames=16, size=(64, 64))
    noise = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photos" / "noise.png")
    return tmp_path


def followed(recipe: Own3dRecipe, data: Path, folder: str = "made") -> tuple[Path, list[str]]:
    said: list[str] = []
    return follow_own3d(recipe, data, data / folder, threads=1, say=said.append, command=COMMAND).path, said


def test_it_makes_a_network_whose_card_says_how(data: Path) -> None:
    path, said = followed(TINY, data)
    card = own3d_card(path)
    assert (card.name, card.summary, card.data, card.steps, card.seed) == ("tiny", "for a test", "texture (CC0)", 4, 0)
    assert card.command == COMMAND
    assert card.parameters == TINY.parameters == sum(value.numel() for value in read_own3d(path).parameters())
    assert card.figures.startswith("on held-out scenes: backwards ")
    assert "speed 0." in card.figures and card.figures.endswith(" clips)")
    assert said[0] == "learnt.mp4: 1 scenes, 20 frames"
    assert [line.split(":")[0] for line in said if line.startswith("step")] == ["step 2 of 4", "step 4 of 4"]


def test_its_layers_are_of_one_size(data: Path) -> None:
    path, _ = followed(TINY, data)
    clip = torch.rand(4, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    sizes = [float(features.square().mean().sqrt()) for features in read_own3d(path)(clip).values()]
    assert max(sizes) / min(sizes) < 10  # another kind of clip than they were balanced on


def test_after_an_interruption_it_makes_the_same(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = followed(TINY, data, "whole")
    calls = iter(range(100))
    loss = recipe_module.own3d_loss

    def interrupted(*arguments: torch.Tensor) -> torch.Tensor:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return loss(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(recipe_module, "own3d_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        followed(TINY, data)
    assert checkpoint_path(TINY.name, data / "made").is_file()
    monkeypatch.setattr(recipe_module, "own3d_loss", loss)
    path, said = followed(TINY, data)
    assert "tiny.checkpoint.safetensors: going on from step 2 of 4" in said
    one, other = load_file(whole), load_file(path)
    assert all(torch.equal(one[name], other[name]) for name in one)
    log, other_log = (
        [(row.step, row.loss, row.figures) for row in read_rows(data / folder / "tiny.csv")]
        for folder in ("whole", "made")
    )
    assert log == other_log
    assert [step for step, *_ in log] == [1, 2, 3, 4]


def test_its_log_is_that_of_every_training(data: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (data / "tiny.yaml").write_text(TINY_YAML)
    assert train_network(str(data / "tiny.yaml"), data=data, folder=data / "made", threads=1, tensorboard=True) == 0
    table, page, events = log_paths(TINY.name, data / "made")
    rows = read_rows(table)
    judged = {row.step: row.figures for row in rows if row.figures}
    assert list(judged) == [2, 4]
    assert {"backwards", "speed", "damage"} <= set(judged[4])
    text = page.read_text(encoding="utf-8")
    assert COMMAND in text and "step 4 of 4, finished" in text and "backwards" in text
    found = accumulator.EventAccumulator(str(events))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [
        (row.step, pytest.approx(row.loss, rel=1e-6)) for row in rows
    ]
    told = [(event.step, event.value) for event in found.Scalars("figures/speed")]
    assert told == [(step, pytest.approx(figures["speed"], rel=1e-6)) for step, figures in judged.items()]


def test_training_changes_every_weight(data: Path) -> None:
    short, _ = followed(replace(TINY, schedule=replace(TINY.schedule, steps=1)), data, "short")
    long, _ = followed(TINY, data, "long")
    one, other = load_file(short), load_file(long)
    assert not [name for name in one if torch.equal(one[name], other[name])]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "../net"}, r"name: got '\.\./net'"),
        ({"frames": 3}, "frames: got 3, wanted at least 4"),
        ({"schedule": Schedule(steps=1, patch=16)}, "schedule: got a patch of 16, wanted 32 to 216"),
        ({"videos": ()}, "videos: got none"),
        ({"held_out_videos": ("videos/learnt.mp4",)}, "held_out_videos: videos/learnt.mp4 is learnt from too"),
        ({"held_out_images": ("photos",)}, "held_out_videos: photos is learnt from too"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TINY, **changes)  # type: ignore[arg-type]


def test_what_is_missing_is_told_before_anything_is_made(data: Path) -> None:
    with pytest.raises(VidpercError, match=r"absent\.mp4: no such file, wanted a video that the recipe names"):
        followed(replace(TINY, videos=("absent.mp4",)), data)
    assert not (data / "made").exists()
    with pytest.raises(VidpercError, match="no scene has 40 frames"):
        followed(replace(TINY, frames=40), data)
