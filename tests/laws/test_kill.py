"""Law: a killed job, taken up again by the same command, gives the frames and times of a job that was never killed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from tests.clips import decoded_frames, make_clip
from vidperc.engine import pool as pools
from vidperc.engine.job import Job
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale

STRIKES = 10
PATIENCE = 300  # seconds for a job of seconds

# Segments one after another, so that a kill often finds the first finished and the second running.
ONE = ("--workers", "1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    # 854 wide, 1708 out: a width at which x264's defaults depend on the instruction set. Low, so that it is quick.
    return make_clip(
        tmp_path_factory.mktemp("clip") / "clip.mp4", frames=240, size=(854, 96), options={"preset": "ultrafast"}
    )


def command(clip: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "vidperc", "upscale", str(clip), "-o", str(output), "-s", "2", *more]


@pytest.fixture(scope="module")
def unkilled(clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unkilled")
    report = folder / "report.json"
    subprocess.run(command(clip, folder / "out.mp4", *ONE, "--report", str(report)), check=True, capture_output=True)
    (job,) = json.loads(report.read_text())["jobs"]
    assert (job["width"], job["segments"], job["encoder"]["options"]["preset"]) == (1708, 4, "medium")
    return folder / "out.mp4", job["seconds"]["wall"]


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_frame(clip, unkilled, tmp_path):
    wanted, wall = unkilled
    moments = random.Random(7)
    output = tmp_path / "out.mp4"
    strikes = resumed = 0
    while strikes < STRIKES or not resumed:
        patience = max(1.0, strikes / STRIKES)  # a machine that grew busier finishes no segment in so many seconds
        process = subprocess.Popen(command(clip, output, *ONE), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.wait(moments.uniform(0.2, wall * patience))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            strikes += 1
            if output.exists():  # it was at its very end; what has its name is whole
                assert decoded_frames(output) == decoded_frames(wanted)
                output.unlink()
            resumed += any(tmp_path.glob("out.mp4.vidperc-*/segment-*.json"))
        else:
            assert process.returncode == 0
            assert decoded_frames(output) == decoded_frames(wanted)
            output.unlink()
    subprocess.run(command(clip, output, *ONE), check=True, capture_output=True)
    assert decoded_frames(output) == decoded_frames(wanted)
    assert output.read_bytes() == wanted.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"], "nothing is left but the output"


def ended(process: subprocess.Popen[bytes]) -> str:
    """What a job says until it ends; one that hangs fails the test with what all its threads were at."""
    try:
        return process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.send_signal(signal.SIGABRT)
        return pytest.fail(f"the job did not end: {process.communicate()[1].decode(errors='replace')}")


@pytest.mark.slow
def test_a_worker_that_dies_costs_only_its_segment(clip, unkilled, tmp_path):
    output, report = tmp_path / "out.mp4", tmp_path / "report.json"
    process = subprocess.Popen(
        command(clip, output, "--report", str(report)),
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    deadline = monotonic() + PATIENCE
    while not any(tmp_path.glob("out.mp4.vidperc-*/*.partial.mkv")):
        assert process.poll() is None
        if monotonic() > deadline:
            ended(process)
        sleep(0.01)
    workers = psutil.Process(process.pid).children()
    assert workers
    workers[-1].kill()
    said = ended(process)
    assert process.returncode == 0, said
    (job,) = json.loads(report.read_text())["jobs"]
    assert 1 <= job["crashed_workers"] <= 2, said  # one more, if ever, that hung and was ended
    assert decoded_frames(output) == decoded_frames(unkilled[0])


@pytest.mark.skipif(os.name == "nt", reason="nothing can stop a process there")
def test_a_worker_that_hangs_is_ended_and_its_segment_done_again(clip, unkilled, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pools, "HUNG_AFTER", 6)
    stopped: list[psutil.Process] = []
    strangers = psutil.Process().children()  # what other tests have left

    class Stop(Watcher):
        def progressed(self, frames, seconds):
            if frames and not stopped:
                stopped.append(next(child for child in psutil.Process().children() if child not in strangers))
                stopped[0].suspend()

    job = Job(source=clip, pipeline=PipelineSpec("upscale", "", (Upscale(scale=2),)), output=tmp_path / "out.mp4")
    with WorkerPool() as pool:
        report = run_job(job, pool, Stop())
        assert stopped
        assert not stopped[0].is_running()
    # On a busy machine another one may have got no time for as long.
    assert report.crashed_workers >= 1
    assert "a worker did nothing for 6 seconds" in caplog.text
    assert decoded_frames(tmp_path / "out.mp4") == decoded_frames(unkilled[0])
