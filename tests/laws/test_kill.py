"""Law: a killed job, taken up again by the same command, gives the frames and times of a job that was never killed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.clips import decoded_frames, make_clip

STRIKES = 10

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
            assert not output.exists(), "a killed job leaves no output"
            resumed += any(tmp_path.glob("out.mp4.vidperc-*/segment-*.json"))
        else:
            assert process.returncode == 0
            assert decoded_frames(output) == decoded_frames(wanted)
            output.unlink()
    subprocess.run(command(clip, output, *ONE), check=True, capture_output=True)
    assert decoded_frames(output) == decoded_frames(wanted)
    assert output.read_bytes() == wanted.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"], "nothing is left but the output"


@pytest.mark.slow
def test_a_worker_that_dies_costs_only_its_segment(clip, unkilled, tmp_path):
    output, report = tmp_path / "out.mp4", tmp_path / "report.json"
    process = subprocess.Popen(command(clip, output, "--report", str(report)), stderr=subprocess.PIPE)
    started = False
    while not started:
        assert process.poll() is None
        started = any(tmp_path.glob("out.mp4.vidperc-*/*.partial.mkv"))
    workers = psutil.Process(process.pid).children()
    assert workers
    workers[-1].kill()
    process.communicate()
    assert process.returncode == 0
    (job,) = json.loads(report.read_text())["jobs"]
    assert job["crashed_workers"] == 1
    assert decoded_frames(output) == decoded_frames(unkilled[0])
