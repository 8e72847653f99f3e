"""The times of frames, and the places where decoding may start."""

import itertools
from fractions import Fraction

import av
import pytest

from tests.clips import (
    NO_TEST_DATA,
    TEST_DATA,
    decoded_frames,
    ffprobe_times,
    ffprobe_video,
    header_only,
    make_clip,
    real_videos,
)
from vidperc.errors import VidpercError
from vidperc.video.index import cut_off_warnings, index_frames
from vidperc.video.packets import Counts
from vidperc.video.source import read_frames

VFR = [7001 + t for t in itertools.accumulate([0, *[3003, 1501, 9000, 3754, 3003, 45045, 3003] * 5])]


def remux(source, path, *, shift=0, container_format=None, options=None, last_duration=None):
    """The packets of a video under other times or in another container, as they are."""
    shown = index_frames(source).pts
    with (
        av.open(str(source)) as container,
        av.open(str(path), "w", format=container_format, options=options or {}) as output,
    ):
        stream = output.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                if last_duration is not None and packet.pts == shown[-1]:
                    packet.duration = last_duration
                packet.stream = stream
                output.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_variable_rate_with_b_frames_and_a_late_start(suffix, tmp_path):
    time_base = Fraction(1, 90000)
    path = make_clip(tmp_path / f"in{suffix}", pts=VFR, time_base=time_base, options={"bf": "3"})
    index = index_frames(path)
    ticks = Fraction(1, 1000) if suffix == ".mkv" else time_base
    assert [pts * ticks for pts in index.pts] == ffprobe_times(path)
    assert max(abs(pts * ticks - t * time_base) for pts, t in zip(index.pts, VFR, strict=True)) <= (
        Fraction(1, 2000) if suffix == ".mkv" else 0
    )
    assert index.keyframes[0][0] == index.pts[0]
    assert {pts for pts, _ in index.keyframes} <= set(index.pts)
    assert len(index.keyframes) >= 3
    assert not index.sequential


@pytest.mark.parametrize("path", real_videos("awkward", "synthetic", max_bytes=700_000))
def test_the_times_of_real_files_are_those_of_ffprobe_and_of_the_decoder(path):
    try:
        index = index_frames(path)
    except VidpercError:
        assert path.name == "audio_only_dts.mkv"
        return
    counts = Counts()
    decoded = [frame.pts for frame in read_frames(path, timed=not index.sequential, counts=counts)]
    assert set(decoded) <= set(index.pts)
    if not counts.damage:
        assert decoded == list(index.pts)
    if not index.sequential and path.name != "nasa_2video_2audio_2subs.mp4":  # two films; ffprobe takes the first
        with av.open(str(path)) as container:
            ticks = container.streams.best("video").time_base
        # ffprobe may be older than our FFmpeg and know no time of a frame that ours works out.
        assert set(_known_times(path)) <= {pts * ticks for pts in index.pts}


