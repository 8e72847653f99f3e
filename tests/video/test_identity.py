"""The mark by which a run knows its own work."""

import shutil
import struct

import pytest

from tests.clips import decoded_frames, ffprobe_times, make_clip
from tests.video.joined import join
from vidperc.video.identity import BOX_ID, append_identity, read_identity

IDENTITY = "a1b2"  # what join() writes


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", frames=12, sound=True)


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm"])
def test_what_is_written_is_read(suffix, clip, tmp_path):
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    joined = join(clip, tmp_path / f"out{suffix}", codec=codec, keep_audio=suffix != ".webm")
    assert read_identity(joined.output) == IDENTITY
    assert len(ffprobe_times(joined.output)) == 12, "other readers pass it over"
    assert len(decoded_frames(joined.output)) == 12


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"])
def test_a_foreign_file_carries_none(suffix, tmp_path):
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    assert read_identity(make_clip(tmp_path / f"in{suffix}", frames=5, codec=codec)) is None


def test_what_is_no_video_carries_none(tmp_path):
    contents = {
        "text.mp4": b"no video at all\n" * 9,
        "empty.mkv": b"",
        "short.mp4": b"\0\0\0\x18ftyp",
        "loop.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + struct.pack(">I4s", 0, b"uuid"),
        "backwards.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + struct.pack(">I4s", 4, b"free") + bytes(64),
        "huge.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + struct.pack(">I4sQ", 1, b"mdat", 1 << 63),
        "tiny.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + struct.pack(">I4s", 8, b"uuid") + BOX_ID + bytes(8),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert read_identity(tmp_path / name) is None, name
    assert read_identity(tmp_path / "missing.mp4") is None
    assert read_identity(tmp_path) is None


def test_a_copy_without_its_end_carries_none(clip, tmp_path):
    joined = join(clip, tmp_path / "out.mp4")
    content = joined.output.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[:-3])
    assert read_identity(tmp_path / "cut.mp4") != IDENTITY


def test_the_last_of_two_marks_holds(clip, tmp_path):
    """So that a file which was made from another of ours and copied box by box does not pass for the first."""
    path = tmp_path / "two.mp4"
    shutil.copy(clip, path)
    append_identity(path, "first")
    append_identity(path, "second")
    assert read_identity(path) == "second"


def test_an_upscaled_output_as_input_does_not_hand_its_mark_on(clip, tmp_path):
    first = join(clip, tmp_path / "first.mkv")
    again = join(first.output, tmp_path / "again.mp4")
    assert read_identity(again.output) == IDENTITY
    assert again.output.read_bytes().count(BOX_ID) == 1
