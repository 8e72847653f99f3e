from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_clip
from vidperc.engine.journal import Journal
from vidperc.errors import VidpercError
from vidperc.training.material import Material, Sources, find_sources, fingerprint, told_apart_by
from vidperc.video.identity import append_identity


def still(path: Path, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), code, np.uint8)).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("films", "empty"):
        (tmp_path / name).mkdir()
    for name in ("b.mp4", "a.mp4"):
        make_clip(tmp_path / "films" / name, frames=3)
    (tmp_path / "films" / "notes.txt").write_text("none of it")
    for clip in ("000", "001"):
        still(tmp_path / "frames" / clip / "1.png")
    still(tmp_path / "photos" / "one.png")
    still(tmp_path / "photos" / "two.jpg")
    return tmp_path


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_videos_frames_and_images_are_found_in_the_order_of_their_names(data: Path) -> None:
    found = find_sources(Material(videos=("films", "frames", "films/b.mp4"), images=("photos",)), data)
    assert names(found.videos) == ["a.mp4", "b.mp4"]
    assert names(found.frame_folders) == ["000", "001"]
    assert names(found.images) == ["one.png", "two.jpg"]


def places(data: Path, *held_out: str) -> list[str]:
    found = find_sources(Material(videos=("films",), held_out=held_out), data)
    return [path.relative_to(data / "films").as_posix() for path in (*found.videos, *found.frame_folders)]


def test_what_lies_in_folders_below_is_found(data: Path) -> None:
    for place in ("day/one", "day"):
        (data / "films" / place).mkdir(parents=True, exist_ok=True)
        (data / "films" / place / "b.mp4").write_bytes((data / "films" / "a.mp4").read_bytes())
    still(data / "films" / "day" / "shot" / "1.png")
    assert places(data) == ["a.mp4", "b.mp4", "day/b.mp4", "day/one/b.mp4", "day/shot"]
    assert places(data, "b.mp4") == ["a.mp4", "day/shot"]
    assert places(data, "./films/b.mp4") == ["a.mp4", "day/b.mp4", "day/one/b.mp4", "day/shot"]


def test_what_is_hidden_or_vidperc_made_or_has_another_name_is_not_taken(data: Path) -> None:
    films = data / "films"
    journal = Journal(films / "a_x2.mp4", "0123456789abcdef").folder
    for folder in (films / ".trash", journal):
        folder.mkdir()
        (folder / "c.mkv").write_bytes((films / "a.mp4").read_bytes())
    made = films / "a_x2.mp4"
    made.write_bytes((films / "a.mp4").read_bytes())
    append_identity(made, "a job")
    (films / "latest.mp4").symlink_to(films / "b.mp4")
    (films / "no picture.png").mkdir()
    (films / "linked").symlink_to(data / "frames")
    assert places(data) == ["a.mp4", "b.mp4"]


def test_a_folder_of_images_is_itself_a_clip(data: Path) -> None:
    assert find_sources(Material(videos=("frames/001",)), data).frame_folders == (data / "frames" / "001",)


@pytest.mark.parametrize("held", ["b.mp4", "films/b*", "*b.mp4"])
def test_what_is_held_out_and_what_is_learnt_from_are_all_there_is(data: Path, held: str) -> None:
    material = Material(videos=("films", "frames"), images=("photos",), held_out=(held, "001", "photos/*.jpg"))
    learnt, kept = find_sources(material, data), find_sources(material, data, "held_out")
    assert names((*learnt.videos, *learnt.frame_folders, *learnt.images)) == ["a.mp4", "000", "one.png"]
    assert names((*kept.videos, *kept.frame_folders, *kept.images)) == ["b.mp4", "001", "two.jpg"]


@pytest.mark.parametrize(
    ("material", "told"),
    [
        (Material(videos=("filns",)), "filns: got no such file or folder, wanted a video, a folder of videos"),
        (Material(videos=("empty",)), "empty: got neither videos nor frames, wanted a video"),
        (Material(videos=("films",), held_out=("c.mp4",)), r"held_out: 'c.mp4' is none of the 2 files found"),
        (Material(videos=("films",), held_out=("*",)), "all of the 2 files found are held out of training"),
        (Material(images=("films",)), "films: got no images"),
    ],
)
def test_what_is_not_there_is_told(data: Path, material: Material, told: str) -> None:
    with pytest.raises(VidpercError, match=told):
        find_sources(material, data)


def test_nothing_held_out_is_told(data: Path) -> None:
    with pytest.raises(VidpercError, match="are learnt from, wanted some not; change held_out"):
        find_sources(Material(videos=("films",)), data, "held_out")


def test_a_folder_may_be_moved_and_its_files_may_not_change_their_part(data: Path) -> None:
    material = Material(videos=(str(data / "frames" / "000"), str(data / "films")))
    before = told_apart_by(material, find_sources(material, data))
    moved = replace(material, videos=tuple(name.replace(str(data), str(data / "there")) for name in material.videos))
    for name in ("frames", "films"):
        (data / "there").mkdir(exist_ok=True)
        (data / name).rename(data / "there" / name)
    sources = find_sources(moved, data)
    assert told_apart_by(moved, sources) == before
    assert told_apart_by(replace(moved, side=64), sources) != before
    (folder,) = sources.frame_folders
    assert told_apart_by(moved, Sources(sources.videos, (), tuple(folder.iterdir()))) != before


def test_the_fingerprint_changes_with_a_file(data: Path) -> None:
    material = Material(videos=("frames",), images=("photos",))
    before = fingerprint(find_sources(material, data))
    still(data / "frames" / "000" / "1.png", 9)
    after = fingerprint(find_sources(material, data))
    assert len(before) == 4
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "videos: got none, and no images"),
        ({"images": ("a",), "share_of_images": 1.5}, "share_of_images: got 1.5, wanted 0 to 1"),
        ({"images": ("a",), "count": 0}, "count: got 0, wanted at least 1"),
        ({"images": ("a",), "frames": 1}, "frames: got 1, wanted at least 2"),
        ({"images": ("a",), "side": 16}, "side: got 16, wanted at least 32"),
        ({"images": ("a",), "sizes": (2.0,)}, "sizes: got [2.0], wanted factors above 0 and at most 1"),
    ],
)
def test_values_that_cannot_be_are_refused(fields: dict, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Material(**fields)


def test_a_side_must_suit_the_scale_and_what_is_done_to_it() -> None:
    Material(images=("a",), side=66).check(2)
    for material, scale, multiple in (
        (Material(images=("a",), side=66), 4, 4),
        (Material(images=("a",), side=66, degradation="real"), 2, 4),
        (Material(images=("a",), side=32), 4, 4),
    ):
        with pytest.raises(ValueError, match=f"side: got {material.side}, wanted a multiple of {multiple}, and"):
            material.check(scale)


def test_the_share_of_images_is_all_or_none_where_there_is_but_one_kind() -> None:
    material = Material(images=("a",), videos=("b",), share_of_images=0.25, count=20)
    path = (Path("a"),)
    assert Sources(path, (), path).images_of(material) == 5
    assert Sources((), path, path).images_of(material) == 5
    assert Sources(path, (), ()).images_of(material) == 0
    assert Sources((), (), path).images_of(material) == 20
