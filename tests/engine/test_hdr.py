"""HDR that goes through: its metadata and tags as ffprobe reads them, its codes, and where its chroma sits."""

import json
import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, ffprobe_video, make_clip
from vidperc.engine import ready as ready_module
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.probe import probe

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe reads the results")

TWICE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))
UNCHANGED = PipelineSpec("unchanged", "", (Upscale(model="bicubic", scale=1),))
# BT.2020 primaries, D65, 0.005 to 1000 candela; written by another path than ours, in the order of the message.
MASTERING = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
TAGS = ("color_space", "color_range", "color_transfer", "color_primaries", "chroma_location")


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def hdr_clip(path, *, transfer=16, siting="topleft", params="", frames=4, size=(64, 48)):
    """A 10-bit HEVC clip of moving texture, tagged BT.2020, with a mastering display and light levels."""
    extra = f"log-level=none:master-display={MASTERING}:max-cll=987,123:repeat-headers=1{params}"
    return make_clip(
        path,
        frames=frames,
        size=size,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={
            "preset": "ultrafast",
            "x265-params": extra,
            "color_trc": str(transfer),
            "color_primaries": "9",
            "colorspace": "9",
            "color_range": "1",
            "chroma_sample_location": siting,
        },
    )


def light(path):
    """What ffprobe prints of the static metadata, of the first frame and of the container, by its name, in figures."""
    command = ["ffprobe", "-v", "error", "-of", "json", "-select_streams", "v:0", "-read_intervals", "%+#10"]
    answer = subprocess.run(
        [*command, "-show_entries", "frame=pts:frame_side_data:stream_side_data", str(path)],
        capture_output=True,
        check=True,
        text=True,
    )
    found = {}
    said = json.loads(answer.stdout)
    frames = said["frames"]  # an edit list may hide the first ones
    for item in (*said["streams"][0].get("side_data_list", []), *frames[0].get("side_data_list", [])):
        if item["side_data_type"] in ("Mastering display metadata", "Content light level metadata"):
            found |= {key: Fraction(value) for key, value in item.items() if key != "side_data_type"}
    return found


def done(source, output, pool, spec=TWICE, **settings):
    job = Job(
        source=source,
        pipeline=spec,
        output=output,
        workers=1,
        wishes=Wishes(device="cpu"),
        **{"preset": "ultrafast"} | settings,
    )
    return run_job(job, pool, Watcher())


def lost(report):
    """Why, by what was dropped of the picture."""
    return {
        fate.field: fate.reason for fate in report.fidelity if fate.outcome == "dropped" and fate.subject == "video"
    }


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("transfer", [16, 18], ids=["pq", "hlg"])
def test_metadata_and_tags_of_hdr_stay(transfer, suffix, pool, tmp_path):
    source = hdr_clip(tmp_path / f"in{suffix}", transfer=transfer)
    report = done(source, tmp_path / f"out{suffix}", pool)
    assert len(light(source)) == 12
    assert light(tmp_path / f"out{suffix}") == light(source)
    was, now = ffprobe_video(source), ffprobe_video(tmp_path / f"out{suffix}")
    assert {key: now.get(key) for key in TAGS} == {key: was.get(key) for key in TAGS}
    assert now["pix_fmt"] == "yuv420p10le"
    assert {fate.field: fate.outcome for fate in report.fidelity}["mastering display and light level"] == "kept"


def test_metadata_is_written_to_av1_as_near_as_it_can_tell(pool, tmp_path):
    source = hdr_clip(tmp_path / "in.mkv")
    done(source, tmp_path / "out.mkv", pool, codec="libsvtav1", preset="10")
    was, now = light(source), light(tmp_path / "out.mkv")
    assert was.keys() == now.keys()
    for key, value in was.items():  # AV1 counts in 1/65536, and 1/256 and 1/16384 candela
        assert abs(now[key] - value) < Fraction(1, 10000)


@pytest.mark.parametrize(
    ("codec", "name"), [("ffv1", "out.mkv"), ("prores_ks", "out.mov"), ("prores_ks", "out.mkv"), ("libx265", "out.mov")]
)
def test_the_container_states_metadata_whatever_the_encoder(codec, name, pool, tmp_path):
    source = hdr_clip(tmp_path / "in.mkv")
    report = done(source, tmp_path / name, pool, codec=codec, preset="ultrafast" if codec == "libx265" else None)
    assert light(tmp_path / name) == light(source)
    was, now = ffprobe_video(source), ffprobe_video(tmp_path / name)
    assert (now["color_transfer"], now["color_space"]) == (was["color_transfer"], was["color_space"])
    assert lost(report) == {}
    assert {fate.field: fate.outcome for fate in report.fidelity}["mastering display and light level"] == "kept"
    assert int(now.get("nb_frames", 4)) == 4


