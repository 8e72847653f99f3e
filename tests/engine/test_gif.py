"""GIFs as a source: each picture as long as it was, its colours, and what shows through."""

import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.clips import ffprobe_times, ffprobe_video
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")

DURATIONS = [50, 200, 30, 120, 400]  # milliseconds


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture
def carried(pool, tmp_path):
    """Runs a job that keeps the picture as it is; returns its report."""

    def run(source, output=None, **options):
        pipeline = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=1"])
        wishes = Wishes(device="cpu")
        output = None if output is None else tmp_path / output
        job = Job(source=source, pipeline=pipeline, output=output, workers=1, wishes=wishes, **options)
        return run_job(job, pool, Watcher())

    return run


def drawn(index, transparent):
    """(48,64,4): a square that moves over bands, or over nothing; 8 colours at most, another few in each picture."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    if not transparent:
        pixels[..., 3] = 255
        pixels[..., :3] = np.array([[40 * index, 90, 200], [250, 20 * index, 10]])[np.arange(48) // 8 % 2][:, None]
    pixels[10:30, 8 * index : 8 * index + 20] = (255 - 30 * index, 60, 17 * index, 255)
    return pixels


def make_gif(path, *, transparent):
    pictures = [drawn(index, transparent) for index in range(len(DURATIONS))]
    first, *rest = (Image.fromarray(pixels, "RGBA") for pixels in pictures)
    first.save(path, save_all=True, append_images=rest, duration=DURATIONS, loop=0, disposal=2 if transparent else 1)
    with Image.open(path) as gif:  # what Pillow wrote is what was drawn, or the test would tell nothing
        for index, pixels in enumerate(pictures):
            gif.seek(index)
            assert gif.info["duration"] == DURATIONS[index]
            assert (np.asarray(gif.convert("RGBA"))[pixels[..., 3] > 0] == pixels[pixels[..., 3] > 0]).all()
    return pictures


def read_by_ffmpeg(path, count):
    """(count,48,64,4) RGBA, as FFmpeg's own program decodes it."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(count, 48, 64, 4)


@pytest.mark.parametrize("transparent", [False, True])
def test_pictures_keep_their_colours_and_times(transparent, carried, tmp_path):
    pictures = make_gif(tmp_path / "in.gif", transparent=transparent)
    report = carried(tmp_path / "in.gif", "out.mkv", codec="ffv1")
    assert report.frames_out == len(DURATIONS)
    starts = [Fraction(sum(DURATIONS[:index]), 1000) for index in range(len(DURATIONS))]
    assert ffprobe_times(tmp_path / "out.mkv") == starts
    for found, wanted in zip(read_by_ffmpeg(tmp_path / "out.mkv", len(DURATIONS)), pictures, strict=True):
        if transparent:
            assert (found[..., 3] == wanted[..., 3]).all()
        seen = wanted[..., 3] > 0
        assert (found[seen][:, :3] == wanted[seen][:, :3]).all()


def test_the_last_picture_is_shown_as_long_as_it_was(carried, tmp_path):
    make_gif(tmp_path / "in.gif", transparent=False)
    carried(tmp_path / "in.gif", "out.mp4")
    found = ffprobe_video(tmp_path / "out.mp4")
    assert Fraction(found["duration"]) == Fraction(sum(DURATIONS), 1000)
    assert ffprobe_times(tmp_path / "out.mp4")[-1] == Fraction(sum(DURATIONS[:-1]), 1000)


def test_a_transparent_gif_becomes_a_video_that_shows_what_is_behind(carried, tmp_path):
    make_gif(tmp_path / "in.gif", transparent=True)
    report = carried(tmp_path / "in.gif")
    assert report.output == str(tmp_path / "in_x1.mkv")
    assert report.encoder["codec"] == "libvpx-vp9"
    assert any((fate.field, fate.outcome) == ("transparency", "kept") for fate in report.fidelity)
    make_gif(tmp_path / "solid.gif", transparent=False)
    assert carried(tmp_path / "solid.gif").encoder["codec"] == "libx264"


def test_a_gif_becomes_images_with_what_shows_through(carried, tmp_path):
    pictures = make_gif(tmp_path / "in.gif", transparent=True)
    carried(tmp_path / "in.gif", "frames/%d.png")
    for number, wanted in enumerate(pictures, start=1):
        found = np.asarray(Image.open(tmp_path / "frames" / f"{number}.png"))
        assert (found[..., 3] == wanted[..., 3]).all()
        assert (found[wanted[..., 3] > 0] == wanted[wanted[..., 3] > 0]).all()
