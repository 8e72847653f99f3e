"""The output file: exact times, everything else of the source, colours stated."""

import itertools
from fractions import Fraction

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clips import (
    changed_clip,
    decoded_frames,
    ffprobe_packets,
    ffprobe_streams,
    ffprobe_times,
    ffprobe_video,
    make_clip,
)
from tests.video.joined import encode_parts, join
from vidperc.errors import VidpercError
from vidperc.video.output import decode_times, write_output
from vidperc.video.probe import probe

# Irregular gaps from a start that is no multiple of anything, in ticks of 1/90000 s.
VFR = [7001 + t for t in itertools.accumulate([0, *[3003, 1501, 9000, 3754, 3003, 45045, 1, 3003] * 6])]
B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"}


@pytest.fixture(scope="module")
def vfr(tmp_path_factory):
    """Variable rate, B-frames, a late start, sound."""
    path = tmp_path_factory.mktemp("vfr") / "vfr.mp4"
    return make_clip(path, pts=VFR, time_base=Fraction(1, 90000), options=B_FRAMES, sound=True)


# The packets of a real encoder: groups of one key or P frame and the B-frames shown before it, in a tree or not.
@st.composite
def decoding_orders(draw):
    order = []
    shown = 0
    for size in draw(st.lists(st.integers(1, 16), min_size=1, max_size=8)):
        pyramid = draw(st.booleans())
        between = list(range(shown, shown + size - 1))
        order.append(shown + size - 1)
        order.extend(_halves(between) if pyramid else between)
        shown += size
    start = draw(st.integers(-(10**6), 10**9))
    gaps = draw(st.lists(st.integers(1, 10**5), min_size=shown, max_size=shown))
    times = list(itertools.accumulate(gaps, initial=start))
    return [times[place] for place in order]


def _halves(places):
    """The middle first, then either side: what encoders call a pyramid."""
    if not places:
        return []
    middle = len(places) // 2
    return [places[middle], *_halves(places[:middle]), *_halves(places[middle + 1 :])]


@settings(deadline=None)
@given(decoding_orders(), st.booleans())
def test_decode_times_rise_and_never_pass_the_time_of_display(packet_pts, early):
    dts = decode_times(packet_pts, early=early)
    if early:
        assert min(packet_pts) - dts[0] >= packet_pts[-1] - dts[-1]
    assert len(dts) == len(packet_pts)
    assert all(a < b for a, b in itertools.pairwise(dts))
    assert all(d <= p for d, p in zip(dts, packet_pts, strict=True))


@pytest.mark.parametrize(
    ("packet_pts", "dts"),
    [
        ([5], [5]),
        ([0, 10, 20], [0, 10, 20]),
        ([0, 30, 10, 20], [-10, 0, 10, 20]),  # I P B B
        ([0, 40, 20, 10, 30], [-20, -10, 0, 10, 20]),  # a pyramid: I P B b b
        ([7, 100, 8, 101, 300], [6, 7, 8, 100, 101]),
        ([0, 10, 5, 20, 40, 30], [-5, 0, 5, 10, 20, 30]),  # two segments: the second starts without a lead
    ],
)
def test_decode_times_by_hand(packet_pts, dts):
    assert decode_times(packet_pts) == dts


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_variable_rate_with_b_frames_and_a_late_start_keeps_every_time_exactly(suffix, codec, vfr, tmp_path):
    joined = join(vfr, tmp_path / f"out{suffix}", codec=codec, preset="ultrafast" if codec == "libx265" else "medium")
    assert max(k - r for k, r in enumerate(_ranks(joined.parts))) > 0, "the encoder reorders, or this proves nothing"
    assert ffprobe_times(joined.output) == [Fraction(pts, 90000) for pts in VFR]


