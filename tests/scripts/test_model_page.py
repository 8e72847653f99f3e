"""The script that writes the page of what the networks cost and give, on small pictures and clips."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import picture
from tests.recurrent_files import SHAPE, save_recurrent
from vidperc.errors import VidpercError

SCRIPT = Path(__file__).parents[2] / "scripts" / "model_page.py"

STILLS = """\
summary: small ones
sets:
  - {name: Stills, images: stills}
scales: [2, 4]
networks: [{model: bicubic}]
metrics: [psnr, ssim]
"""
MOVING = """\
sets:
  - {name: Moving, videos: clips, skip: 1, frames: 2}
scales: [4]
networks: [{model: bicubic}]
metrics: [psnr, tof]
"""


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def task(script, tmp_path, monkeypatch):
    # Frames of full size are timed for the page; what a test wants of it are its tables.
    monkeypatch.setitem(script["make_page"].__globals__, "OUTPUT", (128, 64))
    for name in ("stills/a.png", *(f"clips/walk/{index}.png" for index in range(3))):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).normal(0, 8, (48, 64, 3))
        index = int(path.stem) if path.stem.isdigit() else 0
        Image.fromarray((picture(index, 64, 48) + noise).clip(0, 255).astype(np.uint8)).save(path)
    (tmp_path / "stills.yaml").write_text(STILLS)
    (tmp_path / "moving.yaml").write_text(MOVING)
    evaluations = {tmp_path / f"{name}.yaml": tmp_path for name in ("stills", "moving")}
    return script["Task"](evaluations=evaluations, weights=None, precision="float32", repetitions=1)


def rows_under(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of the table under a heading, by the first one."""
    after = page.partition(f"### {heading}\n")[2].partition("\n#")[0]
    lines = [line.strip("| ").split(" | ") for line in after.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines[1:]}


def test_the_page_has_what_was_measured_and_measures_nothing_twice(script, task, tmp_path, monkeypatch) -> None:
    file, candidates = tmp_path / "kept.json", script["subjects"](["fast-x2", "fast-x4"])
    made = script["make_page"](candidates, task, file, [], "the command")
    kept = json.loads(file.read_text())
    assert list(kept) == ["bicubic", "lanczos", "fast-x2", "fast-x4"]
    twice = rows_under(made, "x2, bicubic: Stills (1 image)")
    assert list(twice) == ["bicubic", "lanczos", "fast-x2"]
    (entry,) = kept["fast-x2"]["stills"]["found"]
    assert twice["fast-x2"][0] == f"**{entry['figures']['psnr@y601,crop2']:.2f}**"
    assert kept["fast-x2"]["moving"]["found"] == []  # that evaluation has not its scale
    moving = rows_under(made, "x4, bicubic: Moving, walk (frames 2 to 3)")
    assert list(moving) == ["bicubic", "lanczos", "fast-x4"]
    (entry,) = kept["fast-x4"]["moving"]["found"]
    assert moving["fast-x4"][1] == f"**{entry['figures']['tof@farneback']:.3f}**"
    assert "Made by `the command`" in made and "-real" not in made

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setitem(script["make_page"].__globals__, "evaluate_networks", never)
    again = script["make_page"](candidates, task, file, [], "the command")
    assert again.partition("## Figures")[2] == made.partition("## Figures")[2]
    # An evaluation that asks something else is measured again, and one with another summary is not.
    (tmp_path / "stills.yaml").write_text(STILLS.replace("small ones", "others"))
    script["make_page"](candidates, task, file, [], "the command")
    (tmp_path / "stills.yaml").write_text(STILLS.replace("[psnr, ssim]", "[psnr]"))
    with pytest.raises(AssertionError, match="measured again"):
        script["make_page"](candidates, task, file, [], "the command")


def test_only_some_are_measured_and_the_others_left_out(script, task, tmp_path) -> None:
    candidates = script["subjects"](["fast-x2", "fast-x4"])
    made = script["make_page"](candidates, task, None, ["fast-x2"], "the command")
    assert "| fast-x2 |" in made and "fast-x4" not in made and "| bicubic |" not in made
    with pytest.raises(VidpercError, match="--only: got fast, wanted some of bicubic, lanczos, fast-x2, fast-x4"):
        script["make_page"](candidates, task, None, ["fast"], "the command")
    (tmp_path / "kept.json").write_text("[1")
    with pytest.raises(VidpercError, match=r"kept\.json: is no JSON .*name another file"):
        script["make_page"](candidates, task, tmp_path / "kept.json", [], "the command")


def test_multiplications_are_those_of_the_layers(script, tmp_path) -> None:
    """fast has 1, 6 and 1 convolutions of 32 channels (docs/networks.md)."""
    by_name = {subject.model: subject for subject in script["subjects"]()}
    per_pixel = 9 * (32 + 6 * 32 * 32 + 32 * 4)
    assert script["gigamacs"](by_name["fast-x2"]) == pytest.approx(per_pixel * 960 * 540 / 1e9)
    assert script["gigamacs"](by_name["bicubic"]) is None
    mine = script["Subject"](model=str(save_recurrent(tmp_path / "mine.safetensors", settle=5)), scales=(2,))
    wide, state = SHAPE.channels, SHAPE.state
    memory = wide * (4 + state + 1 + state) + (4 + state) * wide  # what makes it, and what sees it beside the features
    per_pixel = 9 * (3 * wide + SHAPE.depth * wide * wide + wide * (4 + 1) + memory)
    assert script["gigamacs"](mine) == pytest.approx(per_pixel * 960 * 540 / 1e9)
    assert script["frames_a_second"](mine, 2, "float32", 1) > 0


def test_the_best_of_the_networks_is_bold_and_resampling_is_not(script) -> None:
    rows = {
        "bicubic": {"psnr@y601,crop2": 40.0, "tof@farneback": 0.1},
        "one": {"psnr@y601,crop2": 30.0, "tof@farneback": 0.3},
        "other": {"psnr@y601,crop2": 31.0, "tof@farneback": None},
    }
    head, _, *lines = script["table"](rows)
    assert head == "| | PSNR, dB | tOF, px |"
    assert lines == ["| bicubic | 40.00 | 0.100 |", "| one | 30.00 | **0.300** |", "| other | **31.00** |  |"]
