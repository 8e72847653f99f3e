"""Rendering one segment: what the log tells of a seek that went wrong."""

import logging
from dataclasses import replace

import pytest
import torch

from tests.clips import decoded_frames, make_clip
from tests.laws.test_segments import SPECS, make_plan
from vidperc.engine.render import render
from vidperc.pipeline import Pipeline
from vidperc.placement import Placement
from vidperc.video.index import index_frames
from vidperc.video.rgb import read_rgb


def test_the_log_tells_what_was_wrong_after_a_seek_and_where_decoding_began_again(tmp_path, caplog):
    clip = make_clip(tmp_path / "clip.mp4", frames=90, cuts=(40,))
    plan = make_plan(clip, SPECS["upscale"], count=3)
    segment = plan.segments[1]
    late = index_frames(clip).keyframes[-2]
    pipeline = Pipeline(SPECS["upscale"], plan.placement)
    with caplog.at_level(logging.DEBUG, "vidperc"):
        good = render(clip, plan, segment, pipeline, tmp_path / "good.mkv")
        mended = render(clip, plan, replace(segment, seeks=(late,)), pipeline, tmp_path / "mended.mkv")
    assert decoded_frames(mended.path) == decoded_frames(good.path)
    assert [record.getMessage() for record in caplog.records if "done" not in record.getMessage()] == [
        f"segment 1: begun, decoding from the keyframe at pts {segment.seeks[0][0]}",
        f"segment 1: begun, decoding from the keyframe at pts {late[0]}",
        f"segment 1: no frame for pts {segment.pts[0]}; begun again, decoding from the start of the file",
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["upscale", "network"])
def test_a_gpu_renders_nearly_the_frames_of_the_cpu(name, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=60)
    plan = make_plan(clip, SPECS[name], count=1)
    made = []
    for device in ("cpu", "cuda:0"):
        placement = Placement(device=device, chunk=3)
        path = tmp_path / f"{device[:4]}.mkv"
        render(clip, replace(plan, placement=placement), plan.segments[0], Pipeline(SPECS[name], placement), path)
        made.append(torch.stack(list(read_rgb(path))))
    # Sums in another order, and TF32, move values across the border between two codes, of luma and of chroma.
    assert float((made[0] - made[1]).abs().max()) <= 3 / 255
