"""Images as frames, in and out: every code as it was, in order, whole or not there."""

import os
import shutil
import subprocess
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.clips import decoded_frames, ffprobe_times, ffprobe_video, make_clip, picture
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.config.steady import steady_pipeline
from vidperc.engine import run as run_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import Interrupted, run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


class Listener(Watcher):
    def __init__(self):
        self.warnings = []

    def warned(self, text):
        self.warnings.append(text)


@pytest.fixture
def carried(pool, tmp_path):
    """Runs a job that keeps the picture as it is, or enlarges it by `scale`; returns its report."""

    def run(source, output=None, scale=1, **options):
        pipeline = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", f"upscale.scale={scale}"])
        job = Job(
            source=source,
            pipeline=pipeline,
            output=None if output is None else tmp_path / output,
            workers=1,
            wishes=Wishes(device="cpu"),
            **options,
        )
        return run_job(job, pool, Watcher())

    return run


def noise(shape, dtype, seed):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


def make_frames(folder, count=5, *, channels=3, dtype=np.uint8, name="frame_{}.png", size=(37, 53)):
    """Images of noise, that any change of a code shows in; OpenCV writes them, channels as it has them."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = size if channels == 1 else (*size, channels)
    pictures = [noise(shape, dtype, seed) for seed in range(count)]
    for number, pixels in enumerate(pictures):
        assert cv2.imwrite(str(folder / name.format(number)), pixels)
    return pictures


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_code_of_png_frames_comes_back(channels, dtype, carried, tmp_path):
    pictures = make_frames(tmp_path / "in", channels=channels, dtype=dtype)
    report = carried(tmp_path / "in", "out")
    assert (report.frames_in, report.frames_out) == (5, 5)
    assert report.output == str(tmp_path / "out")
    for number, pixels in enumerate(pictures):
        found = read(tmp_path / "out" / f"frame_{number}.png")
        assert found.dtype == dtype
        assert (found == pixels).all()
    assert report.streams.dropped == []


@pytest.mark.parametrize("suffix", [".tiff", ".bmp"])
def test_other_lossless_images_become_png_of_the_same_codes(suffix, carried, tmp_path):
    pictures = make_frames(tmp_path / "in", name="{:03d}" + suffix)
    report = carried(tmp_path / "in", "out")
    assert all((read(tmp_path / "out" / f"{n:03d}.png") == pixels).all() for n, pixels in enumerate(pictures))
    assert any(str(fate).endswith("to PNG, as -o says") for fate in report.fidelity)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_images_come_out_as_pillow_shows_them(suffix, carried, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        pixels = picture(number, 96, 64)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}{suffix}", quality=90)
    carried(tmp_path / "in", "out")
    for number in range(3):
        shown = np.asarray(Image.open(tmp_path / "in" / f"{number}{suffix}").convert("RGB")).astype(int)
        found = np.asarray(Image.open(tmp_path / "out" / f"{number}.png").convert("RGB")).astype(int)
        # Decoders differ in how they enlarge chroma; the mean would show a wrong matrix or range.
        assert np.abs((found - shown).mean((0, 1))).max() < 0.6
        assert np.abs(found - shown).mean() < 1.5


def test_folders_are_read_as_people_count(carried, tmp_path):
    pictures = make_frames(tmp_path / "in", count=12, name="f{}.png")  # f10 would come before f2
    carried(tmp_path / "in", "out.mkv", codec="ffv1")
    by_number = decoded_frames(tmp_path / "out.mkv")
    assert len(by_number) == 12
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(tmp_path / "out.mkv"), str(tmp_path / "x%d.png")], check=True)
    assert all((read(tmp_path / f"x{n + 1}.png") == pixels).all() for n, pixels in enumerate(pictures))


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(12), None])
def test_images_become_a_video_at_the_asked_rate(rate, carried, tmp_path):
    make_frames(tmp_path / "in", count=7)
    listener = Listener()
    pipeline = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=2"])
    job = Job(
        source=tmp_path / "in", pipeline=pipeline, output=tmp_path / "out.mp4", rate=rate, wishes=Wishes(device="cpu")
    )
    with WorkerPool() as pool:
        run_job(job, pool, listener)
    times = ffprobe_times(tmp_path / "out.mp4")
    assert times == [number / (rate or Fraction(25)) for number in range(7)]
    found = ffprobe_video(tmp_path / "out.mp4")
    assert (found["width"], found["height"]) == (106, 74)
    assert [text for text in listener.warnings if "25 a second" in text] == ([] if rate else listener.warnings)
    assert bool(listener.warnings) == (rate is None)


def test_numbers_go_in_and_out_and_an_excerpt_keeps_them(carried, tmp_path):
    pictures = make_frames(tmp_path / "in", count=12, name="a{:04d}.png")
    (tmp_path / "in" / "a12.png").write_bytes(b"not of this form")
    report = carried(tmp_path / "in" / "a%04d.png", "out/b_%03d.png", start=Fraction(1, 5), end=Fraction(2, 5))
    assert report.frames_out == 5
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"b_{n:03d}.png" for n in range(5, 10)]
    assert all((read(tmp_path / "out" / f"b_{n:03d}.png") == pictures[n]).all() for n in range(5, 10))


@pytest.mark.parametrize(("pix_fmt", "dtype"), [("yuv420p", np.uint8), ("yuv420p10le", np.uint16)])
def test_a_video_becomes_numbered_images(pix_fmt, dtype, carried, tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=6, pix_fmt=pix_fmt, sound=True)
    report = carried(clip, "frames/%05d.png", scale=2)
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"{n:05d}.png" for n in range(1, 7)]
    first = read(tmp_path / "frames" / "00001.png")
    assert (first.shape, first.dtype) == ((128, 192, 3), dtype)
    assert any("audio 1 (aac): PNG holds pictures alone" in told for told in report.streams.dropped)
    assert any("images have none" in told for told in report.streams.dropped)
    wanted = picture(0, 96, 64).repeat(2, 0).repeat(2, 1)
    shown = first[..., ::-1] / (257 if dtype == np.uint16 else 1)
    assert np.abs(shown - wanted).mean() < 6  # x264 at its usual quality, and bicubic; a wrong matrix is far off


def test_hdr_images_say_so(carried, tmp_path):
    options = {"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}
    clip = make_clip(tmp_path / "in.mp4", frames=2, pix_fmt="yuv420p10le", options=options)
    carried(clip, "frames/%d.png")
    assert ffprobe_video(tmp_path / "frames" / "1.png")["pix_fmt"] == "rgb48be"
    # BT.2020 primaries, PQ, RGB, full range, as the third edition of PNG has them (11.3.2.6).
    assert b"cICP" + bytes([9, 16, 0, 1]) in (tmp_path / "frames" / "1.png").read_bytes()


def test_a_photo_becomes_a_photo_with_its_profile_and_upright(carried, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010F] = "a camera"
    pixels = picture(0, 96, 64)
    profile = b"a profile" * 100
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif, icc_profile=profile, quality=95, dpi=(300, 300))
    report = carried(tmp_path / "photo.jpg", scale=2)
    assert report.output == str(tmp_path / "photo_x2.png")
    with Image.open(tmp_path / "photo_x2.png") as found:
        assert found.size == (128, 192)
        assert found.info["icc_profile"] == profile
        tags = found.getexif()
        assert (tags[0x0112], tags[0x010F]) == (1, "a camera")
        shown = np.asarray(found.convert("RGB")).astype(int)
    turned = np.rot90(pixels, -1).repeat(2, 0).repeat(2, 1)
    assert np.abs(shown - turned).mean() < 6
    lost = [str(fate) for fate in report.fidelity if fate.outcome == "dropped"]
    assert lost == ["images, dots per inch: it is not carried over"]
    assert any("the pictures are turned" in str(fate) for fate in report.fidelity)
    assert carried(tmp_path / "photo.jpg", scale=2).already_done


def test_a_folder_appears_whole_and_a_killed_run_goes_on(pool, carried, tmp_path, monkeypatch):
    make_frames(tmp_path / "in")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deliver", stop)
        with pytest.raises(Interrupted):
            carried(tmp_path / "in", "out")
    assert not (tmp_path / "out").exists()
    report = carried(tmp_path / "in", "out")
    assert report.resumed_segments == report.segments == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert carried(tmp_path / "in", "out").already_done
    again = carried(tmp_path / "in", "out", overwrite=True)
    assert not again.already_done
    assert len(list((tmp_path / "out").iterdir())) == 5
    with pytest.raises(VidpercError, match="made with other settings"):
        carried(tmp_path / "in", "out", scale=2)


def test_a_folder_with_files_of_the_user_is_never_replaced(carried, tmp_path):
    make_frames(tmp_path / "in")
    carried(tmp_path / "in", "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(VidpercError, match="holds files that were not made by this job"):
        carried(tmp_path / "in", "out", overwrite=True, scale=2)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    with pytest.raises(VidpercError, match="is the input itself"):
        carried(tmp_path / "in", "in", overwrite=True)
    with pytest.raises(VidpercError, match="has the input in it"):
        carried(tmp_path / "in" / "frame_%d.png", "in/x_%d.png", overwrite=True)


def damage(folder, what):
    last = folder / "frame_4.png"
    if what == "cut short":
        last.write_bytes(last.read_bytes()[:2000])
    elif what == "text":
        last.write_text("no image at all")
    elif what == "empty":
        last.write_bytes(b"")
    elif what == "smaller":
        cv2.imwrite(str(last), noise((20, 20, 3), np.uint8, 0))
    elif what == "grey":
        cv2.imwrite(str(last), noise((37, 53), np.uint8, 0))
    elif what == "jpeg":
        cv2.imwrite(str(folder / "frame_4.jpg"), noise((37, 53, 3), np.uint8, 0))
        (folder / "frame_4.jpg").replace(last)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("cut short", r"frame_4\.png: is damaged"),
        ("text", r"frame_4\.png: is no image, wanted PNG, JPEG"),
        ("empty", r"frame_4\.png: is empty \(0 bytes\)"),
        ("smaller", r"frame_4\.png: has 20x20 pixels, frame_0\.png has 53x37"),
        ("grey", r"frame_4\.png: is 53x37 gray, frame_0\.png is 53x37 rgb24"),
        ("jpeg", r"frame_4\.png: holds JPEG, frame_0\.png PNG"),
    ],
)
def test_one_image_that_does_not_fit_is_named_in_one_line(what, told, carried, tmp_path):
    make_frames(tmp_path / "in")
    damage(tmp_path / "in", what)
    with pytest.raises(VidpercError, match=told) as caught:
        carried(tmp_path / "in", "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_missing_numbers_and_folders_without_images_are_refused_in_one_line(carried, tmp_path):
    make_frames(tmp_path / "in", count=9, name="{:03d}.png")
    (tmp_path / "in" / "004.png").unlink()
    (tmp_path / "in" / "006.png").unlink()
    with pytest.raises(VidpercError, match=r"004\.png, 006\.png are missing, between 000\.png and 008\.png"):
        carried(tmp_path / "in" / "%03d.png", "out")
    with pytest.raises(VidpercError, match=r"no file in .* has such a name"):
        carried(tmp_path / "in" / "%05d.png", "out")
    (tmp_path / "none").mkdir()
    with pytest.raises(VidpercError, match="is a folder without images"):
        carried(tmp_path / "none", "out")
    with pytest.raises(VidpercError, match="is one image, and there are 7 frames"):
        carried(tmp_path / "in", "one.png")
    with pytest.raises(VidpercError, match=r"--fps 24: is for images"):
        carried(make_clip(tmp_path / "a.mp4", frames=2), "b.mp4", rate=Fraction(24))
    report = carried(tmp_path / "in", "out")  # in a folder they may be left out on purpose
    assert report.remarks[-1].startswith("004.png, 006.png are missing in the folder")


def test_a_sequence_that_changes_while_it_is_read_is_noticed(carried, tmp_path, monkeypatch):
    make_frames(tmp_path / "in")
    deliver = run_module.deliver

    def touched(*arguments):
        os.utime(tmp_path / "in" / "frame_2.png", ns=(1, 1))
        return deliver(*arguments)

    monkeypatch.setattr(run_module, "deliver", touched)
    with pytest.raises(VidpercError, match="was changed while it was read"):
        carried(tmp_path / "in", "out")
    assert not (tmp_path / "out").exists()


def test_images_are_guided_by_images(pool, tmp_path):
    """As those have them who made a style of every frame."""
    for number in range(6):
        for folder in ("source", "styled"):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = picture(number, 96, 64)
            Image.fromarray(pixels if folder == "source" else 255 - pixels).save(tmp_path / folder / f"{number}.png")
    job = Job(
        source=tmp_path / "styled",
        guide=tmp_path / "source",
        pipeline=steady_pipeline(strength=0.9, settings=[]),
        label="steady",
        rate=Fraction(24),
        wishes=Wishes(device="cpu"),
    )
    report = run_job(job, pool, Watcher())
    assert (report.output, report.frames_out) == (str(tmp_path / "styled_steady"), 6)
    shown = read(tmp_path / "styled_steady" / "3.png")[..., ::-1].astype(int)
    assert np.abs(shown - (255 - picture(3, 96, 64).astype(int))).mean() < 4
