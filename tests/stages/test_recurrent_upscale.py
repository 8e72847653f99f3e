"""The stage `upscale` with a network that sees what it made of the frame before."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.clips import ffprobe_packets, make_clip
from tests.recurrent_files import recurrent_network, save_recurrent
from vidperc import upscale
from vidperc.cli import main
from vidperc.clip import Clip, Motion
from vidperc.errors import VidpercError
from vidperc.models.load import load_model
from vidperc.models.zoo import Chain, find_card, recurrent_cards
from vidperc.ops.color import rgb_luma
from vidperc.ops.layout import LAYOUTS
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages import upscale as upscale_stage
from vidperc.stages.motion import FindMotion
from vidperc.stages.upscale import Upscale

CPU = Placement()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_recurrent(tmp_path_factory.mktemp("weights") / "mine.safetensors"))


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """A ground that a camera moves over, (8,3,48,64)."""
    random = torch.Generator().manual_seed(3)
    ground = torch.nn.functional.interpolate(torch.rand((1, 3, 24, 32), generator=random), scale_factor=3)
    return torch.cat([ground[..., n : n + 48, 2 * n : 2 * n + 64] for n in range(8)])


def clip_of(frames: Tensor, start: int = 0, shot: int = 0, **more: object) -> Clip:
    pts = tuple(range(start, start + len(frames)))
    return Clip(frames=frames, source=frames, pts=pts, time_base=Fraction(1, 25), shot=shot, **more)  # pyright: ignore


def run(file: str, clips: list[Clip]) -> list[Clip]:
    return list(Pipeline(PipelineSpec("test", "", (FindMotion(), Upscale(model=file))), CPU)(iter(clips)))


def test_it_says_what_it_needs_and_how_long_it_remembers(file: str) -> None:
    stage = Upscale(model=file)
    assert stage.needs == {"motion"} and stage.settle == find_card(file).settle > 0
    assert (stage.past, stage.future, stage.takes_luma) == (0, 0, True)
    for other in ("bicubic", "fast", "auto", "fast-x2"):
        assert not Upscale(model=other).needs and not Upscale(model=other).settle


def test_asking_what_a_stage_needs_imports_no_torch(file: str, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    code = (
        "import sys; from vidperc.stages.upscale import Upscale; "
        f"print([len(Upscale(model=m).needs) for m in ({file!r}, {str(tmp_path / 'other.pth')!r}, 'nowhere.pth')], "
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 0, 0] False"


def test_the_first_frame_of_a_shot_is_that_of_a_still_picture(file: str, frames: Tensor) -> None:
    first, second = run(file, [clip_of(frames[:4]), clip_of(frames[4:], start=4, shot=1)])
    still = load_model(file, None, CPU)
    assert torch.equal(first.frames[:1], still(frames[:1]))
    assert torch.equal(second.frames[:1], still(frames[4:5]))
    assert not torch.allclose(first.frames[1:2], still(frames[1:2]), atol=1e-3), "later ones see it"


def test_nothing_is_remembered_from_one_run_to_the_next(file: str, frames: Tensor) -> None:
    pipeline = Pipeline(PipelineSpec("test", "", (FindMotion(), Upscale(model=file))), CPU)
    first, second = (next(pipeline(iter([clip_of(frames)]))) for _ in range(2))
    assert torch.equal(first.frames, second.frames)


def test_where_nothing_is_visible_each_frame_is_a_still_picture(file: str, frames: Tensor) -> None:
    stream = Upscale(model=file).open(CPU)
    hidden = Motion(flow=torch.full((8, 2, 48, 64), 3.0), visible=torch.zeros(8, 1, 48, 64))
    (made,) = stream(iter([clip_of(frames, motion=hidden)]))
    assert torch.equal(made.frames, load_model(file, None, CPU)(frames))


def test_luma_of_yuv_is_made_as_that_of_rgb_is_and_chroma_is_resampled(file: str, frames: Tensor) -> None:
    (rgb,) = run(file, [clip_of(frames)])
    chroma = torch.rand(8, 2, 24, 32) - 0.5
    (yuv,) = run(file, [clip_of(rgb_luma(frames), layout=LAYOUTS["yuv420p"], chroma=chroma)])
    (plain,) = Upscale(model="fast-x2").open(CPU)(
        iter([clip_of(rgb_luma(frames), layout=LAYOUTS["yuv420p"], chroma=chroma)])
    )
    # The two find motion in grey pictures that round at other places: a vector here and there is another.
    assert float((yuv.frames - rgb_luma(rgb.frames)).abs().median()) < 1e-5
    assert torch.equal(yuv.frames[:1], load_model(file, None, CPU)(rgb_luma(frames[:1])))
    assert yuv.chroma is not None and plain.chroma is not None
    assert torch.equal(yuv.chroma, plain.chroma)


def test_alpha_is_what_any_other_network_leaves_of_it(file: str, frames: Tensor) -> None:
    alpha = torch.rand(8, 1, 48, 64)
    (ours,) = run(file, [clip_of(frames, alpha=alpha)])
    (plain,) = Upscale(model="fast-x2").open(CPU)(iter([clip_of(frames, alpha=alpha)]))
    assert ours.alpha is not None and plain.alpha is not None
    assert torch.equal(ours.alpha, plain.alpha)


def test_one_may_stand_before_and_after_other_networks(
    file: str, frames: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Families may chain them: each keeps what is its own, and both forget at a cut."""
    models = (file, "fast-x2", file)
    cards = tuple(find_card(model) for model in models)
    chain = Chain(models=models, cards=cards, scale=5)
    monkeypatch.setattr(upscale_stage, "find_chain", lambda *_: chain)
    monkeypatch.setattr(upscale_stage, "recurrent_cards", lambda *_: (cards[0], cards[2]))
    parts = [clip_of(frames[:2]), clip_of(frames[2:4], start=2, shot=1)]
    first, second = run("family", parts)
    assert Upscale(model="family").settle == 2 * cards[0].settle
    assert first.frames.shape == (2, 3, 240, 320)
    (alone,) = run("family", [clip_of(frames[2:4])])
    assert torch.equal(second.frames, alone.frames)
    assert bool(first.frames.isfinite().all())


