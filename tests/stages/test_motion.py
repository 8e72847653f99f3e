"""The stage that finds motion: that of the source, given to whoever comes after, with the picture as it was."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torchvision.models.optical_flow import raft_small

from tests.clips import make_clip
from tests.laws.recursive import Painted
from tests.motion.pairs import moving
from vidperc.cli import main
from vidperc.clip import Clip
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.memory import Load, worker_bytes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.motion.estimator import open_estimator
from vidperc.motion.find import find_motion
from vidperc.ops.layout import LAYOUTS
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.upscale import Upscale

YAML = """\
name: mine
stages:
  - {kind: motion, size: 48}
  - {kind: upscale, model: bicubic}
"""


def clip_of(frames, first=0, shot=0):
    times = tuple(range(first, first + len(frames)))
    return Clip(frames=frames, source=frames, pts=times, time_base=Fraction(1, 25), shot=shot)


def through(stages, clips):
    return list(Pipeline(PipelineSpec("mine", "", tuple(stages)), Placement())(clips))


def test_clips_get_the_motion_of_their_source():
    frames = moving(5, across=3, down=1)
    (wanted,) = find_motion([(frames, 0)], open_estimator("dis"))
    rgb = frames.expand(-1, 3, -1, -1)
    made = through([FindMotion()], [clip_of(rgb[:2]), clip_of(rgb[2:], 2)])
    assert [len(clip) for clip in made] == [2, 3]
    assert torch.equal(torch.cat([clip.motion.flow for clip in made]), wanted.flow)
    assert torch.equal(torch.cat([clip.motion.visible for clip in made]), wanted.visible)
    assert torch.equal(torch.cat([clip.frames for clip in made]), rgb), "the picture stays"


def test_what_networks_made_of_the_picture_does_not_matter():
    frames = moving(4, across=3, down=1).expand(-1, 3, -1, -1)
    noise = torch.rand((4, 3, 20, 30), generator=torch.Generator().manual_seed(0))
    (wanted,) = through([FindMotion()], [clip_of(frames)])
    (found,) = through([FindMotion()], [replace(clip_of(frames), frames=noise)])
    assert torch.equal(found.motion.flow, wanted.motion.flow) and torch.equal(found.frames, noise)
    (enlarged,) = through([FindMotion(), Upscale(model="bicubic")], [clip_of(frames)])
    assert torch.equal(enlarged.motion.flow, wanted.motion.flow), "it stays with the clip"


def test_luma_that_stays_yuv_is_taken():
    frames = moving(3, across=2, down=2)
    clip = replace(
        clip_of(frames.expand(-1, 3, -1, -1)),
        frames=frames,
        source=frames,
        layout=LAYOUTS["yuv420p"],
        chroma=torch.zeros((3, 2, 48, 64)),
    )
    (made,) = through([FindMotion(size=48)], [clip])
    assert made.motion.flow.shape == (3, 2, 48, 64) and made.chroma is clip.chroma


def test_a_new_shot_begins_without_motion():
    frames = moving(6, across=3, down=1).expand(-1, 3, -1, -1)
    made = through(
        [FindMotion()], [clip_of(frames[:2]), clip_of(frames[2:4], 2, shot=1), clip_of(frames[4:], 4, shot=1)]
    )
    still = [not single.motion.flow.any() and not single.motion.visible.any() for c in made for single in c.singles()]
    assert still == [True, False, True, False, False, False]


def test_yaml_spells_it(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    spec = load_pipeline(str(path))
    assert spec.stages[0] == FindMotion(size=48)
    assert (spec.lead, spec.tail, spec.takes_luma) == (1, 0, True)
    changed = apply_settings(spec, ["motion.estimator=farneback", "motion.size=0"])
    assert changed.stages[0] == FindMotion(estimator="farneback")


def test_it_provides_what_others_need():
    PipelineSpec("mine", "", (FindMotion(), Painted())).check()
    with pytest.raises(VidpercError, match="needs motion"):
        PipelineSpec("mine", "", (Painted(), FindMotion())).check()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"estimator": "farneback", "preset": "fast"}, "preset: got fast, but farneback has none"),
        ({"weights": "raft.pth"}, "weights: got raft.pth, but dis has none"),
        ({"size": 8}, "size: got 8, wanted 16 to 16384 pixels, or 0"),
        ({"estimator": "raft-small", "size": 100}, "size: got 100, wanted 128 to"),
        ({"size": -1}, "size: got -1"),
    ],
)
def test_values_that_cannot_be_are_refused(values, told):
    with pytest.raises(ValueError, match=told):
        FindMotion(**values)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=12, size=(96, 64))


@pytest.fixture
def refused(monkeypatch, capfd):
    """Runs the program, which must fail with one line on stderr, and gives that line."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["vidperc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        (line,) = capfd.readouterr().err.strip().splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("{kind: motion, estimator: diss}", "mine.yaml:3"),
        ("{kind: motion, sise: 48}", "mine.yaml:3"),
        ("{kind: motion, preset: slow}", "mine.yaml:3"),
        (
            "{kind: motion, estimator: raft-small}",
            "raft-small got frames of 96x64, wanted sides of at least 128 pixels",
        ),
        ("{kind: motion, estimator: raft-small, size: 128, weights: no.pth}", "raft-small got frames of 96x64"),
    ],
)
def test_mistakes_are_told_in_one_line(stage, told, clip, tmp_path, refused):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nstages:\n  - {stage}\n")
    assert told in refused("run", path, clip, "-o", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_frames_too_small_are_told_in_one_line(tmp_path, refused):
    small = make_clip(tmp_path / "small.mp4", frames=4, size=(32, 14))
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nstages:\n  - {kind: motion}\n  - {kind: upscale, model: bicubic}\n")
    told = refused("run", path, small, "-o", tmp_path / "out.mp4")
    assert "motion: dis got frames of 32x14, wanted sides of at least 16 pixels; use another" in told


def test_memory_for_it_is_planned():
    """The square of the pixels for a RAFT, less at a smaller size."""
    load = Load(
        width=1280, height=720, out_width=1280, out_height=720, frames=9, encoder_bytes=0, cards=(), takes_luma=True
    )
    without = worker_bytes(Placement(), load)

    def more(**values):
        return worker_bytes(Placement(), replace(load, motions=(FindMotion(**values),))) - without

    assert 100 << 20 < more() < 200 << 20
    assert more(size=360) < more() / 3
    assert more(estimator="raft-small") > 4 * 14400**2 and more(estimator="raft-small", size=180) < 200 << 20


@pytest.mark.slow
def test_weights_are_found_from_the_folder_of_the_caller_and_known_by_what_they_hold(tmp_path, monkeypatch):
    """Workers have a folder of their own; the same weights in another place make the same job, others do not."""
    source = make_clip(tmp_path / "clip.mp4", frames=3, size=(128, 128))
    monkeypatch.chdir(tmp_path)
    for folder, seed in ((".", 0), ("same", 0), ("other", 1)):
        Path(folder).mkdir(exist_ok=True)
        torch.manual_seed(seed)
        torch.save(raft_small(weights=None).state_dict(), Path(folder) / "raft.pth")

    def job(weights):
        stages = (FindMotion(estimator="raft-small", weights=weights), Painted())
        return Job(source=source, pipeline=PipelineSpec("mine", "", stages), output=tmp_path / "out.mp4")

    with WorkerPool() as pool:
        assert not run_job(job("raft.pth"), pool, Watcher()).already_done
        for weights in ("./raft.pth", "same/raft.pth", str(tmp_path / "raft.pth")):
            assert run_job(job(weights), pool, Watcher()).already_done
        with pytest.raises(VidpercError, match="-y overwrites it"):
            run_job(job("other/raft.pth"), pool, Watcher())
        with pytest.raises(VidpercError, match=r"absent/raft\.pth: no such file of weights for raft-small"):
            run_job(job("absent/raft.pth"), pool, Watcher())
