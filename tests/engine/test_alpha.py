"""Transparency: enlarged beside the colours, kept where the output can hold it, else named."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.clips import NO_TEST_DATA, TEST_DATA, changed_clip, ffprobe_times, ffprobe_video, picture
from vidperc.engine import ready as ready_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.probe import probe

pytestmark = pytest.mark.skipif(
    shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None, reason="ffmpeg and ffprobe read the results"
)

TWICE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))
ONCE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=1),))
WIDTH, HEIGHT, FRAMES = 96, 64, 6


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def opacity(index, scale=1):
    """(H,W) in [0,1]: a slope across, and a hole that moves."""
    y, x = np.mgrid[0 : HEIGHT * scale, 0 : WIDTH * scale] / scale
    alpha = x / (WIDTH - 1)
    alpha[(abs(y - 32) < 12) & (abs(x - 40 - 3 * index) < 12)] = 0
    return alpha.clip(0, 1)


def transparent_clip(path, codec, pix_fmt, options=None):
    """Moving texture behind moving transparency."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index in range(FRAMES):
            pixels = np.dstack([picture(index, WIDTH, HEIGHT), (opacity(index) * 255).round().astype(np.uint8)])
            frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown_opacity(path, width, height, decoder=()):
    """Alpha of every frame in [0,1], (T,H,W), as the program ffmpeg decodes it."""
    command = ["ffmpeg", "-v", "error", *decoder, "-i", str(path), "-vf", "format=rgba,alphaextract,format=gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width) / 255


def done(source, output, pool, pipeline=TWICE, **settings):
    job = Job(source=source, pipeline=pipeline, output=output, workers=1, wishes=Wishes(device="cpu"), **settings)
    return run_job(job, pool, Watcher())


LIBVPX = ("-c:v", "libvpx-vp9")


@pytest.mark.parametrize("by_way_of_rgb", [False, True])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name", "settings", "decoder"),
    [
        ("prores_ks", "yuva444p10le", "out.mov", {}, ()),
        ("ffv1", "yuva420p", "out.webm", {"quality": "10"}, LIBVPX),
        ("ffv1", "yuva444p10le", "out.mkv", {}, ()),
        ("ffv1", "bgra", "out.mkv", {"codec": "ffv1"}, ()),
        ("png", "rgba", "out.mov", {}, ()),
        ("libvpx-vp9", "yuva420p", "out.mkv", {"codec": "ffv1"}, ()),
    ],
)
def test_transparency_is_enlarged_and_kept(
    codec, pix_fmt, name, settings, decoder, by_way_of_rgb, pool, tmp_path, monkeypatch
):
    if by_way_of_rgb:
        monkeypatch.setattr(ready_module, "luma_layout", lambda *_: "")
    source = transparent_clip(tmp_path / f"in.{'mkv' if codec in ('ffv1', 'libvpx-vp9') else 'mov'}", codec, pix_fmt)
    report = done(source, tmp_path / name, pool, **settings)
    assert [fate.outcome for fate in report.fidelity if fate.field == "transparency"] == ["kept"]
    got = shown_opacity(tmp_path / name, 2 * WIDTH, 2 * HEIGHT, decoder)
    wanted = np.stack([opacity(index, 2) for index in range(FRAMES)])
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).mean() < 0.02  # the edge of the hole is soft after enlarging
    assert np.median(np.abs(got - wanted)) < 0.012  # three codes of 8 bits, what a lossy encoder may move
    assert [float(t) for t in ffprobe_times(tmp_path / name)] == [float(t) for t in ffprobe_times(source)]


def test_webm_with_transparency_stays_one(pool, tmp_path):
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    source = TEST_DATA / "videos/synthetic/alpha_vp9.webm"
    assert probe(source).alpha
    done(source, tmp_path / "out.webm", pool, end=Fraction(1, 4), encoder_options={"cpu-used": "8"})
    video = ffprobe_video(tmp_path / "out.webm")
    assert video["codec_name"] == "vp9"
    assert bytes.fromhex("53c08101") in (tmp_path / "out.webm").read_bytes()[:4096]  # Matroska's AlphaMode, 1
    got = shown_opacity(tmp_path / "out.webm", 1440, 960, LIBVPX)
    was = shown_opacity(source, 720, 480, LIBVPX)[: len(got)]
    assert was.min() < 0.1 and was.max() > 0.9
    assert np.abs(got[:, ::2, ::2] - was).mean() < 0.02


