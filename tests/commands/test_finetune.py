from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.clips import make_clip, picture
from vidperc.models.zoo import find_card

RECIPE = """\
name: small
summary: for a test
data: waves
start_from: fast-x2.safetensors
clips: {videos: ["."], count: 4, frames: 3, side: 64}
frames: 2
objective:
  terms:
    - kind: charbonnier
    - {kind: warp, weight: 0.5}
schedule: {steps: 3, batch: 1, patch: 16, learning_rate: 0.001, warmup: 0, ema: 0.5}
"""

Vidperc = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        make_clip(folder / f"clip{number}.mkv", frames=8, size=(112, 96))
    return folder


@pytest.fixture
def vidperc(vidperc: Vidperc, tmp_path: Path) -> Vidperc:
    """Runs a command line in a folder that holds small.yaml."""
    (tmp_path / "small.yaml").write_text(RECIPE)
    return vidperc


FINETUNE = ("finetune", "-m", "fast-x2", "--recipe", "small.yaml", "--threads", "1")


def test_a_network_is_trained_further_and_measured_on_what_was_held_out(
    vidperc: Vidperc, clips: Path, tmp_path: Path
) -> None:
    code, out, err = vidperc(*FINETUNE, "--clips", str(clips))
    assert code == 0, err
    assert err[0] == "held out: clip2.mkv"
    told = [re.fullmatch(r"(clips .*?) +([\d.]+) -> +([\d.]+)  \([+-][\d.]+ %\)", line) for line in out[:-1]]
    assert all(told)
    assert {"clips Y-PSNR", "clips warping error", "clips tOF"} <= {line[1] for line in told if line}
    assert out[-1].startswith("fast-x2-finetuned.safetensors: for -m; 3 steps, its log is ")
    made = tmp_path / "fast-x2-finetuned.safetensors"
    card = find_card(str(made))
    start = find_card("fast-x2")
    assert (card.scale, card.parameters, card.licence) == (2, start.parameters, start.licence)
    assert card.command == f"vidperc finetune -m fast-x2 --clips {clips.name}"
    assert "fast-x2" in card.data and clips.name in card.data
    assert str(clips) not in str(card)
    assert (tmp_path / "fast-x2-finetuned.training" / "fast-x2-finetuned.html").is_file()
    # It is another network now, and it runs.
    assert card.sha256 != start.sha256
    assert vidperc("upscale", str(clips / "clip0.mkv"), "-o", "large.mkv", "-m", str(made), "--workers", "1")[0] == 0


def test_a_community_file_is_trained_further_and_stays_one(vidperc: Vidperc, clips: Path, tmp_path: Path) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=1, upscale=2)
    torch.save({"params": network.state_dict()}, tmp_path / "theirs.pth")
    code, _, err = vidperc(
        "finetune", "-m", "theirs.pth", "--recipe", "small.yaml", "--clips", str(clips), "-o", "mine.safetensors"
    )
    assert code == 0, err
    card, start = find_card(str(tmp_path / "mine.safetensors")), find_card(str(tmp_path / "theirs.pth"))
    assert (card.architecture, card.scale, card.parameters) == (start.architecture, 2, start.parameters)
    before, after = network.state_dict(), load_file(tmp_path / "mine.safetensors")
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name].float()) for name in before)


def test_what_gives_no_clip_is_not_held_out(vidperc: Vidperc, clips: Path, tmp_path: Path) -> None:
    """Of three files the last is damaged, and the one before it too short."""
    mixed = Path(shutil.copytree(clips, tmp_path / "mixed"))
    make_clip(mixed / "clip2.mkv", frames=2, size=(112, 96))
    (mixed / "clip3.mkv").write_bytes(b"no video")
    code, _, err = vidperc(*FINETUNE, "--clips", str(mixed))
    assert code == 0, err
    assert err[0] == "held out: clip1.mkv"
    told = next(line for line in err if line.startswith("left out 2 of 3 videos"))
    assert "clip2.mkv" in told and "clip3.mkv" in told
    (mixed / "clip0.mkv").write_bytes(b"no video either")
    code, _, err = vidperc(*FINETUNE, "--clips", str(mixed), "-o", "one.safetensors")
    assert code == 0, err
    assert err[0].endswith("mixed: nothing is held out, all that gives clips is learnt from")
    (mixed / "clip3.mkv").rename(mixed / "clip9.mkv")
    code, _, err = vidperc(*FINETUNE, "--clips", str(mixed), "-o", "other.safetensors", "--held-out", "clip9.mkv")
    assert code == 1
    assert err[-1].startswith("vidperc: held out: no video gives a clip: left out 1 of 1 videos: 1 unreadable (clip9")


def test_a_clip_with_a_damaged_frame_is_held_out_without_it(vidperc: Vidperc, tmp_path: Path) -> None:
    """Two clips below the folder, which are named alike."""
    for number in range(2):
        folder = tmp_path / "footage" / str(number) / "frames"
        folder.mkdir(parents=True)
        for place in range(8):
            Image.fromarray(picture(place, 112, 96)).save(folder / f"{place}.png")
    (tmp_path / "footage" / "1" / "frames" / "4.png").write_bytes(b"no image")
    code, _, err = vidperc(*FINETUNE, "--clips", "footage")
    assert code == 0, err
    assert err[0] == "held out: 1/frames"
    told = "left out of the footage, with clips across them: 1 images ("
    assert [line for line in err if line.startswith(told) and "4.png" in line]