def test_an_output_of_8_bits_states_no_light_and_says_so(pool, tmp_path):
    source = hdr_clip(tmp_path / "in.mkv")
    for codec, name in (("libx264", "out.mkv"), ("libvpx-vp9", "out.webm")):
        report = done(source, tmp_path / name, pool, codec=codec, pix_fmt="yuv420p", preset=None)
        assert lost(report).keys() == {"mastering display and light level", "depth"}
        assert [remark for remark in report.remarks if "8 bits" in remark]
        assert light(tmp_path / name) == {}


@pytest.mark.parametrize("siting", ["left", "center", "topleft"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_chroma_stays_where_it_sits(siting, suffix, pool, tmp_path):
    source = hdr_clip(tmp_path / f"in{suffix}", siting=siting)
    done(source, tmp_path / f"out{suffix}", pool)
    assert ffprobe_video(source)["chroma_location"] == siting
    assert ffprobe_video(tmp_path / f"out{suffix}")["chroma_location"] == siting


@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_chroma_stays_where_the_container_alone_says_that_it_sits(codec, pool, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=4, codec=codec, options={"chroma_sample_location": "center"})
    assert ffprobe_video(source)["chroma_location"] == "center"
    assert probe(source).color.siting == 1
    done(source, tmp_path / "out.mkv", pool, codec=codec, preset=None)
    assert ffprobe_video(tmp_path / "out.mkv")["chroma_location"] == "center"


def ramp(path):
    """A grey ramp over all 1024 codes of PQ, without loss."""
    codes = np.tile(np.arange(1024, dtype="<u2"), (16, 1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1024, 16, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 9, 2, 9, 16
        frame = av.VideoFrame(1024, 16, "yuv420p10le")
        for plane, values in zip(frame.planes, (codes, *[np.full((8, 512), 512, "<u2")] * 2), strict=True):
            rows = np.frombuffer(plane, "<u2").reshape(-1, plane.line_size // 2)
            rows[:, : values.shape[1]] = values
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_luma(path):
    with av.open(str(path)) as container:
        plane = next(container.decode(video=0)).planes[0]
        return np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width].astype(int)


@pytest.mark.parametrize("by_way_of_rgb", [False, True])
def test_a_ramp_in_pq_keeps_its_order_and_its_codes(by_way_of_rgb, pool, tmp_path, monkeypatch):
    if by_way_of_rgb:
        monkeypatch.setattr(ready_module, "luma_layout", lambda *_: "")
    source = ramp(tmp_path / "in.mkv")
    for spec, name in ((UNCHANGED, "same.mkv"), (TWICE, "twice.mkv")):
        done(source, tmp_path / name, pool, spec, codec="ffv1", preset=None)
    same, twice = first_luma(tmp_path / "same.mkv"), first_luma(tmp_path / "twice.mkv")
    assert np.abs(same[8] - np.arange(1024)).max() <= 2
    assert np.diff(same[8]).min() >= 0
    assert np.diff(twice[16]).min() >= 0
    assert np.abs(twice[16] - (np.arange(2048) / 2 - 0.25)).max() <= 2


SAMPLES = ["hdr10_pq_hevc_sdr_container.mp4", "edit_list_hlg_rot90.mp4", "hdr10_pq_av1_portrait.mp4"]


@pytest.mark.parametrize("name", SAMPLES)
def test_real_hdr_keeps_its_tags_and_metadata(name, pool, tmp_path):
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    source = TEST_DATA / "videos/awkward" / name
    report = done(source, tmp_path / "out.mp4", pool, UNCHANGED, end=Fraction(1, 10))
    was, now = ffprobe_video(source), ffprobe_video(tmp_path / "out.mp4")
    assert {key: now.get(key) for key in TAGS} == {key: was.get(key) for key in TAGS}
    assert light(tmp_path / "out.mp4") == light(source)
    wanted = {SAMPLES[0]: {"HDR10+ metadata"}, SAMPLES[1]: {"Dolby Vision metadata"}}.get(name, set())
    assert {field for field in lost(report) if "metadata" in field} == wanted
    assert ("ambient viewing environment" in lost(report)) == (name == SAMPLES[1])
