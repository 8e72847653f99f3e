"""What goes in comes out, in every codec and container that is written, as ffprobe reads it; what does not is named."""

import shutil
import subprocess
from fractions import Fraction

import av
import pytest

from tests.clips import (
    NO_TEST_DATA,
    TEST_DATA,
    changed_clip,
    ffprobe_packets,
    ffprobe_streams,
    ffprobe_times,
    ffprobe_video,
    make_clip,
    turned_clip,
)
from tests.rich_files import make_rich
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.smpte import moved_timecode

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")
needs_data = pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)

UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
TWICE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def done(source, output, pool, spec=UNCHANGED, **settings):
    job = Job(source=source, pipeline=spec, output=output, workers=1, wishes=Wishes(device="cpu"), **settings)
    return run_job(job, pool, Watcher())


def fates(report, field):
    return [(fate.subject, fate.outcome) for fate in report.fidelity if fate.field == field]


@pytest.mark.parametrize(
    ("codec", "name", "wanted", "settings"),
    [
        ("libsvtav1", "out.mp4", ("av1", "yuv420p"), {"preset": "12"}),
        ("libsvtav1", "out.webm", ("av1", "yuv420p"), {"preset": "12"}),
        ("libsvtav1", "out.mkv", ("av1", "yuv420p"), {"preset": "12"}),
        ("libvpx-vp9", "out.webm", ("vp9", "yuv420p"), {"encoder_options": {"cpu-used": "8"}}),
        ("libvpx-vp9", "out.mp4", ("vp9", "yuv420p"), {"encoder_options": {"cpu-used": "8"}}),
        ("prores_ks", "out.mov", ("prores", "yuv422p10le"), {}),
        ("prores_ks", "out.mkv", ("prores", "yuv422p10le"), {}),
        ("ffv1", "out.mkv", ("ffv1", "yuv420p"), {}),
        ("libx265", "out.mp4", ("hevc", "yuv420p"), {"preset": "ultrafast"}),
        ("libx265", "out.mov", ("hevc", "yuv420p"), {"preset": "ultrafast"}),
        ("libx264", "out.m4v", ("h264", "yuv420p"), {"preset": "ultrafast"}),
    ],
)
def test_every_codec_that_is_written_has_every_frame_and_the_last_ones_too(
    codec, name, wanted, settings, pool, tmp_path
):
    source = make_clip(tmp_path / "in.mp4", frames=37, pts=[512 * k + 60 * (k % 3) for k in range(37)])
    done(source, tmp_path / name, pool, codec=codec, **settings)
    video = ffprobe_video(tmp_path / name)
    assert (video["codec_name"], video["pix_fmt"]) == wanted
    assert (video["width"], video["height"]) == (96, 64)
    error = Fraction(1, 2000) if name.endswith(("mkv", "webm")) else 0
    pairs = zip(ffprobe_times(source), ffprobe_times(tmp_path / name), strict=True)
    assert max(abs(was - now) for was, now in pairs) <= error
    assert decoded_count(tmp_path / name) == 37


def decoded_count(path):
    """How many frames ffprobe decodes."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-of", "csv=p=0"]
    said = subprocess.run(
        [*command, "-show_entries", "stream=nb_read_frames", str(path)], capture_output=True, text=True
    )
    return int(said.stdout.strip().strip(","))


@pytest.mark.parametrize(("pix_fmt", "wanted"), [("yuv422p12le", "libx265"), ("yuv444p12le", "ffv1")])
def test_twelve_bits_stay_twelve(pix_fmt, wanted, pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", pix_fmt=pix_fmt)
    done(source, tmp_path / "out.mkv", pool, codec=wanted)
    assert ffprobe_video(source)["pix_fmt"] == ffprobe_video(tmp_path / "out.mkv")["pix_fmt"] == pix_fmt


@pytest.mark.parametrize("codec", ["libsvtav1", "libvpx-vp9", "ffv1"])
def test_odd_sizes_stay_odd(codec, pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=3, size=(97, 65), codec="ffv1")
    done(source, tmp_path / "out.mkv", pool, codec=codec)
    video = ffprobe_video(tmp_path / "out.mkv")
    assert (video["width"], video["height"]) == (97, 65)


def test_what_is_rgb_states_its_matrix(pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=3, codec="ffv1", pix_fmt="bgr0")
    done(source, tmp_path / "out.mkv", pool)
    assert ffprobe_video(tmp_path / "out.mkv")["color_space"] == "smpte170m"
    assert ffprobe_video(tmp_path / "out.mkv")["color_range"] == "tv"


@pytest.mark.parametrize(("codec", "wanted"), [("libvpx-vp9", "vp9"), ("libsvtav1", "av1")])
def test_a_webm_stays_one_with_its_sound_and_text(codec, wanted, pool, tmp_path):
    """The codec follows the source's, for WebM takes neither H.264 nor H.265."""
    picture = make_clip(tmp_path / "clip.webm", frames=25, time_base=Fraction(1, 1000), codec=codec)
    source = with_opus_and_text(picture, tmp_path / "in.webm")
    ready = prepare_job(Job(source=source, pipeline=TWICE, wishes=Wishes(device="cpu")), pool)
    assert ready.output == tmp_path / "in_x2.webm"
    report = done(source, None, pool, spec=TWICE, strict=True)
    kinds = [(s["codec_type"], s["codec_name"]) for s in ffprobe_streams(report.output)]
    assert kinds == [("video", wanted), ("audio", "opus"), ("subtitle", "webvtt")]
    for kind in ("a", "s"):
        assert ffprobe_packets(report.output, kind) == ffprobe_packets(source, kind)
    assert fates(report, "container") == [("file", "kept")]
    assert ffprobe_times(report.output) == ffprobe_times(source)