def _ranks(parts):
    packet_pts = [pts for part in parts for pts in part.packet_pts]
    shown = sorted(packet_pts)
    return [shown.index(pts) for pts in packet_pts]


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_matroska_keeps_every_time_within_half_a_millisecond(suffix, vfr, tmp_path):
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    options = {"cpu-used": "8", "deadline": "realtime"} if suffix == ".webm" else {}
    joined = join(vfr, tmp_path / f"out{suffix}", codec=codec, options=options, keep_audio=suffix == ".mkv")
    found = ffprobe_times(joined.output)
    assert len(found) == len(VFR)
    assert max(abs(a - Fraction(b, 90000)) for a, b in zip(found, VFR, strict=True)) <= Fraction(1, 2000)


def test_every_frame_lasts_until_the_next_and_the_last_as_long_as_it_did(tmp_path):
    times = VFR[:7]
    source = make_clip(tmp_path / "in.mp4", pts=times, time_base=Fraction(1, 90000), options=B_FRAMES)
    joined = join(source, tmp_path / "out.mkv")
    with av.open(str(joined.output)) as container:
        found = [duration for _, duration in sorted((p.pts, p.duration) for p in container.demux(video=0) if p.size)]
    wanted = [b - a for a, b in itertools.pairwise([*times, times[-1] + joined.index.last_duration])]
    for milliseconds, ticks in zip(found, wanted, strict=True):
        assert abs(Fraction(milliseconds, 1000) - Fraction(ticks, 90000)) <= Fraction(1, 1000)  # both ends are rounded


def test_the_video_of_an_mp4_lasts_as_long_as_the_source(vfr, tmp_path):
    joined = join(vfr, tmp_path / "out.mp4")
    video = ffprobe_video(joined.output)
    assert video["duration_ts"] * Fraction(video["time_base"]) == Fraction(
        VFR[-1] + joined.index.last_duration - VFR[0], 90000
    )


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("times", [[0, 40, 80, 120, 480, 520, 600, 620], [0, 10, 20, 30, 500, 1000, 1500, 2000]])
def test_an_mp4_is_as_long_as_its_frames_however_they_are_reordered(times, codec, tmp_path):
    """MP4 adds up the steps between times of decoding; the film ended with its last frame's first moment."""
    source = make_clip(tmp_path / "in.mkv", pts=times, time_base=Fraction(1, 1000))
    joined = join(source, tmp_path / "out.mp4", codec=codec)
    video = ffprobe_video(joined.output)
    assert video["start_pts"] + video["duration_ts"] == times[-1] + joined.index.last_duration


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_byte_for_byte_at_its_time(suffix, vfr, tmp_path):
    joined = join(vfr, tmp_path / f"out{suffix}")
    assert ffprobe_packets(joined.output) == ffprobe_packets(vfr)
    wanted, found = (_sound_times(path) for path in (vfr, joined.output))
    assert max(abs(a - b) for a, b in zip(wanted, found, strict=True)) <= (Fraction(1, 2000) if suffix == ".mkv" else 0)


def _sound_times(path):
    with av.open(str(path)) as container:
        return [p.pts * p.time_base for p in container.demux(audio=0) if p.size]


def test_the_segments_of_a_join_decode_to_what_each_holds(vfr, tmp_path):
    joined = join(vfr, tmp_path / "out.mkv", codec="ffv1", segments=5)
    assert [digest for _, digest in decoded_frames(joined.output)] == [digest for _, digest in decoded_frames(vfr)]


def test_an_excerpt_starts_at_zero_and_its_sound_is_cut_within_a_packet(vfr, tmp_path):
    parts = encode_parts(vfr, tmp_path, segments=3)
    first, end = min(parts[1].packet_pts), min(parts[2].packet_pts)
    output = tmp_path / "out.mp4"
    write_output(output, parts[1:2], source=probe(vfr), last_duration=3003, window=(first, end), identity="x")
    shown = sorted(parts[1].packet_pts)
    assert ffprobe_times(output) == [Fraction(pts - first, 90000) for pts in shown]
    packet = Fraction(1024, 44100)
    times = _sound_times(output)
    assert -packet < times[0] <= 0
    assert Fraction(end - first, 90000) - packet <= times[-1] < Fraction(end - first, 90000)
    start = Fraction(first, 90000)
    kept = [t - start for t in _sound_times(vfr) if t + packet > start and t < Fraction(end, 90000)]
    assert len(times) == len(kept)
    assert max(abs(a - b) for a, b in zip(times, kept, strict=True)) <= Fraction(1, 44100)


