"""Jobs with a guide: paired by time, pure in their segments, resumed, refused, and steadier than they came."""

import os
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import decoded_frames, ffprobe_packets, ffprobe_times, make_clip
from tests.video.drawn import make_drawn_clip, scene
from vidperc.clip import Color
from vidperc.engine import plan as plan_module
from vidperc.engine import run as run_module
from vidperc.engine.clips import Pictures, clips_of
from vidperc.engine.guide import Guided, GuideVideo, guided
from vidperc.engine.job import Job
from vidperc.engine.journal import Journal
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.run import Interrupted, run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale
from vidperc.video.source import Decoded, read_frames

FRAMES, CUT = 60, 25
PICTURES = scene(1, CUT) + scene(2, FRAMES - CUT)
HELD = PipelineSpec("steady", "", (FindMotion(), Steady(strength=0.6)))
# Codes that RGB differs by whose chroma was enlarged, shrunk and rounded again, where nothing was held; measured 4.
RESAMPLED = 5
FAST = {"workers": 1, "wishes": Wishes(device="cpu"), "codec": "ffv1"}


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What was processed: 60 frames with a cut, at irregular times."""
    times = [512 * k + (k % 3) * 100 for k in range(FRAMES)]
    return make_drawn_clip(tmp_path_factory.mktemp("source") / "source.mp4", PICTURES, pts=times, options={"crf": "4"})


def flickering(path):
    """Twice as large as the source, the tint of every frame off by shares of its own."""
    rng = np.random.default_rng(7)
    times = [512 * k + (k % 3) * 100 + 6400 for k in range(FRAMES)]  # half a second later
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 256, 160, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12800)
        for index, time in enumerate(times):
            shown = PICTURES[index].repeat(4, axis=0).repeat(4, axis=1)[..., None]
            tint = 1 + rng.normal(0, 0.06, 3)
            frame = av.VideoFrame.from_ndarray((shown * tint).clip(0, 255).astype(np.uint8), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 12800)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    """The source in a coloured flicker, larger, in another container, shown later."""
    return flickering(tmp_path_factory.mktemp("processed") / "made.mkv")


@pytest.fixture
def job(processed, source, tmp_path):
    return Job(source=processed, guide=source, pipeline=HELD, output=tmp_path / "out.mkv", **FAST)


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 20)


class Listener(Watcher):
    def planned(self, plan, finished):
        self.plan, self.finished = plan, finished


def rgb(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float)


def flicker(path):
    """How much the means of red, green and blue of neighbouring frames of one shot differ, in codes."""
    means = rgb(path).mean(axis=(1, 2))
    steps = np.abs(np.diff(means, axis=0)).mean(axis=1)
    return np.delete(steps, CUT - 1).mean()


def test_a_coloured_flicker_is_lowered_and_everything_else_kept(job, pool, processed):
    listener = Listener()
    report = run_job(job, pool, listener)
    assert (report.width, report.height, report.frames_out, report.layout) == (256, 160, FRAMES, "")
    assert report.guide == str(job.guide)
    assert ffprobe_times(job.output) == ffprobe_times(processed)
    assert listener.plan.cuts == (int(ffprobe_times(processed)[CUT] * 1000),), "found in the guide, told in the source"
    assert flicker(processed) > 5, "there is something to hold"
    assert flicker(job.output) < 0.6 * flicker(processed)
    before, after = rgb(processed), rgb(job.output)
    assert np.abs(after[0] - before[0]).max() <= RESAMPLED, "the first frame of a shot is as it came"
    assert np.abs(after[CUT] - before[CUT]).max() <= RESAMPLED, "and nothing crosses the cut"


def test_without_strength_frames_pass(job, pool, processed):
    off = replace(job, pipeline=PipelineSpec("steady", "", (FindMotion(), Steady(strength=0))))
    run_job(off, pool, Watcher())
    assert np.abs(rgb(off.output) - rgb(processed)).max() <= RESAMPLED


def test_a_segment_alone_gives_the_frames_it_gives_among_others(job, pool, tmp_path, monkeypatch, short_segments):
    from vidperc.engine.render import render
    from vidperc.pipeline import Pipeline

    listener = Listener()
    run_job(job, pool, listener)
    together = decoded_frames(job.output)
    plan = listener.plan
    assert len(plan.segments) == 3 and plan.segments[2].guide.seeks and plan.segments[2].lead
    pipeline = Pipeline(HELD, replace(plan.placement, threads=1, chunk=3))
    plan = replace(plan, placement=replace(plan.placement, chunk=3))
    first = 0
    for segment in plan.segments:
        alone = render(job.source, plan, segment, pipeline, tmp_path / "alone.mkv", guide=job.guide)
        hashes = [digest for _, digest in decoded_frames(alone.path)]
        assert hashes == [digest for _, digest in together[first : first + len(segment.pts)]]
        first += len(segment.pts)


def test_a_seek_in_the_guide_that_goes_wrong_is_mended(job, pool, tmp_path, short_segments):
    from vidperc.engine.render import render
    from vidperc.pipeline import Pipeline

    listener = Listener()
    run_job(job, pool, listener)
    segment = listener.plan.segments[2]
    pipeline = Pipeline(HELD, listener.plan.placement)
    wanted = decoded_frames(
        render(job.source, listener.plan, segment, pipeline, tmp_path / "a.mkv", guide=job.guide).path
    )
    late = replace(segment, guide=replace(segment.guide, seeks=((segment.guide.pts[-1],) * 2,)))
    found = decoded_frames(render(job.source, listener.plan, late, pipeline, tmp_path / "b.mkv", guide=job.guide).path)
    assert found == wanted


def test_a_stopped_job_goes_on_with_its_guide(job, pool, monkeypatch, short_segments):
    run_job(replace(job, output=job.output.with_name("whole.mkv")), pool, Watcher())

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deliver", stop)
        with pytest.raises(Interrupted):
            run_job(job, pool, Watcher())
    listener = Listener()
    report = run_job(job, pool, listener)
    assert listener.finished == FRAMES and report.resumed_segments == 3
    assert decoded_frames(job.output) == decoded_frames(job.output.with_name("whole.mkv"))
    assert run_job(job, pool, Watcher()).already_done


def test_another_guide_makes_another_job(job, pool, tmp_path, source):
    other = tmp_path / "other.mp4"
    other.write_bytes(source.read_bytes())
    os.utime(other, ns=(1, 1))
    keys = {prepare_job(one, pool).key for one in (job, replace(job, guide=other))}
    assert len(keys) == 2


def test_an_excerpt_takes_the_guides_frames_of_its_time(job, pool, processed):
    excerpt = replace(job, start=Fraction(1), end=Fraction(2))
    listener = Listener()
    run_job(excerpt, pool, listener)
    (segment,) = listener.plan.segments
    assert len(segment.guide.pts) == len(segment.expected)
    first = ffprobe_times(processed)[0]
    places = [int((Fraction(pts, 1000) - first) * 25) for pts in segment.pts]
    assert segment.guide.pts[len(segment.lead)] == 512 * places[0] + (places[0] % 3) * 100


def test_sound_comes_from_what_was_processed(tmp_path, pool):
    made = make_clip(tmp_path / "made.mp4", frames=20, sound=True)
    guide = make_clip(tmp_path / "guide.mkv", frames=20, time_base=Fraction(1, 1000))
    job = Job(source=made, guide=guide, pipeline=HELD, output=tmp_path / "out.mp4", workers=1, label="steady")
    run_job(job, pool, Watcher())
    assert ffprobe_packets(job.output) == ffprobe_packets(made) != []


def test_what_the_guide_does_not_show_stays_as_it_is(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=8)
    frames = list(read_frames(clip))
    guides = [Decoded(f.frame, 10 * k, 1) for k, f in enumerate(frames) if k not in (3, 7)]
    partners = {f.pts: 10 * k for k, f in enumerate(frames)}
    alone = []
    paired = list(guided(iter(frames), iter(guides), partners, alone))
    assert [None if p.guide is None else p.guide.pts for p in paired] == [0, 10, 20, None, 40, 50, 60, None]
    assert alone == [frames[3].pts, frames[7].pts]
    size = GuideVideo(width=48, height=32, color=Color(), timed=True)
    color = Color(matrix=6)
    how = Pictures(layout="", color=color, time_base=Fraction(1, 12800), chunk=4, device="cpu", guide=size)
    small = [
        p if p.guide is None else Guided(p.frame, p.pts, 1, Decoded(p.guide.frame.reformat(48, 32), p.guide.pts, 1))
        for p in paired
    ]
    clips = list(clips_of(small, how, lambda _: 0))
    assert [len(clip) for clip in clips] == [3, 1, 3, 1], "each is a shot of its own"
    assert len({clip.shot for clip in clips}) == 4
    assert all(clip.source.shape[-2:] == (32, 48) for clip in clips)


def test_a_damaged_guide_costs_no_frame_and_is_told(job, pool, tmp_path, source):
    whole = source.read_bytes()
    damaged = tmp_path / "damaged.mp4"
    start = whole.index(b"mdat") + 4
    place = start + (whole.index(b"moov") - start if whole.index(b"moov") > start else len(whole) - start) // 2
    damaged.write_bytes(whole[:place] + b"\x00" * 3000 + whole[place + 3000 :])
    report = run_job(replace(job, guide=damaged), pool, Watcher())
    assert report.frames_out == FRAMES
    assert report.damage["guide_corrupt_packets"] > 0 and report.damage["guide_frames_missing"] > 0


def test_a_guide_that_changes_during_the_run_is_noticed(job, pool, tmp_path, source, monkeypatch):
    guide = tmp_path / "guide.mp4"
    guide.write_bytes(source.read_bytes())

    class Touching(Watcher):
        def joining(self):
            os.utime(guide, ns=(1, 1))

    with pytest.raises(VidpercError, match=r"guide.mp4: was changed while it was read"):
        run_job(replace(job, guide=guide), pool, Touching())
    assert not job.output.exists()


def test_holding_without_a_guide_needs_something_to_hold(job, pool):
    with pytest.raises(VidpercError, match="nothing before its stage steady changes the picture"):
        prepare_job(replace(job, guide=None), pool)
    enlarged = PipelineSpec("mine", "", (FindMotion(), Upscale(model="bicubic"), Steady()))
    assert prepare_job(replace(job, guide=None, pipeline=enlarged), pool).guide is None


def test_a_plan_with_a_guide_survives_its_journal(job, pool, tmp_path):
    ready = prepare_job(job, pool)
    plan = run_module.make_plan(job, ready)
    with Journal(tmp_path / "kept.mkv", "k" * 10) as journal:
        journal.write_plan(plan)
        assert journal.read_plan() == plan
    assert plan.guide is not None and plan.segments[0].guide is not None
