"""`upscale --detail`: what it makes, what it tells, what it refuses in one line, and which job it is."""

import json
import shutil
from dataclasses import replace

import av
import numpy as np
import pytest

import vidperc
from tests.clips import decoded_frames, make_clip
from tests.twin_files import save_luma, save_pair
from vidperc.config.upscale import upscale_pipeline
from vidperc.engine import plan as plan_module
from vidperc.engine import run as run_module
from vidperc.engine.estimate import estimate
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.run import Interrupted, run_job
from vidperc.engine.watcher import Watcher
from vidperc.models.own_card import own_card, twin_path
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale


@pytest.fixture
def pool(shared_pool):
    return shared_pool


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", frames=12)


def spec(path, detail):
    return PipelineSpec("upscale", "", (Upscale(model=str(path), detail=detail),))


def job(clip, output, path, detail):
    how = {"codec": "ffv1", "workers": 1, "wishes": Wishes(device="cpu")}
    return Job(source=clip, pipeline=spec(path, detail), output=output, **how)


def pixels(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(float)


def test_the_ends_are_the_network_and_its_twin_and_the_middle_lies_between(run, clip, tmp_path):
    path = save_pair(tmp_path)
    alone = save_luma(tmp_path / "alone.safetensors")
    common = ["upscale", "clip.mp4", "-c", "ffv1", "--device", "cpu", "--precision", "float32", "-o"]
    for name, options in {
        "alone": ["-m", alone],
        "usual": ["-m", path],
        "0": ["-m", path, "--detail", "0"],
        "half": ["-m", path, "--detail", ".5"],
        "1": ["-m", path, "--detail", "1"],
        "twin": ["-m", twin_path(path)],
    }.items():
        code, _, err = run(*common, f"{name}.mkv", *options)
        assert code == 0, err
        assert ("clip.mp4: detail 0.5: mine is mixed with mine-perceptual" in err) == (name == "half")
    hashes = {name: decoded_frames(tmp_path / f"{name}.mkv") for name in ("alone", "usual", "0", "half", "1", "twin")}
    assert hashes["alone"] == hashes["usual"] == hashes["0"] != hashes["half"] != hashes["1"] == hashes["twin"]
    assert len({str(found) for found in hashes.values()}) == 3
    low, high = pixels(tmp_path / "0.mkv"), pixels(tmp_path / "1.mkv")
    assert np.abs(low - high).mean() > 1
    for end in (low, high):
        assert np.abs(pixels(tmp_path / "half.mkv") - end).mean() < np.abs(low - high).mean()


def test_the_library_and_the_report_say_the_detail(run, clip, tmp_path):
    path = save_pair(tmp_path)
    assert run("upscale", "clip.mp4", "-m", path, "--detail", "0.3", "--report", "report.json")[0] == 0
    (told,) = json.loads((tmp_path / "report.json").read_text())["jobs"]
    assert told["pipeline"][0]["detail"] == 0.3
    assert "detail 0.3: mine is mixed with mine-perceptual" in told["remarks"]
    assert told["output"].endswith("clip_x2.mp4")
    report = vidperc.upscale(clip, tmp_path / "again.mp4", model=str(path), detail=0.3)
    assert report.pipeline[0]["detail"] == 0.3
    assert decoded_frames(tmp_path / "again.mp4") == decoded_frames(tmp_path / "clip_x2.mp4")


def test_a_dry_run_says_the_detail(clip, pool, tmp_path):
    path = save_pair(tmp_path)
    lines = estimate(job(clip, tmp_path / "out.mkv", path, 0.3), pool).lines()
    assert lines[1] == "  detail 0.3: mine is mixed with mine-perceptual"
    lines = estimate(job(clip, tmp_path / "out.mkv", path, 0.0), pool).lines()
    assert not any(line.startswith("  detail") for line in lines)


def test_another_detail_or_another_twin_is_another_job(clip, pool, tmp_path):
    path = save_pair(tmp_path)
    asked = job(clip, tmp_path / "out.mkv", path, 0.3)

    def key(asked):
        return prepare_job(asked, pool).key

    first = key(asked)
    assert key(asked) == first
    assert key(replace(asked, pipeline=spec(path, 0.31))) != first
    plain = key(replace(asked, pipeline=spec(path, 0.0)))
    before = own_card(twin_path(path))
    save_luma(twin_path(path), seed=7)
    after = own_card(twin_path(path))
    assert before is not None and after is not None and before.sha256 != after.sha256
    assert key(asked) != first, "the twin's sha256 counts"
    assert key(replace(asked, pipeline=spec(path, 0.0))) == plain, "without detail the twin does not count"
    (tmp_path / "elsewhere").mkdir()
    for file in (path, twin_path(path)):
        shutil.copy(file, tmp_path / "elsewhere")
    assert key(replace(asked, pipeline=spec(tmp_path / "elsewhere" / path.name, 0.3))) == key(asked)


def test_a_resumed_run_gives_the_frames_of_one_in_one_go(clip, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 4)
    monkeypatch.setattr(plan_module, "MIN_SEGMENT_FRAMES", 4)
    path = save_pair(tmp_path)
    (tmp_path / "whole").mkdir()
    whole = job(clip, tmp_path / "whole" / "out.mkv", path, 0.3)
    assert run_job(whole, pool, Watcher()).segments == 3
    asked = replace(whole, output=tmp_path / "out.mkv")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(run_module, "deliver", stop)
        run_job(asked, pool, Watcher())
    (folder,) = tmp_path.glob("out.mkv.vidperc-*")
    (folder / "segment-00001.json").unlink()
    report = run_job(asked, pool, Watcher())
    assert report.resumed_segments == 2
    assert decoded_frames(asked.output) == decoded_frames(whole.output)


def test_segments_and_workers_change_nothing(clip, pool, tmp_path, monkeypatch):
    whole = job(clip, tmp_path / "whole.mkv", save_pair(tmp_path), 0.3)
    assert run_job(whole, pool, Watcher()).segments == 1
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 4)
    monkeypatch.setattr(plan_module, "MIN_SEGMENT_FRAMES", 4)
    for workers in (1, 2):
        parts = replace(whole, output=tmp_path / f"parts{workers}.mkv", workers=workers)
        assert run_job(parts, pool, Watcher()).segments == 3
        assert decoded_frames(parts.output) == decoded_frames(whole.output)


