from pathlib import Path

import pytest

from vidperc.compare.degradations import Degradation
from vidperc.config.evaluation import built_in_evaluations, load_evaluation
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
    assert list(built_in_evaluations()) == ["images", "vid4"]
    images, vid4 = load_evaluation("images"), load_evaluation("evaluate_vid4")
    assert [one.name for one in images.sets] == ["Set5", "Kodak"]
    assert images.crop(4) == 4
    assert vid4.degradations == (Degradation(), Degradation(kind="bd", sigma=1.5, phase="centre"))
    assert {"tof", "tlp", "lpips", "psnr"} <= set(vid4.metrics)


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
    with pytest.raises(VidpercError, match=r"unknown evaluation 'image', wanted one of images, vid4.*did you mean"):
        load_evaluation("image")
    assert "the file is empty, wanted an evaluation" in refusal("")
