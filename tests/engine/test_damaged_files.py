"""Damaged and truncated files: no crash, no hang, and at least the frames that a patient reader gets out of them."""

import random
from fractions import Fraction

import av
import av.error
import pytest

from tests.clips import make_clip
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError

FLIPPED, TRUNCATED = 60, 100
FRAMES = 36
SEED = 20261


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


def whole(suffix, folder):
    """A clip with sound; an MP4 with its index in front, else no truncated one could be read at all."""
    path = make_clip(folder / f"whole{suffix}", frames=FRAMES, size=(64, 48), sound=True)
    if suffix == ".mkv":
        return path.read_bytes()
    ready = folder / "front.mp4"
    with av.open(str(path)) as source, av.open(str(ready), "w", options={"movflags": "+faststart"}) as output:
        places = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = places[packet.stream.index]
                output.mux(packet)
    return ready.read_bytes()


def damaged(suffix, folder):
    """(name, content) of every damaged version: thirty bytes changed anywhere, or cut off anywhere."""
    content = whole(suffix, folder)
    chance = random.Random(SEED)
    for number in range(FLIPPED):
        flipped = bytearray(content)
        for _ in range(30):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        yield f"flipped{number}{suffix}", bytes(flipped)
    for number in range(TRUNCATED):
        yield f"truncated{number}{suffix}", content[: chance.randrange(1, len(content))]


def patient(path):
    """How many frames a reader gets that forgives each packet on its own."""
    errors = (av.error.FFmpegError, MemoryError, EOFError, IndexError, ValueError)
    frames = 0
    try:
        container = av.open(str(path), metadata_errors="surrogateescape")
    except errors:
        return 0
    with container:
        if not container.streams.video:
            return 0
        packets = container.demux(container.streams.video[0])
        for _ in range(20 * FRAMES):
            try:
                packet = next(packets, None)
            except errors:
                packets = container.demux(container.streams.video[0])
                continue
            if packet is None:
                break
            try:
                frames += len(packet.decode())
            except errors:
                continue
    return frames


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_damaged_file_gives_what_a_patient_reader_gets_or_is_refused_for_a_reason(suffix, pool, tmp_path):
    pipeline = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=1"])
    fewer, made, refused = [], 0, 0
    for name, content in damaged(suffix, tmp_path):
        path = tmp_path / name
        path.write_bytes(content)
        expected = patient(path)
        job = Job(
            source=path,
            pipeline=pipeline,
            output=tmp_path / "out.mkv",
            preset="ultrafast",
            workers=1,
            overwrite=True,
            wishes=Wishes(device="cpu"),
        )
        try:
            report = run_job(job, pool, Watcher())
        except VidpercError as error:
            assert "\n" not in str(error)
            refused += 1
            if expected:
                fewer.append((name, expected, str(error)))
            continue
        made += 1
        if report.frames_out < expected:
            fewer.append((name, expected, report.frames_out, report.damage))
    assert made + refused == FLIPPED + TRUNCATED
    assert made > 20
    assert not fewer, "\n".join(map(str, fewer))


class Heard(Watcher):
    """Keeps what the user is warned of."""

    def __init__(self):
        self.warnings = []

    def warned(self, text):
        self.warnings.append(text)


@pytest.mark.parametrize(("end", "told"), [(None, 1), (Fraction(2, 25), 0)])
def test_a_cut_inside_a_frame_is_told_where_the_output_shows_the_end(end, told, pool, tmp_path):
    source = make_clip(tmp_path / "in.y4m", frames=4, codec="wrapped_avframe", time_base=Fraction(1, 25))
    source.write_bytes(source.read_bytes()[:-100])
    job = Job(
        source=source,
        pipeline=apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=1"]),
        output=tmp_path / "out.mkv",
        end=end,
        workers=1,
        wishes=Wishes(device="cpu"),
    )
    heard = Heard()
    report = run_job(job, pool, heard)
    remarks = [remark for remark in report.remarks if "bytes that are no whole frame" in remark]
    assert len(remarks) == told
    assert [warning for warning in heard.warnings if "no whole frame" in warning] == remarks
    assert report.frames_out == (3 if end is None else 2)


def cut_job(folder, **settings):
    """A job of an MP4 of whose second half nothing is there."""
    content = whole(".mp4", folder)
    source = folder / "cut.mp4"
    source.write_bytes(content[: len(content) * 6 // 10])
    return Job(
        source=source,
        pipeline=apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=1"]),
        output=folder / "out.mp4",
        workers=1,
        wishes=Wishes(device="cpu"),
        **settings,
    )


def test_a_cut_off_file_is_told_with_its_frames_and_its_sound(pool, tmp_path):
    heard = Heard()
    report = run_job(cut_job(tmp_path), pool, heard)
    assert report.frames_out < FRAMES
    (told,) = [remark for remark in report.remarks if "cut off" in remark]
    assert f"video 0: {report.frames_out} of the {FRAMES} announced frames are there; audio 1: " in told
    assert [warning for warning in heard.warnings if "cut off" in warning] == [told]
    lost = [fate for fate in report.fidelity if fate.field == "length"]
    assert [(fate.subject.partition(" (")[0], fate.outcome) for fate in lost] == [
        ("video", "dropped"),
        ("audio 1", "dropped"),
    ]
    (sound,) = [fate for fate in report.fidelity if fate.subject.startswith("audio 1") and fate.field == "stream"]
    assert "as far as it is there" in sound.reason


def test_strict_refuses_a_cut_off_file_before_any_work(pool, tmp_path):
    job = cut_job(tmp_path, strict=True)
    with pytest.raises(VidpercError, match=rf"--strict, .* of the {FRAMES} announced frames are there"):
        run_job(job, pool, Watcher())
    assert not list(tmp_path.glob("out*"))


def test_an_excerpt_before_the_cut_is_whole(pool, tmp_path):
    heard = Heard()
    report = run_job(cut_job(tmp_path, strict=True, end=Fraction(4, 25)), pool, heard)
    assert report.frames_out == 4
    assert not [text for text in (*heard.warnings, *map(str, report.fidelity)) if "cut off" in text]
