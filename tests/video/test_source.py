"""Decoding: the frames of a seek are those of reading on, and damage costs what it damaged."""

import itertools
import random
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, decoded_frames, ffprobe_video, make_clip, plane_hash, real_videos
from vidperc.engine.plan import plan_segments
from vidperc.engine.reading import SeekMismatch, read_source
from vidperc.errors import VidpercError
from vidperc.ops.turn import NO_TURN
from vidperc.placement import Placement
from vidperc.video.index import EXACT_SEEK_FORMATS, index_frames
from vidperc.video.packets import Counts
from vidperc.video.probe import probe
from vidperc.video.source import read_frames

SEGMENTS = 4
MOST_FRAMES = 640  # a limit for the time that the test takes


def plan_of(path, count):
    """What reading needs of a plan of so many segments."""
    info, index = probe(path), index_frames(path)
    return SimpleNamespace(
        source_width=info.width,
        source_height=info.height,
        timed=not index.sequential,
        deinterlace="",
        turn=NO_TURN,
        placement=Placement(),
        segments=plan_segments(
            index,
            index.pts,
            count=count,
            exact_seek=info.container.startswith(EXACT_SEEK_FORMATS),
        ),
    )


def read_segment(path, plan, segment):
    """(pts, hash) of a segment's frames, read as render() reads them; the second answer is whether a seek was used."""

    def hashed(frames):
        return [(decoded.pts, plane_hash(decoded.frame)) for decoded in frames]

    reading = read_source(path, plan, segment)
    try:
        return hashed(reading.frames(Counts())), reading.seek is not None
    except SeekMismatch:
        reading = reading.again()
    return hashed(reading.frames(Counts())), reading.seek is not None


def assert_segments_are_the_whole(path, count=SEGMENTS):
    """Decoded segment by segment and from start to end gives the same frames. Returns how many segments used a seek."""
    plan = plan_of(path, count)
    size = (plan.source_width, plan.source_height)
    whole = [(d.pts, plane_hash(d.frame)) for d in read_frames(path, timed=plan.timed, threads=1, size=size)]
    found, seeks = [], 0
    for segment in plan.segments:
        frames, sought = read_segment(path, plan, segment)
        found += frames
        seeks += sought
    assert found == whole
    return seeks


@pytest.mark.parametrize("path", real_videos("awkward", "synthetic", "real", max_bytes=1_500_000))
def test_segments_of_real_files_are_the_whole(path):
    try:
        frames = len(index_frames(path).pts)
        probe(path)
    except VidpercError:
        assert path.name in ("audio_only_dts.mkv", "vp9_invalid.webm")
        return
    if frames < SEGMENTS or frames > MOST_FRAMES:
        pytest.skip(f"{frames} frames, wanted {SEGMENTS} to {MOST_FRAMES}")
    assert_segments_are_the_whole(path)


