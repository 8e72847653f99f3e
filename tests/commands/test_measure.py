"""`vidperc measure`: what it prints and writes, and the line that each mistake gets."""

import json
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, make_clip, picture


def write(path: Path, pictures: list[np.ndarray]) -> Path:
    """A video of these pictures (H,W,3) without loss, under the times that make_clip gives."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", container_options={"video_track_timescale": "12800"}) as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        stream.codec_context.time_base = Fraction(1, 12800)
        for index, one in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(one, "rgb24")
            frame.pts, frame.time_base = 512 * index, Fraction(1, 12800)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving(width: int = 96, height: int = 64) -> list[np.ndarray]:
    """Twelve pictures: five that move, then seven of another texture."""
    whole = [picture(index, width, height) for index in range(12)]
    rng = np.random.default_rng(0)
    other = cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (width + 12, height), interpolation=cv2.INTER_CUBIC)
    return whole[:5] + [np.ascontiguousarray(other[:, index : index + width]) for index in range(7)]


@pytest.fixture
def vidperc(vidperc):
    """Runs `vidperc measure` in tmp_path: exit code, lines on stdout, lines on stderr."""
    return partial(vidperc, "measure")


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    pictures = moving()
    write(folder / "source.mp4", pictures)
    write(folder / "coarse.mp4", [one // 24 * 24 for one in pictures])
    write(folder / "large.mp4", [cv2.resize(one, (192, 128), interpolation=cv2.INTER_CUBIC) for one in pictures])
    write(folder / "frozen.mp4", [pictures[0]] * 12)
    make_clip(folder / "short.mp4", frames=9)
    make_clip(folder / "late.mp4", pts=[512 * k + 6400 for k in range(12)])
    make_clip(folder / "wide.mp4", frames=12, size=(192, 64))
    make_clip(folder / "tiny.mp4", frames=12, size=(12, 8))
    return folder


@pytest.fixture
def clips(templates, tmp_path):
    for path in templates.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def refused(vidperc, clips):
    """Runs a command line that must be refused with one line that has all these words in it."""

    def run(*arguments, told):
        before = sorted(clips.iterdir())
        code, out, err = vidperc(*arguments)
        assert (code, out, len(err)) == (1, [], 1), err
        assert err[0].startswith("vidperc: ")
        for words in told:
            assert words in err[0]
        assert sorted(clips.iterdir()) == before

    return run


def rows(lines: list[str]) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in lines if "@" in line}


def test_the_table_has_out_beside_its_source(vidperc, clips):
    code, out, err = vidperc("source.mp4", "coarse.mp4", "--cuts", "none")
    assert (code, err) == (0, [])
    assert out[0] == "coarse.mp4 of source.mp4: 12 frames over 0.44 s, 96x64 to 96x64, 1 shot"
    assert out[1].split() == ["OUT", "SOURCE"]
    found = rows(out)
    assert list(found) == [
        "psnr@rgb", "psnr@y601", "warping-error@dis-balanced", "coverage@dis-balanced", "flicker@dis-balanced,sigma2",
        "tof@farneback", "movement@cells48", "detail@gradient",
    ]  # fmt: skip
    assert 20 < float(found["psnr@rgb"][0]) < 45
    assert found["psnr@rgb"][1:] == ["dB", "higher", "is", "better"]
    assert float(found["tof@farneback"][0]) > 0
    assert len(found["flicker@dis-balanced,sigma2"]) == 2 + len(["codes", "lower", "is", "better"])


def test_shots_have_their_own_figures_and_nothing_reaches_across_a_cut(vidperc, clips):
    (clips / "cuts.txt").write_text("0.2\n")
    code, out, _ = vidperc("source.mp4", "source.mp4", "--cuts", "cuts.txt", "--json", "figures.json")
    assert code == 0
    assert out[0].endswith("2 shots")
    shots = [line.split() for line in out if line.split()[0] in ("0", "1")]
    assert [shot[:4] for shot in shots] == [["0", "0.000", "s", "5"], ["1", "0.200", "s", "7"]]
    written = json.loads((clips / "figures.json").read_text())
    for name in (
        "warping-error@dis-balanced",
        "flicker@dis-balanced,sigma2",
        "tof@farneback",
        "movement@cells48",
        "coverage@dis-balanced",
    ):
        values = written["metrics"][name]["values"]
        assert [place for place, value in enumerate(values) if value is None] == [0, 5], name


def test_cuts_are_found_where_none_are_given(vidperc, clips):
    _, found, _ = vidperc("source.mp4", "source.mp4", "--metrics", "psnr")
    _, none, _ = vidperc("source.mp4", "source.mp4", "--metrics", "psnr", "--cuts", "none")
    assert found[0].endswith("2 shots")
    assert none[0].endswith("1 shot")


def test_the_file_has_every_figure_and_its_mean(vidperc, clips):
    code, out, _ = vidperc("source.mp4", "coarse.mp4", "--json", "figures.json", "--cuts", "none")
    assert code == 0
    written = json.loads((clips / "figures.json").read_text())
    assert written["frames"] == len(written["seconds"]) == 12
    assert written["motion"] == "dis-balanced"
    assert written["videos"]["out"] == {"path": "coarse.mp4", "width": 96, "height": 64}
    for name, figures in written["metrics"].items():
        there = [value for value in figures["values"] if value is not None]
        assert len(figures["values"]) == 12
        assert len(there) == (12 if name.startswith(("psnr", "detail")) else 11)
        assert figures["mean"] == pytest.approx(sum(there) / len(there))
        assert float(rows(out)[name][0]) == pytest.approx(figures["mean"], rel=0.05, abs=0.005)
    assert written["metrics"]["tof@farneback"]["better"] == "lower"
    assert "true_values" in written["metrics"]["movement@cells48"]
    assert written["shots"] == [
        {"first_frame": 0, "frames": 12, "from_seconds": 0.0,
         "means": {name: figures["mean"] for name, figures in written["metrics"].items()}}
    ]  # fmt: skip


def test_a_larger_video_is_only_consistent_with_its_source(vidperc, clips):
    _, out, _ = vidperc("source.mp4", "large.mp4")
    assert list(rows(out))[:2] == ["downscale-consistency@rgb", "downscale-consistency@y601"]
    assert out[0].endswith("96x64 to 192x128, 2 shots")


def test_a_reference_of_its_size_gives_it_a_psnr(vidperc, clips):
    _, out, _ = vidperc("source.mp4", "large.mp4", "--reference", "large.mp4")
    found = rows(out)
    assert list(found)[:2] == ["psnr@rgb", "psnr@y601,crop2"]
    assert found["psnr@rgb"][0] == "100.00"
    assert out[1] == "held against REFERENCE, large.mp4"
    assert out[2].split() == ["OUT", "REFERENCE"]
    assert found["flicker@dis-balanced,sigma2"][0] == found["flicker@dis-balanced,sigma2"][1]


def test_a_figure_over_time_never_comes_alone(vidperc, clips):
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--metrics", "flicker")
    assert list(rows(out))[:3] == ["psnr@rgb", "psnr@y601", "flicker@dis-balanced,sigma2"]


def test_a_frozen_video_is_called_so(vidperc, clips):
    code, out, _ = vidperc("source.mp4", "frozen.mp4", "--cuts", "none")
    assert code == 0
    assert any(line.startswith("note: OUT moves 0.0") and "frozen" in line for line in out)
    assert "note: OUT stands still in 11 of the 11 steps in which SOURCE moves" in out


def test_another_estimator_is_in_the_names(vidperc, clips):
    _, out, _ = vidperc(
        "source.mp4", "coarse.mp4", "--metrics", "warping-error", "--motion", "farneback", "--motion-size", "48"
    )
    assert {"warping-error@farneback,size48", "coverage@farneback,size48"} <= set(rows(out))


def test_a_size_that_the_source_does_not_have_is_not_in_the_names(vidperc, clips):
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--metrics", "warping-error", "--motion-size", "9999")
    assert "warping-error@dis-balanced" in rows(out)


def test_frames_are_paired_by_order_where_asked(vidperc, clips):
    code, out, _ = vidperc("source.mp4", "late.mp4", "--in-order", "--metrics", "psnr")
    assert code == 0
    assert out[0].startswith("late.mp4 of source.mp4: 12 frames")


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_lpips_comes_with_its_weights(vidperc, clips):
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--weights", TEST_DATA / "weights")
    assert 0.01 < float(rows(out)["lpips@squeeze"][0]) < 1
    chosen = "--weights", TEST_DATA / "weights", "--metrics", "lpips", "--cuts", "none"
    _, out, _ = vidperc("source.mp4", "coarse.mp4", *chosen)
    assert list(rows(out)) == ["lpips@squeeze", "movement@cells48", "detail@gradient"]


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_the_folder_of_weights_may_be_in_the_environment(vidperc, clips, monkeypatch):
    monkeypatch.setenv("VIDPERC_WEIGHTS", str(TEST_DATA / "weights"))
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--cuts", "none")
    assert "lpips@squeeze" in rows(out)
    chosen = "lpips,flolpips,tlp,ssim,temporal-ssim"
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--metrics", chosen, "--json", "figures.json", "--cuts", "none")
    names = ["ssim@rgb", "ssim@y601", "lpips@squeeze", "flolpips@squeeze,farneback", "temporal-ssim@dis-balanced"]
    assert list(rows(out))[:6] == [*names, "tlp100@squeeze"]
    found = json.loads(Path("figures.json").read_text())["metrics"]
    assert len(found["tlp100@squeeze"]["values"]) == 12
    assert [figure is None for figure in found["tlp100@squeeze"]["values"]] == [True] + [False] * 11
    assert found["temporal-ssim@dis-balanced"]["true_mean"] > 0.5


def test_a_figure_of_the_whole_has_none_of_shots(vidperc, clips):
    """Twelve frames are no clip of sixteen: the figure is missing, not zero."""
    _, out, _ = vidperc("source.mp4", "coarse.mp4", "--metrics", "fvd", "--json", "figures.json")
    assert rows(out)["fvd@own,224,16"][0] == "-"
    found = json.loads(Path("figures.json").read_text())
    assert found["metrics"]["fvd@own,224,16"] == {"unit": "", "better": "lower", "mean": None, "values": []}
    assert [shot["means"]["fvd@own,224,16"] for shot in found["shots"]] == [None, None]


def test_videos_that_do_not_fit_each_other(refused):
    refused("source.mp4", "short.mp4", told=["short.mp4: ends after 9 frames, 9 of 12", "cut the longer one"])
    refused("short.mp4", "source.mp4", told=["short.mp4: ends after 9 frames, 9 of 12"])
    refused("source.mp4", "late.mp4", told=["late.mp4: shows frame 0 at 0.500000 s, wanted 0.000000 s", "--in-order"])
    refused("source.mp4", "wide.mp4", told=["wide.mp4: has another shape", "got 192x64 for 96x64"])
    refused("large.mp4", "source.mp4", told=["source.mp4: is smaller than its source (got 96x64 for 192x128)"])
    refused("tiny.mp4", "tiny.mp4", told=["motion: dis got frames of 12x8, wanted sides of at least 16"])
    refused(
        "source.mp4", "large.mp4", "--reference", "source.mp4",
        told=["source.mp4: has 96x64 pixels, wanted 192x128 as large.mp4"],
    )  # fmt: skip


def test_files_that_cannot_be_used(refused, clips):
    refused("missing.mp4", "source.mp4", told=["missing.mp4: no such file"])
    refused("source.mp4", "missing.mp4", told=["missing.mp4: no such file"])
    refused("source.mp4", "source.mp4", "--json", "missing/f.json", told=["no such folder, the figures cannot be"])
    refused("source.mp4", "source.mp4", "--json", "figures.txt", told=["--json figures.txt: got the ending .txt"])
    refused("source.mp4", "source.mp4", "--cuts", "missing.txt", told=["missing.txt: no such file"])
    refused(
        "source.mp4", "source.mp4", "--weights", ".", told=["squeezenet1_1-b8a52dc0.pth: not found", "fetch https://"]
    )


def test_options_that_cannot_be(refused):
    refused(
        "source.mp4", "source.mp4", "--metrics", "psnr,dreams", told=["--metrics: got 'dreams', wanted some of psnr"]
    )
    refused("source.mp4", "source.mp4", "--metrics", "psnr,,tof", told=["--metrics: got '', wanted some of psnr"])
    refused(
        "source.mp4", "source.mp4", "--metrics", "tlp", "--lpips", "resnet",
        told=["--lpips: got 'resnet', wanted one of squeeze, alex, vgg"],
    )  # fmt: skip
    refused("source.mp4", "source.mp4", "--metrics", "fvd", "--fvd", "magic", told=["unknown 3D backbone 'magic'"])
    refused(
        "source.mp4", "source.mp4", "--metrics", "ms-ssim",
        told=["source.mp4: has 96x64 pixels, wanted sides of at least 161 for ms-ssim@y601"],
    )  # fmt: skip
    refused(
        "source.mp4",
        "source.mp4",
        "--motion",
        "magic",
        told=["--motion: got 'magic', wanted one of dis-ultrafast, dis-fast, dis-b"],
    )
    refused(
        "source.mp4", "source.mp4", "--motion-weights", "raft.pth",
        told=["--motion-weights: dis-balanced takes none; leave it out, or choose a RAFT with --motion"],
    )  # fmt: skip


def test_short_names_are_in_the_help():
    from vidperc.metrics.table import METRICS

    text = (Path(__file__).parents[2] / "vidperc" / "cli.py").read_text()
    assert f"Of {', '.join(METRICS)}; comma-separated." in text.replace('"\n            "', "")
