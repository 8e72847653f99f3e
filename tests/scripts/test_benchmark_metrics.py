"""The benchmark of metrics measures the same both ways, and says so when it does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, make_clip

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "benchmark_metrics.py"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)]


def test_both_ways_have_the_same_figures(tmp_path: Path) -> None:
    for library in ("lpips", "piq", "torchmetrics"):
        pytest.importorskip(library, reason="comes with the dev extra")
    assert TEST_DATA is not None
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    command = [sys.executable, str(SCRIPT), str(clip), "--weights-dir", str(TEST_DATA / "weights")]
    command += ["--seconds", "0.12", "--threads", "1", "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 frames of 1280x720, 1 threads" in done.stdout
    assert "differ" not in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    for way in ("ours", "usual"):
        (facts,) = found[way]
        assert facts["frames"] == 3
        assert facts["processor"] > 0 < facts["memory"]["2"]
        assert set(facts["figures"]) == set(found["ours"][0]["figures"])
    assert len(found["ours"][0]["figures"]) == 6