def test_sound_may_be_left_out(vfr, tmp_path):
    joined = join(vfr, tmp_path / "out.mp4", keep_audio=False)
    assert [s["codec_type"] for s in ffprobe_streams(joined.output)] == ["video"]
    assert any("--no-audio" in sentence for sentence in joined.copied.dropped)


def test_tags_and_chapters_stay_and_what_is_untrue_of_the_output_goes(tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=20, metadata={"title": "Grüße", "artist": "nobody"})
    chaptered = tmp_path / "chapters.mkv"
    with av.open(str(source)) as container, av.open(str(chaptered), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        output.metadata.update(container.metadata)
        output.metadata["ENCODER"] = "somebody"
        output.set_chapters(
            [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    joined = join(chaptered, tmp_path / "out.mkv")
    with av.open(str(joined.output)) as container:
        assert container.metadata["title"] == "Grüße"
        assert container.metadata["ARTIST"] == "nobody"
        assert "somebody" not in container.metadata.values()
        (chapter,) = container.chapters()
        assert (chapter["start"] * chapter["time_base"], chapter["end"] * chapter["time_base"]) == (0, Fraction(2, 5))
        assert chapter["metadata"]["title"] == "one"


def test_a_container_that_cannot_hold_the_video_is_refused_and_leaves_nothing(tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=8)
    for codec, name in (("libx264", "out.webm"), ("prores_ks", "out.mp4")):
        parts = encode_parts(source, tmp_path, segments=1, codec=codec)
        with pytest.raises(VidpercError, match=r"ending in \.mkv"):
            write_output(tmp_path / name, parts, source=probe(source), last_duration=1, identity="x")
        assert not (tmp_path / name).exists()


def test_a_part_that_lost_packets_is_noticed_and_leaves_nothing(tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=8)
    (part,) = encode_parts(source, tmp_path, segments=1)
    longer = type(part)(part.path, (*part.packet_pts, part.packet_pts[-1] + 40))
    with pytest.raises(RuntimeError, match="holds 8 packets, its sidecar says 9"):
        write_output(tmp_path / "out.mp4", [longer], source=probe(source), last_duration=40, identity="x")
    assert not (tmp_path / "out.mp4").exists()


def tagged_clip(path, *, matrix=2, primaries=2, transfer=2, full=None, codec="libx264", pix_fmt="yuv420p", params=""):
    """A clip with these colour tags; 2 and None leave a tag out."""
    with av.open(str(path), "w") as container:
        options = {f"{codec[3:]}-params": params} if params else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        if full is not None:
            context.color_range = 2 if full else 1
        for index in range(10):
            frame = av.VideoFrame(96, 64, pix_fmt)
            for plane in frame.planes:
                plane.update(bytes([60 + index]) * plane.buffer_size)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def color_tags(path):
    video = ffprobe_video(path)
    return tuple(video.get(f"color_{name}", "unknown") for name in ("space", "primaries", "transfer", "range"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_unstated_matrix_is_stated_on_the_output(suffix, tmp_path):
    source = tagged_clip(tmp_path / "in.mkv")
    assert color_tags(source)[0] == "unknown"
    joined = join(source, tmp_path / f"out{suffix}")
    assert color_tags(joined.output)[0] == "smpte170m"  # below 720 lines BT.601 is meant
    assert joined.info.color.guessed


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("full", [False, True])
def test_the_range_stays(suffix, full, tmp_path):
    source = tagged_clip(tmp_path / "in.mp4", matrix=1, primaries=1, transfer=1, full=full)
    joined = join(source, tmp_path / f"out{suffix}")
    assert color_tags(joined.output) == ("bt709", "bt709", "bt709", "pc" if full else "tv")


def test_the_full_range_format_of_old_stays_full_range(tmp_path):
    source = tagged_clip(tmp_path / "in.mp4", matrix=5, full=True, pix_fmt="yuvj420p")
    joined = join(source, tmp_path / "out.mp4")
    assert color_tags(joined.output)[3] == "pc"
    assert joined.info.color.full_range


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_tags_of_hdr10_stay_and_so_do_its_ten_bits(suffix, tmp_path):
    source = tagged_clip(
        tmp_path / "in.mp4",
        matrix=9,
        primaries=9,
        transfer=16,
        full=False,
        codec="libx265",
        pix_fmt="yuv420p10le",
        params="log-level=none:hdr10=1:repeat-headers=1",
    )
    joined = join(source, tmp_path / f"out{suffix}", preset="ultrafast")
    assert color_tags(joined.output) == ("bt2020nc", "bt2020", "smpte2084", "tv")
    video = ffprobe_video(joined.output)
    assert (video["codec_name"], video["pix_fmt"]) == ("hevc", "yuv420p10le")
    if suffix == ".mp4":
        assert video["codec_tag_string"] == "hvc1"


def test_pixel_shape_and_rotation_stay(tmp_path):
    def mark(stream):
        stream.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    source = changed_clip(make_clip(tmp_path / "plain.mp4", frames=10), tmp_path / "in.mp4", mark)
    joined = join(source, tmp_path / "out.mp4")
    was, now = ffprobe_video(source), ffprobe_video(joined.output)
    assert now["sample_aspect_ratio"] == was["sample_aspect_ratio"] == "4:3"
    assert now["side_data_list"][0]["rotation"] == was["side_data_list"][0]["rotation"]


@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(32, 27)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_shape_of_pixels_is_stated_where_the_source_states_it(suffix, aspect, tmp_path):
    """Square ones too; and PyAV cannot have Matroska's muxer write it, so the encoder does."""
    source = shaped_clip(tmp_path / "in.mp4", aspect)
    joined = join(source, tmp_path / f"out{suffix}")
    was, now = ffprobe_video(source), ffprobe_video(joined.output)
    assert was.get("sample_aspect_ratio") == (f"{aspect.numerator}:{aspect.denominator}" if aspect else None)
    assert now.get("sample_aspect_ratio") == was.get("sample_aspect_ratio")
    assert joined.copied.dropped == []


@pytest.mark.parametrize(("aspect", "lost"), [(None, 0), (Fraction(1), 0), (Fraction(4, 3), 1)])
@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_a_shape_of_pixels_that_is_lost_is_told(codec, aspect, lost, tmp_path):
    source = shaped_clip(tmp_path / "in.mp4", aspect)
    options = {"cpu-used": "8"} if codec == "vp9" else {"preset": "12"}
    joined = join(source, tmp_path / "out.webm", codec=codec, options=options)
    told = [sentence.partition(" does not")[0] for sentence in joined.copied.dropped]
    assert told == [f"sample aspect 4:3: {codec} in webm"] * lost


def shaped_clip(path, aspect):
    """A clip whose container states this sample aspect; None leaves it out."""

    def mark(stream):
        if aspect is not None:
            stream.sample_aspect_ratio = aspect

    return changed_clip(make_clip(path.with_name("plain.mp4"), frames=6), path, mark)


def test_a_timecode_is_kept(tmp_path):
    """MP4 makes a track of it, and fails at the very end unless the rate of the video is known."""

    def mark(stream):
        stream.codec_context.framerate = 25
        stream.metadata["timecode"] = "01:00:00:00"

    source = changed_clip(make_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "tagged.mp4", mark)
    join(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as result:
        assert result.streams.video[0].metadata["timecode"] == "01:00:00:00"


def test_a_mirrored_picture_stays_mirrored(tmp_path):
    source = make_clip(tmp_path / "clip.mp4", frames=6)
    mirrored = changed_clip(
        source, tmp_path / "mirrored.mp4", lambda stream: stream.set_display_rotation(90, hflip=True)
    )
    join(mirrored, tmp_path / "out.mp4")
    wanted = probe(mirrored).display_matrix
    assert wanted is not None and probe(source).display_matrix is None
    assert probe(tmp_path / "out.mp4").display_matrix == wanted
