import runpy
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, make_clip
from vidperc.errors import VidpercError
from vidperc.perception.lpips import load_lpips

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_upscales.py"


def compare(reference: Path, *videos: Path, lpips=None, every: int = 1, frames: int | None = None, crop: int = 0):
    how = {"lpips": lpips, "every": every, "frames": frames, "crop": crop}
    return runpy.run_path(str(SCRIPT))["compare"](reference, videos, **how)


def clip(path: Path, **how) -> Path:
    how = {"frames": 6, "size": (96, 64), "codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"crf": "0"}} | how
    return make_clip(path, **how)


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float)


def test_figures_are_means_over_frames(tmp_path):
    reference = clip(tmp_path / "reference.mkv")
    other = clip(tmp_path / "other.mkv", options={"crf": "30"})
    found = compare(reference, reference, other, crop=2)
    assert found[str(reference)] == {"frames": 6, "psnr@rgb": 100, "psnr@y601": 100}
    error = (decoded(reference) - decoded(other))[:, 2:-2, 2:-2]
    grey = 219 / 255 * error @ [0.299, 0.587, 0.114]
    per_frame = [(error**2).mean(axis=(1, 2, 3)), (grey**2).mean(axis=(1, 2))]
    expected = [np.mean(10 * np.log10(255**2 / each)) for each in per_frame]
    assert [found[str(other)][name] for name in ("psnr@rgb", "psnr@y601")] == pytest.approx(expected, abs=1e-3)


def test_videos_of_another_size_or_length_are_refused_by_name(tmp_path):
    reference = clip(tmp_path / "reference.mkv")
    small, short = clip(tmp_path / "small.mkv", size=(64, 64)), clip(tmp_path / "short.mkv", frames=4)
    with pytest.raises(VidpercError, match=r"small.mkv: frame 0 is 64x64, wanted 96x64"):
        compare(reference, small)
    for videos in ((reference, short), (short, reference)):
        with pytest.raises(VidpercError, match=r"short.mkv: ends after 4 frames"):
            compare(*videos)
    assert compare(reference, short, frames=4)[str(short)]["frames"] == 4


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_lpips_is_zero_for_the_reference_and_more_for_others(tmp_path):
    reference = clip(tmp_path / "reference.mkv")
    other = clip(tmp_path / "other.mkv", options={"crf": "35"})
    found = compare(reference, reference, other, lpips=load_lpips(TEST_DATA / "weights"), every=3)
    assert found[str(reference)]["lpips@squeeze"] == 0
    assert found[str(other)]["lpips@squeeze"] > 0.01


def test_absent_weights_are_named_in_one_line(tmp_path):
    reference = clip(tmp_path / "reference.mkv")
    command = [sys.executable, str(SCRIPT), str(reference), str(reference), "--weights", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "squeezenet1_1-b8a52dc0.pth: not found" in done.stderr
