"""Encoding: every frame, every bit of depth, the same bytes each time, and settings that are refused in time."""

import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from tests.clips import ffprobe_video, picture
from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.ops.layout import LAYOUTS
from vidperc.video.encoder import Encoder, check_encoder, container_takes
from vidperc.video.encoder_settings import choose_encoder

RATE = Fraction(25)
TICK = Fraction(1, 1000)
SIZE = {"width": 96, "height": 64}


def planes_of(index, layout, width=96, height=64):
    """Texture that uses every bit of the layout."""
    texture = picture(index, width, height)[..., 0].astype(np.uint16) << (layout.bits - 8)
    texture += np.arange(width, dtype=np.uint16) % (1 << (layout.bits - 8))
    dtype = np.uint8 if layout.bits == 8 else np.uint16
    sizes = [layout.plane_size(plane, width, height) for plane in range(layout.planes)]
    return [np.ascontiguousarray(texture[:high, :wide].astype(dtype)) for high, wide in sizes]


def encode(path, settings, times, width=96, height=64):
    layout = LAYOUTS[settings.pix_fmt]
    with Encoder(path, settings, width=width, height=height, time_base=TICK, rate=RATE, color=Color()) as encoder:
        for index, time in enumerate(times):
            encoder.encode(planes_of(index, layout, width, height), time)
    return encoder


def decoded(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "bframes=8:b-adapt=0:rc-lookahead=60"}),
        ("libx265", {"x265-params": "bframes=4:b-adapt=0"}),
        ("libsvtav1", {}),
        ("libvpx-vp9", {"lag-in-frames": "25", "auto-alt-ref": "1", "cpu-used": "8"}),
        ("ffv1", {}),
        ("prores_ks", {}),
        ("mpeg4", {"bf": "2"}),
    ],
)
def test_the_last_frames_are_not_lost(codec, options, tmp_path):
    presets = {"libx264": "medium", "libx265": "ultrafast", "libsvtav1": "12"}
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec, preset=presets.get(codec), options=options)
    for frames in (1, 2, 29):  # fewer than the encoder holds back, and more
        times = [40 * k + k % 3 for k in range(frames)]
        encoder = encode(tmp_path / "part.mkv", settings, times)
        assert sorted(encoder.packet_pts) == times
        assert [frame.pts for frame in decoded(tmp_path / "part.mkv")] == times, "a segment plays"


SHORT = """
from pathlib import Path
from tests.video.test_encoder import choose_encoder, encode

settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec="libx265", preset="ultrafast")
for times in ([0], [1000, 1040], [0, 40, 80]):
    encode(Path("part.mkv"), settings, times)
"""


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libsvtav1", "libx264", "libx265", "ffv1"])
def test_times_in_billionths_of_a_second_stay_exact(codec):
    """As some WebM files count; libvpx has ticks of its own, a hundred times as long."""
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec)
    times = [round(Fraction(index, 30) * 10**9) for index in range(20)]
    with Encoder(
        io.BytesIO(), settings, **SIZE, time_base=Fraction(1, 10**9), rate=Fraction(30), color=Color()
    ) as encoder:
        for index, time in enumerate(times):
            encoder.encode(planes_of(index, LAYOUTS[settings.pix_fmt]), time)
    assert sorted(encoder.packet_pts) == times


def test_fewer_frames_than_an_encoder_holds_back_can_be_written(tmp_path):
    """x265 takes their decode times from memory that it never wrote; glibc fills that here with what overflows."""
    subprocess.run(
        [sys.executable, "-c", SHORT],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "MALLOC_PERTURB_": "85", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "gray10le", "gbrp10le", "yuv420p"])
