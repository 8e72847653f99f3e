"""Sources read otherwise than they are stored: deinterlaced, or turned as players show them."""

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter.graph import Graph

from tests.clips import (
    changed_clip,
    decoded_frames,
    ffprobe_packets,
    ffprobe_times,
    ffprobe_video,
    make_clip,
    turned_clip,
)
from vidperc.engine import plan as plan_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale
from vidperc.video.as_read import deinterlaced_index, deinterlaced_info
from vidperc.video.deinterlace import deinterlaced
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.source import read_frames

pytestmark = pytest.mark.skipif(
    shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None, reason="ffmpeg and ffprobe read the results"
)

UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
TWICE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))
LOSSLESS = {"codec": "ffv1", "workers": 1, "wishes": Wishes(device="cpu")}
FRAMES = 30
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def moved(time):
    """(64,96) of a texture that moves four pixels a frame, at a time in frames."""
    y, x = np.mgrid[0:64, 0:96]
    return (128 + 50 * np.sin((x + 4 * time) / 6) + 40 * np.sin(y / 7)).astype(np.uint8)


def interlaced_clip(path, *, top_first=True, codec="libx264", frames=FRAMES, pts=None):
    """Fields of a moving texture, half a frame apart, woven and marked."""
    unit = Fraction(1, 25 if codec == "mpeg2video" else 12800)
    options = {"flags": "+ildct+ilme", "g": "10", **({"crf": "4"} if codec == "libx264" else {"b": "9M"})}
    marks = Graph()  # encoders take the order of the fields from the frames
    marks.link_nodes(
        marks.add_buffer(width=96, height=64, format="yuv420p", time_base=unit),
        marks.add("setfield", "tff" if top_first else "bff"),
        marks.add("buffersink"),
    ).configure()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = unit
        for index in range(frames):
            woven = moved(index)
            woven[1 if top_first else 0 :: 2] = moved(index + 0.5)[1 if top_first else 0 :: 2]
            frame = av.VideoFrame.from_ndarray(np.vstack([woven, np.full((32, 96), 128, np.uint8)]), "yuv420p")
            frame.pts, frame.time_base = int(Fraction(index, 25) / unit) if pts is None else pts[index], unit
            marks.push(frame)
            container.mux(stream.encode(marks.pull()))
        container.mux(stream.encode(None))
    return path


def luma(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[:64].astype(float) for frame in container.decode(video=0)]  # of YUV 4:2:0


def done(source, output, pool, spec=UNCHANGED, watcher=None, **settings):
    job = Job(source=source, pipeline=spec, output=output, **(LOSSLESS | settings))
    return run_job(job, pool, watcher or Watcher())