def test_a_full_disk_at_the_end_is_one_line_and_leaves_no_half_file(
    vidperc: Vidperc, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidperc.commands.finetune.shutil.copyfile", full)
    code, _, err = vidperc(*FINETUNE, "--clips", str(clips), "-o", "(mine).safetensors")
    assert code == 1
    assert (
        "(mine).safetensors: cannot be written (No space left on device); make room and ask again, or take " in err[-1]
    )
    assert (tmp_path / "(mine).training" / "mine-.safetensors").is_file()
    assert not list(tmp_path.glob("*.partial")) and not (tmp_path / "(mine).safetensors").exists()


def test_what_options_say_is_not_set_in_the_recipe(vidperc: Vidperc, clips: Path) -> None:
    for setting, option in (
        ("name=mine", "-o"),
        ("start_from=a.safetensors", "-m"),
        ("clips.held_out=[a]", "--held-out"),
    ):
        code, _, err = vidperc(*FINETUNE, "--clips", str(clips), "--set", setting)
        assert (code, err) == (1, [f"vidperc: --set {setting}: is not the recipe's to say here; use {option}"])


def test_what_a_recipe_holds_out_is_not_learnt_from(vidperc: Vidperc, clips: Path, tmp_path: Path) -> None:
    held = RECIPE.replace('videos: ["."],', 'videos: ["."], held_out: [clip0.mkv],')
    (tmp_path / "small.yaml").write_text(held)
    code, _, err = vidperc(*FINETUNE, "--clips", str(clips))
    assert code == 0, err
    assert err[0] == "held out: clip0.mkv"


def test_photographs_that_are_no_video_are_told(vidperc: Vidperc, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(picture(number, 112, 96 + number % 2)).save(folder / f"photo{number}.png")
    code, _, err = vidperc(*FINETUNE, "--clips", str(folder))
    assert code == 1
    assert "1 without a shot of 3 frames (album without 6 images: " in err[-1]
    assert "photo1.png: is 112x97, most are 112x96; ...); wanted videos, or in a folder the frames of one" in err[-1]


def test_a_damaged_frame_of_a_folder_is_named(vidperc: Vidperc, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(picture(number, 112, 96)).save(folder / f"{number}.png")
    whole = (folder / "4.png").read_bytes()
    (folder / "4.png").write_bytes(whole[: len(whole) // 2])
    code, _, err = vidperc(*FINETUNE, "--clips", str(folder), "--set", "clips.count=12")
    assert code == 0, err
    told = "left out of the footage, with clips across them: 1 images ("
    assert any(line.startswith(told) and "4.png: cannot be read" in line for line in err), err


def test_nothing_is_held_out_of_a_single_file(vidperc: Vidperc, clips: Path) -> None:
    code, out, err = vidperc(*FINETUNE, "--clips", str(clips / "clip0.mkv"))
    assert code == 0, err
    assert "nothing is held out, all that gives clips is learnt from" in err[0]
    assert len(out) == 1


def test_an_interrupted_finetuning_goes_on(
    vidperc: Vidperc, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidperc.training import follow as follow_module

    monkeypatch.setattr(follow_module, "_LEAST_BETWEEN", 1)
    pay_for, calls = follow_module.pay_for, iter(range(100))

    def interrupted(*arguments: object, **more: object) -> Callable[..., object]:
        pay = pay_for(*arguments, **more)  # type: ignore[arg-type]

        def paying(*given: object) -> object:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return pay(*given)  # type: ignore[arg-type]

        return paying

    asked = (*FINETUNE, "--clips", str(clips))
    with monkeypatch.context() as patch:
        patch.setattr(follow_module, "pay_for", interrupted)
        code, _, err = vidperc(*asked)
    assert code == 130
    assert err[-1].startswith("vidperc: stopped; the same command goes on from ")
    assert not (tmp_path / "fast-x2-finetuned.safetensors").exists()
    code, _, err = vidperc(*asked)
    assert code == 0
    assert any("going on from step 2 of 3" in line for line in err)
    assert vidperc(*asked, "-o", "whole.safetensors")[0] == 0
    one, other = (load_file(tmp_path / name) for name in ("fast-x2-finetuned.safetensors", "whole.safetensors"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("-m", "fast-x3"), "-m fast-x3: no network that learns, wanted one of fast-x2, "),
        (("-m", "bicubic"), "-m bicubic: no network that learns"),
        (("--clips", "nowhere"), "nowhere: "),
        (("-o", "made.pth"), "-o made.pth: networks are written as .safetensors"),
        (("-o", "there.safetensors"), "there.safetensors: is there already"),
        (("-o", "folder.safetensors", "-y"), "-o folder.safetensors: is a folder, wanted the name of a file"),
        (("--set", "clips.side=33"), "side: got 33, wanted a multiple of 2"),
        (("--set", "patch=40"), "clips: got a side of 64, wanted one that holds a crop of 80"),
        (("--held-out", "none*"), "held_out: 'none*' is none of the 3 files"),
        (("--held-out", "*"), "are held out of training"),
        (("--recipe", "fast-x2"), "fast-x2: wanted a recipe of `clips` and no `network`"),
        (("--set", "clips.frames=50"), "frames"),
    ],
)
def test_a_mistake_is_one_line(
    vidperc: Vidperc, clips: Path, tmp_path: Path, changed: tuple[str, str], told: str
) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"mine")
    (tmp_path / "folder.safetensors").mkdir()
    code, out, err = vidperc(*FINETUNE, "--clips", str(clips), *changed)
    assert (code, out) == (1, [])
    assert told in err[-1]
    assert err[-1].startswith("vidperc: ")
    assert (tmp_path / "there.safetensors").read_bytes() == b"mine"
    assert not list(tmp_path.glob("*finetuned.safetensors"))