def test_a_lossless_encoder_gives_every_bit_back(pix_fmt, tmp_path):
    settings = choose_encoder(source_pix_fmt=pix_fmt, bits=LAYOUTS[pix_fmt].bits, codec="ffv1")
    assert settings.pix_fmt == pix_fmt
    encode(tmp_path / "part.mkv", settings, range(3))
    dtype = np.uint8 if LAYOUTS[pix_fmt].bits == 8 else np.uint16
    for index, frame in enumerate(decoded(tmp_path / "part.mkv")):
        for plane, wanted in zip(frame.planes, planes_of(index, LAYOUTS[pix_fmt]), strict=True):
            rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype().itemsize)
            assert np.array_equal(rows[: wanted.shape[0], : wanted.shape[1]], wanted)


def test_ten_bits_in_are_ten_bits_out_of_libx265(tmp_path):
    settings = choose_encoder(source_pix_fmt="yuv420p10le", bits=10, preset="ultrafast", quality="4")
    assert (settings.codec, settings.pix_fmt) == ("libx265", "yuv420p10le")
    encode(tmp_path / "part.mkv", settings, range(5))
    video = ffprobe_video(tmp_path / "part.mkv")
    assert (video["codec_name"], video["pix_fmt"]) == ("hevc", "yuv420p10le")
    (frame, *_) = decoded(tmp_path / "part.mkv")
    values = np.frombuffer(frame.planes[0], np.uint16)
    assert len(np.unique(values % 4)) == 4, "the lowest two bits are in use"


@pytest.mark.parametrize(("pix_fmt", "bits", "codec"), [("yuv420p", 8, "libx264"), ("yuv420p12le", 12, "libx265")])
def test_the_depth_of_the_source_chooses_the_encoder(pix_fmt, bits, codec):
    settings = choose_encoder(source_pix_fmt=pix_fmt, bits=bits)
    assert (settings.codec, settings.pix_fmt) == (codec, pix_fmt)


@pytest.mark.parametrize(("codec", "encoder"), [("h264", "libx264"), ("hevc", "libx265"), ("av1", "libsvtav1")])
def test_the_name_of_a_codec_gets_the_settings_of_its_encoder(codec, encoder):
    """Else it was not repeatable, and x265 wrote its settings to the terminal."""
    choices = {"source_pix_fmt": "yuv420p", "bits": 8}
    assert choose_encoder(codec=codec, **choices) == choose_encoder(codec=encoder, **choices)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_equal_frames_give_equal_bytes_and_every_segment_the_same_headers(codec, tmp_path):
    preset = {"libx265": "ultrafast", "libsvtav1": "12"}.get(codec)
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec, preset=preset)
    first = encode(tmp_path / "first.mkv", settings, range(0, 800, 40))
    again = encode(tmp_path / "again.mkv", settings, range(0, 800, 40))
    other = encode(tmp_path / "other.mkv", settings, range(2000, 2200, 40))
    assert packets(tmp_path / "first.mkv") == packets(tmp_path / "again.mkv")
    assert first.packet_pts == again.packet_pts
    assert first.extradata == other.extradata


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_an_encoder_left_by_an_error_leaves_no_file(tmp_path):
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8)
    path = tmp_path / "part.mkv"
    with (
        pytest.raises(ZeroDivisionError),
        Encoder(path, settings, **SIZE, time_base=TICK, rate=RATE, color=Color()) as encoder,
    ):
        encoder.encode(planes_of(0, LAYOUTS["yuv420p"]), 0)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def refused(match, *, width=96, height=64, **choices):
    with pytest.raises(VidpercError, match=match) as caught:
        settings = choose_encoder(**{"source_pix_fmt": "yuv420p", "bits": 8, **choices})
        check_encoder(settings, width=width, height=height, time_base=TICK, rate=RATE, color=Color())
    assert "\n" not in str(caught.value)


def test_what_an_encoder_refuses_is_told_before_any_work():
    refused("--codec nosuch: no such encoder here; `vidperc doctor`", codec="nosuch")
    refused("--codec aac: is an encoder for audio, wanted one for video", codec="aac")
    refused("--codec huffyuv: matroska does not hold it", codec="huffyuv")
    refused("--preset quick: libx264 does not know it, wanted one of ultrafast", preset="quick")
    refused("--pix-fmt yuv411p: libx264 does not take it, wanted one of yuv420p", pix_fmt="yuv411p")
    refused("--crf 18: ffv1 has no constant quality", codec="ffv1", quality="18")
    refused("rv10 cannot encode 96x64 yuv420p with no options: ", codec="rv10")  # it opens, and its packets do not pass
    refused("has no option nosuch", options={"nosuch": "1"})
    refused(re.escape("nosuch"), options={"x264-params": "nosuch=1"})
    refused("nosuch", codec="libx265", options={"x265-params": "nosuch=1"})


