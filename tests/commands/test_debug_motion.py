"""`--debug-motion`: the files that it leaves beside a run, and the line that each mistake gets."""

from fractions import Fraction

import cv2
import pytest

from tests.clips import ffprobe_times, ffprobe_video, make_clip
from vidperc.video import aligned

UNEVEN = [700, 1212, 1500, 3000, 3400, 9000, 9513, 10000]
TICKS = Fraction(1, 12800)


pytestmark = pytest.mark.usefixtures("shared_pool")


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", pts=UNEVEN, time_base=TICKS, sound=True)


@pytest.fixture
def vidperc(vidperc):
    """Runs a command line in tmp_path: exit code, lines on stdout, lines on stderr."""
    return lambda *arguments: vidperc(*arguments, "--no-progress")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("clip")
def test_a_run_leaves_its_motion_beside_it(vidperc, tmp_path):
    code, out, err = vidperc("upscale", "clip.mp4", "-m", "bicubic", "--debug-motion", "motion.mp4")
    assert (code, len(out), err) == (0, 2, [])
    assert out[1].startswith("motion.mp4 and motion_xt.png: ")
    assert names(tmp_path) == ["clip.mp4", "clip_x2.mp4", "motion.mp4", "motion_xt.png"]
    assert ffprobe_times(tmp_path / "motion.mp4") == ffprobe_times(tmp_path / "clip.mp4")
    video = ffprobe_video(tmp_path / "motion.mp4")
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 2 * 96, 2 * (64 + 22))
    assert cv2.imread(str(tmp_path / "motion_xt.png")).shape[1] == 2 * 192 + 4
    # Once more: the output is left alone, the pictures are ours to replace.
    made = (tmp_path / "clip_x2.mp4").read_bytes()
    code, out, err = vidperc("upscale", "clip.mp4", "-m", "bicubic", "--debug-motion", "motion.mp4")
    assert (code, len(out), err) == (0, 2, []) and "already done" in out[0]
    assert (tmp_path / "clip_x2.mp4").read_bytes() == made


@pytest.mark.usefixtures("clip")
def test_the_motion_of_an_excerpt_has_the_times_of_its_output(vidperc, tmp_path):
    excerpt = "--start", "0.1", "--end", "0.67", "-m", "bicubic"  # from the first frame on, which has 700 ticks
    code, _, err = vidperc("upscale", "clip.mp4", *excerpt, "--debug-motion", "motion.mkv")
    assert (code, err) == (0, [])
    times = ffprobe_times(tmp_path / "clip_x2.mp4")
    assert times == [(pts - 3000) * TICKS for pts in (3000, 3400, 9000)]
    assert ffprobe_times(tmp_path / "motion.mkv") == [Fraction(round(1000 * time), 1000) for time in times]


@pytest.mark.usefixtures("clip")
def test_the_estimator_is_that_of_the_pipeline(vidperc, tmp_path, monkeypatch):
    from vidperc.motion import estimator

    opened = []
    real = estimator.open_estimator

    def told(name, **options):
        opened.append((name, options["preset"]))
        return real(name, **options)

    monkeypatch.setattr(estimator, "open_estimator", told)
    stages = "- {kind: motion, estimator: dis, preset: medium, size: 48}\n- {kind: upscale, model: bicubic, scale: 2}\n"
    (tmp_path / "mine.yaml").write_text(f"name: mine\nstages:\n{stages}")
    code, _, err = vidperc("run", "mine.yaml", "clip.mp4", "--debug-motion", "motion.mp4")
    assert (code, err) == (0, [])
    assert opened == [("dis", "medium")]


def test_an_output_that_does_not_fit_is_told_and_kept(vidperc, tmp_path, monkeypatch, clip):
    other = make_clip(tmp_path / "other.mp4", frames=5)
    align = aligned.align
    monkeypatch.setattr(aligned, "align", lambda paths, **options: align([clip, other], **options))
    code, _, err = vidperc("upscale", "clip.mp4", "-m", "bicubic", "--debug-motion", "motion.mp4")
    assert (code, len(err)) == (1, 1)
    assert "clip_x2.mp4 is whole, but not --debug-motion motion.mp4: " in err[0] and "shows frame 0 at" in err[0]
    assert names(tmp_path) == ["clip.mp4", "clip_x2.mp4", "other.mp4"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--debug-motion", "motion.avi"], "motion.avi: got the ending .avi, wanted .mp4 or .mkv"),
        (["--debug-motion", "motion"], "motion: got the ending none, wanted .mp4 or .mkv"),
        (["--debug-motion", "none/motion.mp4"], "none: no such folder"),
        (["--debug-motion", "clip.mp4"], "clip.mp4: is the input itself"),
        (["--debug-motion", "clip_x2.mp4"], "clip_x2.mp4: has the name of the output"),
        (["--debug-motion", "made.mkv", "-o", "made.mkv"], "made.mkv: has the name of the output"),
        (["--debug-motion", "folder.mp4"], "folder.mp4 is a folder"),
        (["--debug-motion", "mine.mp4"], "mine.mp4 exists and is not one of these; -y overwrites it"),
        (["--debug-motion", "photo.mp4"], "photo_xt.png exists and is not one of these; -y overwrites it"),
        (["--debug-motion", "motion.mp4", "--dry-run"], "--dry-run makes no output to show"),
        (["mine.mp4", "--debug-motion", "motion.mp4"], "is one file for one input, got 2; run them apart"),
    ],
)
@pytest.mark.usefixtures("clip")
def test_what_cannot_be_is_told_before_any_work(arguments, told, vidperc, tmp_path):
    make_clip(tmp_path / "mine.mp4", frames=3)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "photo_xt.png").touch()
    before = names(tmp_path)
    code, out, err = vidperc("upscale", "clip.mp4", "-m", "bicubic", *arguments)
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("vidperc: ") and told in err[0]
    assert names(tmp_path) == before


def test_frames_too_small_for_a_flow_are_told_before_any_work(vidperc, tmp_path):
    make_clip(tmp_path / "tiny.mp4", frames=3, size=(32, 12))
    code, out, err = vidperc("upscale", "tiny.mp4", "-m", "bicubic", "--debug-motion", "motion.mp4")
    assert (code, out, len(err)) == (1, [], 1)
    assert "dis got frames of 32x12, wanted sides of at least 16 pixels" in err[0]
    assert names(tmp_path) == ["tiny.mp4"]
