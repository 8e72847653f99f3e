"""Which files of a folder are videos: the same ones for all who look into one."""

from pathlib import Path

from vidperc.compare.enlarging import find_clips
from vidperc.training.material import Material, find_sources
from vidperc.video.video_files import VIDEO_SUFFIXES, is_video_file


def test_names_tell_in_any_case(tmp_path: Path) -> None:
    for name in ("a.MP4", "b.dv", "c.txt", "mp4", "d.mp4.part"):
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir() if is_video_file(path)) == ["a.MP4", "b.dv"]


def test_what_is_measured_and_learnt_from_are_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for suffix in VIDEO_SUFFIXES:
        (tmp_path / "films" / f"of_{suffix[1:]}{suffix}").touch()
    (tmp_path / "films" / "notes.txt").touch()
    wanted = sorted(path for path in (tmp_path / "films").iterdir() if path.suffix != ".txt")
    assert len(wanted) == len(VIDEO_SUFFIXES)
    assert [clip.path for clip in find_clips(tmp_path / "films")] == wanted
    assert list(find_sources(Material(videos=("films",)), tmp_path).videos) == wanted
