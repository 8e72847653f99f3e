from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from tests.clips import ffprobe_times
from vidperc.compare.motion_video import draw_motion
from vidperc.compare.panels import BAR_PX
from vidperc.compare.xt import MOST_INSTANTS, MOST_WIDE_PX, instants, middle_row
from vidperc.errors import VidpercError
from vidperc.motion.estimator import FlowEstimator, open_estimator
from vidperc.video.aligned import align, read_together
from vidperc.video.drawing import IDENTITY
from vidperc.video.identity import read_identity
from vidperc.video.rgb import read_timed_rgb

TICKS = Fraction(1, 12800)
UNEVEN = [700, 1212, 1500, 3000, 3001, 9000, 9513, 10000]
WIDTH, HEIGHT, SQUARE = 160, 96, 48


@pytest.fixture(scope="module")
def estimator() -> FlowEstimator:
    return open_estimator("dis")


def scene(index: int) -> np.ndarray:
    """(HEIGHT,WIDTH,3): still texture on the left half, and texture on the right half that moves 3 pixels right."""
    texture = np.random.default_rng(0).integers(60, 200, (HEIGHT // 4, 2 * WIDTH // 4), np.uint8)
    whole = cv2.resize(texture, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    here = whole[:, :WIDTH].copy()
    here[:, WIDTH // 2 :] = whole[:, WIDTH - 3 * index : WIDTH - 3 * index + WIDTH // 2]
    return here[..., None].repeat(3, axis=2)


def write(path: Path, pictures: list[np.ndarray], pts: list[int], *, scale: int = 1) -> Path:
    ticks = {"video_track_timescale": "12800", "movie_timescale": "12800"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", container_options=ticks) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = scale * WIDTH, scale * HEIGHT, "yuv420p"
        stream.codec_context.time_base = TICKS
        for one, time in zip(pictures, pts, strict=True):
            large = np.ascontiguousarray(one.repeat(scale, axis=0).repeat(scale, axis=1))
            frame = av.VideoFrame.from_ndarray(large, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, TICKS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[Path]:
    """A source that moves on its right half, and twice as large a copy of it in darker."""
    folder = tmp_path_factory.mktemp("pair")
    pictures = [scene(index) for index in range(len(UNEVEN))]
    darker = [(one * 0.5).astype(np.uint8) for one in pictures]
    return [write(folder / "source.mp4", pictures, UNEVEN), write(folder / "out.mp4", darker, UNEVEN, scale=2)]


def drawn(pair, file, estimator, **options) -> list[torch.Tensor]:
    draw_motion(align(pair), file, file.with_name("motion_xt.png"), estimator, **options)
    return [frame for _, frame in read_timed_rgb(file)]


def panels(frame: torch.Tensor) -> list[torch.Tensor]:
    """Source, flow, visible and output, below their bars."""
    assert frame.shape == (3, 2 * (HEIGHT + BAR_PX), 2 * WIDTH)
    return [
        frame[:, top + BAR_PX : top + BAR_PX + HEIGHT, left : left + WIDTH]
        for top in (0, HEIGHT + BAR_PX)
        for left in (0, WIDTH)
    ]


def colorfulness(part: torch.Tensor) -> float:
    return float((part.amax(0) - part.amin(0)).mean())


def test_the_panels_show_source_flow_mask_and_output(pair, estimator, tmp_path):
    frames = drawn(pair, tmp_path / "motion.mp4", estimator)
    originals = [together.frames[0] for together in read_together(align(pair))]
    assert len(frames) == len(originals) == len(UNEVEN)
    for number, (frame, original) in enumerate(zip(frames, originals, strict=True)):
        source, flow, visible, out = panels(frame)
        assert (source - original).abs().mean() < 0.02
        assert (out - 0.5 * original).abs().mean() < 0.02
        still, moving = flow[..., 8 : WIDTH // 2 - 16], flow[..., WIDTH // 2 + 24 : -24]
        assert still.mean() > 0.95 and colorfulness(still) < 0.05
        if number == 0:  # it has nothing before it
            assert moving.mean() > 0.95 and visible.max() < 0.1
            continue
        assert colorfulness(moving) > 0.5
        # What moves to the right was on the left: the flow back has the colour of the left, cyan.
        red, green, blue = moving.mean(dim=(1, 2))
        assert red < min(green, blue) - 0.3
        assert visible[..., 8 : WIDTH // 2 - 16].mean() > 0.95


def test_each_bar_has_a_title(pair, estimator, tmp_path):
    frame = drawn(pair, tmp_path / "motion.mp4", estimator)[0]
    for top in (0, HEIGHT + BAR_PX):
        for left in (0, WIDTH):
            bar = frame[:, top : top + BAR_PX, left : left + WIDTH]
            assert bar[:, :3].max() < 0.1 and bar.max() > 0.4


def test_every_frame_has_its_exact_time(pair, estimator, tmp_path):
    draw_motion(align(pair), tmp_path / "motion.mp4", tmp_path / "motion_xt.png", estimator)
    assert ffprobe_times(tmp_path / "motion.mp4") == [pts * TICKS for pts in UNEVEN]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["motion.mp4", "motion_xt.png"]
    assert read_identity(tmp_path / "motion.mp4") == IDENTITY


def test_matroska_has_the_times_in_its_milliseconds(estimator, tmp_path):
    pts = [1280, 2560, 2600, 12800]
    source = write(tmp_path / "source.mp4", [scene(index) for index in range(4)], pts)
    draw_motion(align([source, source]), tmp_path / "motion.mkv", tmp_path / "motion_xt.png", estimator)
    assert ffprobe_times(tmp_path / "motion.mkv") == [Fraction(ms, 1000) for ms in (100, 200, 203, 1000)]
    assert read_identity(tmp_path / "motion.mkv") == IDENTITY


def test_an_excerpt_stands_beside_its_part_of_the_source(pair, estimator, tmp_path):
    first, after = 5, 7  # behind the second keyframe
    pictures = [(scene(index) * 0.5).astype(np.uint8) for index in range(first, after)]
    times = [pts - UNEVEN[first] for pts in UNEVEN[first:after]]
    part = write(tmp_path / "part.mp4", pictures, times, scale=2)
    videos = align([pair[0], part], window=(UNEVEN[first], UNEVEN[after]))
    draw_motion(videos, tmp_path / "motion.mp4", tmp_path / "motion_xt.png", estimator)
    assert ffprobe_times(tmp_path / "motion.mp4") == [pts * TICKS for pts in times]
    originals = [frame for _, frame in read_timed_rgb(pair[0])][first:after]
    for (_, frame), original in zip(read_timed_rgb(tmp_path / "motion.mp4"), originals, strict=True):
        source, _, _, out = panels(frame)
        assert (source - original).abs().mean() < 0.02
        assert (out - 0.5 * original).abs().mean() < 0.02


def test_nothing_moves_across_a_cut(pair, estimator, tmp_path):
    frames = drawn(pair, tmp_path / "motion.mp4", estimator, cuts={UNEVEN[4]})
    seen = [float(panels(frame)[2].mean()) for frame in frames]
    assert [share < 0.1 for share in seen] == [number in (0, 4) for number in range(len(UNEVEN))]


def test_wide_sources_are_shrunk(estimator, tmp_path, monkeypatch, pair):
    monkeypatch.setattr("vidperc.compare.motion_video.MOST_WIDE_PX", WIDTH)
    frame = drawn(pair, tmp_path / "motion.mp4", estimator)[0]
    assert frame.shape == (3, 2 * (HEIGHT // 2 + BAR_PX), WIDTH)


def test_slices_hold_the_middle_row_of_every_instant(pair, estimator, tmp_path):
    draw_motion(align(pair), tmp_path / "motion.mp4", tmp_path / "motion_xt.png", estimator)
    picture = cv2.imread(str(tmp_path / "motion_xt.png"))[BAR_PX:]
    wide, repeat = 2 * WIDTH, picture.shape[0] // len(UNEVEN)
    assert picture.shape == (repeat * len(UNEVEN), 2 * wide + 4, 3)
    for number, together in enumerate(read_together(align(pair))):
        source, out = (part[0, :, ::-1] for part in middle_row(*together.frames))  # BGR, as cv2 reads
        for row in picture[number * repeat : (number + 1) * repeat]:
            assert np.array_equal(row[:wide], source)
            assert np.array_equal(row[wide + 4 :], out)


def test_the_middle_row_is_that_of_the_enlarged_source_and_of_the_output():
    source = torch.linspace(0, 1, 64)[None, :, None].expand(3, 64, 2000)
    out = torch.linspace(0, 1, 128)[None, :, None].expand(3, 128, 4000)
    for row in middle_row(source, out):
        assert row.shape == (1, MOST_WIDE_PX, 3)
        assert abs(row.astype(int) - 128).max() <= 2


def test_slices_of_long_videos_hold_consecutive_frames_of_the_middle():
    assert list(instants(3)) == [0, 1, 2]
    assert list(instants(10_000)) == list(range(4700, 4700 + MOST_INSTANTS))


def test_what_fails_leaves_nothing_behind(pair, estimator, tmp_path):
    videos = align(pair)
    late = [videos[0], align([write(tmp_path / "late.mp4", [scene(0)] * 8, [*UNEVEN[:5], 9001, 9513, 10000])])[0]]
    with pytest.raises(VidpercError, match="shows frame 5 at"):
        draw_motion(late, tmp_path / "motion.mp4", tmp_path / "motion_xt.png", estimator)
    assert [path.name for path in tmp_path.iterdir()] == ["late.mp4"]
