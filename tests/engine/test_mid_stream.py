"""Sources that change in mid-stream: every frame counts as it states itself, and each change is told."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vidperc.engine import ready as ready_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.probe import probe

UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
RED, GREEN, BLUE = 0.2, 0.7, 0.4
FRAMES = 6  # of each part
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def codes_of(matrix=1, full_range=False, bits=8):
    """The codes of one colour, by the equations of H.273."""
    kr, kb = WEIGHTS[matrix]
    luma = kr * RED + (1 - kr - kb) * GREEN + kb * BLUE
    step = 1 << (bits - 8)
    zero, spans = (0, (255, 255)) if full_range else (16 * step, (219 * step, 224 * step))
    chroma = [(value - luma) / (2 - 2 * weight) for value, weight in ((BLUE, kb), (RED, kr))]
    return [zero + spans[0] * luma, *(128 * step + spans[1] * value for value in chroma)]


def part(path, *, matrix=1, full_range=False, pix_fmt="yuv420p", aspect=Fraction(1), transfer=2):
    """A bare stream of H.264 in one colour; lossless, so that codes can be compared."""
    bits = 10 if pix_fmt.endswith("10le") else 8
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc = matrix, 2 if full_range else 1, transfer
        context.sample_aspect_ratio = aspect
        for index in range(FRAMES):
            frame = av.VideoFrame(96, 64, pix_fmt)
            for plane, code in zip(frame.planes, codes_of(matrix, full_range, bits), strict=True):
                size = plane.line_size // (bits + 7 >> 3), plane.height
                plane.update(np.full(size[::-1], round(code), np.uint8 if bits == 8 else "<u2").tobytes())
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def changed(folder, before, after):
    source = folder / "in.h264"
    source.write_bytes(part(folder / "a.h264", **before) + part(folder / "b.h264", **after))
    return source


def run(source, pool, **settings):
    job = Job(
        source=source,
        pipeline=UNCHANGED,
        output=source.with_name("out.mkv"),
        workers=1,
        wishes=Wishes(device="cpu"),
        **{"codec": "ffv1", **settings},
    )
    return run_job(job, pool, Watcher())


def last_codes(path):
    """The middle of each plane of the last frame."""
    with av.open(str(path)) as container:
        *_, last = container.decode(video=0)
        kind = np.uint8 if last.format.components[0].bits == 8 else "<u2"
        return [int(np.frombuffer(p, kind).reshape(p.height, -1)[p.height // 2, p.width // 2]) for p in last.planes]


def told(report, field):
    return [(fate.outcome, fate.reason) for fate in report.fidelity if fate.field == field]


@pytest.mark.parametrize("through_rgb", [False, True], ids=["as YUV", "by way of RGB"])
@pytest.mark.parametrize(
    "after", [{"matrix": 6}, {"full_range": True}, {"matrix": 6, "full_range": True, "pix_fmt": "yuv444p"}]
)
def test_colours_of_another_matrix_or_range_are_those_of_the_first(after, through_rgb, pool, tmp_path, monkeypatch):
    if through_rgb:
        monkeypatch.setattr(ready_module, "luma_layout", lambda *_: "")
    report = run(changed(tmp_path, {}, after), pool)
    assert report.frames_out == 2 * FRAMES
    assert last_codes(tmp_path / "out.mkv") == pytest.approx(codes_of(), abs=1.5)  # rounded twice
    ((outcome, reason),) = told(report, "matrix or range")
    assert outcome == "converted" and f"in mid-stream; {FRAMES} frames were converted" in reason
    if "pix_fmt" in after:
        ((outcome, reason),) = told(report, "chroma")
        assert outcome == "converted" and f"{FRAMES} frames were brought to yuv420p" in reason


@pytest.mark.parametrize(
    ("after", "field", "outcome"),
    [
        ({"pix_fmt": "yuv444p"}, "chroma", "converted"),
        ({"pix_fmt": "yuv420p10le"}, "depth", "converted"),
        ({"aspect": Fraction(4, 3)}, "shape of pixels", "dropped"),
        ({"transfer": 16}, "primaries or transfer", "dropped"),
    ],
    ids=["chroma", "depth", "aspect", "transfer"],
)
def test_what_changes_in_mid_stream_is_told_and_is_not_called_kept(after, field, outcome, pool, tmp_path):
    report = run(changed(tmp_path, {"transfer": 1}, {"transfer": 1, **after}), pool)
    ((found, reason),) = told(report, field)
    assert found == outcome
    assert f"{FRAMES} frames" in reason and "split the file" in reason
    assert last_codes(tmp_path / "out.mkv") == pytest.approx(codes_of(), abs=1.5)


def test_a_stream_that_does_not_change_has_nothing_told(pool, tmp_path):
    report = run(changed(tmp_path, {"aspect": Fraction(4, 3)}, {"aspect": Fraction(4, 3)}), pool)
    assert not [fate for fate in report.fidelity if "mid-stream" in fate.reason]
    assert not [name for name, count in report.damage.items() if count and name != "packets"]


def test_the_shape_of_pixels_is_the_first_frames_where_only_frames_state_it(tmp_path):
    """FFmpeg looks ahead in a bare stream, and finds that of the last frames."""
    info = probe(changed(tmp_path, {}, {"aspect": Fraction(4, 3)}))
    assert (info.sample_aspect, info.coded_aspect) == (1, 1)
