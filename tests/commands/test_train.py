"""`vidperc train` and `vidperc recipes` as the user meets them: lines, exit codes, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from vidperc.models.own_card import NAMES
from vidperc.perception.own3d import NAME as OWN3D
from vidperc.training import follow as follow_module
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.loop import Paid

RECIPE = """\
name: mine
summary: for a test
data: noise (CC0)
network: {scale: 2, channels: 4, depth: 1}
images: [photographs]
validation: held_out
schedule: {steps: 6, batch: 2, patch: 8}
"""

Vidperc = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(follow_module, "_CHECKPOINT_EVERY", 2)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a recipe and the images it names."""
    for seed, name in enumerate(("photographs", "held_out")):
        (tmp_path / "images" / name).mkdir(parents=True)
        noise = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "images" / name / "noise.png")
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def vidperc(vidperc: Vidperc, folder: Path) -> Vidperc:
    """Runs a command line in the folder: exit code, lines on stdout, lines on stderr."""
    assert folder.is_dir()
    return vidperc


TRAIN = ("train", "mine.yaml", "--data", "images", "--out", "made", "--threads", "1")


def test_a_line_is_printed_for_each_checkpoint_and_one_for_the_result(vidperc: Vidperc, folder: Path) -> None:
    code, out, err = vidperc(*TRAIN)
    assert code == 0
    assert [line.split(":")[0] for line in err] == ["step 2 of 6", "step 4 of 6", "step 6 of 6"]
    assert len(out) == 1
    assert out[0].startswith(f"{Path('made', 'mine.safetensors')}: held_out Y-PSNR ")
    assert {path.name for path in (folder / "made").iterdir()} == {
        "mine.safetensors",
        "mine.checkpoint.safetensors",
        "mine.csv",
        "mine.html",
    }


def test_the_card_of_what_was_trained_names_the_command(vidperc: Vidperc) -> None:
    vidperc(*TRAIN)
    code, out, _ = vidperc("models", "show", "made/mine.safetensors")
    assert code == 0
    assert any(line.endswith("vidperc train mine.yaml --data DATA --out FOLDER") for line in out)


def test_a_setting_is_followed_and_named_in_the_card(vidperc: Vidperc) -> None:
    code, _, err = vidperc(*TRAIN, "--set", "steps=3")
    assert code == 0
    assert err[-1].startswith("step 3 of 3")
    _, out, _ = vidperc("models", "show", "made/mine.safetensors")
    assert any("vidperc train mine.yaml --set steps=3 --data DATA" in line for line in out)


def test_after_ctrl_c_the_same_command_goes_on(vidperc: Vidperc, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pay = follow_module.pay_for_luma

    def interrupted_at(call: int) -> None:
        calls = iter(range(100))

        def interrupted(network: nn.Module, batch: ClipBatch) -> Paid:
            if next(calls) == call:
                raise KeyboardInterrupt
            return pay(network, batch)

        monkeypatch.setattr(follow_module, "pay_for_luma", interrupted)

    interrupted_at(1)
    code, out, err = vidperc(*TRAIN)
    assert (code, out) == (130, [])
    assert err == ["vidperc: stopped before the first checkpoint; the same command begins anew"]
    interrupted_at(5)
    code, out, err = vidperc(*TRAIN)
    assert (code, out) == (130, [])
    assert err[-1] == "vidperc: stopped; the same command goes on from the last checkpoint"
    interrupted_at(100)
    code, _, err = vidperc(*TRAIN)
    assert code == 0
    assert err[0] == "mine.checkpoint.safetensors: going on from step 4 of 6"
    made = load_file(folder / "made" / "mine.safetensors")
    assert vidperc(*TRAIN[:5], "whole", *TRAIN[6:])[0] == 0
    whole = load_file(folder / "whole" / "mine.safetensors")
    assert all(torch.equal(made[name], whole[name]) for name in whole)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "fast-x3", "--data", "images", "--out", "made"), "unknown recipe 'fast-x3', wanted one of "),
        (("train", "fast-x2", "--data", "nowhere", "--out", "made"), "nowhere: no such folder, wanted the one that"),
        (("train", "fast-x2", "--data", "images", "--out", "made"), "set5: got no such folder"),
        (("train", "no.yaml", "--data", "images", "--out", "made"), "no.yaml: cannot be read"),
        (("train", "mine.yaml", "--data", "images", "--out", "mine.yaml"), "mine.yaml: no folder can be made there"),
        ((*TRAIN, "--set", "stepz=1"), "--set stepz=1: unknown key 'stepz'"),
        ((*TRAIN[:-1], "0"), "--threads"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    vidperc: Vidperc, folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    code, out, err = vidperc(*arguments)
    assert (code, out) == (1, [])
    assert len(err) == 1
    assert err[0].startswith("vidperc: ")
    assert told in err[0]
    assert not list(folder.glob("made/*"))


def test_an_unknown_key_is_told_with_file_and_line(vidperc: Vidperc, folder: Path) -> None:
    (folder / "mine.yaml").write_text(RECIPE.replace("batch", "bach"))
    code, out, err = vidperc(*TRAIN)
    assert (code, out) == (1, [])
    assert len(err) == 1
    assert err[0].startswith("vidperc: mine.yaml:7: unknown key 'bach', wanted one of steps, batch,")


def test_a_checkpoint_of_another_recipe_is_refused(vidperc: Vidperc, folder: Path) -> None:
    vidperc(*TRAIN)
    for old, new, told in (("channels: 4", "channels: 5", "another recipe: network"), ("6", "8", "another schedule")):
        (folder / "mine.yaml").write_text(RECIPE.replace(old, new))
        code, _, err = vidperc(*TRAIN)
        assert code == 1
        assert len(err) == 1
        assert told in err[0]
        assert "remove it to begin anew" in err[0]


def test_recipes_are_listed_and_shown(vidperc: Vidperc, folder: Path) -> None:
    code, out, _ = vidperc("recipes", "list")
    assert code == 0
    assert {line.split()[0] for line in out} >= {*NAMES, OWN3D}
    code, out, _ = vidperc("recipes", "show", "fast-x2-real")
    assert code == 0
    assert "name: fast-x2-real" in out
    assert vidperc("recipes", "show", "mine.yaml")[1] == RECIPE.splitlines()
    assert vidperc("recipes", "show", "fast-x3")[0] == 1
