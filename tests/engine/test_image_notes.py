"""What is in image files beside their pictures: carried over, or named as dropped."""

import pytest
from PIL import Image, ImageCms

from tests.clips import picture
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import Watcher, run_job

TWICE = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=2"])


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def done(source, output, pool, **settings):
    job = Job(source=source, pipeline=TWICE, output=output, workers=1, wishes=Wishes(device="cpu"), **settings)
    return run_job(job, pool, Watcher())


def lost(report):
    return [str(fate) for fate in report.fidelity if fate.outcome == "dropped"]


def test_a_png_keeps_its_profile(pool, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture(0, 96, 64)).save(tmp_path / "in.png", icc_profile=profile)
    report = done(tmp_path / "in.png", tmp_path / "out.png", pool, strict=True)
    assert lost(report) == []
    with Image.open(tmp_path / "out.png") as found:
        assert found.info["icc_profile"] == profile