def _known_times(path):
    try:
        return ffprobe_times(path)
    except KeyError:
        return []


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path):
    whole = make_clip(tmp_path / "whole.mp4", frames=30)
    cut = remux(whole, tmp_path / "cut.mp4", shift=-10 * 512)  # what lies before 0 is hidden
    with av.open(str(cut)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 20
    index = index_frames(cut)
    assert [pts * Fraction(1, 12800) for pts in index.pts] == [Fraction(k, 25) for k in range(20)]
    assert [digest for _, digest in decoded_frames(cut)] == [digest for _, digest in decoded_frames(whole)[10:]]
    assert [frame.pts for frame in read_frames(cut)] == list(index.pts)


def test_a_raw_stream_is_counted_at_its_rate(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=20, options={"bf": "2"})
    raw = remux(clip, tmp_path / "in.h264")
    index = index_frames(raw)
    assert index.sequential and not index.keyframes
    assert len(index.pts) == 20
    gap = index.pts[1] - index.pts[0]
    assert list(index.pts) == [k * gap for k in range(20)]
    assert index.last_duration == gap


@pytest.mark.parametrize("suffix", [".avi", ".asf"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_in_a_container_without_times_of_display_all_count(suffix, codec, tmp_path):
    """Such packets say when they are decoded; taken for times of display, two of five frames were lost."""
    clip = make_clip(tmp_path / f"in{suffix}", frames=50, time_base=Fraction(1, 25), codec=codec, options={"bf": "2"})
    index = index_frames(clip)
    assert len(index.pts) == 50
    assert len({b - a for a, b in itertools.pairwise(index.pts)}) == 1
    counts = Counts()
    frames = list(read_frames(clip, timed=not index.sequential, counts=counts))
    assert [frame.pts for frame in frames] == list(index.pts)
    assert counts.damage == 0


def test_a_refresh_that_takes_several_frames_is_no_place_to_start(tmp_path):
    """Intra refresh: containers mark where it begins as a keyframe, the picture is whole by the second after it."""
    options = {"x264-params": "intra-refresh=1:keyint=15"}
    clip = make_clip(tmp_path / "in.mp4", frames=100, options=options)
    with av.open(str(clip)) as container:
        marked = sorted(p.pts for p in container.demux(video=0) if p.size and p.is_keyframe)
    index = index_frames(clip)
    assert len(marked) >= 5
    assert index.keyframes == ((marked[0], marked[0]), *zip(marked[3:], marked[1:], strict=False))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_seek_goes_to_the_keyframe_and_not_to_the_one_before(suffix, tmp_path):
    """Sought by the time of decoding, which B-frames put before that of display, it decoded a group more."""
    clip = make_clip(tmp_path / f"in{suffix}", frames=60, options={"bf": "3"})
    index = index_frames(clip)
    assert len(index.keyframes) == 5
    with av.open(str(clip)) as container:
        for pts, time in index.keyframes:
            container.seek(time, stream=container.streams.video[0], backward=True)
            assert next(container.demux(video=0)).pts == pts


@pytest.mark.parametrize(("suffix", "told"), [(".mp4", "no video stream"), (".mkv", "not a video")])
def test_a_file_without_frames_is_refused(suffix, told, tmp_path):
    path = header_only(tmp_path / f"empty{suffix}")
    with pytest.raises(VidpercError, match=told):
        index_frames(path)


def test_parts_of_the_times(tmp_path):
    index = index_frames(make_clip(tmp_path / "in.mp4", frames=30))
    assert index.between(None, None) == index.pts
    assert index.between(index.pts[3], index.pts[7]) == index.pts[3:7]
    assert index.between(index.pts[3] + 1, None) == index.pts[4:]
    place, _ = index.keyframes[1]
    assert index.keyframes_up_to(place)[-1][0] == place
    assert index.keyframes_up_to(place - 1)[-1][0] == index.keyframes[0][0]


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_the_edit_list_of_a_phone_hides_nine_of_86_frames():
    assert len(index_frames(TEST_DATA / "videos" / "awkward" / "edit_list_hlg_rot90.mp4").pts) == 77


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_frame_lasts_until_the_end_that_an_mp4_states(suffix, tmp_path):
    """The packet of the last frame shown has the duration of whatever is decoded then; it made films longer."""
    clip = make_clip(tmp_path / "clip.mp4", frames=8, options={"bf": "3"})
    short = remux(clip, tmp_path / f"in{suffix}", last_duration=100)
    video = ffprobe_video(short)
    assert video["start_pts"] + video["duration_ts"] == 7 * 512 + 100
    assert index_frames(clip).last_duration == 512
    assert index_frames(short).last_duration == 100


def test_an_end_before_the_last_frame_is_no_end(tmp_path):
    """Muxers that add up the durations of decoding get there with B-frames at irregular times."""
    times = [0, 512, 1024, 3072, 3584, 8192, 8704, 14336]
    clip = make_clip(tmp_path / "in.mp4", pts=times, options={"bf": "3"})
    assert ffprobe_video(clip)["duration_ts"] < times[-1]
    assert index_frames(clip).last_duration == 512


def test_the_end_that_a_cut_off_file_states_is_not_its_last_frames(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=40, options={"bf": "0"})
    front = remux(clip, tmp_path / "front.mp4", options={"movflags": "+faststart"})
    content = front.read_bytes()
    front.write_bytes(content[: len(content) * 2 // 3])
    index = index_frames(front)
    assert len(index.pts) < 40
    assert index.last_duration == 512


BARE = {
    "in.y4m": {"codec": "wrapped_avframe", "frames": 4},
    "in.dv": {"codec": "dvvideo", "frames": 4, "size": (720, 576)},
}
HEADER = 6  # b"FRAME\n" before every frame of y4m


@pytest.mark.parametrize("name", BARE)
def test_a_whole_file_of_bare_frames_has_no_bytes_to_spare(name, tmp_path):
    index = index_frames(make_clip(tmp_path / name, time_base=Fraction(1, 25), **BARE[name]))
    assert (len(index.pts), index.spare_bytes, cut_off_warnings(index)) == (4, 0, ())


@pytest.mark.parametrize("rest", [1, HEADER + 1, 5000])
def test_a_y4m_that_ends_inside_a_frame_says_so(rest, tmp_path):
    path = make_clip(tmp_path / "in.y4m", time_base=Fraction(1, 25), **BARE["in.y4m"])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - (96 * 64 * 3 // 2 + HEADER) + rest])
    index = index_frames(path)
    assert (len(index.pts), index.spare_bytes) == (3, rest)
    (told,) = cut_off_warnings(index)
    assert told.startswith(f"the source ends in {rest} bytes that are no whole frame, and are not in the output")


def test_damage_in_mid_file_is_not_taken_for_its_end(tmp_path):
    path = make_clip(tmp_path / "in.y4m", time_base=Fraction(1, 25), **BARE["in.y4m"])
    content = path.read_bytes()
    third = content.replace(b"FRAME\n", b"FRAME-", 2).replace(b"FRAME\n", b"FRAXX\n", 1).replace(b"FRAME-", b"FRAME\n")
    path.write_bytes(third)
    assert cut_off_warnings(index_frames(path)) == ()
    counts = Counts()
    assert len(list(read_frames(path, counts=counts))) < 4
    assert counts.container_errors > 0


@pytest.mark.parametrize("missing", [2000, 143_999])
def test_a_dv_file_that_ends_inside_a_frame_shows_the_end_of_the_one_before(missing, tmp_path):
    path = make_clip(tmp_path / "in.dv", time_base=Fraction(1, 25), **BARE["in.dv"])
    content = path.read_bytes()[:-missing]
    path.write_bytes(content)
    index = index_frames(path)
    assert (len(index.pts), index.spare_bytes) == (4, -missing)
    assert cut_off_warnings(index) == (
        f"the source ends inside its last frame; {missing} of its 144000 bytes are missing, and show what the frame "
        "before has there",
    )
    filled = tmp_path / "filled.dv"
    filled.write_bytes(content + content[3 * 144_000 - missing : 3 * 144_000])
    assert index_frames(filled).spare_bytes == 0
    assert decoded_frames(path) == decoded_frames(filled)


@pytest.mark.parametrize("count", [1, 8, 13])
def test_frames_at_the_start_without_a_time_are_counted_back_from_the_first_that_has_one(count, tmp_path):
    """Matroska has no times before 0. Put between later frames, they pushed those off their stated times."""
    fine = Fraction(1, 90000)
    clip = make_clip(tmp_path / "clip.mp4", frames=40, rate=30, time_base=fine, options={"bf": "3", "g": "30"})
    whole = index_frames(clip).pts
    path = without_times(clip, tmp_path / "in.mkv", before=whole[count])
    with av.open(str(path)) as container:
        stated = sorted(p.pts for p in container.demux(video=0) if p.size and p.pts is not None)
    assert len(stated) == 40 - count
    index = index_frames(path)
    assert not index.sequential
    assert list(index.pts[count:]) == stated
    assert list(index.pts) == [round((time - whole[count]) * fine * 1000) for time in whole]
    assert sum(index.nbytes) == sum(index_frames(clip).nbytes)
    counts = Counts()
    assert [frame.pts for frame in read_frames(path, counts=counts)] == list(index.pts)
    assert (counts.untimed_frames, counts.damage) == (count, 0)


def without_times(source, path, *, before):
    """A Matroska whose frames that are shown before a time have none: their blocks are before the time of all."""
    with av.open(str(source)) as container, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        stream.codec_context.framerate = Fraction(30)  # Matroska states how long a frame lasts by it
        for packet in container.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts - before, packet.dts - before
                packet.stream = stream
                out.mux(packet)
    return path


def test_an_avi_without_b_frames_begins_with_its_sound(tmp_path):
    """It states no times of display, and those that FFmpeg made up were a frame late."""
    path = make_clip(tmp_path / "in.avi", frames=30, time_base=Fraction(1, 25), options={"bf": "0"}, sound=True)
    with av.open(str(path)) as container:
        shown = [packet.dts for packet in container.demux(video=0) if packet.size]  # nothing is reordered
    index = index_frames(path)
    assert shown[0] == 0
    assert (index.pts, index.sequential) == (tuple(shown), False)
    assert [frame.pts for frame in read_frames(path)] == shown
    place = index.keyframes[-1]
    after = [pts for pts in shown if pts >= place[0]]
    assert [frame.pts for frame in read_frames(path, keyframe=place, start=place[0])] == after
