"""`vidperc steady`, and `upscale --steady`: what they write, and what they refuse in one line."""

import av
import numpy as np
import pytest

import vidperc
from tests.clips import ffprobe_times, make_clip

pytestmark = pytest.mark.usefixtures("shared_pool")


@pytest.fixture
def clips(tmp_path):
    """made.mp4 and guide.mp4, of the same times."""
    return make_clip(tmp_path / "made.mp4", frames=12, size=(192, 128)), make_clip(tmp_path / "guide.mp4", frames=12)


def frames(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(float)


def test_it_writes_beside_the_processed_video_and_the_library_does_the_same(run, clips, tmp_path):
    made, guide = clips
    code, out, _ = run("steady", "made.mp4", "--guide", "guide.mp4", "-c", "ffv1", "--device", "cpu", "-o", "out.mkv")
    assert code == 0 and out[0].startswith(f"{tmp_path / 'out.mkv'}: 12 frames, 192x128")
    code, out, _ = run("steady", "made.mp4", "--guide", "guide.mp4", "--strength", "0.5", "--set", "motion.size=32")
    assert code == 0 and out[0].startswith(f"{tmp_path / 'made_steady.mp4'}: 12 frames")
    report = vidperc.steady(made, guide, tmp_path / "again.mp4", strength=0.5, settings=["motion.size=32"])
    assert [stage.get("strength") for stage in report.pipeline] == [None, 0.5]
    assert ffprobe_times(tmp_path / "again.mp4") == ffprobe_times(made)


def test_upscale_holds_if_asked(run, clips, tmp_path):
    common = ["upscale", "guide.mp4", "-m", "fast", "-c", "ffv1", "--device", "cpu"]
    for name, options in (("off", ["--steady", "0"]), ("usual", []), ("held", ["--steady", "1"])):
        code, _, err = run(*common, *options, "-o", f"{name}.mkv")
        assert code == 0, err
    off, usual, held = (frames(tmp_path / f"{name}.mkv") for name in ("off", "usual", "held"))
    assert (off == usual).all()
    assert (held[0] == off[0]).all() and (held[1:] != off[1:]).any(axis=(1, 2)).all()


def test_a_dry_run_reads_both_videos(run, clips, tmp_path):
    code, out, err = run("steady", "made.mp4", "--guide", "guide.mp4", "--dry-run")
    assert code == 0, err
    assert any("192x128" in line for line in out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guide.mp4", "made.mp4"]


def cut_short(path):
    return make_clip(path, frames=11)


def of_another_rate(path):
    return make_clip(path, frames=12, rate=30)


def sideways(path):
    return make_clip(path, frames=12, size=(64, 96))


def too_small(path):
    return make_clip(path, frames=12, size=(12, 8))


def no_video(path):
    return path.write_text("not a video")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (cut_short, ["other.mp4: has 11 frames, made.mp4 has 12; wanted the video that it was made from"]),
        (of_another_rate, ["other.mp4: shows frame 1 0.033281 s after its first, made.mp4 0.040000 s", "30.0"]),
        (sideways, ["other.mp4: its picture is 64x96, that of made.mp4 192x128; wanted"]),
        (too_small, ["motion: dis got frames of 12x8"]),
        (no_video, ["other.mp4: not a video that can be read"]),
        (lambda _: None, ["other.mp4: no such file"]),
    ],
    ids=["length", "rate", "shape", "small", "text", "missing"],
)
def test_a_guide_that_does_not_fit_is_refused_in_one_line(run, clips, tmp_path, make, told):
    make(tmp_path / "other.mp4")
    before = sorted(tmp_path.iterdir())
    code, out, err = run("steady", "made.mp4", "--guide", "other.mp4")
    assert (code, out, len(err)) == (1, [], 1), err
    assert all(words in err[0] for words in told), err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["steady", "made.mp4", "--guide", "guide.mp4", "-y", "-o", "guide.mp4"], "guide.mp4: is the guide, which is"),
        (["steady", "made.mp4", "--guide", "made.mp4"], "--guide made.mp4: is the input itself"),
        (["steady", "made.mp4", "--guide", "guide.mp4", "--strength", "2"], "--strength 2: wanted 0 to 1"),
        (["upscale", "made.mp4", "--steady", "-1"], "--steady -1: wanted 0 to 1"),
        (["steady", ".", "--guide", "guide.mp4"], ".: is a folder, wanted one video"),
        (["run", "steady", "made.mp4"], "use `vidperc steady PROCESSED --guide SOURCE`"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, clips, arguments, told):
    code, out, err = run(*arguments)
    assert (code, out, len(err)) == (1, [], 1), err
    assert told in err[0]


def test_a_guide_is_asked_for(run, clips):
    code, _, err = run("steady", "made.mp4")
    assert code == 1 and "--guide" in " ".join(err)


def test_the_motion_that_is_drawn_is_the_guides(run, clips, tmp_path):
    made, guide = clips
    assert run("steady", made, "--guide", guide, "--debug-motion", "motion.mp4")[0] == 0
    assert ffprobe_times(tmp_path / "motion.mp4") == ffprobe_times(guide)
    with av.open(str(tmp_path / "motion.mp4")) as container, av.open(str(guide)) as source:
        panel, video = container.streams.video[0], source.streams.video[0]
        assert (panel.width // 2, panel.height // 2) >= (video.width, video.height)
        assert panel.width // 2 < 192  # the size of what was made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--debug-motion", "guide.mp4"), "is the input itself"),
        (("--debug-motion", "m.mp4", "--end", "1"), "drop --st"),
    ],
)
def test_motion_that_cannot_be_drawn_is_refused_before_the_run(words, said, run, clips, tmp_path):
    made, guide = clips
    code, _, err = run("steady", made, "--guide", guide, *words)
    assert code == 1 and len(err) == 1 and said in err[0]
    assert not (tmp_path / "made_steady.mp4").exists()
