from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import NO_TEST_DATA, TEST_DATA, picture
from tests.metrics import made_up
from tests.recurrent_files import save_recurrent
from vidperc.compare.degradations import Degradation, eight_bits
from vidperc.compare.enlarging import find_clips, pipeline_of, read_picture, show_enlarged
from vidperc.compare.evaluate import Table, evaluate
from vidperc.compare.evaluation import Candidate, Evaluation, TestSet
from vidperc.compare.videos import Means, compare_videos, fitting_metrics
from vidperc.errors import VidpercError
from vidperc.metrics.psnr import psnr_y601
from vidperc.motion.estimator import open_estimator
from vidperc.ops.resize import resize
from vidperc.placement import Placement
from vidperc.video.aligned import align

IMAGES = TestSet(name="Stills", images="stills")
CLIPS = TestSet(name="Clips", videos="clips")
BICUBIC, LANCZOS = Candidate(model="bicubic"), Candidate(model="lanczos")


@pytest.fixture(scope="module")
def means() -> Means:
    estimator = open_estimator("dis", preset="balanced")
    return Means(estimator=estimator, motion="dis-balanced", networks=made_up.networks())


def save(path: Path, index: int, width: int = 98, height: int = 66) -> Path:
    """A picture with texture and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).normal(0, 8, (height, width, 3))
    Image.fromarray((picture(index, width, height) + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for index in range(3):
        save(tmp_path / "stills" / f"{index}.png", index)
    for clip in ("one", "two"):
        for index in range(4):
            save(tmp_path / "clips" / clip / f"{index:02d}.png", index + 10 * (clip == "two"))
    return tmp_path


def run(evaluation: Evaluation, data: Path, means: Means, said: list[str] | None = None) -> list[Table]:
    lines = [] if said is None else said
    return list(evaluate(evaluation, data, means, lambda _network, _scale: Placement(), said=lines.append))


def an_evaluation(**changed: object) -> Evaluation:
    given = {"sets": (IMAGES,), "scales": (2,), "networks": (BICUBIC,), "metrics": ("psnr",)}
    return Evaluation(**{**given, **changed})


def test_a_figure_of_a_picture_is_that_of_the_papers(data, means) -> None:
    """By hand: sides cut to the scale, bicubic to 8 bits, bicubic back to 8 bits, luma without as many pixels."""
    (table,) = run(an_evaluation(scales=(4,)), data, means)
    image = read_picture(data / "stills" / "1.png")[None, :, :64, :96]
    small = eight_bits(resize(image, (16, 24), "bicubic"))
    large = eight_bits(resize(small, (64, 96), "bicubic"))
    (row,) = table.rows
    assert row.items["1"]["psnr@y601,crop4"] == pytest.approx(float(psnr_y601(large, image, crop=4)), abs=1e-4)
    assert list(row.items) == ["0", "1", "2"]
    each = [figures["psnr@y601,crop4"] for figures in row.items.values()]
    assert row.means["psnr@y601,crop4"] == pytest.approx(sum(each) / 3)
    assert (table.test_set, table.scale, table.degradation, table.holds) == ("Stills", 4, "bicubic", "3 images")


def test_a_border_of_ones_own_is_in_the_name(data, means) -> None:
    (table,) = run(an_evaluation(border=6, metrics=("psnr", "ssim")), data, means)
    assert [m.name for m in table.metrics] == ["psnr@rgb", "psnr@y601,crop6", "ssim@rgb", "ssim@y601,crop6"]


def test_a_table_for_each_set_way_and_scale_with_a_row_for_each_network(data, means) -> None:
    evaluation = an_evaluation(
        sets=(IMAGES, CLIPS),
        scales=(2, 3),
        degradations=(Degradation(), Degradation(kind="bd", phase="corner")),
        networks=(BICUBIC, LANCZOS),
        metrics=("psnr", "tof"),
    )
    tables = run(evaluation, data, means)
    assert [(t.test_set, t.degradation, t.scale) for t in tables] == [
        (name, how, scale)
        for name in ("Stills", "Clips")
        for how in ("bicubic", "bd@sigma1.5,corner")
        for scale in (2, 3)
    ]
    assert all([row.network for row in table.rows] == ["bicubic", "lanczos"] for table in tables)
    # What a still picture has no figure of is not in its table.
    assert not any("tof" in metric.name for metric in tables[0].metrics)
    assert [m.name for m in tables[4].metrics][2:] == ["tof@farneback", "movement@cells48", "detail@gradient"]


def test_a_network_that_has_another_scale_is_left_out_aloud(data, means) -> None:
    said: list[str] = []
    evaluation = an_evaluation(scales=(2, 4), networks=(Candidate(model="fast-x2"), BICUBIC))
    tables = run(evaluation, data, means, said)
    assert [[row.network for row in table.rows] for table in tables] == [["fast-x2", "bicubic"], ["bicubic"]]
    assert "Stills x4: fast-x2 has another scale, and is left out" in said
    better, worse = (row.means["psnr@rgb"] for row in tables[0].rows)
    assert better != worse


def write_lossless(path: Path, frames: list[torch.Tensor]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=Fraction(25), options={"qp": "0"})
        stream.height, stream.width = frames[0].shape[1:]
        stream.pix_fmt = "rgb24"
        for one in frames:
            codes = (one * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_clip_has_the_figures_that_measure_has_of_its_files(data, means, tmp_path) -> None:
    """The small video, the enlarged one and the true one, written down and measured."""
    names = ("psnr", "ssim", "lpips", "warping-error", "flicker", "tof", "tlp", "flolpips", "temporal-ssim")
    (table,) = run(an_evaluation(sets=(CLIPS,), networks=(LANCZOS,), metrics=names), data, means)
    (clip,) = [one for one in find_clips(data / "clips") if one.name == "two"]
    pipeline = pipeline_of(LANCZOS, 2, Placement())
    shown = list(show_enlarged(clip.frames(), pipeline, Degradation(), 2, set()))
    files = [
        write_lossless(tmp_path / f"{name}.mkv", [together.frames[place] for together in shown])
        for place, name in enumerate(("small", "out", "true"))
    ]
    videos = align(files)
    found = compare_videos(videos, fitting_metrics(videos, names, means), means)
    (row,) = table.rows
    measured = {series.metric.name: series.mean() for series in found.series}
    assert measured.keys() == row.items["two"].keys()
    for name, figure in measured.items():
        assert row.items["two"][name] == pytest.approx(figure, rel=1e-5, abs=1e-7), name


def test_a_clip_may_be_a_file_and_what_a_cut_parts_is_not_compared(means, tmp_path) -> None:
    (tmp_path / "clips").mkdir()
    before = [torch.from_numpy(picture(k, 96, 64)).permute(2, 0, 1) / 255 for k in range(6)]
    blocks = np.random.default_rng(0).integers(0, 256, (8, 14, 3), np.uint8)
    after = torch.from_numpy(blocks).permute(2, 0, 1).repeat_interleave(8, dim=1).repeat_interleave(8, dim=2) / 255
    write_lossless(tmp_path / "clips" / "film.mkv", [*before, *(after[..., k : k + 96] for k in range(6))])
    (clip,) = find_clips(tmp_path / "clips")
    shots = [shot for _, shot in clip.frames()]
    assert shots == [0] * 6 + [1] * 6
    cuts: set[int] = set()
    list(show_enlarged(clip.frames(), pipeline_of(BICUBIC, 2, Placement()), Degradation(), 2, cuts))
    assert cuts == {0, 6}


def test_holding_steady_makes_other_frames(data, means) -> None:
    (clip, _) = find_clips(data / "clips")
    plain, steadied = (
        list(
            show_enlarged(
                clip.frames(), pipeline_of(Candidate(model="fast", steady=s), 2, Placement()), Degradation(), 2, set()
            )
        )
        for s in (0.0, 0.9)
    )
    assert torch.equal(plain[0].frames[1], steadied[0].frames[1])
    assert not torch.equal(plain[3].frames[1], steadied[3].frames[1])
    assert Candidate(model="fast", steady=0.9).shown == "fast, steady 0.9"


def test_a_recurrent_network_has_motion_of_small_frames_and_takes_stills_too(data, means, tmp_path) -> None:
    model = str(save_recurrent(tmp_path / "mine.safetensors", settle=5))
    recurrent, steadied = Candidate(model=model), Candidate(model=model, steady=0.5)
    kinds = [[s.kind for s in pipeline_of(n, 2, Placement()).spec.stages] for n in (recurrent, steadied, BICUBIC)]
    assert kinds == [["motion", "upscale"], ["motion", "upscale", "steady"], ["upscale"]]
    (clip, _) = find_clips(data / "clips")
    frames = list(clip.frames())

    def enlarged(shots: list[int]) -> list[torch.Tensor]:
        numbered = [(frame, shot) for (frame, _), shot in zip(frames, shots, strict=True)]
        shown = show_enlarged(iter(numbered), pipeline_of(recurrent, 2, Placement()), Degradation(), 2, set())
        return [moment.frames[1] for moment in shown]

    moving, stills = enlarged([0] * 4), enlarged([0, 1, 2, 3])
    assert torch.equal(moving[0], stills[0])
    assert not any(torch.equal(one, other) for one, other in zip(moving[1:], stills[1:], strict=True))
    images, clips = run(an_evaluation(sets=(IMAGES, CLIPS), networks=(BICUBIC, recurrent)), data, means)
    assert all(row.means["psnr@y601,crop2"] for table in (images, clips) for row in table.rows)


def test_clips_together_have_one_frechet_distance(means, tmp_path) -> None:
    for clip in ("one", "two"):
        for index in range(17):
            save(tmp_path / "clips" / clip / f"{index:02d}.png", index + 20 * (clip == "two"), 64, 48)
    (table,) = run(an_evaluation(sets=(CLIPS,), metrics=("fvd",)), tmp_path, means)
    (row,) = table.rows
    # One clip of 16 frames in each: alone neither has a figure.
    assert row.means["fvd@made-up,224,16"] > 0
    assert "fvd@made-up,224,16" not in row.items["one"]


def test_a_set_may_take_some_frames_of_some_clips(data, means) -> None:
    """As if those frames alone were there: what is left out neither moves nor is measured."""
    names = ("psnr", "tof", "warping-error")
    part = TestSet(name="Part", videos="clips", clips=("two",), skip=1, frames=2)
    (table,) = run(an_evaluation(sets=(part,), metrics=names), data, means)
    for index in (1, 2):
        save(data / "alone" / "two" / f"{index:02d}.png", index + 10)
    (alone,) = run(an_evaluation(sets=(TestSet(name="Alone", videos="alone"),), metrics=names), data, means)
    assert table.holds == "1 clip of 2 frames" and alone.holds == "1 clip"
    assert table.rows[0].items == alone.rows[0].items
    (rest,) = run(an_evaluation(sets=(TestSet(name="Rest", videos="clips", skip=2),), metrics=names), data, means)
    assert list(rest.rows[0].items) == ["one", "two"] and rest.rows[0].items["two"] != table.rows[0].items["two"]


def test_clips_and_frames_that_are_not_there_are_refused(data, means) -> None:
    absent = TestSet(name="Part", videos="clips", clips=("two", "three"))
    with pytest.raises(VidpercError, match="clips: has no clip three, which `clips` of Part wants; it has one, two"):
        run(an_evaluation(sets=(absent,)), data, means)
    with pytest.raises(VidpercError, match="one: got 3 frames after 1, wanted 4 for Part; change `frames` or `skip`"):
        run(an_evaluation(sets=(TestSet(name="Part", videos="clips", skip=1, frames=4),)), data, means)
    with pytest.raises(VidpercError, match="one: got 0 frames after 9, wanted some for Part"):
        run(an_evaluation(sets=(TestSet(name="Part", videos="clips", skip=9),)), data, means)


def test_folders_that_do_not_fit_are_refused(data, means, tmp_path) -> None:
    with pytest.raises(VidpercError, match=r"absent: got no such folder, wanted a folder of \.png"):
        run(an_evaluation(sets=(TestSet(name="A", images="absent"),)), data, means)
    with pytest.raises(VidpercError, match="absent: no such folder, wanted one of clips"):
        run(an_evaluation(sets=(TestSet(name="A", videos="absent"),)), data, means)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VidpercError, match="empty: got no clips, wanted video files or folders of frames"):
        run(an_evaluation(sets=(TestSet(name="A", videos="empty"),)), tmp_path, means)
    save(tmp_path / "mixed" / "clip" / "0.png", 0)
    save(tmp_path / "mixed" / "clip" / "1.png", 1, 64, 48)
    with pytest.raises(VidpercError, match="clip: got frames of 64x48 after 98x66, wanted one size"):
        run(an_evaluation(sets=(TestSet(name="A", videos="mixed"),)), tmp_path, means)
    save(tmp_path / "twins" / "0.png", 0)
    save(tmp_path / "twins" / "0.jpg", 0)
    with pytest.raises(VidpercError, match=r"0\.png: is called 0 in the tables, as 0\.jpg is; rename one"):
        run(an_evaluation(sets=(TestSet(name="A", images="twins"),)), tmp_path, means)
    with pytest.raises(VidpercError, match=r"0\.png: has 98x66 pixels, wanted sides of at least 165 for ms-ssim@y601"):
        run(an_evaluation(metrics=("ms-ssim",)), data, means)


def test_a_folder_of_frames_alone_is_one_clip(data) -> None:
    assert [clip.name for clip in find_clips(data / "clips")] == ["one", "two"]
    assert [clip.name for clip in find_clips(data / "clips" / "two")] == ["two"]


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (4, 28.42)])
def test_bicubic_has_its_published_figures_on_set5(means, scale: int, published: float) -> None:
    assert TEST_DATA is not None
    evaluation = an_evaluation(sets=(TestSet(name="Set5", images="set5"),), scales=(scale,))
    (table,) = run(evaluation, TEST_DATA / "images", means)
    # MATLAB mirrors at borders, and the copies of Set5 in circulation differ by a row or two.
    assert table.rows[0].means[f"psnr@y601,crop{scale}"] == pytest.approx(published, abs=0.04)


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_bicubic_has_its_published_figure_on_calendar(means) -> None:
    """20.39 dB, over all frames, in tables of Vid4 that are clip by clip; here the first twelve."""
    assert TEST_DATA is not None
    evaluation = an_evaluation(sets=(TestSet(name="Vid4", videos="vid4"),), scales=(4,))
    (table,) = run(evaluation, TEST_DATA / "images", means)
    assert table.rows[0].items["calendar"]["psnr@y601,crop4"] == pytest.approx(20.39, abs=0.05)