@pytest.mark.parametrize("settings", [{"codec": "libx264"}, {"codec": "libx265"}, {"suffix": ".mp4"}])
def test_transparency_that_is_lost_is_told_and_not_claimed(settings, pool, tmp_path):
    source = transparent_clip(tmp_path / "in.webm", "libvpx-vp9", "yuva420p")
    output = tmp_path / f"out{settings.pop('suffix', '.mkv')}"
    report = done(source, output, pool, preset="ultrafast", **settings)
    assert [fate.outcome for fate in report.fidelity if fate.field == "transparency"] == ["dropped"]
    video = ffprobe_video(output)
    assert "alpha_mode" not in {tag.lower() for tag in video.get("tags", {})}
    assert video["pix_fmt"] == "yuv420p"


def test_an_opaque_gif_has_no_transparency_to_lose(tmp_path):
    frame = av.VideoFrame.from_ndarray(picture(0, 32, 32), "rgb24").reformat(format="rgb8")
    frame.pts = 0
    with av.open(str(tmp_path / "in.gif"), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "rgb8"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert not probe(tmp_path / "in.gif").alpha


def with_palette(path, transparent=None):
    """A picture of 16 colours, of which `transparent` says how opaque they are, or the number of one that is not."""
    shown = Image.fromarray(picture(0, 64, 48)).quantize(16)
    shown.save(path, **({} if transparent is None else {"transparency": transparent}))
    return path


@pytest.mark.parametrize("transparent", [3, bytes([255, 128, 0])])
def test_transparent_colours_of_a_palette_are_kept(transparent, pool, tmp_path):
    source = with_palette(tmp_path / "in.png", transparent)
    report = done(source, tmp_path / "out.png", pool, pipeline=ONCE, strict=True)
    assert [fate.outcome for fate in report.fidelity if fate.field == "transparency"] == ["kept"]
    was, got = Image.open(source).convert("RGBA"), Image.open(tmp_path / "out.png")
    assert np.array_equal(np.asarray(got), np.asarray(was))
    report = done(source, tmp_path / "out.mp4", pool)
    assert [fate.outcome for fate in report.fidelity if fate.field == "transparency"] == ["dropped"]


def test_transparency_of_a_later_palette_is_kept(pool, tmp_path):
    (tmp_path / "in").mkdir()
    with_palette(tmp_path / "in" / "1.png")
    with_palette(tmp_path / "in" / "2.png", 3)
    done(tmp_path / "in", tmp_path / "out", pool)
    opaque = [np.asarray(Image.open(path))[..., 3].min() for path in sorted((tmp_path / "out").iterdir())]
    assert opaque == [255, 0]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_an_opaque_palette_gets_no_transparency(suffix, tmp_path):
    assert not probe(with_palette(tmp_path / f"in{suffix}")).alpha


def test_how_a_transparent_webm_is_turned_and_its_colours_stay(pool, tmp_path):
    # The decoder that gives the transparency is not told what the container states.
    plain = transparent_clip(tmp_path / "plain.webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "20"})

    def mark(stream):
        stream.metadata["alpha_mode"] = "1"
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 16
        stream.set_display_rotation(90)

    source = changed_clip(plain, tmp_path / "in.webm", mark)
    marks = turned_and_coloured(source)
    assert marks == [90, "bt2020", "smpte2084"]
    for name in ("out.webm", "out.mkv", "out.mov"):
        job = Job(source=source, pipeline=TWICE, output=tmp_path / name, wishes=Wishes(device="cpu"))
        report = run_job(job, pool, Watcher())
        assert turned_and_coloured(report.output) == marks
        assert ("rotation", "kept") in {(fate.field, fate.outcome) for fate in report.fidelity}
        assert ("transparency", "kept") in {(fate.field, fate.outcome) for fate in report.fidelity}


def turned_and_coloured(path):
    stream = ffprobe_video(path)
    (matrix,) = (item for item in stream["side_data_list"] if item["side_data_type"] == "Display Matrix")
    return [matrix["rotation"], stream.get("color_primaries"), stream.get("color_transfer")]