def with_opus_and_text(picture, path):
    """The video with sound in Opus and text in WebVTT beside it."""
    rich = make_rich(path.with_name("rich.mkv"), subtitles=("webvtt",), sounds=0)
    with av.open(str(picture)) as video, av.open(str(rich)) as text, av.open(str(path), "w") as output:
        place = output.add_stream_from_template(video.streams.video[0], opaque=True)
        voice = output.add_stream("libopus", rate=48000, layout="mono")
        words = output.add_stream_from_template(text.streams.subtitles[0], opaque=True)
        packets = [p for p in video.demux(video=0) if p.size]
        for packet in packets:
            packet.stream = place
        said = [p for p in text.demux(subtitles=0) if p.size]
        for packet in said:
            packet.stream = words
        for packet in (*packets, *said):
            output.mux(packet)
        silence = av.AudioFrame(format="flt", layout="mono", samples=48000)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.pts = 48000, 0
        output.mux(voice.encode(silence))
        output.mux(voice.encode(None))
    return path


@pytest.mark.parametrize(
    ("pix_fmt", "wanted"), [("yuv420p", ("vp9", "yuv420p")), ("yuv420p10le", ("av1", "yuv420p10le"))]
)
def test_a_name_that_ends_in_webm_is_enough(pix_fmt, wanted, pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", pix_fmt=pix_fmt)
    done(source, tmp_path / "out.webm", pool)
    video = ffprobe_video(tmp_path / "out.webm")
    assert (video["codec_name"], video["pix_fmt"]) == wanted


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg makes the source, and reads the sound")
@pytest.mark.parametrize("name", ["out.mov", "out.mp4", "out.mkv"])
def test_sound_without_compression_stays_however_long_its_packets_are(name, pool, tmp_path):
    # MP4 and MOV are read in packets of their own of 1024 samples.
    source = tmp_path / "in.mkv"
    films = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1")
    sound = ("-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000,asetnsamples=4800")
    subprocess.run(["ffmpeg", "-v", "error", *films, *sound, "-c:a", "pcm_s16le", str(source)], check=True)
    assert len(ffprobe_packets(source, "a")) == 10
    report = done(source, tmp_path / name, pool)
    assert fates(report, "stream") == [("audio 1 (pcm_s16le)", "kept")]
    assert samples(report.output) == samples(source)


def samples(path):
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-f", "s16le", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg makes the sources")
@pytest.mark.parametrize(
    ("name", "made", "place"),
    [
        ("in.dv", ("-target", "pal-dv"), "topleft"),
        ("in.ogv", ("-c:v", "libtheora"), "center"),
        ("in.3gp", ("-c:v", "h263", "-s", "176x144", "-an"), "center"),
    ],
)
def test_old_codecs_keep_their_rate_and_where_chroma_sits(name, made, place, pool, tmp_path):
    # FFmpeg 8.1 averages the rate of DV to 60,000 frames a second, for which no MP4 can write its timecode.
    sound = ("-f", "lavfi", "-i", "sine=duration=0.4:sample_rate=48000", "-ac", "2")
    film = ("-f", "lavfi", "-i", "testsrc2=size=720x576:rate=25:duration=0.4")
    subprocess.run(["ffmpeg", "-v", "error", *film, *sound, *made, str(tmp_path / name)], check=True)
    assert ffprobe_video(tmp_path / name)["chroma_location"] == place
    report = done(tmp_path / name, tmp_path / "out.mov", pool)
    found = ffprobe_video(report.output)
    assert (found["chroma_location"], found["r_frame_rate"]) == (place, "25/1")
    assert ffprobe_times(report.output) == ffprobe_times(tmp_path / name)
    assert found.get("tags", {}).get("timecode") == ("00:00:00:00" if name == "in.dv" else None)


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_a_timecode_stays(name, pool, tmp_path):
    def mark(stream):
        stream.codec_context.framerate = 25
        stream.metadata["timecode"] = "01:02:03:04"

    source = changed_clip(make_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "in.mp4", mark)
    report = done(source, tmp_path / name, pool)
    tags = {key.lower(): value for key, value in ffprobe_video(tmp_path / name)["tags"].items()}
    assert tags["timecode"] == ffprobe_video(source)["tags"]["timecode"] == "01:02:03:04"
    assert report.streams.dropped == []


