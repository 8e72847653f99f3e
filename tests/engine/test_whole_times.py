"""Times of every kind that files have, through whole jobs, as ffprobe reads them: none is changed by accident."""

import itertools
import shutil
import subprocess
from fractions import Fraction

import av
import pytest

from tests.clips import ffprobe_packets, ffprobe_streams, ffprobe_times, ffprobe_video, make_clip
from vidperc.engine import plan as plan_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")

UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
MS = Fraction(1, 1000)


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def done(source, output, pool, **settings):
    job = Job(
        source=source,
        pipeline=UNCHANGED,
        output=output,
        workers=1,
        wishes=Wishes(device="cpu"),
        **{"preset": "ultrafast"} | settings,
    )
    return run_job(job, pool, Watcher())


def moved(source, path, *, shift, kinds=("video", "audio"), flags=""):
    """The packets of a file, those of these kinds earlier or later by so many seconds."""
    options = {"avoid_negative_ts": "disabled", **({"movflags": flags} if flags else {})}
    with av.open(str(source)) as container, av.open(str(path), "w", container_options=options) as output:
        places = {stream.index: output.add_stream_from_template(stream) for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                if packet.stream.type in kinds:
                    ticks = round(shift / packet.time_base)
                    packet.pts += ticks
                    packet.dts += ticks
                packet.stream = places[packet.stream.index]
                output.mux(packet)
    return path


def video_lasts(path):
    """Seconds that every frame is shown, by its packet in Matroska, the last one until the track ends in MP4."""
    command = ["ffprobe", "-v", "error", "-of", "csv=p=0", "-select_streams", "v:0"]
    said = subprocess.run(
        [*command, "-show_entries", "packet=pts,duration", str(path)], capture_output=True, check=True, text=True
    )
    video = ffprobe_video(path)
    pairs = sorted((int(pts), duration) for pts, duration in (line.split(",")[:2] for line in said.stdout.split()))
    base = Fraction(video["time_base"])
    if path.suffix != ".mkv":
        pairs[-1] = pairs[-1][0], video["start_pts"] + video["duration_ts"] - pairs[-1][0]
    return [None if lasts == "N/A" else int(lasts) * base for _, lasts in pairs]  # with B-frames MP4 does not say


@pytest.mark.parametrize("output", ["out.mkv", "out.mp4", "out.mov"])
def test_a_first_time_below_zero_becomes_zero_and_all_keep_their_distances(output, pool, tmp_path):
    """A broadcast whose clock of 33 bits runs over; MP4 would hide what is before 0, Matroska mangle it."""
    clip = make_clip(tmp_path / "clip.mp4", frames=20, sound=True)
    source = moved(clip, tmp_path / "in.ts", shift=Fraction(2**33, 90000) - Fraction(1, 5))
    was = ffprobe_times(source)
    assert was[0] < 0 < was[-1]
    report = done(source, tmp_path / output, pool)
    now = ffprobe_times(tmp_path / output)
    begins = min(was[0], sound_start(source))
    assert (report.frames_in, report.frames_out, len(now)) == (20, 20, 20)
    assert max(abs(a - begins - b) for a, b in zip(was, now, strict=True)) <= MS
    assert len(ffprobe_packets(tmp_path / output)) == len(ffprobe_packets(source))  # without the headers that TS needs
    sound = sound_start(source) - was[0], sound_start(tmp_path / output) - now[0]
    assert abs(sound[0] - sound[1]) <= MS
    assert [fate.outcome for fate in report.fidelity if fate.field == "start"] == ["converted"]


def sound_start(path):
    (sound,) = [stream for stream in ffprobe_streams(path) if stream["codec_type"] == "audio"]
    return Fraction(sound["start_time"])


def test_what_an_edit_list_hides_stays_hidden_and_the_sound_in_step(pool, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=30, sound=True)
    source = moved(clip, tmp_path / "in.mp4", shift=Fraction(-10, 25), kinds=("video",))
    was = ffprobe_times(source)
    assert was == [Fraction(index, 25) for index in range(20)]
    report = done(source, tmp_path / "out.mp4", pool)
    assert (report.frames_in, report.frames_out) == (20, 20)
    assert ffprobe_times(tmp_path / "out.mp4") == was
    was_video, now_video = ffprobe_video(source), ffprobe_video(tmp_path / "out.mp4")
    assert Fraction(now_video["start_time"]) == Fraction(was_video["start_time"])
    assert ffprobe_packets(tmp_path / "out.mp4") == ffprobe_packets(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_film_that_begins_late_begins_late(suffix, pool, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=12, sound=True)
    source = moved(clip, tmp_path / f"in{suffix}", shift=Fraction(7, 2))
    done(source, tmp_path / f"out{suffix}", pool)
    assert ffprobe_times(source)[0] == Fraction(7, 2)
    assert ffprobe_times(tmp_path / f"out{suffix}") == ffprobe_times(source)


@pytest.mark.parametrize(("name", "codec"), [("in.avi", "libx264"), ("in.h264", "libx264"), ("in.avi", "mpeg4")])
def test_frames_without_a_time_follow_each_other_at_the_rate(name, codec, pool, tmp_path):
    """An AVI says when frames are decoded, a raw stream nothing."""
    source = make_clip(tmp_path / name, frames=25, time_base=Fraction(1, 25), codec=codec, options={"bf": "2"})
    report = done(source, tmp_path / "out.mkv", pool)
    assert report.frames_out == 25
    now = ffprobe_times(tmp_path / "out.mkv")
    assert max(abs(b - a - Fraction(1, 25)) for a, b in itertools.pairwise(now)) <= MS


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_last_frame_of_an_excerpt_lasts_as_long_as_in_the_source(suffix, pool, tmp_path):
    """Not as long as the last one of the whole."""
    times = [0, 40, 80, 120, 480, 520, 600, 620]
    source = make_clip(tmp_path / f"in{suffix}", pts=times, time_base=MS)
    done(source, tmp_path / f"out{suffix}", pool, end=Fraction(2, 10))
    assert ffprobe_times(tmp_path / f"out{suffix}") == [t * MS for t in times[:4]]
    assert video_lasts(tmp_path / f"out{suffix}")[-1] == 360 * MS


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_every_frame_lasts_as_long_as_in_the_source(codec, suffix, pool, tmp_path):
    times = [0, 40, 80, 120, 480, 520, 600, 620]
    source = make_clip(tmp_path / f"in{suffix}", pts=times, time_base=MS, options={"bf": "2"})
    preset = "12" if codec == "libsvtav1" else "medium"
    done(source, tmp_path / f"out{suffix}", pool, codec=codec, preset=preset)
    assert ffprobe_times(tmp_path / f"out{suffix}") == ffprobe_times(source)
    wanted = [Fraction(b - a, 1000) for a, b in itertools.pairwise(times)]
    lasts = video_lasts(tmp_path / f"out{suffix}")
    if suffix == ".mkv":
        assert lasts[:-1] == wanted
    assert lasts[-1] == video_lasts(source)[-1]


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov+default_base_moof", "frag_keyframe+delay_moov"])
@pytest.mark.parametrize("late", [0, Fraction(7, 2)])
def test_a_fragmented_mp4_keeps_every_time(late, flags, pool, tmp_path, monkeypatch):
    """As cameras and streams write them: without an index, and with times in each fragment."""
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 20)
    clip = make_clip(tmp_path / "clip.mp4", frames=50, sound=True, options={"bf": "2"})
    source = moved(clip, tmp_path / "in.mp4", shift=late, flags=flags)
    assert b"moof" in source.read_bytes()
    was = ffprobe_times(source)
    assert was[0] > 0 if late or "empty" in flags else was[0] == 0  # without an edit list, B-frames come later
    report = done(source, tmp_path / "out.mp4", pool)
    assert report.segments > 1
    assert ffprobe_times(tmp_path / "out.mp4") == was
    assert ffprobe_packets(tmp_path / "out.mp4") == ffprobe_packets(source)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg decodes beside us")
@pytest.mark.parametrize("name", ["in.ts", "in.mpg", "in.flv", "in.mkv", "in.avi", "in.mp4", "cut.mp4"])
def test_segments_that_are_sought_hold_the_frames_that_ffmpeg_decodes_in_one_go(name, pool, tmp_path, monkeypatch):
    """Each segment begins after a seek of its own; cut.mp4 has an edit list that hides the first ten frames."""
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 20)
    codec = {"in.mpg": "mpeg2video", "in.flv": "flv1"}.get(name, "libx264")
    options = {"bf": "2", "g": "10"} if codec != "flv1" else {"g": "10"}
    base = Fraction(1, 25) if codec in ("mpeg2video", "flv1") or name == "in.avi" else Fraction(1, 12800)
    clip = tmp_path / ("clip.mp4" if name == "cut.mp4" else name)
    source = make_clip(clip, frames=70, time_base=base, codec=codec, options=options)
    if name == "cut.mp4":
        source = moved(clip, tmp_path / name, shift=Fraction(-10, 25))
    report = done(source, tmp_path / "out.mkv", pool, codec="ffv1", preset=None)
    assert report.segments > 2
    found = frame_hashes(tmp_path / "out.mkv")
    assert len(found) == (60 if name == "cut.mp4" else 70)
    assert found == frame_hashes(source)


def frame_hashes(path):
    """The hash of every frame that ffmpeg decodes, in order."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:v:0",
        "-vsync",
        "passthrough",
        "-f",
        "framemd5",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [line.split(",")[-1].strip() for line in said.splitlines() if not line.startswith("#")]
