"""The clip of `make demo`, as a user's first video: all that it holds comes through."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.clips import ffprobe_packets, ffprobe_times
from vidperc.engine.job import Job
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale

SCRIPT = Path(__file__).parents[1] / "scripts" / "sample_clip.py"


@pytest.mark.slow
def test_everything_of_the_sample_clip_is_kept(tmp_path, monkeypatch):
    source, output = tmp_path / "sample.mp4", tmp_path / "out.mp4"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(source), "--frames", "48"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    with WorkerPool() as pool:
        job = Job(source=source, output=output, pipeline=PipelineSpec("demo", "", (Upscale(),)), preset="ultrafast")
        report = run_job(job, pool, Watcher())
    assert report.streams.dropped == []
    assert report.streams.kept == ["audio 1 (aac)", "subtitle 2 (mov_text)", "2 chapters"]
    assert ffprobe_times(output) == ffprobe_times(source)
    assert ffprobe_packets(output, "a") == ffprobe_packets(source, "a")
    texts = [digest for digest in ffprobe_packets(source, "s") if digest in ffprobe_packets(output, "s")]
    assert texts == ffprobe_packets(source, "s")
