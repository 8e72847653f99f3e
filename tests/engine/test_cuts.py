"""The cuts of a job: found once, journaled, given, or not looked for where nothing looks across frames."""

import itertools
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import decoded_frames
from tests.laws.recursive import Average, Blend
from tests.video.drawn import make_drawn_clip, scene
from vidperc.engine import cuts as cuts_module
from vidperc.engine import plan as plan_module
from vidperc.engine import run as run_module
from vidperc.engine.cuts import CutChoice
from vidperc.engine.job import Job
from vidperc.engine.journal import Journal
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.run import Interrupted, run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.cuts import CutThresholds

CUTS = (26, 61)
FRAMES = 90
BLENDED = PipelineSpec("blended", "", (Blend(keep=0.7),))
PER_FRAME = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three shots at irregular times."""
    borders = (0, *CUTS, FRAMES)
    pictures = [p for seed, (a, b) in enumerate(itertools.pairwise(borders)) for p in scene(seed, b - a)]
    times = [512 * k + (k % 3) * 100 for k in range(FRAMES)]
    return make_drawn_clip(tmp_path_factory.mktemp("source") / "clip.mp4", pictures, pts=times, options={"crf": "10"})


@pytest.fixture
def three_segments(monkeypatch):
    """Plans of 30 frames a segment; the real limits would need a long video."""
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 30)


@pytest.fixture
def never_found(monkeypatch):
    """Looking for cuts is a failure."""

    def fail(*_, **__):
        raise AssertionError("looked for cuts")

    monkeypatch.setattr(cuts_module, "find_cuts", fail)


@pytest.fixture
def job(source, tmp_path):
    fast = {"workers": 1, "wishes": Wishes(device="cpu"), "codec": "ffv1"}
    return Job(source=source, pipeline=BLENDED, output=tmp_path / "out.mkv", **fast)


class Listener(Watcher):
    """Remembers what it was told of cuts."""

    def __init__(self):
        self.cuts, self.plan, self.scanned_frames = None, None, []

    def scanned(self, frames, total):
        self.scanned_frames.append((frames, total))

    def found(self, cuts, frames, seconds):
        self.cuts, self.frames = cuts, frames

    def planned(self, plan, finished):
        self.plan = plan


def pts_of(frames):
    return tuple(512 * k + (k % 3) * 100 for k in frames)


def luma(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]


def test_a_stage_with_a_state_begins_anew_at_the_cuts_that_were_found(job, pool, source, three_segments):
    listener = Listener()
    report = run_job(job, pool, listener)
    assert listener.plan.cuts == pts_of(CUTS)
    assert [(cut.pts, cut.kind) for cut in listener.cuts] == [(pts, "cut") for pts in pts_of(CUTS)]
    assert listener.frames == FRAMES and listener.scanned_frames[-1] == (FRAMES, FRAMES)
    assert report.cuts == 2 and report.segments == 3
    assert [segment.pts[0] for segment in listener.plan.segments][2] == pts_of(CUTS)[1], "a segment starts at a cut"
    came, made = luma(source), luma(job.output)
    for cut in CUTS:
        assert np.abs(made[cut] - came[cut]).max() <= 2, "nothing of the last shot is in it"  # rounding of RGB and back
        assert np.abs(made[cut + 1] - came[cut + 1]).mean() > 2, "after it there is a blend"


def test_without_cuts_the_last_shot_would_shine_through(job, pool, source):
    report = run_job(replace(job, cuts=CutChoice(listed="none")), pool, Watcher())
    assert report.cuts == 0
    came, made = luma(source), luma(job.output)
    assert all(np.abs(made[cut] - came[cut]).mean() > 10 for cut in CUTS)


def test_a_resumed_run_takes_the_cuts_of_the_plan(job, pool, tmp_path, monkeypatch, three_segments):
    whole = replace(job, output=tmp_path / "whole.mkv")
    run_job(whole, pool, Watcher())

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(run_module, "deliver", stop)
        run_job(job, pool, Watcher())
    (folder,) = tmp_path.glob("out.mkv.vidperc-*")
    (folder / "segment-00001.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(cuts_module, "find_cuts", stop)
        listener = Listener()
        report = run_job(job, pool, listener)
    assert listener.cuts is None and listener.plan.cuts == pts_of(CUTS)
    assert (report.cuts, report.resumed_segments) == (2, 2)
    assert decoded_frames(job.output) == decoded_frames(whole.output)


def test_an_interrupted_search_leaves_nothing(job, pool, tmp_path, monkeypatch):
    class Impatient(Watcher):
        def scanned(self, frames, total):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, pool, Impatient())
    assert list(tmp_path.iterdir()) == []


def test_frames_that_stand_alone_are_not_looked_through(job, pool, never_found):
    listener = Listener()
    report = run_job(replace(job, pipeline=PER_FRAME), pool, listener)
    assert (listener.cuts, listener.plan.cuts, report.cuts) == (None, (), 0)


def test_given_cuts_are_not_looked_for(job, pool, tmp_path, never_found, three_segments):
    (tmp_path / "cuts.txt").write_text("0:01.04  # frame 26\n2.448\n")
    for pipeline in (BLENDED, PER_FRAME):
        listener = Listener()
        given = replace(job, pipeline=pipeline, cuts=CutChoice(listed=str(tmp_path / "cuts.txt")), overwrite=True)
        report = run_job(given, pool, listener)
        assert listener.plan.cuts == pts_of((26, 61)) and report.cuts == 2
        assert listener.plan.segments[2].pts[0] == pts_of((61,))[0]


def test_only_the_excerpt_and_what_is_read_around_it_is_looked_through(job, pool, monkeypatch):
    asked = []
    find = cuts_module.find_cuts

    def listening(*arguments, pts, **options):
        asked.append(tuple(pts))
        return find(*arguments, pts=pts, **options)

    monkeypatch.setattr(cuts_module, "find_cuts", listening)
    spec = PipelineSpec("averaged", "", (Average(past=3, future=2),))
    listener = Listener()
    excerpt = replace(job, pipeline=spec, start=Fraction(60 * 512, 12800), end=Fraction(70 * 512, 12800))
    report = run_job(excerpt, pool, listener)
    assert listener.plan.segments[0].pts == pts_of(range(60, 70))
    assert asked == [pts_of(range(57, 72))]
    assert (listener.plan.cuts, report.cuts) == (pts_of((61,)), 1)


def key(job, pool, **changes):
    return prepare_job(replace(job, **changes), pool).key


def test_what_decides_the_cuts_decides_the_job_where_they_matter(job, pool, tmp_path):
    lists = [tmp_path / name for name in ("one.txt", "same.txt", "other.txt")]
    for path, text in zip(lists, ("1.04", "# the same\n0:01.04", "2.448"), strict=True):
        path.write_text(text)
    one, same, other = (CutChoice(listed=str(path)) for path in lists)
    none, low = CutChoice(listed="none"), CutChoice(thresholds=CutThresholds(cut=0.3))
    keys = {choice: key(job, pool, cuts=choice) for choice in (CutChoice(), low, none, one, same, other)}
    assert keys[one] == keys[same], "a list counts by what it says"
    assert len(set(keys.values())) == 5
    alone = {choice: key(job, pool, cuts=choice, pipeline=PER_FRAME) for choice in keys}
    assert alone[CutChoice()] == alone[low] == alone[none] != alone[one]


def test_a_plan_from_before_there_were_cuts_is_read(job, pool, tmp_path):
    import json

    from vidperc.engine.ready import make_plan

    ready = prepare_job(job, pool)
    with Journal(job.output, ready.key) as journal:
        journal.write_plan(make_plan(job, ready))
        path = journal.folder / "plan.json"
        plan = json.loads(path.read_bytes())
        del plan["cuts"]
        path.write_text(json.dumps(plan))
        assert journal.read_plan().cuts == ()


def test_a_bad_list_is_told_before_any_work(job, pool, tmp_path):
    (tmp_path / "cuts.txt").write_text("1.04\nlater\n")
    with pytest.raises(VidpercError, match=r"cuts\.txt:2: later: not a time"):
        run_job(replace(job, cuts=CutChoice(listed=str(tmp_path / "cuts.txt"))), pool, Watcher())
    assert [path.name for path in tmp_path.iterdir()] == ["cuts.txt"]
