"""Looking through a video for its cuts: however it is read, the answer is the same."""

import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, real_videos
from tests.video.drawn import make_drawn_clip, scene
from vidperc.errors import VidpercError
from vidperc.video import scan
from vidperc.video.cuts import CONTEXT, CutThresholds
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.scan import find_cuts

CUTS = (37, 61, 64, 130)
# Low, so that there is something to compare in videos without a cut too.
LOW = CutThresholds(cut=0.05)


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch):
    """Ranges as short as groups of pictures; the real limit would need long videos."""
    monkeypatch.setattr(scan, "MIN_RANGE_FRAMES", 12)


def shots(frames):
    borders = [0, *[cut for cut in CUTS if cut < frames], frames]
    return [p for seed, (a, b) in enumerate(itertools.pairwise(borders)) for p in scene(seed, b - a)]


def ranges_of(path, threads):
    index = index_frames(path)
    return scan._ranges(probe(path), index, 0, len(index.pts), threads)


def places(path, cuts):
    pts = index_frames(path).pts
    return [pts.index(cut.pts) for cut in cuts]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """170 frames at uneven times, B-frames among them, in five shots."""
    steps = itertools.cycle([3003, 1501, 9009, 3003])
    pts = list(itertools.accumulate((next(steps) for _ in range(169)), initial=-777))
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return make_drawn_clip(path, shots(170), pts=pts, time_base=Fraction(1, 90000), options={"bf": "3"})


def test_the_cuts_of_a_clip_have_its_pts(clip):
    found = find_cuts(probe(clip), index_frames(clip), CutThresholds())
    assert places(clip, found) == list(CUTS)
    assert {cut.kind for cut in found} == {"cut"}


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_ranges_that_are_read_at_once_give_what_one_reading_gives(threads, clip):
    info, index = probe(clip), index_frames(clip)
    assert len(ranges_of(clip, threads)) >= min(threads, 4), "one range proves nothing"
    assert find_cuts(info, index, LOW, threads=threads) == find_cuts(info, index, LOW)


@pytest.mark.parametrize("path", real_videos("awkward", "synthetic", "real", max_bytes=1_200_000))
def test_real_files_in_ranges_are_as_in_one_go(path):
    try:
        info, index = probe(path), index_frames(path)
    except VidpercError:
        assert path.name in ("audio_only_dts.mkv", "vp9_invalid.webm")
        return
    if len(index.pts) > 600:
        pytest.skip(f"{len(index.pts)} frames")
    whole = find_cuts(info, index, LOW)
    assert find_cuts(info, index, LOW, threads=3) == whole
    assert find_cuts(info, index, LOW, threads=7) == whole


@pytest.mark.parametrize("excerpt", [(0, 37), (37, 61), (30, 64), (61, 65), (64, 170), (36, 38), (129, 131)])
def test_an_excerpt_has_the_cuts_that_the_whole_has_there(excerpt, clip):
    first, last = excerpt
    info, index = probe(clip), index_frames(clip)
    for threads in (1, 3):
        found = find_cuts(info, index, CutThresholds(), pts=index.pts[first:last], threads=threads)
        assert places(clip, found) == [cut for cut in CUTS if first <= cut < last]


def test_an_excerpt_reads_no_more_than_its_neighbours(clip, monkeypatch):
    info, index = probe(clip), index_frames(clip)
    seen = []
    read = scan._decoded

    def listened(*arguments):
        for picture in read(*arguments):
            seen.append(picture[0])
            yield picture

    monkeypatch.setattr(scan, "_decoded", listened)
    find_cuts(info, index, CutThresholds(), pts=index.pts[100:120], threads=2)
    assert sorted(seen) == list(index.pts[100 - CONTEXT : 120 + CONTEXT])


def test_a_raw_stream_is_read_in_one_go(tmp_path):
    path = make_drawn_clip(tmp_path / "in.h264", shots(60), options={"bf": "2"})
    assert index_frames(path).sequential
    assert places(path, find_cuts(probe(path), index_frames(path), CutThresholds(), threads=4)) == [37]


def test_damage_is_read_over_from_the_start(clip, tmp_path, caplog):
    """In ranges frames would be lost or damaged elsewhere than in one go."""
    content = bytearray(clip.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 400, 7):
        content[place] ^= 0xFF
    path = tmp_path / "damaged.mkv"
    path.write_bytes(content)
    info, index = probe(path), index_frames(path)
    with caplog.at_level("INFO", logger="vidperc"):
        found = find_cuts(info, index, CutThresholds(), threads=4)
    assert any("looked through for cuts from its start" in record.message for record in caplog.records)
    assert found == find_cuts(info, index, CutThresholds())
    assert found[0].pts == index_frames(clip).pts[37]


def test_progress_ends_with_all_frames(clip):
    told = []
    find_cuts(probe(clip), index_frames(clip), CutThresholds(), threads=3, progress=lambda *at: told.append(at))
    assert told == sorted(told) and told[-1] == (170, 170) and len(told) >= 3


def test_what_stops_the_asker_stops_the_readers(clip):
    """Ctrl-C, say; no thread reads on."""
    import threading

    def stop(frames, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_cuts(probe(clip), index_frames(clip), CutThresholds(), threads=3, progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_a_file_that_is_gone_is_named(clip, tmp_path):
    path = tmp_path / "gone.mkv"
    path.write_bytes(clip.read_bytes())
    info, index = probe(path), index_frames(path)
    path.unlink()
    for threads in (1, 3):
        with pytest.raises(VidpercError, match=r"gone\.mkv: no such file"):
            find_cuts(info, index, CutThresholds(), threads=threads)


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_two_hundred_real_frames_are_the_same_pictures_after_a_seek():
    """Not only the cuts: what is compared is equal, sample by sample."""
    path = TEST_DATA / "videos" / "real" / "bikes_272p_scenecuts.mp4"
    one, five = (list(scan._pictures(path, ranges_of(path, threads), True, threads)) for threads in (1, 5))
    assert len(ranges_of(path, 5)) >= 5
    assert [pts for pts, _ in one] == [pts for pts, _ in five]
    assert all((a == b).all() for (_, a), (_, b) in zip(one, five, strict=True))
