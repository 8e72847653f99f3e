"""Laws of a network that sees what it made before: segments, workers, cuts and kills."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep

import av
import numpy as np
import psutil
import pytest

from tests.clips import decoded_frames, make_clip
from tests.laws.test_segments import CUT_FRAME, load, make_plan, rendered
from tests.recurrent_files import save_recurrent
from vidperc.engine.plan import Plan
from vidperc.engine.pool import WorkerPool
from vidperc.engine.render import render
from vidperc.engine.worker import RenderTask
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.upscale import Upscale


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PipelineSpec:
    path = save_recurrent(tmp_path_factory.mktemp("weights") / "recurrent.safetensors")
    # In bfloat16, as test_segments has its networks.
    return PipelineSpec("network", "", (FindMotion(), Upscale(model=str(path))))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=90, cuts=(CUT_FRAME,))


def test_the_plan_has_the_frames_before_a_segment_that_the_network_needs_to_settle(clip: Path, spec: PipelineSpec):
    _, upscale = spec.stages
    assert 2 <= upscale.settle <= 24 and spec.lead == upscale.settle + 1
    plan = make_plan(clip, spec, count=5)
    assert plan.placement.precision == "bfloat16" and plan.layout == "yuv420p"
    leads = [len(segment.lead) for segment in plan.segments]
    assert spec.lead in leads and leads[0] == 0


def test_a_segment_alone_gives_the_frames_it_gives_among_others(clip: Path, spec: PipelineSpec, tmp_path: Path):
    plan = make_plan(clip, spec, count=4)
    together = rendered(clip, spec, plan, tmp_path)
    for segment in reversed(plan.segments):
        assert rendered(clip, spec, plan, tmp_path, [segment]) == {pts: together[pts] for pts in segment.pts}


def test_workers_and_chunks_change_nothing(clip: Path, spec: PipelineSpec, tmp_path: Path):
    wanted = rendered(clip, spec, make_plan(clip, spec, count=4), tmp_path)
    for workers, chunk in itertools.product((1, 2), (1, 16)):
        plan = make_plan(clip, spec, count=4, chunk=chunk)
        found: dict[int, str] = {}

        def done(_, answer, found=found):
            hashes = [digest for _, digest in decoded_frames(answer.path)]
            found.update(zip(sorted(answer.sidecar.packet_pts), hashes, strict=True))

        tasks = [
            RenderTask(source=clip, spec=spec, plan=plan, segment=segment, folder=tmp_path, load=load(plan))
            for segment in plan.segments
        ]
        with WorkerPool() as pool:
            pool.run(tasks, workers=workers, done=done)
        assert found == wanted


def codes(clip: Path, spec: PipelineSpec, plan: Plan, folder: Path) -> np.ndarray:
    """The luma of every frame, losslessly coded, (T,H,W)."""
    pipeline = Pipeline(spec, plan.placement)
    planes: list[np.ndarray] = []
    for segment in plan.segments:
        result = render(clip, plan, segment, pipeline, folder / f"{segment.index}.mkv")
        with av.open(str(result.path)) as container:
            planes.extend(frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0))
    return np.stack(planes)


@pytest.mark.parametrize(("name", "share"), [("exact", 1e-4), ("network", 0.05)])
def test_how_many_segments_there_are_changes_few_codes_and_little(
    name: str, share: float, clip: Path, spec: PipelineSpec, tmp_path: Path
):
    """What `settle` measures is half a code on clips of its own; here some pixels may remember longer.

    How far those are off depends on how a processor adds up: five by one code on some, by two on others. In bfloat16
    ("network") a difference too small to see may round a detail the other way, and does so again and again: by half a
    code where it is a quarter of the range or more, as this network's are. Forgetting the lead gives more than ten.
    """
    spec = replace(spec, name=name)
    whole = codes(clip, spec, make_plan(clip, spec, count=1), tmp_path)
    assert len(whole) == 90
    for count in (2, 5):
        differ = np.abs(codes(clip, spec, make_plan(clip, spec, count=count), tmp_path) - whole)
        assert differ.max() <= 2
        assert (differ > 0).mean() < share


def test_without_the_frames_before_it_a_segment_would_begin_otherwise(clip: Path, spec: PipelineSpec, tmp_path: Path):
    """The test above can fail."""
    whole = codes(clip, spec, make_plan(clip, spec, count=1), tmp_path)
    plan = make_plan(clip, spec, count=5)
    plan = replace(plan, segments=tuple(replace(segment, lead=()) for segment in plan.segments))
    assert np.abs(codes(clip, spec, plan, tmp_path) - whole).max() > 10


def command(clip: Path, model: str, output: Path) -> list[str]:
    asked = [str(clip), "-m", model, "-o", str(output), "--workers", "1"]
    return [sys.executable, "-m", "vidperc", "upscale", *asked]


@pytest.mark.slow
def test_a_killed_job_that_is_taken_up_gives_the_file_of_one_that_was_not(spec: PipelineSpec, tmp_path: Path):
    model = spec.stages[1].model  # pyright: ignore
    clip = make_clip(tmp_path / "clip.mp4", frames=240, size=(428, 64), options={"preset": "ultrafast"})
    output, wanted = tmp_path / "out.mp4", tmp_path / "wanted.mp4"
    subprocess.run(command(clip, model, wanted), check=True, capture_output=True)
    process = subprocess.Popen(command(clip, model, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(tmp_path.glob("out.mp4.vidperc-*/segment-*.json")):
        assert process.poll() is None, "a job of several segments leaves the first one behind"
        sleep(0.02)  # looking without a pause takes a core from the job, which took ten times as long
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(children, timeout=60)
    assert not output.exists()
    subprocess.run(command(clip, model, output), check=True, capture_output=True)
    assert decoded_frames(output) == decoded_frames(wanted)
    assert output.read_bytes() == wanted.read_bytes()
