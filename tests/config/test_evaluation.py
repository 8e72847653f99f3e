from pathlib import Path

import pytest

from vidperc.compare.degradations import Degradation
from vidperc.config.evaluation import built_in_evaluations, load_evaluation
from vidperc.config.pipelines import built_in_folder
from vidperc.config.yaml_lines import read_yaml
from vidperc.errors import VidpercError

GOOD = """\
sets:
  - {name: Mine, images: mine}
scales: [2]
networks:
  - model: bicubic
metrics: [psnr]
"""


@pytest.fixture
def refusal(tmp_path: Path):
    def refuse(text: str) -> str:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        with pytest.raises(VidpercError) as caught:
            load_evaluation(str(path))
        message = str(caught.value)
        assert "\n" not in message
        return message.removeprefix(f"{tmp_path}/")

    return refuse


def test_the_built_in_ones_are_read() -> None:
    assert list(built_in_evaluations()) == ["held_out", "images", "vid4"]
    images, vid4 = load_evaluation("images"), load_evaluation("evaluate_vid4")
    assert [one.name for one in images.sets] == ["Set5", "Kodak"]
    assert images.crop(4) == 4
    assert vid4.degradations == (Degradation(), Degradation(kind="bd", sigma=1.5, phase="centre"))
    assert {"tof", "tlp", "lpips", "psnr"} <= set(vid4.metrics)


def test_no_recipe_learns_from_what_is_measured() -> None:
    """Else the figures of the networks that come along would be worth nothing."""
    (clips,) = load_evaluation("held_out").sets
    pictures = {folder for name in ("images", "vid4") for one in load_evaluation(name).sets for folder in [one.folder]}
    assert clips.clips is not None and clips.videos == "real" and pictures == {"set5", "kodak24", "vid4"}
    measured = {f"{name}.mp4" for name in clips.clips}
    recipes = sorted(built_in_folder("configs").glob("train_*.yaml"))
    holding_out = 0
    for path in recipes:
        recipe = read_yaml(path).data
        own = recipe.get("clips", {})
        named = {Path(name).name for name in (*recipe.get("videos", ()), *own.get("videos", ()))}
        held_out = {Path(name).name for name in (*own.get("held_out", ()), *recipe.get("held_out_videos", ()))}
        assert not named & measured - held_out, path.name
        folders = {Path(name).name for name in (*recipe.get("images", ()), *own.get("images", ()))}
        assert folders and not folders & pictures, path.name
        holding_out += measured <= held_out
    assert holding_out >= 4  # both recurrent ones, own-3d and consistency


def test_one_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(GOOD + "border: 8\n")
    mine = load_evaluation(str(path))
    assert mine.degradations == (Degradation(),)
    assert mine.crop(2) == 8


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("images: mine", "images: mine, videos: mine", "my.yaml:2: name: Mine wants one folder"),
        ("images: mine", "image: mine", "my.yaml:2: unknown key 'image'"),
        ("images: mine", "images: mine, frames: 4", "images: Mine asks for clips, frames or skip, wanted videos"),
        ("images: mine", "videos: mine, clips: [a, a]", "clips: got ['a', 'a'], wanted at least 1 name, each once"),
        ("images: mine", "videos: mine, frames: 0", "frames: got 0, wanted at least 1; left out, all"),
        ("images: mine", "videos: mine, skip: -1", "skip: got -1, wanted 0 or more frames"),
        ("[2]", "[1]", "scales: got 1, wanted whole numbers from 2 to 8"),
        ("[2]", "[2, 2]", "scales: 2 twice, wanted each once"),
        ("[2]", "[]", "scales: got an empty list, wanted at least 1 item"),
        ("[psnr]", "[sharpness]", "metrics: got 'sharpness', wanted some of psnr, ssim"),
        ("[psnr]", "[tof]", "metrics: none that one picture has, wanted some of psnr, ssim, ms-ssim, lpips, dists"),
        ("model: bicubic", "model: bicubic\n    steady: 2", "steady: got 2, wanted 0 to 1"),
        ("model: bicubic", "model: bicubic\n  - model: bicubic", "networks: bicubic twice, wanted another label"),
        ("networks:", "border: -1\nnetworks:", "border: got -1, wanted 0 or more pixels"),
        ("networks:", "degradations: [{kind: jpeg}]\nnetworks:", "my.yaml:4: kind: got \"jpeg\", wanted "),
        ("networks:", "degradations: [{sigma: 2}]\nnetworks:", "kind: got bicubic with a sigma or phase, wanted bd"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_line(refusal, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert told in refusal(GOOD.replace(old, new))


def test_unknown_names_and_empty_files(refusal) -> None:
    with pytest.raises(
        VidpercError, match=r"unknown evaluation 'image', wanted one of held_out, images, vid4.*did you mean"
    ):
        load_evaluation("image")
    assert "the file is empty, wanted an evaluation" in refusal("")
