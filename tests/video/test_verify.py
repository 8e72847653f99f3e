"""The last look at an output finds what is wrong with it."""

from fractions import Fraction

import av
import pytest

from tests.clips import make_clip
from vidperc.errors import VidpercError
from vidperc.video.verify import verify_output

TICK = Fraction(1, 12800)
FRAMES = 24
PTS = tuple(512 * k for k in range(FRAMES))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {
        suffix: make_clip(folder / f"out{suffix}", frames=FRAMES, sound=True, options={"bf": "2"})
        for suffix in (".mp4", ".mkv")
    }


def sound_packets(path):
    with av.open(str(path)) as container:
        return {1: sum(packet.size > 0 for packet in container.demux(audio=0))}


def verify(path, **other):
    wanted = {"pts": PTS, "time_base": TICK, "size": (96, 64), **other}
    wanted.setdefault("packets", {})
    return verify_output(path, **wanted)


def test_a_whole_mp4_passes_without_any_error(clips):
    assert verify(clips[".mp4"], packets=sound_packets(clips[".mp4"])) == 0


def test_a_matroska_file_passes_within_half_a_tick(tmp_path):
    thirds = [round(Fraction(k, 3) / TICK) for k in range(FRAMES)]
    path = make_clip(tmp_path / "out.mkv", pts=thirds)
    assert 0 < verify(path, pts=thirds, packets={}) <= 0.0005


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"pts": (*PTS, 512 * FRAMES)}, "has 24 frames, wanted 25"),
        ({"pts": PTS[:-1]}, "has 24 frames, wanted 23"),
        ({"pts": (*PTS[:7], PTS[7] + 1, *PTS[8:])}, "0.078 ms off its time"),
        ({"pts": tuple(pts + 512 for pts in PTS)}, "40.000 ms off its time"),
        ({"size": (96, 66)}, "has 96x64 pixels, wanted 96x66"),
    ],
)
def test_what_is_wrong_with_an_mp4_is_named(other, told, clips):
    with pytest.raises(VidpercError, match=told) as caught:
        verify(clips[".mp4"], **other)
    assert str(clips[".mp4"]) in str(caught.value)


def test_one_missing_sound_packet_is_noticed(clips):
    for path in clips.values():
        wanted = {index: count + 1 for index, count in sound_packets(path).items()}
        with pytest.raises(VidpercError, match=r"stream 1 has \d+ packets, wanted \d+"):
            verify(path, packets=wanted)


def test_a_time_off_by_a_millisecond_is_noticed_in_matroska(clips):
    with av.open(str(clips[".mkv"])) as container:
        start = container.streams.video[0].start_time  # make_clip lets the muxer move all by the lead of the sound
    pts = [t + round(start * Fraction(1, 1000) / TICK) for t in PTS]
    assert verify(clips[".mkv"], pts=pts) <= 0.0005
    with pytest.raises(VidpercError, match="ms off its time"):
        verify(clips[".mkv"], pts=[*pts[:-1], pts[-1] + 26])


def test_a_missing_frame_is_noticed(clips, tmp_path):
    path = tmp_path / "missing.mp4"
    with av.open(str(clips[".mp4"])) as container, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(p for p in container.demux(video=0) if p.size):
            packet.stream = stream
            if number != 15:
                output.mux(packet)
    with pytest.raises(VidpercError, match="has 23 frames, wanted 24"):
        verify(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_single_frame_passes(suffix, tmp_path):
    path = make_clip(tmp_path / f"out{suffix}", frames=1, codec="ffv1")
    assert verify(path, pts=[0]) == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_group_that_does_not_decode_is_noticed(where, suffix, clips, tmp_path):
    path = tmp_path / f"broken{suffix}"
    with av.open(str(clips[".mp4"])) as container, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size == 0:
                continue
            number = packet.pts // 512
            broken = av.Packet(bytes([255] * packet.size)) if (number < 12) == (where == "first") else packet
            broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
            broken.is_keyframe, broken.duration = packet.is_keyframe, packet.duration
            broken.stream = stream
            output.mux(broken)
    with pytest.raises(VidpercError, match=f"{where} group"):
        verify(path)


def test_a_file_that_is_no_video_is_refused(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_text("this is no video")
    with pytest.raises(VidpercError):
        verify_output(path, pts=PTS, time_base=TICK, size=(96, 64), packets={})