def test_a_pipeline_without_motion_is_refused_in_one_line(file: str, tmp_path: Path, monkeypatch, capfd) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "mine.yaml").write_text(f"name: mine\ndescription: x\nstages:\n  - kind: upscale\n    model: {file}\n")
    monkeypatch.setattr("sys.argv", ["vidperc", "run", str(tmp_path / "mine.yaml"), str(clip)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "stage 1 (upscale) needs motion, which no stage before it provides" in line


def test_another_scale_is_refused_as_for_other_files(file: str) -> None:
    with pytest.raises(VidpercError, match="the network upscales by 2, got scale 3; leave the scale out, or add --res"):
        find_card(file, 3)


def test_a_video_keeps_its_sound_and_its_frames_and_reaches_any_resolution(file: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=12, sound=True)
    report = upscale(clip, tmp_path / "out.mp4", model=file, resolution=96)
    assert (report.width, report.height, report.frames_out) == (144, 96, 12)
    assert ffprobe_packets(tmp_path / "out.mp4") == ffprobe_packets(clip)


def test_a_file_whose_layers_are_not_those_of_its_card_is_told_in_one_line(tmp_path: Path) -> None:
    network = recurrent_network()
    weights = network.folded()
    weights["0.weight"] = weights["0.weight"][:, :-1].contiguous()
    path = save_recurrent(tmp_path / "other.safetensors", network, settle=3, weights=weights)
    with pytest.raises(VidpercError, match=r"^other\.safetensors: its layers are not those of a recurrent network"):
        load_model(str(path), None, CPU)


def test_a_network_without_a_state_follows_nothing(frames: Tensor) -> None:
    nothing = torch.zeros(1, 2, 48, 64), torch.zeros(1, 1, 48, 64)
    with pytest.raises(ValueError, match="fast-x2: got 1 frames to follow, wanted 1 and a recurrent network"):
        load_model("fast-x2", None, CPU).follow(frames[:1], *nothing, None)
    assert recurrent_cards("fast-x2") == recurrent_cards("fast", 8) == recurrent_cards("lanczos") == ()


def test_the_family_that_comes_along_makes_any_scale(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5, size=(48, 32))
    report = upscale(clip, tmp_path / "out.mp4", model="recurrent", scale=3)
    assert (report.width, report.height, report.frames_out) == (144, 96, 5)
    assert [stage["kind"] for stage in report.pipeline] == ["motion", "upscale"]
    assert [card.name for card in recurrent_cards("recurrent", 3)] == ["recurrent-x2"]
