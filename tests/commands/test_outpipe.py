"""Video to standard output: y4m that other programs read, segment by segment, and y4m as an input."""

import json
import os
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.clips import decoded_frames, ffprobe_times, ffprobe_video, make_clip, plane_hash, turned_clip
from tests.rich_files import make_rich

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg, the reader of the pipes, is not here")

RAW = ("-m", "bicubic", "-s", "1")


def command(*arguments):
    return [sys.executable, "-m", "vidperc", "upscale", *map(str, arguments), "--no-progress"]


def environment(folder):
    """With a folder of its own for what is kept while a pipe is fed."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(temporary)}


def vidperc(folder, *arguments, content=b""):
    run = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), input=content, capture_output=True, timeout=240
    )
    assert list((folder / "temporary").iterdir()) == []
    return run.returncode, run.stdout, run.stderr.decode().splitlines()


def read_by_ffmpeg(folder, *arguments, content=b""):
    """The frames' hashes, as FFmpeg's own program reads them at the other end of a pipe."""
    writer = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    reader = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-i", "-", "-f", "framehash", "-hash", "md5", "-"],
        stdin=writer.stdout,
        stdout=subprocess.PIPE,
        text=True,
    )
    writer.stdout.close()
    if content:
        writer.stdin.write(content)
    writer.stdin.close()
    lines = reader.communicate(timeout=240)[0].splitlines()
    assert writer.wait(timeout=60) == reader.returncode == 0
    assert list((folder / "temporary").iterdir()) == []
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def hashes_of_file(path):
    run = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-"],
        capture_output=True,
        check=True,
        text=True,
    )
    return [line.split(",")[-1].strip() for line in run.stdout.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv422p"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv422p10le"),
        ("libx264", "yuv444p10le"),
        ("ffv1", "yuv420p12le"),
        ("ffv1", "gray"),
        ("ffv1", "gray10le"),
    ],
)
def test_what_ffmpeg_reads_from_the_pipe_is_what_a_lossless_file_holds(codec, pix_fmt, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=9, codec=codec, pix_fmt=pix_fmt)
    code, _, said = vidperc(tmp_path, clip, "-m", "bicubic", "-c", "ffv1", "-o", "lossless.mkv")
    assert code == 0, said
    found = read_by_ffmpeg(tmp_path, clip, "-m", "bicubic", "-o", "-")
    assert len(found) == 9
    assert found == hashes_of_file(tmp_path / "lossless.mkv")
    assert ffprobe_video(tmp_path / "lossless.mkv")["pix_fmt"] == pix_fmt


def test_segments_come_in_order_while_later_ones_are_made(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=720, size=(64, 48))  # several segments
    with subprocess.Popen(
        command(clip, *RAW, "-o", "-", "--workers", "2", "--log-level", "debug"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        said = []
        # Standard error tells in which order segments are finished; the reader has frames before the last of them is.
        run.stdout.read(4096)
        os.set_blocking(run.stderr.fileno(), False)
        said = (run.stderr.read() or b"").decode()
        os.set_blocking(run.stderr.fileno(), True)
        rest, last = run.communicate(timeout=240)
    assert run.returncode == 0
    finished = [line for line in (said + last.decode()).splitlines() if ": done, " in line]
    assert len(finished) == 8
    assert said.count(": done, ") < 8
    whole = tmp_path / "whole.y4m"
    assert vidperc(tmp_path, clip, *RAW, "-o", whole)[0] == 0
    content = whole.read_bytes()
    assert content.endswith(rest)
    assert len(content) - len(rest) < 5000
    assert [digest for _, digest in decoded_frames(whole)] == [digest for _, digest in decoded_frames_of_raw(clip)]


def decoded_frames_of_raw(clip):
    with av.open(str(clip)) as container:
        return [(frame.pts, plane_hash(frame)) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("pix_fmt", "color_range", "words"),
    [
        ("yuv420p", "tv", "C420mpeg2 XCOLORRANGE=LIMITED"),
        ("yuv420p", "pc", "C420mpeg2 XCOLORRANGE=FULL"),
        ("yuv422p10le", "tv", "C422p10 XCOLORRANGE=LIMITED"),
        ("yuv444p", "pc", "C444 XCOLORRANGE=FULL"),
    ],
)
def test_the_first_line_says_what_the_pictures_are(pix_fmt, color_range, words, tmp_path):
    source = tmp_path / "in.mkv"
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=30000/1001", "-t", "0.2"),
            *("-vf", f"setsar=4/3,format={pix_fmt}", "-color_range", color_range, "-c:v", "ffv1", str(source)),
        ],
        check=True,
    )
    code, out, said = vidperc(tmp_path, source, *RAW, "-o", "-")
    assert code == 0, said
    line = out.split(b"\n", 1)[0].decode()
    assert line == f"YUV4MPEG2 W64 H48 F30000:1001 Ip A4:3 {words}"
    (tmp_path / "out.y4m").write_bytes(out)
    told = ffprobe_video(tmp_path / "out.y4m")
    assert (told["pix_fmt"], told["color_range"]) == (pix_fmt, color_range)
    assert (told["r_frame_rate"], told["sample_aspect_ratio"]) == ("30000/1001", "4:3")


def test_what_y4m_does_not_hold_is_named_and_strict_refuses(tmp_path):
    source = make_rich(tmp_path / "in.mkv", font=True, tags={"artist": "somebody"})
    code, out, said = vidperc(tmp_path, source, *RAW, "-o", "-", "--report", "report.json")
    assert code == 0, said
    assert out.startswith(b"YUV4MPEG2 ")
    dropped = json.loads((tmp_path / "report.json").read_text())["jobs"][0]["streams"]["dropped"]
    for lost in ("audio 1", "audio 2", "subtitle 3", "attachment", "2 chapters", "tag artist", "tag title"):
        assert any(lost in sentence.lower() for sentence in dropped), (lost, dropped)
    code, out, said = vidperc(tmp_path, source, *RAW, "-o", "-", "--strict")
    assert (code, out, len(said)) == (1, b"", 1)
    assert "--strict, and this would be dropped: audio 1" in said[0]


def test_variable_times_a_late_start_and_colours_are_named(tmp_path):
    options = {"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}
    source = make_clip(tmp_path / "in.mp4", pts=[12800, 13312, 15360, 15872], options=options)
    code, _, said = vidperc(tmp_path, source, *RAW, "-o", "-")
    assert code == 0
    told = "\n".join(said)
    assert "not kept: video, times: y4m has none" in told
    assert "not kept: video, start: its first frame is at 1.000 s" in told
    assert "tell the reader: matrix 9, primaries 9, transfer 16 (H.273)" in told
    steady = make_clip(tmp_path / "steady.mp4", frames=5)
    assert vidperc(tmp_path, steady, *RAW, "-o", "-", "--strict")[0] == 0


def piping(folder, clip):
    """A process that writes the enlarged clip to its standard output."""
    return subprocess.Popen(
        command(clip, "-m", "bicubic", "-o", "-"),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_goes_away_ends_the_run_in_one_line(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=960, size=(128, 96))
    with piping(tmp_path, clip) as run:
        run.stdout.read(1000)
        run.stdout.close()
        said = run.stderr.read().decode().splitlines()
        assert run.wait(timeout=60) == 1
    assert len(said) == 1
    assert "the reader of standard output went away (Broken pipe) after" in said[0]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "temporary"]


def test_ctrl_c_while_a_reader_sleeps_stops_the_run(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=480, size=(128, 96))
    with piping(tmp_path, clip) as run:
        run.stdout.read(1000)
        time.sleep(0.5)
        run.terminate()
        assert run.wait(timeout=60) == 143
        said = run.stderr.read().decode().splitlines()
    assert "standard output has" in said[-1]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_closed_standard_output_is_refused_in_one_line(tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=4)
    shell = " ".join(command(clip, *RAW, "-o", "-")) + " >&-"
    run = subprocess.run(shell, shell=True, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines() == ["vidperc: -o -: standard output is closed; choose a file with -o"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-c", "libx264"], "--codec libx264: y4m loses nothing and has no such choice"),
        (["--crf", "20"], "--crf 20: y4m loses nothing"),
        (["-e", "g=1"], "-e g: y4m has no options"),
        (["--pix-fmt", "yuva420p"], "--pix-fmt yuva420p: y4m has none, wanted one of gray,"),
        (["in.mkv"], "standard output is one video, got 2 inputs"),
        (["--debug-motion", "x.mp4"], "-o - leaves no output to show"),
    ],
)
def test_what_a_pipe_cannot_do_is_refused_in_one_line(arguments, told, tmp_path):
    make_clip(tmp_path / "in.mkv", frames=4)
    code, out, said = vidperc(tmp_path, "in.mkv", *RAW, *arguments, "-o", "-")
    assert (code, out, len(said)) == (1, b"", 1)
    assert told in said[0]


def test_y4m_goes_in_and_out_of_pipes_at_once(tmp_path):
    source = tmp_path / "in.y4m"
    clip = make_clip(tmp_path / "clip.mkv", frames=300, size=(64, 48))
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), str(source)], check=True)
    assert read_by_ffmpeg(tmp_path, "-", *RAW, "-o", "-", content=source.read_bytes()) == hashes_of_file(source)


def test_a_y4m_file_goes_in_whole_and_is_resumed_by_its_name(tmp_path):
    source = tmp_path / "in.y4m"
    clip = make_clip(tmp_path / "clip.mkv", frames=300, size=(64, 48), rate=30)
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), str(source)], check=True)
    code, _, said = vidperc(tmp_path, source, *RAW, "-c", "ffv1", "-o", "out.mkv")
    assert code == 0, said
    assert hashes_of_file(tmp_path / "out.mkv") == hashes_of_file(source)
    times = ffprobe_times(tmp_path / "out.mkv")
    assert all(abs(time - Fraction(number, 30)) <= Fraction(1, 2000) for number, time in enumerate(times))
    assert vidperc(tmp_path, source, *RAW, "-o", "out.y4m")[0] == 0
    assert hashes_of_file(tmp_path / "out.y4m") == hashes_of_file(source)
    code, out, _ = vidperc(tmp_path, source, *RAW, "-o", "out.y4m")
    assert (code, b"already done" in out) == (0, True)


@pytest.mark.parametrize(
    ("word", "place"), [("420jpeg", "center"), ("420mpeg2", "left"), ("420paldv", "topleft"), ("420", "center")]
)
def test_chroma_stays_where_a_y4m_says_that_it_is(word, place, tmp_path):
    source = tmp_path / "in.y4m"
    clip = make_clip(tmp_path / "clip.mkv", frames=3, size=(64, 48))
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), str(source)], check=True)
    line, _, frames = source.read_bytes().partition(b"\n")
    words = [f"C{word}".encode() if part.startswith(b"C") else part for part in line.split(b" ")]
    source.write_bytes(b" ".join(part for part in words if not part.startswith(b"XYSCSS")) + b"\n" + frames)
    assert vidperc(tmp_path, source, *RAW, "-o", "out.mkv")[0] == 0
    assert ffprobe_video(tmp_path / "out.mkv")["chroma_location"] == place
    code, out, _ = vidperc(tmp_path, source, *RAW, "-o", "-")
    assert (code, f" C{'420jpeg' if word == '420' else word} ".encode() in out.split(b"\n", 1)[0]) == (0, True)


def test_a_mark_of_rotation_is_carried_out_where_none_can_be_written(tmp_path):
    turned = turned_clip(make_clip(tmp_path / "in.mp4", frames=3), tmp_path / "turned.mp4", degrees=90)
    code, out, said = vidperc(tmp_path, turned, *RAW, "-o", "-")
    assert code == 0
    assert out.startswith(b"YUV4MPEG2 W64 H96 ")
    assert any("converted: video, rotation: the pictures are turned" in line for line in said)
