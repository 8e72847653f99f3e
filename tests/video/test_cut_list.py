"""Lists of cuts in files: which frames they name, and what is refused."""

from fractions import Fraction

import pytest

from tests.clips import make_clip
from vidperc.errors import VidpercError
from vidperc.video.cut_list import MAX_LIST_BYTES, read_cut_list
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.times import parse_seconds, timecode

TICK = Fraction(1, 90000)
# Frames at 0.5 s, then 40, 100 and 41.7 ms apart; the video starts late.
TIMES = [45000, 48600, 57600, 61353, 64953, 68553]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", pts=TIMES, time_base=TICK)
    return probe(path), index_frames(path)


def read(text, clip, tmp_path):
    path = tmp_path / "cuts.txt"
    path.write_text(text, encoding="utf-8")
    return read_cut_list(path, *clip)


def test_times_are_those_from_the_first_frame_and_name_the_nearest(clip, tmp_path):
    assert clip[1].pts == tuple(TIMES)
    assert read("0.04\n", clip, tmp_path) == (48600,)
    assert read("00:00:00.040", clip, tmp_path) == (48600,)
    assert read("0:00.14\n", clip, tmp_path) == (57600,)
    assert read("0.182\n", clip, tmp_path) == (61353,), "0.1817 s, rounded up, is this frame and not the next"
    assert read("89ms\n91ms", clip, tmp_path) == (48600, 57600)
    assert read("0", clip, tmp_path) == (45000,)


def test_order_repetition_remarks_and_empty_lines_do_not_matter(clip, tmp_path):
    text = "\ufeff# two cuts\n\n  0.14   # the second\r\n00:00:00.040  # 0.040000 s, pts 48600, cut\n0.14\n"
    assert read(text, clip, tmp_path) == (48600, 57600)
    assert read("", clip, tmp_path) == ()
    assert read("# none\n", clip, tmp_path) == ()


def test_every_frame_is_found_by_its_timecode(clip, tmp_path):
    spelled = [timecode((pts - TIMES[0]) * TICK) for pts in TIMES]
    assert spelled[:4] == ["00:00:00.000", "00:00:00.040", "00:00:00.140", "00:00:00.182"]
    assert read("\n".join(spelled), clip, tmp_path) == tuple(TIMES)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("soon", "soon: not a time"),
        ("-1", "-1: not a time"),
        ("1:2:3:4", "1:2:3:4: not a time"),
        ("0.04 0.14", "0.04 0.14: not a time"),
        ("0,04", "0,04: not a time"),
        ("0.4", "0.4 is outside of .*clip.mp4, which lasts 0.3"),
        ("9:00:00", "9:00:00 is outside of"),
        ("x" * 5000, "x{40}\\.\\.\\.: not a time"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line, told, clip, tmp_path):
    with pytest.raises(VidpercError, match=rf"cuts\.txt:3: {told}") as caught:
        read(f"# cuts\n0.04\n{line}\n0.14\n", clip, tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_is_no_list_is_refused(clip, tmp_path):
    with pytest.raises(VidpercError, match=r"none\.txt: no such file"):
        read_cut_list(tmp_path / "none.txt", *clip)
    with pytest.raises(VidpercError, match="cannot be read"):
        read_cut_list(tmp_path, *clip)
    (tmp_path / "film.mp4").write_bytes(b"\xff\xfe\x00\x81" * 99)
    with pytest.raises(VidpercError, match="is no text"):
        read_cut_list(tmp_path / "film.mp4", *clip)
    (tmp_path / "long.txt").write_bytes(b"#" * (MAX_LIST_BYTES + 1))
    with pytest.raises(VidpercError, match="is larger than 8 MiB"):
        read_cut_list(tmp_path / "long.txt", *clip)


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (0, "00:00:00.000"),
        (Fraction(1001, 24000), "00:00:00.042"),
        (3599.9996, "01:00:00.000"),
        (360000, "100:00:00.000"),
    ],
)
def test_timecodes_are_read_as_they_are_written(seconds, spelled):
    assert timecode(Fraction(seconds)) == spelled
    assert abs(parse_seconds(spelled, "") - Fraction(seconds)) <= Fraction(1, 2000)
