from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.clips import decoded_frames, make_clip, picture
from vidperc.commands.adapt import _detail_drawn
from vidperc.config.finetune import adapt_recipe
from vidperc.engine.journal import OutputLock
from vidperc.models.own_card import shipped_path
from vidperc.models.zoo import find_card
from vidperc.training.schedule import Schedule

Vidperc = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def vidperc(vidperc: Vidperc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vidperc:
    """Runs a command line in a folder that holds clip.mkv."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_clip(tmp_path / "clip.mkv", frames=10, size=(96, 80))
    return vidperc


UPSCALE = ("upscale", "clip.mkv", "-m", "fast-x2", "--workers", "1", "--no-progress")


def kept(folder: Path) -> list[Path]:
    return list((folder / "cache" / "vidperc" / "adapted").iterdir())


def test_the_network_learns_from_the_video_once_and_enlarges_it(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidperc.commands.adapt._detail_drawn", lambda *_, **__: 0.99)
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s", "-o", "one.mkv")
    assert code == 0, err
    assert any("learns from clip.mkv for 2 seconds" in line for line in err)
    assert any("draws 99 % of the detail that it drew" in line for line in err), err
    (made,) = kept(tmp_path)
    card = find_card(str(made))
    assert card.sha256 != find_card("fast-x2").sha256
    assert card.steps > 1
    assert "clip.mkv" in card.data and "begun from fast-x2" in card.data
    # Another run has the same network, and the same frames.
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s", "-o", "two.mkv")
    assert code == 0, err
    assert any("learnt from this video before" in line for line in err)
    assert kept(tmp_path) == [made]
    assert decoded_frames(tmp_path / "one.mkv") == decoded_frames(tmp_path / "two.mkv")
    assert vidperc(*UPSCALE, "-o", "plain.mkv")[0] == 0
    assert decoded_frames(tmp_path / "one.mkv") != decoded_frames(tmp_path / "plain.mkv")


def test_the_network_of_a_pipeline_learns_as_well(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidperc.commands.adapt._detail_drawn", lambda *_, **__: 0.99)
    settings = ("--set", "upscale.model=fast-x2", "--no-progress", "--adapt", "1s")
    code, _, err = vidperc("run", "upscale", "clip.mkv", *settings, "-o", "one.mkv")
    assert code == 0, err
    (made,) = kept(tmp_path)
    assert "clip.mkv" in find_card(str(made)).data
    assert vidperc(*UPSCALE, "--adapt", "1s", "-o", "two.mkv")[0] == 0
    assert decoded_frames(tmp_path / "one.mkv") == decoded_frames(tmp_path / "two.mkv")
    (tmp_path / "only.yaml").write_text("name: only\nstages:\n  - kind: motion\n")
    code, _, err = vidperc("run", "only.yaml", "clip.mkv", "--adapt", "1s")
    assert code == 1
    assert any("--adapt: pipeline only has no stage `upscale`" in line for line in err), err


def test_a_network_that_learnt_to_draw_more_stays_as_it_is(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidperc.commands.adapt._detail_drawn", lambda *_, **__: 1.01)
    assert vidperc(*UPSCALE, "-o", "plain.mkv")[0] == 0
    for again in (False, True):
        code, _, err = vidperc(*UPSCALE, "--adapt", "1s", "-o", "one.mkv", "-y")
        assert code == 0, err
        assert any("fast-x2: stays as it is; it learnt to draw more" in line for line in err)
        assert any("learnt from this video before" in line for line in err) == again
        assert decoded_frames(tmp_path / "one.mkv") == decoded_frames(tmp_path / "plain.mkv")


@pytest.mark.usefixtures("vidperc")
def test_what_is_drawn_is_what_comes_to_bicubic(tmp_path: Path) -> None:
    """The last layer makes the details, so that half its weights and bias make half of them."""
    half, whole = tmp_path / "half.safetensors", shipped_path("fast-x2")
    with safe_open(whole, "pt") as file:
        card = file.metadata()
    weights = load_file(whole)
    save_file(weights | {name: weights[name] / 2 for name in ("7.weight", "7.bias")}, half, card)
    video = (tmp_path / "clip.mkv").rename(tmp_path / "clip [1].mkv")
    recipe = replace(adapt_recipe(whole, video, size=80), schedule=Schedule(steps=1, patch=32))

    def drawn(learnt: Path, start: Path) -> float:
        return _detail_drawn(learnt, start, recipe, tmp_path / "made", threads=1, say=print)

    assert drawn(half, whole) == pytest.approx(0.5, abs=0.01)
    assert drawn(whole, half) == pytest.approx(2, abs=0.04)


def test_what_would_be_refused_is_refused_before_anything_is_learnt(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vidperc(*UPSCALE, "-o", "there.mkv")[0] == 0
    monkeypatch.setattr("vidperc.commands.adapt.follow", lambda *_, **__: pytest.fail("it learns"))
    cases = [
        ("there.mkv", "there.mkv: exists, and was made with other settings or with what is in the cache no more; -y"),
        ("nowhere/one.mkv", "nowhere: no such folder"),
        ("one.mkv --codec none", "none"),
    ]
    for asked, told in cases:
        code, _, err = vidperc(*UPSCALE, "--adapt", "2s", "-o", *asked.split())
        assert code == 1
        assert any(told in line for line in err), err
    lock = OutputLock(tmp_path / "one.mkv")
    lock.acquire()
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s", "-o", "one.mkv")
    lock.release()
    assert code == 1
    assert any("one.mkv: another vidperc is working on this output" in line for line in err), err
    assert kept(tmp_path) == []


def test_a_dry_run_counts_what_it_would_learn(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidperc.commands.adapt.follow", lambda *_, **__: pytest.fail("it learns"))
    code, out, _ = vidperc(*UPSCALE, "--adapt", "1h", "-o", "one.mkv", "--dry-run")
    assert code == 0
    assert any("time      about 1 h 0 min" in line for line in out), out
    code, _, err = vidperc(*UPSCALE, "--adapt", "0s", "-o", "one.mkv", "--dry-run")
    assert code == 1
    assert any("--adapt: got 0 seconds, wanted at least 1" in line for line in err), err
    assert kept(tmp_path) == []


def test_what_a_killed_run_left_in_the_cache_goes_after_a_day(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidperc.commands.adapt._detail_drawn", lambda *_, **__: 0.99)
    cache = tmp_path / "cache" / "vidperc" / "adapted"
    old, young = cache / "adapting-old", cache / "adapting-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "clips.safetensors").write_bytes(b"many")
    os.utime(old, (0, 0))
    assert vidperc(*UPSCALE, "--adapt", "1s", "-o", "one.mkv")[0] == 0
    assert not old.exists() and (young / "clips.safetensors").is_file()


def test_what_was_stopped_leaves_nothing_behind(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vidperc.training.logged.train", stopped)
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s", "-o", "one.mkv")
    assert code == 130, err
    assert kept(tmp_path) == []
    assert not (tmp_path / "one.mkv").exists()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--adapt", "soon"), "--adapt soon: not a time"),
        (
            ("--adapt", "1m", "--detail", "0.5", "-m", "standard"),
            "--adapt: with detail above 0 it would have to learn twice",
        ),
        (("--adapt", "0.5"), "--adapt: got 0.5 seconds, wanted at least 1"),
        (("--adapt", "1m", "-m", "bicubic"), "-m bicubic: no network that learns"),
        (
            ("--adapt", "1m", "-m", "fast", "-s", "3"),
            "--adapt: fast at x3 is fast-x4 and resampling; wanted a scale of 2 or 4",
        ),
    ],
)
def test_what_cannot_learn_is_refused(vidperc: Vidperc, tmp_path: Path, asked: tuple[str, ...], told: str) -> None:
    code, out, err = vidperc(*UPSCALE, *asked, "-o", "one.mkv")
    assert (code, out) == (1, [])
    assert any(told in line for line in err), err
    assert not (tmp_path / "one.mkv").exists()


def test_a_video_too_small_to_learn_from_is_refused(vidperc: Vidperc, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", frames=5, size=(48, 24))
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s")
    assert code == 1
    assert any("is 24 pixels high or wide, wanted at least 32" in line for line in err)


def test_images_are_refused(vidperc: Vidperc, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(6):
        Image.fromarray(picture(number, 96, 80)).save(tmp_path / "frames" / f"{number}.png")
    code, _, err = vidperc("upscale", "frames", "-m", "fast-x2", "--no-progress", "--adapt", "2s")
    assert code == 1
    assert any("--adapt: frames is images, wanted a video to learn from" in line for line in err), err


def test_a_file_of_any_name_learns(vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidperc.commands.adapt._detail_drawn", lambda *_, **__: 0.99)
    shutil.copyfile(shipped_path("fast-x2"), tmp_path / "(my) net.safetensors")
    code, _, err = vidperc(*UPSCALE[:2], "-m", "(my) net.safetensors", "--workers", "1", "--adapt", "1s", "-o", "o.mkv")
    assert code == 0, err
    assert any("(my) net: learns from clip.mkv" in line for line in err)


def test_too_few_frames_to_learn_from_are_refused(vidperc: Vidperc, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", frames=4, size=(96, 80))
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s")
    assert code == 1
    assert any("clip.mkv has 4 frames, wanted at least 5 to learn from; leave --adapt out" in line for line in err), err


def test_a_cache_that_cannot_be_written_to_is_told(
    vidperc: Vidperc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("vidperc.commands.adapt.tempfile.TemporaryDirectory", refused)
    code, _, err = vidperc(*UPSCALE, "--adapt", "2s")
    assert code == 1
    assert any("adapted cannot be written to (Read-only file system); set XDG_CACHE_HOME" in line for line in err), err
