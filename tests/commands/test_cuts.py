"""Cuts on the command line: shown by probe, given to upscale, refused in one line."""

import json

import pytest

import vidperc
from tests.video.drawn import flat, light, make_drawn_clip, scene
from vidperc.video.identity import read_identity

pytestmark = pytest.mark.usefixtures("shared_pool")


@pytest.fixture
def clip(tmp_path):
    """A cut at frame 12, a fade with frame 36 in it."""
    going = light(scene(2, 20), [1.0] * 12 + [1 - k / 8 for k in range(8)])
    pictures = scene(1, 12) + going + flat(0, 4) + light(scene(3, 20), [*[k / 8 for k in range(8)], *[1.0] * 12])
    return make_drawn_clip(tmp_path / "clip.mp4", pictures)


@pytest.fixture
def command(command_line):
    """Runs a command line in tmp_path: exit code, stdout, lines on stderr."""

    def run(*arguments):
        code, out, err = command_line(*arguments)
        return code, out, err.splitlines()

    return run


def test_probe_shows_cuts_for_people_and_programs(command, clip):
    code, out, _ = command("probe", "--cuts", "clip.mp4")
    first, cut, fade = out.splitlines()
    assert code == 0
    assert first == "# clip.mp4: 2 cuts in 56 frames"
    assert cut == "00:00:00.480  # 0.480000 s, pts 6144, cut"
    assert fade.startswith("00:00:01.") and fade.endswith(", fade")
    code, out, _ = command("probe", "--cuts", "--json", "clip.mp4")
    (facts,) = json.loads(out)
    assert (code, facts["frames"], facts["time_base"]) == (0, 56, "1/12800")
    assert facts["cuts"][0] == {"time": "00:00:00.480", "seconds": 0.48, "pts": 6144, "kind": "cut"}
    assert [cut["kind"] for cut in facts["cuts"]] == ["cut", "fade"]
    assert 24 <= facts["cuts"][1]["pts"] // 512 < 44


def test_a_threshold_changes_what_probe_finds(command, clip):
    code, out, _ = command("probe", "--cuts", "clip.mp4", "--cut-threshold", "0.99")
    assert code == 0 and out.startswith("# clip.mp4: 1 cut in 56 frames\n") and out.endswith(", fade\n")


def test_one_unreadable_input_does_not_stop_the_others(command, clip):
    code, out, err = command("probe", "--cuts", "none.mp4", "clip.mp4")
    assert code == 1 and "2 cuts in 56 frames" in out
    assert err == ["vidperc: none.mp4: no such file"]


def test_what_probe_writes_upscale_takes(command, clip, tmp_path):
    (tmp_path / "cuts.txt").write_text(command("probe", "--cuts", "clip.mp4")[1])
    fast = ("-m", "bicubic", "--preset", "ultrafast", "--report", "report.json")
    code, _, err = command("upscale", "clip.mp4", *fast, "--cuts", "cuts.txt")
    assert code == 0, err
    (job,) = json.loads((tmp_path / "report.json").read_text())["jobs"]
    assert (job["cuts"], job["frames_out"]) == (2, 56)
    code, _, err = command("run", "upscale", "clip.mp4", "--set", "upscale.model=bicubic", "-y", "--cuts", "none")
    assert code == 0, err


def test_the_python_face_takes_the_same_options(clip, tmp_path):
    (tmp_path / "cuts.txt").write_text("0.48\n")
    out = tmp_path / "out.mp4"
    report = vidperc.upscale(clip, out, model="bicubic", device="cpu", cuts=tmp_path / "cuts.txt")
    assert (report.cuts, read_identity(out) is not None) == (1, True)
    with pytest.raises(vidperc.VidpercError, match="--cut-threshold 2: wanted more than 0 and less than 1"):
        vidperc.upscale(clip, out, cut_threshold=2.0)


MISTAKES = {
    "no list": (["upscale", "clip.mp4", "--cuts", "none.txt"], "none.txt: no such file, wanted a list of cuts"),
    "not a time": (["upscale", "clip.mp4", "--cuts", "bad.txt"], "bad.txt:2: noon: not a time, wanted seconds"),
    "outside": (["run", "upscale", "clip.mp4", "--cuts", "late.txt"], "late.txt:1: 2.24 is outside of clip.mp4, which"),
    "no text": (["upscale", "clip.mp4", "--cuts", "clip.mp4"], "clip.mp4: is no text, wanted a list of cuts"),
    "several": (["upscale", "clip.mp4", "clip.mp4", "--cuts", "late.txt"], "--cuts late.txt: is a list for one video"),
    "too much": (["upscale", "clip.mp4", "--cut-threshold", "1.5"], "--cut-threshold 1.5: wanted more than 0 and less"),
    "not finite": (
        ["probe", "--cuts", "clip.mp4", "--cut-threshold", "nan"],
        "--cut-threshold nan: wanted more than 0",
    ),
    "negative": (["upscale", "clip.mp4", "--fade-threshold", "-1"], "--fade-threshold -1: wanted more than 0"),
    "unused": (["upscale", "clip.mp4", "--cuts", "none", "--cut-threshold", "0.5"], "--cut-threshold: is for finding"),
    "no number": (["upscale", "clip.mp4", "--cut-threshold", "low"], "'--cut-threshold'"),
    "probe": (["probe", "clip.mp4", "--fade-threshold", "2"], "--fade-threshold: is for finding cuts; add --cuts"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, command, clip, tmp_path):
    (tmp_path / "bad.txt").write_text("0.48\nnoon\n")
    (tmp_path / "late.txt").write_text("2.24\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments, told = MISTAKES[mistake]
    code, out, err = command(*arguments)
    assert (code, out, len(err)) == (1, "", 1), err
    assert err[0].startswith("vidperc: ") and told in err[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