@pytest.mark.parametrize("detail", ["1.5", "-0.1", "nan", "inf"])
def test_a_detail_out_of_range_is_one_line(detail, run, clip):
    code, out, err = run("upscale", "clip.mp4", "--detail", detail)
    assert (code, out) == (1, [])
    assert err == [f"vidperc: --detail {float(detail):g}: wanted 0, the network as it is, to 1, its perceptual twin"]


def test_a_network_without_a_twin_is_refused_in_one_line(run, clip, tmp_path):
    code, out, err = run("upscale", "clip.mp4", "-m", "fast", "--detail", ".5")
    assert (code, out) == (1, [])
    (line,) = err
    assert line.startswith("vidperc: fast: got detail 0.5, and fast-x2 has no perceptual twin; ")
    assert line.endswith(", or leave detail out")
    alone = save_luma(tmp_path / "alone.safetensors")
    code, _, err = run("upscale", "clip.mp4", "-m", alone, "--detail", ".5")
    assert code == 1 and len(err) == 1 and "alone-perceptual.safetensors beside it" in err[0]
    assert not list(tmp_path.glob("clip_*")), "nothing is left behind"


def test_a_pipeline_file_spells_it(run, clip, tmp_path):
    path = save_pair(tmp_path)
    text = "name: mine\nstages:\n  - kind: upscale\n    model: {}\n    detail: {}\n"
    (tmp_path / "mine.yaml").write_text(text.format(path, 0.5))
    code, _, err = run("run", "mine.yaml", "clip.mp4", "--device", "cpu")
    assert code == 0 and "clip.mp4: detail 0.5: mine is mixed with mine-perceptual" in err
    for value, said in (("2", "got 2, wanted 0 to 1"), (".nan", "got nan, wanted 0 to 1"), ("much", "detail")):
        (tmp_path / "mine.yaml").write_text(text.format(path, value))
        code, _, err = run("run", "mine.yaml", "clip.mp4")
        assert code == 1 and len(err) == 1 and said in err[0], err
        assert "mine.yaml:" in err[0]


@pytest.mark.parametrize("detail", [0.0, 1e-7, 1 / 3, 0.3, 1.0, 1])
def test_all_digits_of_a_detail_reach_the_stage(detail):
    (stage,) = upscale_pipeline(model="standard-x2", detail=detail).stages
    assert isinstance(stage, Upscale)
    assert stage.detail == detail
