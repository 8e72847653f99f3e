"""Whole jobs on real videos: every frame, every time, every packet of sound."""

from fractions import Fraction

import pytest

from tests.clips import ffprobe_packets, ffprobe_times, ffprobe_video, real_videos
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher

# What would make more pixels than this at twice the size keeps its size: the times and the sound are the subject here.
MOST_PIXELS = 140_000_000


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.mark.parametrize("source", real_videos("real", max_bytes=1_200_000))
def test_every_frame_time_and_sound_packet_of_a_real_file_is_in_its_output(source, pool, tmp_path):
    was = ffprobe_video(source)
    frames = ffprobe_times(source)
    pixels = 4 * was["width"] * was["height"] * len(frames)
    scale = 2 if pixels < MOST_PIXELS else 1
    job = Job(
        source=source,
        pipeline=apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", f"upscale.scale={scale}"]),
        output=tmp_path / f"out{source.suffix}",
        preset="ultrafast",
        workers=1,
        wishes=Wishes(device="cpu"),
    )
    report = run_job(job, pool, Watcher())
    assert report.frames_in == report.frames_out == len(frames)
    assert not {name for name, count in report.damage.items() if count} - {"packets"}
    found = ffprobe_times(job.output)
    assert found == frames
    assert ffprobe_packets(job.output) == ffprobe_packets(source)
    now = ffprobe_video(job.output)
    assert (now["width"], now["height"]) == (scale * was["width"], scale * was["height"])
    assert now.get("color_range", "tv") == ("pc" if was["pix_fmt"].startswith("yuvj") else was.get("color_range", "tv"))
    assert now.get("sample_aspect_ratio") == was.get("sample_aspect_ratio")
    assert Fraction(now["start_time"]) == Fraction(was["start_time"])
    assert report.streams.dropped == []