def test_interlaced_material_is_told_loudly(pool, tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4", frames=3)
    assert ffprobe_video(source)["field_order"] in ("tt", "tb")
    report = done(source, tmp_path / "out.mkv", pool)
    assert [remark for remark in report.remarks if "interlaced" in remark and "--deinterlace" in remark]
    report = done(source, tmp_path / "whole.mkv", pool, deinterlace="frame")
    assert not [remark for remark in report.remarks if "interlaced" in remark]


@pytest.mark.parametrize("top_first", [True, False], ids=["top first", "bottom first"])
def test_a_picture_of_every_frame_has_no_combs(top_first, pool, tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4", top_first=top_first)
    report = done(source, tmp_path / "out.mkv", pool, deinterlace="frame")
    assert (report.frames_in, report.frames_out) == (FRAMES, FRAMES)
    assert ffprobe_times(tmp_path / "out.mkv") == ffprobe_times(source)
    woven, whole = luma(source), luma(tmp_path / "out.mkv")
    wanted = [moved(index).astype(float) for index in range(FRAMES)]
    before, after = (
        [np.abs(a - b)[4:-4, 8:-8].mean() for a, b in zip(pictures, wanted, strict=True)] for pictures in (woven, whole)
    )
    assert max(after[1:-1]) < 3 < min(before)


def test_a_picture_of_every_field_comes_at_its_own_time(pool, tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4")
    report = done(source, tmp_path / "out.mp4", pool, codec="libx264", quality="4", deinterlace="field")
    assert (report.frames_in, report.frames_out) == (2 * FRAMES, 2 * FRAMES)
    assert ffprobe_times(tmp_path / "out.mp4") == [Fraction(index, 50) for index in range(2 * FRAMES)]
    for index, picture in enumerate(luma(tmp_path / "out.mp4")[2:-2], start=2):
        assert np.abs(picture - moved(index / 2))[4:-4, 8:-8].mean() < 4
    video = ffprobe_video(tmp_path / "out.mp4")
    assert Fraction(video["avg_frame_rate"]) == 50
    assert float(video["duration"]) == pytest.approx(FRAMES / 25, abs=1e-6)
    assert video["field_order"] in ("progressive", "unknown")


def test_fields_of_frames_at_irregular_times_come_half_way_between(tmp_path):
    times = [512 * k + (k % 3) * 101 for k in range(12)]
    source = interlaced_clip(tmp_path / "in.mp4", frames=12, pts=times)
    index = deinterlaced_index(index_frames(source), "field")
    found = [decoded.pts for decoded in read_frames(source, deinterlace="field")]
    assert list(index.pts) == found
    with av.open(str(source)) as container:
        ticks = container.streams.video[0].time_base / 2
    steps = [Fraction(time, 12800) for time in times]
    assert [time * ticks for time in index.pts[::2]] == steps
    assert [time * ticks for time in index.pts[1:-1:2]] == [(a + b) / 2 for a, b in pairwise(steps)]


@pytest.mark.parametrize("mode", ["frame", "field"])
def test_a_film_of_one_frame_gives_what_the_index_says(mode, tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4", frames=1)
    index = deinterlaced_index(index_frames(source), mode)
    assert [decoded.pts for decoded in read_frames(source, deinterlace=mode)] == list(index.pts)


@pytest.mark.parametrize("mode", ["frame", "field"])
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_segments_of_interlaced_video_are_the_whole(suffix, mode, pool, tmp_path, monkeypatch):
    """A segment begins after a seek, and needs the frame before its first to know what is between the lines."""
    source = interlaced_clip(tmp_path / f"in{suffix}", codec="mpeg2video" if suffix == ".ts" else "libx264", frames=48)
    done(source, tmp_path / "whole.mkv", pool, deinterlace=mode)
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 20)
    report = done(source, tmp_path / "parts.mkv", pool, deinterlace=mode)
    assert report.segments > 2
    assert decoded_frames(tmp_path / "parts.mkv") == decoded_frames(tmp_path / "whole.mkv")


def test_an_excerpt_of_fields_and_cuts_among_them(pool, tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4")
    spec = PipelineSpec("steady", "", (Upscale(model="bicubic", scale=1), FindMotion(), Steady()))
    report = done(
        source, tmp_path / "out.mkv", pool, spec, deinterlace="field", start=Fraction(2, 10), end=Fraction(6, 10)
    )
    assert report.frames_out == 20
    assert ffprobe_times(tmp_path / "out.mkv")[:3] == [0, Fraction(1, 50), Fraction(1, 25)]


def test_what_is_read_of_a_keyframe_after_a_seek_is_not_trusted(tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4")
    index = index_frames(source)
    whole = {d.pts: d.frame.to_ndarray().tobytes() for d in read_frames(source, deinterlace="frame")}
    keyframe = index.keyframes[1]
    (start, _), *_ = [k for k in deinterlaced_index(index, "frame").keyframes if k[1] == keyframe[1]]
    assert start == index.pts[index.pts.index(keyframe[0]) + 1]
    after = {
        d.pts: d.frame.to_ndarray().tobytes()
        for d in read_frames(source, deinterlace="frame", start=start, keyframe=(start, keyframe[1]))
    }
    assert after == {pts: picture for pts, picture in whole.items() if pts >= start}


@pytest.mark.parametrize("size", [(96, 64), (64, 48)])
def test_another_size_in_mid_stream_does_not_stop_it(size):
    frames = [(av.VideoFrame(*(size if k > 2 else (96, 64)), "yuv420p"), k) for k in range(6)]
    found = [(frame.width, pts) for frame, pts in deinterlaced(iter(frames), Fraction(1, 25), "frame")]
    assert found == [(size[0] if k > 2 else 96, k) for k in range(6)]


def marked(path, folder, *, rotation=0, mirrored=False):
    """The same clip with a display matrix."""
    matrix = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}[rotation]
    a, b, c, d = (65536 * n for n in matrix)
    if mirrored:
        a, c = -a, -c
    turn = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return changed_clip(path, folder / "marked.mp4", lambda stream: stream.set_display_matrix(turn))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_baked_pictures_are_those_that_ffmpeg_shows(rotation, mirrored, pool, tmp_path):
    """ffmpeg turns pictures by their mark before it writes them, unless told not to."""
    plain = make_clip(tmp_path / "plain.mp4", frames=3, pix_fmt="yuv444p", options={"crf": "4"})
    source = marked(plain, tmp_path, rotation=rotation, mirrored=mirrored)
    report = done(source, tmp_path / "out.mkv", pool, bake_rotation=True)
    width, height = (64, 96) if rotation % 180 else (96, 64)
    assert (report.width, report.height) == (width, height)
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(source), "-f", "rawvideo", "-pix_fmt", "yuv444p", "-"],
        capture_output=True,
        check=True,
    ).stdout
    wanted = np.frombuffer(raw, np.uint8).reshape(3, 3, height, width)
    with av.open(str(tmp_path / "out.mkv")) as container:
        got = np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
    assert np.abs(got.astype(int) - wanted).max() <= 1
    assert "side_data_list" not in ffprobe_video(tmp_path / "out.mkv")


def test_the_shape_of_pixels_turns_with_the_picture(pool, tmp_path):
    plain = tmp_path / "plain.mp4"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        frame = av.VideoFrame.from_ndarray(np.full((96, 96), 99, np.uint8), "yuv420p")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = marked(plain, tmp_path, rotation=90)
    done(source, tmp_path / "out.mp4", pool, TWICE, codec="libx264", bake_rotation=True)
    video = ffprobe_video(tmp_path / "out.mp4")
    assert (video["width"], video["height"], video["sample_aspect_ratio"]) == (128, 192, "3:4")


def test_an_angle_that_is_no_quarter_is_refused(pool, tmp_path):
    source = turned_clip(make_clip(tmp_path / "plain.mp4", frames=2), tmp_path / "in.mp4", degrees=30)
    with pytest.raises(VidpercError, match="multiple of 90"):
        done(source, tmp_path / "out.mkv", pool, bake_rotation=True)


def test_sound_stays_with_fields(pool, tmp_path):
    source = make_clip(tmp_path / "in.mp4", sound=True)
    done(source, tmp_path / "out.mp4", pool, codec="libx264", deinterlace="field")
    assert ffprobe_packets(tmp_path / "out.mp4") == ffprobe_packets(source)
    assert deinterlaced_info(probe(source), "field").time_base == probe(source).time_base / 2


def test_a_change_of_size_in_mid_stream_is_told_as_what_it_is(tmp_path):
    parts = [make_clip(tmp_path / f"{n}.h264", frames=5, size=size) for n, size in enumerate([(96, 64), (64, 48)])]
    source = tmp_path / "in.h264"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    command = [sys.executable, "-m", "vidperc", "upscale", "in.h264", "-m", "bicubic", "-o", "out.mp4", "--no-progress"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True, env=ENVIRONMENT)
    (line,) = [line for line in " ".join(ran.stderr.split()).split("in.h264: ") if "mid-stream" in line]
    assert line.startswith("converted: video, size: it changes in mid-stream; 5 frames were scaled")
    assert "damaged" not in ran.stderr
    video = ffprobe_video(tmp_path / "out.mp4")
    assert (video["width"], video["height"], int(video["nb_frames"])) == (192, 128, 10)


def test_a_rate_that_is_none_is_refused(tmp_path):
    command = [sys.executable, "-m", "vidperc", "upscale", "in.mp4", "--deinterlace", "fields"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert ran.returncode == 1
    assert "--deinterlace fields: wanted frame" in " ".join(ran.stderr.split())


def test_fields_that_no_mark_tells_are_told_of(pool, tmp_path):
    marked = interlaced_clip(tmp_path / "marked.mp4")
    plain = tmp_path / "in.mkv"
    command = ["ffmpeg", "-v", "error", "-i", str(marked), "-vf", "setfield=prog", "-c:v", "ffv1", str(plain)]
    subprocess.run(command, check=True)
    assert ffprobe_video(plain).get("field_order", "progressive") in ("progressive", "unknown")
    report = done(plain, tmp_path / "out.mkv", pool)
    (warning,) = [remark for remark in report.remarks if "interlaced" in remark]
    assert "looks interlaced, top field first" in warning and "--deinterlace frame" in warning
    report = done(plain, tmp_path / "whole.mkv", pool, deinterlace="frame")
    assert not [remark for remark in report.remarks if "interlaced" in remark]


@pytest.fixture
def late_fields(tmp_path):
    """Whole pictures first, and as many woven and marked ones."""
    parts = make_clip(tmp_path / "whole.mp4", frames=FRAMES), interlaced_clip(tmp_path / "woven.mp4")
    both, source = tmp_path / "parts.txt", tmp_path / "late.mkv"
    both.write_text("".join(f"file {part.name}\n" for part in parts))
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-i", str(both), "-c", "copy", str(source)]
    subprocess.run(command, check=True)
    assert not probe(source).interlaced
    return source


def test_fields_that_begin_later_are_told_with_their_number(late_fields, pool, tmp_path):
    report = done(late_fields, tmp_path / "out.mkv", pool)
    (fate,) = [fate for fate in report.fidelity if fate.field == "interlacing"]
    assert fate.outcome == "dropped"
    assert f"for {FRAMES} of {2 * FRAMES} pictures" in fate.reason
    (warning,) = [remark for remark in report.remarks if "interlaced" in remark]
    assert "interlaced in part" in warning and "--deinterlace" in warning


@pytest.mark.parametrize(("mode", "pictures"), [("frame", FRAMES), ("field", 2 * FRAMES)])
def test_fields_that_begin_later_are_told_when_they_become_pictures(mode, pictures, late_fields, pool, tmp_path):
    report = done(late_fields, tmp_path / "out.mkv", pool, deinterlace=mode)
    (fate,) = [fate for fate in report.fidelity if fate.field == "interlacing"]
    assert (fate.outcome, fate.asked) == ("converted", True)
    assert fate.reason == f"a picture is made of every {mode}, for {pictures} of {2 * pictures} pictures"


def test_fields_that_begin_later_are_refused_before_any_work(late_fields, pool, tmp_path):
    with pytest.raises(VidpercError, match="--strict, and this would be dropped: video, interlacing"):
        done(late_fields, tmp_path / "out.mkv", pool, strict=True)