@pytest.mark.parametrize(
    ("text", "rate", "seconds", "new_rate", "wanted"),
    [
        ("01:00:00:00", Fraction(25), Fraction(38, 25), None, "01:00:01:13"),
        ("23:59:59:24", Fraction(25), Fraction(1, 25), None, "00:00:00:00"),
        ("00:00:59;29", Fraction(30000, 1001), Fraction(1001, 30000), None, "00:01:00;02"),
        ("00:09:59;29", Fraction(30000, 1001), Fraction(1001, 30000), None, "00:10:00;00"),
        ("00:00:00;00", Fraction(30000, 1001), Fraction(3600), None, "01:00:00;00"),
        ("00:00:59;59", Fraction(60000, 1001), Fraction(1001, 60000), None, "00:01:00;04"),
        ("00:01:00:00", Fraction(30000, 1001), Fraction(1001, 30000), None, "00:01:00:01"),
        ("01:00:00:12", Fraction(25), Fraction(0), Fraction(50), "01:00:00:24"),
        ("01:00:00:25", Fraction(25), Fraction(1), None, None),
        ("soon", Fraction(25), Fraction(1), None, None),
    ],
)
def test_a_timecode_counts_on(text, rate, seconds, new_rate, wanted):
    assert moved_timecode(text, rate, seconds, new_rate=new_rate) == wanted


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_an_excerpt_has_the_timecode_of_its_first_picture(name, pool, tmp_path):
    def mark(stream):
        stream.codec_context.framerate = 25
        stream.metadata["timecode"] = "01:02:03:04"

    source = changed_clip(make_clip(tmp_path / "clip.mp4", frames=50), tmp_path / "in.mp4", mark)
    report = done(source, tmp_path / name, pool, start=Fraction(1))
    tags = {key.lower(): value for key, value in ffprobe_video(tmp_path / name)["tags"].items()}
    assert tags["timecode"] == "01:02:04:04"
    assert ("video", "converted") in fates(report, "timecode")
    assert report.streams.dropped == []


@pytest.mark.parametrize("turn", [{"rotation": 90}, {"rotation": 180}, {"rotation": 90, "hflip": True}])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
def test_a_rotation_is_kept_or_named(name, turn, pool, tmp_path):
    def mark(stream):
        stream.set_display_rotation(turn["rotation"], hflip=turn.get("hflip", False))

    source = changed_clip(make_clip(tmp_path / "clip.mp4", frames=4), tmp_path / "in.mp4", mark)
    webm = {"encoder_options": {"cpu-used": "8"}} if name.endswith("webm") else {"preset": "ultrafast"}
    report = done(source, tmp_path / name, pool, **webm)
    ((_, outcome),) = fates(report, "rotation")
    assert outcome == ("kept" if matrix(tmp_path / name) == matrix(source) else "dropped")
    assert outcome == "kept" or (name[4:] in ("mkv", "webm") and turn.get("hflip"))
    if outcome == "dropped":
        with pytest.raises(VidpercError, match=r"--strict, and this would be dropped: video, rotation"):
            done(source, tmp_path / f"strict_{name}", pool, strict=True, **webm)


def matrix(path):
    """The nine numbers by which a player turns the picture, as ffprobe prints them."""
    return [d["displaymatrix"] for d in ffprobe_video(path).get("side_data_list", []) if "displaymatrix" in d]


