"""The cache of clips: what is in it, what it depends on, and how clips are drawn from it."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from tests.clips import TEST_DATA
from tests.training.test_degrade import texture
from tests.training.test_scenes import shot, write
from vidperc.compare.degradations import Degradation
from vidperc.errors import VidpercError
from vidperc.motion.occlusion import points_inside
from vidperc.ops.warp import warp
from vidperc.training.clip_cache import ClipCache, make_clip_cache
from vidperc.training.clip_file import ClipFile
from vidperc.training.clips import ClipPixels
from vidperc.training.footage import Footage, read_excerpt
from vidperc.training.material import Material

MATERIAL = Material(videos=("films",), images=("photos",), count=6, frames=5, side=64)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("films", "photos"):
        (folder / name).mkdir()
    write(folder / "films" / "cuts.mp4", [*shot(1, 14), *shot(2, 3), *shot(3, 9)])
    write(folder / "films" / "one.mkv", shot(4, 20, 96, 160))
    for seed in range(2):
        smooth = Image.fromarray(texture(75, 100, seed)).resize((300, 225), Image.Resampling.BICUBIC)
        smooth.save(folder / "photos" / f"{seed}.png")
    return folder


def made(data: Path, folder: Path, material: Material = MATERIAL, *, scale: int = 2, threads: int = 1, **asked):
    said: list[str] = []
    return make_clip_cache(material, data, folder, scale, threads, said.append, **asked), said


@pytest.fixture(scope="module")
def cache(data: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipCache:
    return made(data, tmp_path_factory.mktemp("out"), replace(MATERIAL, flow="exact"))[0]


def test_the_file_holds_clips_and_their_motion(cache: ClipCache) -> None:
    assert (cache.count, cache.frames, cache.side, cache.scale) == (6, 5, 64, 2)
    arrays = load_file(cache.path)
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "large": ("uint8", (6, 5, 64, 64, 3)),
        "small": ("uint8", (6, 5, 32, 32, 3)),
        "flow": ("float16", (6, 5, 2, 32, 32)),
        "visible": ("uint8", (6, 5, 32, 32)),
    }
    assert all(array.any() for array in arrays.values())
    assert set(np.unique(arrays["visible"])) == {0, 1}
    assert not arrays["flow"][:, 0].any() and not arrays["visible"][:, 0].any()
    assert len({clip.tobytes() for clip in arrays["large"]}) == 6


def test_the_bytes_do_not_depend_on_the_workers(data: Path, tmp_path: Path, cache: ClipCache) -> None:
    material = replace(MATERIAL, flow="exact")
    three, said = made(data, tmp_path, material, threads=3)
    assert three.path.read_bytes() == cache.path.read_bytes()
    assert three.path.name == cache.path.name
    assert "2 videos with 4 shots, 2 read by PyAV" in said
    again, said = made(data, tmp_path, material)
    assert said == [f"{again.path.name}: its clips are taken"]
    assert not list(tmp_path.glob("*.partial"))


def test_its_name_tells_what_it_was_made_of(data: Path, tmp_path: Path) -> None:
    images = replace(MATERIAL, videos=(), count=1)
    names = {
        made(data, tmp_path, images)[0].path.name,
        made(data, tmp_path, images, seed=1)[0].path.name,
        made(data, tmp_path, images, scale=4)[0].path.name,
        made(data, tmp_path, replace(images, flow="exact"))[0].path.name,
        made(data, tmp_path, replace(images, held_out=("0.png",)), part="held_out")[0].path.name,
        made(data, tmp_path, replace(images, held_out=("0.png",)))[0].path.name,
    }
    assert len(names) == 6


@pytest.mark.parametrize(("degradation", "scale"), [("bicubic", 2), ("bd", 4)])
def test_small_frames_are_what_evaluation_makes_of_the_large(data: Path, tmp_path: Path, degradation, scale) -> None:
    cache, _ = made(data, tmp_path, replace(MATERIAL, degradation=degradation, count=2), scale=scale)
    arrays = load_file(cache.path)
    how = Degradation(kind=degradation)
    for large, small in zip(arrays["large"][:, 2], arrays["small"][:, 2], strict=True):
        wanted = how.shrink(torch.from_numpy(large).permute(2, 0, 1).float() / 255, scale)
        differs = np.abs((wanted * 255).permute(1, 2, 0).numpy() - small)
        assert differs.max() < 1.01 and (differs > 0.01).mean() < 0.01  # halves may be rounded the other way


def test_real_clips_have_passed_what_was_drawn_for_them(data: Path, tmp_path: Path) -> None:
    real, clean = (
        load_file(made(data, tmp_path, replace(MATERIAL, degradation=kind, count=12))[0].path)
        for kind in ("real", "bicubic")
    )
    assert np.array_equal(real["large"], clean["large"])
    lost = np.abs(real["small"].astype(float) - clean["small"]).mean(axis=(1, 2, 3, 4))
    damaged = lost[lost > 0.5]  # some are only shrunk
    assert len(damaged) >= 4 and len(set(damaged.round(3))) == len(damaged)


def test_a_video_clip_never_crosses_a_cut(data: Path, tmp_path: Path) -> None:
    cache, _ = made(data, tmp_path, replace(MATERIAL, videos=("films/cuts.mp4",), images=(), count=12))
    large = load_file(cache.path)["large"].astype(float)
    # Shots have colours of their own, and a pan of a pixel a frame changes few of them.
    assert np.abs(np.diff(large, axis=1)).mean(axis=(2, 3, 4)).max() < 12


@pytest.mark.parametrize("flow", ["exact", "found"])
def test_drawn_flow_leads_to_the_same_place_in_every_turn(data: Path, tmp_path: Path, flow) -> None:
    cache, _ = made(data, tmp_path, replace(MATERIAL, flow=flow, videos=(), count=8))
    batch = cache.draw(range(40), frames=3, patch=24, seed=0)
    moved = 0
    for small, motion in zip(batch.small, batch.motion(), strict=True):
        visible = motion.visible[1:]
        error = ((warp(small[:-1], motion.flow[1:], mode="bicubic") - small[1:]).abs() * visible).sum() / visible.sum()
        still = ((small[:-1] - small[1:]).abs() * visible).sum() / visible.sum()
        if still > 0.04:
            moved += 1
            assert error < 0.6 * still
    assert moved >= 8


def test_a_number_gives_the_same_clip_whatever_is_drawn_with_it(cache: ClipCache) -> None:
    def drawn(numbers: range, seed: int = 0) -> list[torch.Tensor]:
        batch = cache.draw(numbers, frames=3, patch=16, seed=seed)
        return [batch.small, batch.large, batch.flow, batch.visible]

    together, first, second = drawn(range(8)), drawn(range(4)), drawn(range(4, 8))
    for whole, parts in zip(together, zip(first, second, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(parts))
    assert [tuple(tensor.shape) for tensor in first] == [
        (4, 3, 3, 16, 16),
        (4, 3, 3, 32, 32),
        (4, 3, 2, 16, 16),
        (4, 3, 1, 16, 16),
    ]
    assert all(tensor.dtype == torch.float32 for tensor in first)
    assert not torch.equal(first[0], drawn(range(4), seed=1)[0])


def test_drawn_crops_show_the_same_place_and_see_nothing_beyond_it(cache: ClipCache) -> None:
    batch = cache.draw(range(64), frames=4, patch=16, seed=0)
    assert not batch.flow[:, 0].any() and not batch.visible[:, 0].any()
    means = torch.nn.functional.avg_pool2d(batch.large.flatten(0, 1), 2)
    assert (means - batch.small.flatten(0, 1)).abs().mean() < 0.03
    for motion in batch.motion():
        assert not (motion.visible * (1 - points_inside(motion.flow))).any()
    assert batch.visible[:, 1:].mean() > 0.5


def test_drawn_clips_are_turned_in_all_eight_ways_and_begin_anywhere(data: Path, tmp_path: Path) -> None:
    cache, _ = made(data, tmp_path, replace(MATERIAL, videos=(), count=1))
    whole = cache.draw(range(100), frames=5, patch=32, seed=0)
    assert len({clip.numpy().tobytes() for clip in whole.small}) == 8
    parts = cache.draw(range(300), frames=3, patch=32, seed=0)
    assert len({clip.numpy().tobytes() for clip in parts.small}) in (8, 24)  # a camera may rest


def test_more_than_there_is_cannot_be_drawn(cache: ClipCache) -> None:
    for frames, patch in ((6, 16), (3, 33), (0, 16)):
        with pytest.raises(VidpercError, match=f"got {frames} frames of {patch} pixels, wanted at most 5 of 32"):
            cache.draw(range(1), frames=frames, patch=patch, seed=0)


def test_what_cannot_be_used_is_left_out_counted_and_told(data: Path, tmp_path: Path) -> None:
    for folder in ("films", "photos"):
        (tmp_path / folder).mkdir()
        for path in (data / folder).iterdir():
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "films" / "broken.mp4").write_bytes(b"\x00" * 500)
    write(tmp_path / "films" / "short.mp4", shot(5, 4))
    write(tmp_path / "films" / "small.mp4", shot(6, 9, 48, 64))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    Image.new("RGB", (63, 200)).save(tmp_path / "photos" / "small.png")
    cache, said = made(tmp_path, tmp_path / "out")
    assert cache.count == 6
    videos = next(line for line in said if "of 5 videos" in line)
    assert videos.startswith("left out 3 of 5 videos: 1 unreadable (broken.mp4: ")
    assert "1 without a shot of 5 frames (short.mp4)" in videos
    assert "1 smaller than 64 pixels at every size (small.mp4)" in videos
    images = next(line for line in said if "of 4 images" in line)
    assert "1 unreadable (broken.jpg: " in images and "1 smaller than 64 pixels (small.png)" in images
    assert not any("\n" in line for line in said)


@pytest.mark.parametrize(
    ("material", "told"),
    [
        (replace(MATERIAL, frames=30), "no video gives a clip: left out 2 of 2 videos: 2 without a shot of 30 frames"),
        (replace(MATERIAL, side=128, images=()), "no video gives a clip: .*2 smaller than 128 pixels"),
        (replace(MATERIAL, side=256, videos=()), "no image gives a clip: .*2 smaller than 256 pixels"),
    ],
)
def test_material_that_gives_no_clip_is_told(data: Path, tmp_path: Path, material: Material, told: str) -> None:
    with pytest.raises(VidpercError, match=told):
        made(data, tmp_path, material)
    assert not list(tmp_path.glob("*.partial"))


def test_clips_of_what_is_held_out_are_of_nothing_else(data: Path, tmp_path: Path) -> None:
    """One video alone, though the material has images, too."""
    material = replace(MATERIAL, held_out=("one.mkv",), count=3)
    kept, said = made(data, tmp_path, material, part="held_out")
    assert kept.count == 3
    assert said[0] == "1 videos with 1 shots, 1 read by PyAV"
    learnt, said = made(data, tmp_path, material)
    assert learnt.path != kept.path
    assert said[0] == "1 videos with 3 shots, 1 read by PyAV"


def test_a_folder_that_cannot_be_made_is_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VidpercError, match="no file can be made there"):
        made(data, tmp_path / "file" / "out")


def test_flat_material_is_kept_for_want_of_better_and_told(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    write(tmp_path / "films" / "wall.mp4", [np.full((72, 128, 3), 90, np.uint8)] * 8)
    cache, said = made(tmp_path, tmp_path / "out", replace(MATERIAL, images=(), count=2))
    assert cache.count == 2
    assert said[-1].endswith("clips kept for want of better: 2 flat")


def test_excerpts_that_are_damaged_are_counted_and_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, tried = replace(MATERIAL, images=(), count=1), list[int]()

    def damaged(footage: Footage, *asked: Any) -> ClipPixels | None:
        tried.append(len(tried))
        if tried[-1] == 0:
            raise VidpercError("7.png: is gone")
        return None if tried[-1] < 3 else read_excerpt(footage, *asked)

    monkeypatch.setattr("vidperc.training.clip_making.read_excerpt", damaged)
    _, said = made(data, tmp_path, films)
    assert "; 3 excerpts were damaged (7.png: is gone)" in said[-1]
    monkeypatch.setattr("vidperc.training.clip_making.read_excerpt", lambda *_: None)
    with pytest.raises(VidpercError, match="40 of 40 excerpts of 5 frames are damaged, wanted whole videos"):
        made(data, tmp_path, replace(films, sizes=(1.0,), count=2))


def test_an_interrupted_making_is_begun_anew(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: ClipFile, place: int, arrays: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ClipFile, "put", stop)
        with pytest.raises(KeyboardInterrupt):
            made(data, tmp_path)
    assert not list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob("*.partial"))
    cache, _ = made(data, tmp_path)
    cache.path.with_suffix(".partial").write_bytes(b"left by a process that was killed")
    sound = hashlib.sha256(cache.path.read_bytes()).hexdigest()
    cache.path.unlink()
    assert hashlib.sha256(made(data, tmp_path)[0].path.read_bytes()).hexdigest() == sound


def test_a_full_disk_is_told_and_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **asked: object):
        if path.suffix != ".partial":
            return opened(path, mode, *rest, **asked)  # type: ignore[arg-type]
        file = opened(path, mode)

        class Full:
            def write(self, content: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self) -> None:
                file.close()

            __del__ = close

        return Full()

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(VidpercError, match=r"\.partial: cannot be written \(No space left on device"):
        made(data, tmp_path)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: b"no", lambda content: b""])
def test_a_file_that_is_not_whole_is_told(cache: ClipCache, tmp_path: Path, damage: Callable) -> None:
    path = tmp_path / "clips.safetensors"
    path.write_bytes(damage(cache.path.read_bytes()))
    with pytest.raises(VidpercError, match=r"holds no clips .*remove it, and they are made again"):
        ClipCache(path)


@pytest.mark.skipif(TEST_DATA is None, reason="VIDPERC_TEST_DATA is not set; it names the folder of real videos")
def test_real_videos_and_photos_give_clips_that_move(tmp_path: Path) -> None:
    assert TEST_DATA is not None
    names = ("flower_540p_cc0.mp4", "friday_480p_bw_cc0.mp4")
    material = Material(
        videos=tuple(f"videos/real/{name}" for name in names),
        images=("images/gb82_cc0",),
        count=6,
        frames=4,
        side=128,
        sizes=(0.5,),
    )
    cache, _ = made(TEST_DATA, tmp_path, material, threads=2)
    batch = cache.draw(range(12), frames=4, patch=48, seed=0)
    assert batch.small.std() > 0.05
    assert 0.4 < batch.visible[:, 1:].mean() < 1
    assert batch.flow[:, 1:].norm(dim=2).mean() > 0.05
