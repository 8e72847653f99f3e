"""What is in image files beside their pictures: carried over, or named as dropped."""

import struct
import zlib

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from tests.clips import picture
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher

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


def with_texts(path):
    """A PNG with one text of each kind, XMP, EXIF as text, and 300 dots per inch."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Ho")
    info.add_text("comment", "long " * 100, zip=True)
    info.add_itxt("Author", "Zo\u00eb \u5f20", lang="de", tkey="Autor")
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    info.add_text("Raw profile type exif", "\nexif\n 4\n4d4d002a")
    Image.fromarray(picture(0, 64, 48)).save(path, pnginfo=info, dpi=(300, 300))
    return path


NOT_CARRIED = [
    f"images, {what}: it is not carried over" for what in ("XMP", "dots per inch", "text Raw profile type exif")
]


def test_texts_of_a_png_are_kept(pool, tmp_path):
    report = done(with_texts(tmp_path / "in.png"), tmp_path / "out.png", pool)
    assert lost(report) == NOT_CARRIED
    kept = [fate.field for fate in report.fidelity if fate.outcome == "kept" and fate.subject == "images"]
    assert kept == ["text Title", "text comment", "text Author"]
    with Image.open(tmp_path / "in.png") as was, Image.open(tmp_path / "out.png") as found:
        for name in ("Title", "comment", "Author"):
            assert found.text[name] == was.text[name]
        assert (found.text["Author"].lang, found.text["Author"].tkey) == ("de", "Autor")
        assert "Raw profile type exif" not in found.text
    # What was made of it carries its own mark, and not that of the job before.
    done(tmp_path / "out.png", tmp_path / "again.png", pool)
    assert (tmp_path / "again.png").read_bytes().count(b"VIDPERC_JOB") == 1
    assert done(tmp_path / "out.png", tmp_path / "again.png", pool).already_done


def test_each_png_of_a_folder_keeps_its_own_texts_wherever_they_stand(pool, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("1", "2"):
        path = tmp_path / "in" / f"{name}.png"
        Image.fromarray(picture(0, 64, 48)).save(path)
        pictures, end = path.read_bytes()[:-12], path.read_bytes()[-12:]
        text = b"tEXtTitle\0" + name.encode()
        path.write_bytes(pictures + struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text)) + end)
    done(tmp_path / "in", tmp_path / "out", pool)
    for name in ("1", "2"):
        with Image.open(tmp_path / "out" / f"{name}.png") as found:
            assert found.text["Title"] == name


def test_texts_that_a_video_does_not_hold_are_named(pool, tmp_path):
    report = done(with_texts(tmp_path / "in.png"), tmp_path / "out.mkv", pool)
    named = [f"images, text {what}: video has no place for it; PNG has" for what in ("Title", "comment", "Author")]
    assert lost(report) == [*named, *NOT_CARRIED]