def test_a_rotation_that_is_baked_is_told_and_strict_does_not_mind(pool, tmp_path):
    source = turned_clip(make_clip(tmp_path / "clip.mp4", frames=4), tmp_path / "in.mp4", degrees=90)
    report = done(source, tmp_path / "out.mp4", pool, bake_rotation=True, strict=True)
    assert fates(report, "rotation") == [("video", "converted")]
    video = ffprobe_video(tmp_path / "out.mp4")
    assert (video["width"], video["height"]) == (64, 96)
    assert matrix(tmp_path / "out.mp4") == []


@needs_data
def test_interlacing_that_is_lost_is_named_and_strict_refuses(pool, tmp_path):
    source = TEST_DATA / "videos/synthetic/interlaced_tff_h264.mkv"
    report = done(source, tmp_path / "out.mkv", pool, end=Fraction(1, 5), preset="ultrafast")
    assert ffprobe_video(source)["field_order"] == "tt"
    assert ffprobe_video(tmp_path / "out.mkv").get("field_order") in (None, "progressive", "unknown")
    assert fates(report, "interlacing") == [("video", "dropped")]
    with pytest.raises(VidpercError, match=r"--strict, .*video, interlacing.*--deinterlace"):
        done(source, tmp_path / "strict.mkv", pool, strict=True)
    report = done(
        source, tmp_path / "strict.mkv", pool, strict=True, deinterlace="frame", end=Fraction(1, 5), preset="ultrafast"
    )
    assert fates(report, "interlacing") == [("video", "converted")]


def test_a_size_that_changes_in_mid_stream_is_in_the_report(pool, tmp_path):
    parts = [make_clip(tmp_path / f"{n}.h264", frames=5, size=size) for n, size in enumerate([(96, 64), (64, 48)])]
    source = tmp_path / "in.h264"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = done(source, tmp_path / "out.mkv", pool)
    (fate,) = [fate for fate in report.fidelity if fate.field == "size"]
    assert fate.outcome == "converted" and "5 frames were scaled to the first one's 96x64" in fate.reason
    command = ["ffprobe", "-v", "error", "-show_entries", "frame=width,height", "-of", "csv=p=0"]
    said = subprocess.run([*command, str(tmp_path / "out.mkv")], capture_output=True, check=True, text=True).stdout
    assert [line.rstrip(",") for line in said.split()] == ["96,64"] * 10


@needs_data
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_picture_subtitles_stay_in_matroska_and_are_named_elsewhere(name, pool, tmp_path):
    source = TEST_DATA / "videos/awkward/pgs.mkv"
    report = done(source, tmp_path / name, pool, spec=UNCHANGED, preset="ultrafast")
    kinds = [s["codec_name"] for s in ffprobe_streams(tmp_path / name) if s["codec_type"] == "subtitle"]
    assert kinds == (["hdmv_pgs_subtitle"] if name == "out.mkv" else [])
    if name == "out.mkv":
        assert ffprobe_packets(tmp_path / name, "s") == ffprobe_packets(source, "s")
    else:
        assert any("hdmv_pgs" in sentence and ".mkv" in sentence for sentence in report.streams.dropped)


def test_a_tag_that_is_no_utf8_stops_nothing(pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=4, metadata={"artist": "MNOP__"})
    content = source.read_bytes()
    assert content.count(b"MNOP__") == 1
    source.write_bytes(content.replace(b"MNOP__", b"M\xff\xfeP__"))
    done(source, tmp_path / "out.mkv", pool)
    command = ["ffprobe", "-v", "error", "-show_entries", "format_tags=ARTIST", "-of", "csv=p=0"]
    said = subprocess.run([*command, str(tmp_path / "out.mkv")], capture_output=True, check=True).stdout
    assert said.decode().strip() == "M\ufffd\ufffdP__"


@needs_data
def test_what_decodes_of_a_damaged_file_is_all_there_and_counted(pool, tmp_path):
    source = TEST_DATA / "videos/synthetic/bitflips.mp4"
    report = done(source, tmp_path / "out.mp4", pool, preset="ultrafast")
    assert report.frames_out == decoded_count(tmp_path / "out.mp4") == len(ffprobe_times(tmp_path / "out.mp4"))
    assert report.frames_out >= report.frames_in - report.damage["corrupt_packets"] - 2
    assert report.damage["corrupt_frames"] > 0