def test_threads_that_look_at_once_leave_the_log_as_it_was():
    """Left up, it made decoders of damaged files wait for ever."""
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8)
    looks = dict(**SIZE, time_base=TICK, rate=RATE, color=Color())
    before = av.logging.get_level()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: check_encoder(settings, **looks), range(40)))
    assert av.logging.get_level() == before


@pytest.mark.parametrize(("width", "height"), [(97, 64), (96, 65)])
def test_odd_sizes_are_refused_where_the_encoder_cannot_hold_them(width, height):
    refused(f"libx264 cannot encode {width}x{height} yuv420p", width=width, height=height)
    for codec, pix_fmt in (("libx264", "yuv444p"), ("ffv1", "yuv420p"), ("libvpx-vp9", "yuv420p")):
        settings = choose_encoder(source_pix_fmt=pix_fmt, bits=8, codec=codec)
        check_encoder(settings, width=width, height=height, time_base=TICK, rate=RATE, color=Color())


@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_odd_sizes_keep_their_last_row_and_column(codec, tmp_path):
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec)
    encode(tmp_path / "part.mkv", settings, range(3), width=97, height=65)
    assert [(f.width, f.height) for f in decoded(tmp_path / "part.mkv")] == [(97, 65)] * 3


def test_the_users_options_win_and_add_to_the_encoders_own():
    settings = choose_encoder(
        source_pix_fmt="yuv420p", bits=8, options={"x264-params": "keyint=50", "tune": "grain"}, quality="30"
    )
    assert settings.options["x264-params"] == "cpu-independent=1:open-gop=0:keyint=50"
    assert (settings.options["tune"], settings.options["crf"]) == ("grain", "30")


@pytest.mark.parametrize(
    ("container", "codec", "takes"),
    [
        ("mp4", "libx264", True),
        ("mp4", "libvpx-vp9", True),
        ("mp4", "prores_ks", False),
        ("mov", "prores_ks", True),
        ("mov", "libvpx-vp9", False),  # these two are on its list of codecs
        ("mov", "libsvtav1", False),
        ("webm", "libx264", False),
        ("webm", "libsvtav1", True),
        ("matroska", "ffv1", True),
        ("matroska", "rawvideo", False),  # written by its muxer, and refused when its own file is copied
        ("mov", "rawvideo", False),  # written, and does not decode
    ],
)
def test_what_containers_hold(container, codec, takes):
    settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec)
    segment = check_encoder(settings, **SIZE, time_base=TICK, rate=RATE, color=Color())
    assert container_takes(container, segment) is takes


@pytest.mark.parametrize(
    ("codec", "suffix", "told"),
    [(None, ".webm", "cpu-used=N sets its speed"), ("ffv1", ".mkv", "ffv1 has none; leave it out")],
)
def test_a_preset_for_an_encoder_without_any_is_refused(codec, suffix, told):
    """The user may not have named the encoder that it is for."""
    with pytest.raises(VidpercError, match=f"--preset fast: .*{told}"):
        choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec, preset="fast", suffix=suffix)


@pytest.mark.parametrize(
    ("bits", "source_codec", "wanted"),
    [(8, "vp9", "libvpx-vp9"), (8, "av1", "libsvtav1"), (10, "hevc", "libsvtav1")],
)
def test_webm_gets_an_encoder_that_it_holds(bits, source_codec, wanted):
    pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
    settings = choose_encoder(source_pix_fmt=pix_fmt, bits=bits, suffix=".webm", source_codec=source_codec)
    assert (settings.codec, settings.pix_fmt) == (wanted, pix_fmt)
