"""Colours that go through untouched: every matrix, range, depth and subsampling, on a real clip, measured in codes."""

import itertools
import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, ffprobe_times, ffprobe_video, make_clip
from vidperc.engine import prepare_job as prepare_module
from vidperc.engine import ready as ready_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale

pytestmark = pytest.mark.skipif(
    shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None, reason="ffmpeg and ffprobe read the results"
)

UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
CPU = Wishes(device="cpu")
MATRICES = {1: "bt709", 6: "smpte170m", 9: "bt2020nc"}
SIZE = (180, 320)
TIMES = (0, 40, 83, 120)  # of a thousandth of a second, which is what Matroska counts in


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture(scope="module")
def pictures():
    """Four frames of a real clip, (180,320,3) of 16-bit RGB."""
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    with av.open(str(TEST_DATA / "videos/real/flower_540p_cc0.mp4")) as container:
        frames = itertools.islice(container.decode(video=0), len(TIMES))
        small = [frame.reformat(SIZE[1], SIZE[0], "rgb48le", interpolation="AREA") for frame in frames]
        return [frame.to_ndarray(format="rgb48le") for frame in small]


def written(path, frames, pix_fmt, matrix, full_range):
    """A lossless video of these pictures, (H,W,3) of 16-bit RGB each, in this format."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pix_fmt
        context.time_base = Fraction(1, 1000)
        context.colorspace, context.color_range = matrix, 2 if full_range else 1
        for pixels, time in zip(frames, TIMES, strict=False):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb48le").reformat(
                format=pix_fmt,
                dst_colorspace={0: None, 1: 1, 6: 5, 9: 9}[matrix],
                dst_color_range=2 if full_range else 1,
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def planes(path, pix_fmt, height, width):
    """All codes of each plane, (T,h,w), as the program ffmpeg decodes them."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
        capture_output=True,
        check=True,
    ).stdout
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}.get(pix_fmt[3:6], (0, 0))
    sizes = [(height, width)] + ([(-(-height // down), -(-width // across))] * 2 if across else [])
    codes = np.frombuffer(raw, np.uint8 if bits(pix_fmt) == 8 else "<u2")
    frames = codes.reshape(-1, sum(h * w for h, w in sizes))
    borders = np.cumsum([h * w for h, w in sizes])[:-1]
    return [
        part.reshape(-1, *size).astype(np.int64)
        for part, size in zip(np.split(frames, borders, axis=1), sizes, strict=True)
    ]


def bits(pix_fmt):
    return next((int(depth) for depth in ("10", "12") if pix_fmt.endswith(f"{depth}le")), 8)


def decibels(difference, peak):
    error = np.mean(np.square(difference, dtype=np.float64))
    return float("inf") if error == 0 else 10 * np.log10(peak**2 / error)


def passed(source, pool, folder):
    job = Job(
        source=source,
        pipeline=UNCHANGED,
        output=folder / "out.mkv",
        codec="ffv1",
        workers=1,
        wishes=Wishes(device="cpu"),
        overwrite=True,
    )
    return run_job(job, pool, Watcher()).output


FORMATS = [name + depth for name in ("yuv420p", "yuv422p", "yuv444p", "gray") for depth in ("", "10le", "12le")]


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES, ids=MATRICES.values())
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_real_clip_keeps_its_codes_by_way_of_rgb(pix_fmt, matrix, full_range, pictures, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(ready_module, "luma_layout", lambda *_: "")
    source = written(tmp_path / "in.mkv", pictures, pix_fmt, matrix, full_range)
    output = passed(source, pool, tmp_path)
    before, after = (planes(path, pix_fmt, *SIZE) for path in (source, output))
    peak = (1 << bits(pix_fmt)) - 1
    got = [decibels(a - b, peak) for a, b in zip(after, before, strict=True)]
    shifts = [abs(float(np.mean(a - b))) * 255 / peak for a, b in zip(after, before, strict=True)]
    assert got[0] >= 60
    assert min(got) >= 50
    assert max(shifts) < 0.25
    assert ffprobe_times(tmp_path / "out.mkv") == ffprobe_times(source)
    was, now = ffprobe_video(source), ffprobe_video(tmp_path / "out.mkv")
    for key in ("pix_fmt", "color_range", "color_space"):
        assert now.get(key) == was.get(key)


BARS = np.array([(r, g, b) for g in (1, 0) for r in (1, 0) for b in (1, 0)], np.float64)  # white to black


def bar_codes(matrix, depth, share):
    """The codes (8,3) of Y, Cb, Cr in limited range of bars of this share of full light, by H.273's equations."""
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    red, green, blue = (BARS * share).T
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    unit = 1 << (depth - 8)
    return np.stack([(219 * luma + 16) * unit, *((224 * c + 128) * unit for c in chroma)], axis=1)


@pytest.mark.parametrize("share", [1.0, 0.75])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le"])
@pytest.mark.parametrize(("height", "matrix"), [(144, 6), (720, 1)])
def test_bars_in_rgb_get_the_codes_of_the_standard(height, matrix, pix_fmt, share, pool, tmp_path):
    bars = np.repeat(np.repeat(BARS[None], height, axis=0), 32, axis=1)  # (height,256,3)
    source = written(tmp_path / "in.mkv", [(bars * share * 65535).round().astype("<u2")], "gbrp12le", 0, True)
    job = Job(
        source=source,
        pipeline=UNCHANGED,
        output=tmp_path / "out.mkv",
        codec="ffv1",
        pix_fmt=pix_fmt,
        workers=1,
        wishes=Wishes(device="cpu"),
    )
    run_job(job, pool, Watcher())
    wanted = bar_codes(matrix, bits(pix_fmt), share)
    for number, plane in enumerate(planes(job.output, pix_fmt, height, 256)):
        width = plane.shape[-1] // 8
        middles = plane[0, plane.shape[1] // 2, width // 2 :: width]
        assert np.abs(middles - wanted[:, number]).max() <= 1
    assert ffprobe_video(job.output)["color_space"] == MATRICES[matrix]


RARE = {8: "ycgco", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 14: "ictcp"}


def states(path, matrix):
    """A small 10-bit video that states this matrix, for what its codes are."""
    options = {"crf": "0", "x264-params": f"colormatrix={'YCgCo' if matrix == 8 else RARE[matrix]}"}
    return make_clip(path, frames=3, pix_fmt="yuv420p10le", options=options)


@pytest.mark.parametrize("matrix", RARE, ids=RARE.values())
@pytest.mark.parametrize("through_rgb", [False, True], ids=["as YUV", "by way of RGB"])
def test_a_rare_matrix_stays_as_it_is_stated(through_rgb, matrix, pool, tmp_path, monkeypatch):
    if through_rgb:
        monkeypatch.setattr(ready_module, "luma_layout", lambda *_: "")
        monkeypatch.setattr(prepare_module, "luma_layout", lambda *_: "")
    source = states(tmp_path / "in.mkv", matrix)
    assert ffprobe_video(source)["color_space"] == RARE[matrix]
    job = Job(source=source, pipeline=UNCHANGED, output=tmp_path / "out.mkv", codec="ffv1", workers=1, wishes=CPU)
    report = run_job(job, pool, Watcher())
    assert ffprobe_video(job.output)["color_space"] == RARE[matrix]
    assert not [guess for guess in report.color["source"]["guessed"] if guess.startswith("matrix")]
    told = [(fate.outcome, fate.reason) for fate in report.fidelity if fate.field == "matrix"]
    if matrix == 8:
        assert told == []
    elif not through_rgb:
        assert told == [("kept", "")]
    else:
        ((outcome, reason),) = told
        assert outcome == "converted" and "as if it were BT.2020" in reason
    before, after = (planes(path, "yuv420p10le", 64, 96) for path in (source, job.output))
    assert np.array_equal(before[0], after[0])
    assert through_rgb or all(map(np.array_equal, before, after))


def as_rgb(source):
    return Job(
        source=source,
        pipeline=UNCHANGED,
        output=source.with_name("out.mkv"),
        codec="ffv1",
        pix_fmt="gbrp10le",
        workers=1,
        wishes=CPU,
    )


def test_a_matrix_that_is_no_matrix_does_not_become_rgb(pool, tmp_path):
    job = as_rgb(states(tmp_path / "in.mkv", 14))
    with pytest.raises(VidpercError, match=r"its matrix is ICtCp.* gbrp10le; wanted an output of YUV"):
        run_job(job, pool, Watcher())
    assert not job.output.exists()


def test_ycgco_becomes_the_rgb_that_it_stands_for(pool, tmp_path):
    """The same picture in YCgCo and in BT.601 gives the same RGB."""
    pixels = np.full((64, 96, 3), (60000, 9000, 20000), np.uint16)
    red, green, blue = (float(value) / 65535 for value in pixels[0, 0])
    codes = (
        64 + 876 * (red / 4 + green / 2 + blue / 4),
        512 + 896 * (green / 2 - red / 4 - blue / 4),
        512 + 896 * (red - blue) / 2,
    )
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p10le"
        stream.codec_context.colorspace, stream.codec_context.color_range = 8, 1
        frame = av.VideoFrame(96, 64, "yuv444p10le")
        for plane, code in zip(frame.planes, codes, strict=True):
            plane.update(np.full((64, plane.line_size // 2), round(code), "<u2").tobytes())
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    job = as_rgb(source)
    run_job(job, pool, Watcher())
    with av.open(str(job.output)) as container:
        got = [int(np.frombuffer(plane, "<u2")[0]) for plane in next(container.decode(video=0)).planes]
    assert got == pytest.approx([1023 * green, 1023 * blue, 1023 * red], abs=3)  # two steps of 10 bits, mixed