OPEN_GROUPS = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=15"}
MADE = {
    "closed.mp4": ("libx264", {"bf": "3"}),
    "open.mp4": ("libx264", OPEN_GROUPS),
    "open.mkv": ("libx264", OPEN_GROUPS),
    "open.ts": ("libx264", OPEN_GROUPS),
    "open.flv": ("libx264", OPEN_GROUPS),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=15"}),
    "refresh_b.mkv": ("libx264", {"x264-params": "intra-refresh=1:keyint=15:bframes=1:b-adapt=0"}),
    "refresh.mkv": ("libx264", {"x264-params": "intra-refresh=1:keyint=15:bframes=0"}),
    "hevc.mp4": ("libx265", {"x265-params": "open-gop=1:bframes=4:keyint=15:min-keyint=15:log-level=none"}),
    "hevc.mkv": ("libx265", {"x265-params": "open-gop=1:bframes=4:keyint=15:min-keyint=15:log-level=none"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}),
    "h264.avi": ("libx264", {"bf": "2"}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2"}),
    "vp9.webm": ("libvpx-vp9", {"g": "15", "lag-in-frames": "16", "auto-alt-ref": "1", "cpu-used": "8"}),
    "av1.mkv": ("libsvtav1", {"g": "15", "preset": "12"}),
}


@pytest.mark.parametrize("name", MADE)
def test_segments_of_made_files_are_the_whole(name, tmp_path):
    codec, options = MADE[name]
    path = make_clip(
        tmp_path / name, frames=100, codec=codec, options=options, cuts=(37, 61), time_base=Fraction(1, 25)
    )
    for count in (SEGMENTS, 9):
        seeks = assert_segments_are_the_whole(path, count)
        assert seeks > 0 or name == "h264.avi", "without a seek this proves nothing"


def test_reading_stops_and_starts_where_it_is_told(tmp_path):
    path = make_clip(tmp_path / "in.mp4", frames=40)
    index = index_frames(path)
    frames = read_frames(path, start=index.pts[17], stop=index.pts[30], keyframe=index.keyframes[1])
    assert [d.pts for d in frames] == list(index.pts[17:30])


def test_ten_bits_are_read_as_ten_bits(tmp_path):
    path = make_clip(
        tmp_path / "in.mkv", frames=3, codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=none"}
    )
    assert ffprobe_video(path)["pix_fmt"] == "yuv420p10le"
    assert probe(path).bits == 10
    assert all(d.frame.format.name == "yuv420p10le" for d in read_frames(path))


def test_a_change_of_size_is_scaled_to_the_first_and_counted(tmp_path):
    raw = tmp_path / "both.h264"
    with raw.open("wb") as file:
        for number, size in enumerate([(96, 64), (64, 48)]):
            part = make_clip(tmp_path / f"{number}.h264", frames=10, size=size)
            file.write(part.read_bytes())
    counts = Counts()
    frames = list(read_frames(raw, timed=False, size=(96, 64), counts=counts))
    assert {(d.frame.width, d.frame.height) for d in frames} == {(96, 64)}
    assert (len(frames), counts.rescaled_frames) == (20, 10)


def tolerant(path):
    """The times of the frames that the simplest loop keeps which gives up on no packet, as they come."""
    kept = []
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        for _ in range(100_000):
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, MemoryError, EOFError, IndexError):
                packets = container.demux(container.streams.video[0])
                continue
            if packet is None:
                break
            try:
                kept += [frame.pts for frame in packet.decode()]
            except (av.error.FFmpegError, MemoryError, EOFError, IndexError):
                continue
    return kept


@pytest.fixture(scope="module")
def sound_clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "whole.mkv", frames=60, size=(192, 128))


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_cost_no_more_than_they_must(seed, sound_clip, tmp_path):
    content = bytearray(sound_clip.read_bytes())
    chosen = random.Random(seed)
    for _ in range(30):
        place = chosen.randrange(2000, len(content))  # the headers in front stay
        content[place] ^= 1 << chosen.randrange(8)
    path = tmp_path / "flipped.mkv"
    path.write_bytes(content)
    counts = Counts()
    frames = [d.pts for d in read_frames(path, counts=counts, threads=1)]
    assert frames == sorted(set(frames)), "times never run backwards"
    simple = tolerant(path)
    backwards = sum(b <= a for a, b in itertools.pairwise(simple))  # one of the two cannot be shown
    assert len(frames) >= len(simple) - backwards
    assert counts.damage > 0
    index_frames(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_gives_what_is_there(share, sound_clip, tmp_path):
    content = sound_clip.read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(content[: int(len(content) * share)])
    whole = dict(decoded_frames(sound_clip))
    frames = {d.pts: plane_hash(d.frame) for d in read_frames(path)}
    assert set(frames) >= set(tolerant(path))
    assert sum(whole[pts] != digest for pts, digest in frames.items()) <= 1, "only the frame that was cut may differ"
    assert len(frames) > 60 * share / 3


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
@pytest.mark.parametrize("name", ["bitflips.mp4", "truncated_60pct_moov_front.mp4"])
def test_damaged_real_files_keep_what_a_tolerant_loop_keeps(name):
    path = TEST_DATA / "videos" / "synthetic" / name
    assert {d.pts for d in read_frames(path, threads=1)} >= set(tolerant(path))


def test_one_time_that_is_far_too_late_costs_no_frame_it_is_shown_between_its_neighbours(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=30, options={"bf": "0"})
    late = tmp_path / "late.mkv"
    with av.open(str(clip)) as container, av.open(str(late), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(p for p in container.demux(video=0) if p.size):
            packet.pts += 20_000 if number == 10 else 0
            packet.stream = stream
            output.mux(packet)
    counts = Counts()
    assert [d.pts for d in read_frames(late, counts=counts)] == [40 * k for k in range(30)]
    assert (counts.damage, counts.untimed_frames) == (1, 1)
