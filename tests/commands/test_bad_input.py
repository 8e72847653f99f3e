"""Every mistake of the user's: exit code 1, one line that names it and says what to do, and nothing left behind."""

import contextlib
import hashlib
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.clips import ffprobe_times, header_only, make_clip
from vidperc.engine import plan as plan_module
from vidperc.engine import run as run_module
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.stage import PerFrame, Stream
from vidperc.stages.upscale import Upscale

pytestmark = pytest.mark.usefixtures("shared_pool")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("template") / "clip.mp4", frames=12, sound=True)


@pytest.fixture
def clip(template, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(template.read_bytes())
    return path


def contents(folder):
    """What a folder holds, by name; links and their targets stay apart."""
    return {
        path.relative_to(folder).as_posix(): path.readlink().as_posix()
        if path.is_symlink()
        else (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(vidperc, tmp_path):
    """Runs a command line that must be refused with one line that has all these words in it; returns the line."""

    def run(*arguments, told):
        before = contents(tmp_path)
        code, out, err = vidperc(*arguments)
        assert (code, out, len(err)) == (1, [], 1), err
        assert err[0].startswith("vidperc: ")
        for words in told:
            assert words in err[0]
        assert contents(tmp_path) == before
        return err[0]

    return run


# --- what is read ---


def test_a_missing_file(refused):
    refused("upscale", "missing.mp4", told=["missing.mp4: no such file"])


def test_an_address(refused):
    refused(
        "upscale", "https://example.org/a.mp4", told=["/example.org/a.mp4: no such file", "download the file first"]
    )


def picture_file(path):
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame(64, 48, "rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["photo.mp4", "notes.txt", "notes.mp4", "notes.mkv", "random.mp4"])
def test_what_is_no_video(name, refused, tmp_path):
    path = tmp_path / name
    if name.startswith("photo"):
        picture_file(tmp_path / "photo.png")
        (tmp_path / "photo.png").rename(path)
    elif name.startswith("notes"):
        path.write_text("a list of films to see\n" * 50)
    else:
        path.write_bytes(bytes((7 * k * k + k // 3) % 256 for k in range(5000)))
    refused("upscale", name, told=[name, "not a video that can be read", "wanted a container such as MP4"])


def test_an_empty_file(refused, tmp_path):
    (tmp_path / "empty.mp4").touch()
    refused("upscale", "empty.mp4", told=["empty.mp4: is empty (0 bytes), wanted a video file"])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".wav"])
def test_a_file_without_a_video_stream(suffix, refused, tmp_path):
    with av.open(str(tmp_path / f"song{suffix}"), "w") as container:
        stream = container.add_stream("pcm_s16le" if suffix == ".wav" else "aac", rate=44100)
        for index in range(5):
            frame = av.AudioFrame(format="s16" if suffix == ".wav" else "fltp", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = 44100, index * 1024
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused("upscale", f"song{suffix}", told=["has no video stream (streams: audio), wanted a video"])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_without_frames(suffix, refused, tmp_path):
    header_only(tmp_path / f"begun{suffix}")
    refused("upscale", f"begun{suffix}", told=[f"begun{suffix}: ", "wanted a"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile 'clip.mp4'\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("list.mkv", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_a_playlist_is_not_followed_whatever_its_name(name, text, clip, refused, tmp_path):
    (tmp_path / name).write_text(text)
    refused("upscale", name, told=[f"{name}: not a video that can be read"])


def test_a_name_that_looks_like_a_protocol_is_a_name(clip, vidperc, refused):
    refused("upscale", f"concat:{clip}|{clip}", told=["no such file"])


def test_a_folder_without_videos(refused, tmp_path):
    (tmp_path / "films").mkdir()
    refused("upscale", "films", told=["films: no video in this folder"])


# --- networks ---


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def unreadable_weights(path):
    from safetensors.torch import save
    from torch import zeros

    whole = save({"body.0.weight": zeros(8, 3, 3, 3)})
    path.write_bytes(
        {
            "truncated.safetensors": whole[:-20],
            "empty.safetensors": b"",
            "garbage.pth": b"\x93no weights\n" * 40,
            "malicious.pth": pickle.dumps(Trap(path.parent / "sprung"), protocol=2),
            "unknown.safetensors": save({"my.own.weight": zeros(4, 4), "my.own.bias": zeros(4)}),
        }[path.name]
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("truncated.safetensors", "download it again, or name another file"),
        ("empty.safetensors", "download it again, or name another file"),
        ("garbage.pth", "download it again, or name another file"),
        ("malicious.pth", "none was run"),
        ("unknown.safetensors", "no known architecture has these 2 weights"),
    ],
)
def test_weights_that_cannot_be_used(name, told, clip, refused, tmp_path):
    unreadable_weights(tmp_path / name)
    refused("upscale", "clip.mp4", "-m", tmp_path / name, told=[name, told])
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("model", ["bicubix", "nosuch.safetensors", "."])
def test_an_unknown_network(model, clip, refused):
    refused("upscale", "clip.mp4", "-m", model, told=[model, "wanted" if model == "." else "bicubic"])


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ("0", "got 0, wanted a whole number from 1 to 8"),
        ("-1", "got -1, wanted a whole number from 1 to 8"),
        ("9", "got 9, wanted a whole number from 1 to 8"),
        ("abc", "Invalid value for '-s' / '--scale'"),
        ("1.5", "Invalid value for '-s' / '--scale'"),
    ],
)
def test_a_scale_that_no_network_has(scale, told, clip, refused):
    refused("upscale", "clip.mp4", "-s", scale, told=[told, "a whole number" if "got" in told else "valid integer"])


def test_a_scale_that_is_not_the_networks_own(clip, refused, tmp_path):
    from safetensors.torch import save_file
    from spandrel.architectures.Compact import Compact

    save_file(
        Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2).state_dict(),
        tmp_path / "2x.safetensors",
    )
    refused(
        "upscale",
        "clip.mp4",
        "-m",
        tmp_path / "2x.safetensors",
        "-s",
        "4",
        told=["upscales by 2, got scale 4", "leave"],
    )


def test_a_size_that_no_file_could_hold(refused, tmp_path):
    make_clip(tmp_path / "wide.mkv", frames=2, size=(4100, 16), codec="ffv1")
    refused("upscale", "wide.mkv", "-s", "8", told=["32800x128", "wanted at most 16384 a side", "smaller scale"])


# --- what is written ---


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("missing/out.mp4", "missing: no such folder; make it first"),
        ("clip.mp4/out.mp4", "clip.mp4: "),
        ("clip.mp4/deeper/out.mp4", "no such folder"),
    ],
)
def test_a_place_that_cannot_be_written(output, told, clip, refused):
    refused("upscale", "clip.mp4", "-o", output, told=[told, "choose another -o"])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_file_system_that_takes_no_files(clip, refused):
    refused("upscale", "clip.mp4", "-o", "/proc/out.mp4", told=["/proc", "choose another -o"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_read_only_folder(clip, refused, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o555)
    refused("upscale", "clip.mp4", "-o", "shut/out.mp4", told=["shut: may not be written", "choose another -o"])


@pytest.mark.parametrize("how", ["same path", "another spelling", "symbolic link", "hard link"])
@pytest.mark.parametrize("overwrite", [(), ("-y",)])
def test_the_input_as_output(how, overwrite, clip, refused, tmp_path):
    output = tmp_path / "other.mp4"
    if how == "same path":
        output = "clip.mp4"
    elif how == "another spelling":
        (tmp_path / "sub").mkdir()
        output = "sub/../clip.mp4"
    elif how == "symbolic link":
        output.symlink_to(clip)
    else:
        output.hardlink_to(clip)
    refused("upscale", "clip.mp4", "-o", output, *overwrite, told=["is the input itself", "choose another -o"])


@pytest.mark.parametrize("name", ["out.avi", "out", "out.jpg", "out.mp4.part"])
def test_an_ending_that_no_container_has(name, clip, refused):
    refused("upscale", "clip.mp4", "-o", name, told=[name, "wanted one of .m4v, .mkv, .mov, .mp4, .png, .webm, .y4m"])


def test_a_file_as_the_folder_of_several_outputs(clip, refused, tmp_path):
    (tmp_path / "second.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "out.mp4").write_bytes(b"mine")
    refused("upscale", "clip.mp4", "second.mp4", "-o", "out.mp4", told=["-o out.mp4: is a file, wanted a folder"])


def test_a_folder_that_cannot_be_made(clip, refused, tmp_path):
    (tmp_path / "second.mp4").write_bytes(clip.read_bytes())
    for inputs, output in ((["clip.mp4"], "clip.mp4/out/"), (["clip.mp4", "second.mp4"], "clip.mp4/out")):
        refused("upscale", *inputs, "-o", output, told=["clip.mp4/out: cannot be made a folder", "choose another -o"])


def test_two_inputs_of_one_name_for_one_folder(clip, refused, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "clip.mp4").write_bytes(clip.read_bytes())
    inputs = ["clip.mp4", "more/clip.mp4"]
    refused("upscale", *inputs, "-o", "out/", told=["clip.mp4 and more/clip.mp4: would both write to one file in out"])
    make_clip(tmp_path / "film.ts", frames=3)
    make_clip(tmp_path / "film.avi", frames=3)
    refused("upscale", "film.ts", "film.avi", told=["film.ts and film.avi: would both write", "run them apart"])


def test_a_folder_for_outputs_that_were_not_made_is_not_left(clip, refused, vidperc, tmp_path):
    refused("upscale", "clip.mp4", "-o", "out/", "--preset", "quick", told=["--preset quick"])
    refused("upscale", "clip.mp4", "-o", "out/", "--tile", "5", told=["--tile 5"])
    code, _, _ = vidperc("upscale", "clip.mp4", "-o", "out/", "--dry-run")
    assert (code, sorted(contents(tmp_path))) == (0, ["clip.mp4"])
    code, _, _ = vidperc("upscale", "clip.mp4", "-o", "out/", "--preset", "ultrafast")
    assert (code, sorted(contents(tmp_path))) == (0, ["clip.mp4", "out", "out/clip_x2.mp4"])


@pytest.mark.parametrize("content", [b"a film of mine", "video"])
def test_an_existing_file_stays_as_it_is(content, clip, refused, tmp_path):
    (tmp_path / "clip_x2.mp4").write_bytes(clip.read_bytes() if content == "video" else content)
    refused("upscale", "clip.mp4", told=["clip_x2.mp4: exists and was not made by this job; -y overwrites it"])


def test_a_report_in_a_missing_folder(clip, refused):
    refused("upscale", "clip.mp4", "--report", "missing/r.json", told=["missing: no such folder, the report"])
    refused("upscale", "clip.mp4", "--report", ".", told=["--report .: is a folder, wanted the name of a file"])


def test_a_container_that_does_not_hold_the_codec(clip, refused):
    told = ["out.webm: webm cannot hold video from libx264", "ending in"]
    refused("upscale", "clip.mp4", "-c", "libx264", "-o", "out.webm", told=told)


# --- a full disk ---


@pytest.mark.parametrize("truncated", [False, True])
def test_a_full_disk_at_the_end_keeps_what_is_finished(truncated, clip, vidperc, tmp_path, monkeypatch):
    """And a plan that the full disk truncated breaks nothing."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deliver", full)
        code, out, err = vidperc("upscale", "clip.mp4", "-m", "bicubic", "--no-progress")
    (folder,) = tmp_path.glob("*.vidperc-*")
    assert (code, out) == (1, [])
    assert err == [
        f"vidperc: the disk is full; 12 of 12 frames are finished and kept in {folder.name}; "
        "the same command goes on from there"
    ]
    assert not list(tmp_path.rglob("*.partial*"))
    assert not (tmp_path / "clip_x2.mp4").exists()
    if truncated:
        plan = (folder / "plan.json").read_bytes()
        (folder / "plan.json").write_bytes(plan[: len(plan) // 2])
    code, _, _ = vidperc("upscale", "clip.mp4", "-m", "bicubic", "--no-progress", "--report", "report.json")
    assert code == 0
    (report,) = json.loads((tmp_path / "report.json").read_text())["jobs"]
    assert (report["resumed_segments"], report["frames_out"]) == (not truncated, 12)
    assert sorted(contents(tmp_path)) == ["clip.mp4", "clip_x2.mp4", "report.json"]


@pytest.fixture(params=["150k", "300k", "400k"])
def small_disk(request, tmp_path):
    """A small file system, and a function that makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        mounted = mount(f"size={request.param}")
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder, lambda: mount("remount", "size=8m")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_any_room(small_disk, clip, refused):
    disk, _ = small_disk
    with (disk / "full").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    refused(
        "upscale",
        "clip.mp4",
        "-m",
        "bicubic",
        "-o",
        "disk/out.mp4",
        "--no-progress",
        told=["the disk is full", "nothing is left behind"],
    )


def test_a_disk_that_is_really_full(small_disk, vidperc, tmp_path, monkeypatch):
    """Full in the middle of a segment, about at the last one, and when the segments are joined."""
    disk, enlarge = small_disk
    source = make_clip(tmp_path / "clip.mp4", frames=40)
    command = [
        "upscale",
        "clip.mp4",
        "-m",
        "bicubic",
        "-o",
        "disk/out.mkv",
        "-c",
        "ffv1",
        "--workers",
        "1",
        "--no-progress",
    ]
    with monkeypatch.context() as patch:
        patch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 8)
        code, out, err = vidperc(*command)
    (folder,) = disk.iterdir()  # and no output, half-written or other
    assert not list(folder.glob("*.partial*"))
    kept = [json.loads(path.read_text()) for path in folder.glob("segment-*.json")]
    assert (code, out, len(err)) == (1, [], 1), err
    assert err[0].startswith("vidperc: the disk is full")
    frames = sum(len(sidecar["packet_pts"]) for sidecar in kept)
    assert 0 < frames <= 40
    assert f"{frames} of 40 frames are finished and kept in {folder.name}; the same command goes on" in err[0]
    assert enlarge()
    code, _, err = vidperc(*command, "--report", "report.json")
    assert (code, err) == (0, [])
    (report,) = json.loads((tmp_path / "report.json").read_text())["jobs"]
    assert (report["resumed_segments"], report["frames_out"]) == (len(kept), 40)
    assert len(ffprobe_times(disk / "out.mkv")) == len(ffprobe_times(source)) == 40
    assert [path.name for path in disk.iterdir()] == ["out.mkv"]


# --- pipelines ---

GOOD = "name: mine\nstages:\n  - kind: upscale\n    model: bicubic\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "    modle: lanczos\n", "bad.yaml:5: unknown key 'modle', wanted one of"),
        (GOOD + "    model: lanczos\n", "bad.yaml:5: key 'model' twice, first on line 4"),
        (GOOD + "    scale: two\n", 'bad.yaml:5: scale: got "two", wanted an integer'),
        (GOOD + "  - kind: sharpen\n", "bad.yaml:5: unknown kind 'sharpen', wanted one of upscale, resize"),
        (GOOD + "  - resolution: 32\n", "bad.yaml:5: missing key 'kind'"),
        ("name: mine\n", "missing key 'stages'"),
        ("name: mine\nstages: []\n", "bad.yaml:2: stages: got an empty list"),
        ("name: [mine\n", "bad.yaml:2: not YAML"),
        ("", "bad.yaml:1: the file is empty"),
    ],
)
def test_a_pipeline_that_cannot_be_read(text, told, clip, refused, tmp_path):
    (tmp_path / "bad.yaml").write_text(text)
    refused("run", "bad.yaml", "clip.mp4", told=[told])


def test_an_unknown_pipeline(clip, refused):
    refused("run", "upscael", "clip.mp4", told=["unknown pipeline 'upscael'", "did you mean 'upscale'?"])
    refused("run", "missing.yaml", "clip.mp4", told=["missing.yaml: cannot be read"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("upscale.modle=x", "--set upscale.modle=x: unknown key 'modle'"),
        ("resize.resolution=90", "--set resize.resolution=90: pipeline upscale has no stage 'resize'"),
        ("scale=2", "--set scale=2: not a setting, wanted STAGE.key=value"),
    ],
)
def test_a_setting_of_nothing(setting, told, clip, refused):
    refused("upscale", "clip.mp4", "--set", setting, told=[told])


@dataclass(frozen=True, kw_only=True)
class FollowsMotion(PerFrame):
    """A stage that needs what no built-in stage provides."""

    kind: str = "follows_motion"
    needs: frozenset[str] = frozenset({"motion"})

    def output_size(self, width, height):
        return width, height

    def open(self, placement) -> Stream:
        return lambda clips: clips


@dataclass(frozen=True, kw_only=True)
class FindsMotion(FollowsMotion):
    kind: str = "finds_motion"
    needs: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset({"motion"})


def test_stages_in_an_order_that_cannot_work(clip, tmp_path):
    from vidperc.commands.options import VideoOptions
    from vidperc.commands.videos import process_videos

    wrong = PipelineSpec("mine", "", (Upscale(), FollowsMotion(), FindsMotion()))
    before = contents(tmp_path)
    with pytest.raises(VidpercError) as caught:
        process_videos(wrong, [clip], VideoOptions(), label="mine")
    assert str(caught.value) == (
        "pipeline mine: stage 2 (follows_motion) needs motion, which no stage before it provides; "
        "put a stage that does in front of it"
    )
    assert contents(tmp_path) == before
    PipelineSpec("mine", "", (FindsMotion(), Upscale(), FollowsMotion())).check()


# --- encoders ---


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-c", "h265"], ["--codec h265: no such encoder here", "`vidperc doctor` lists them"]),
        (["-c", "aac"], ["--codec aac: is an encoder for audio, wanted one for video"]),
        (["-c", "huffyuv"], ["--codec huffyuv", "choose another"]),
        (["-c", "rawvideo"], ["clip_x2.mkv: matroska cannot hold video from rawvideo; choose another --codec"]),
        (["-c", "rawvideo", "-o", "out.mov"], ["out.mov: mov cannot hold video from rawvideo", "ending in .mkv"]),
        (["-c", "libvpx-vp9", "-o", "out.mov"], ["mov cannot hold video from libvpx-vp9", "ending in .mkv"]),
        (["-c", "rv10"], ["rv10 cannot encode 192x128 yuv420p"]),
        (["--preset", "quick"], ["--preset quick: libx264 does not know it, wanted one of ultrafast"]),
        (["-e", "preset=quick"], ["--preset quick: libx264 does not know it"]),
        (["-c", "libsvtav1", "--preset", "slow"], ["libsvtav1", "preset"]),
        (["--pix-fmt", "yuv421p"], ["--pix-fmt yuv421p: libx264 does not take it, wanted one of yuv420p"]),
        (["--crf", "good"], ["libx264", "crf"]),
        (["--crf", "18", "-c", "ffv1"], ["--crf 18: ffv1 has no constant quality; leave it out"]),
        (["-e", "nosuch=1"], ["libx264: has no option nosuch"]),
        (["-e", "x264-params=nosuch=1"], ["libx264", "nosuch"]),
        (["-e", "novalue"], ["-e novalue: wanted KEY=VALUE"]),
    ],
)
def test_what_an_encoder_does_not_know(options, told, clip, refused):
    refused("upscale", "clip.mp4", *options, told=told)


def test_an_odd_size_for_an_encoder_of_even_ones(refused, tmp_path):
    make_clip(tmp_path / "odd.mkv", frames=3, size=(33, 25), codec="ffv1")
    refused("upscale", "odd.mkv", "-s", "3", told=["libx264 cannot encode 99x75 yuv420p"])


# --- times, tiles, workers ---


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--start", "10"], ["--start 10 is not within it", "it lasts 0.480 s"]),
        (["--start", "soon"], ["--start soon: not a time, wanted seconds"]),
        (["--start", "-5"], ["--start -5: not a time"]),
        (["--end", "0"], ["--end 0: not after --start 0"]),
        (["--start", "0.3", "--end", "0.2"], ["--end 0.2: not after --start 0.3"]),
        (["--sample", "a bit"], ["--sample a bit: not a time"]),
        (["--sample", "0"], ["--sample", "wanted a time above 0"]),
        (["--sample", "1s", "--end", "2"], ["--sample", "not with --end"]),
        (["--tile", "5"], ["--tile 5: wanted 0 for whole frames, or at least 16"]),
        (["--tile", "-1"], ["--tile -1: wanted 0 for whole frames, or at least 16"]),
        (["--tile", "big"], ["Invalid value for '--tile'", "valid integer"]),
        (["--workers", "0"], ["--workers 0: wanted at least 1"]),
        (["--chunk", "0"], ["--chunk 0: wanted at least 1"]),
        (["--device", "tpu"], ["--device tpu: not a device, wanted auto, cpu, cuda"]),
        (["--device", "cuda:99"], ["--device cuda:99: torch sees", "use --device cpu"]),
        (["--precision", "float8"], ["--precision float8: unknown, wanted one of auto"]),
        (["--resolution", "7"], ["resolution", "wanted 16 to 16384"]),
        (["--log-level", "loud"], ["--log-level loud: wanted one of debug, info, warning, error"]),
        (["--nosuch"], ["No such option", "--nosuch", "--help`"]),
    ],
)
def test_options_that_make_no_sense(options, told, clip, refused):
    refused("upscale", "clip.mp4", *options, told=told)


@pytest.mark.parametrize("command", [["upscale"], ["run", "upscale"], ["probe"]])
def test_an_empty_name_is_not_the_current_folder(command, clip, refused):
    refused(*command, "", told=["an input is empty, wanted a video or a folder"])
    refused(*command, "clip.mp4", "", told=["an input is empty, wanted a video or a folder"])


def test_an_empty_output_is_not_the_current_folder(clip, refused):
    refused("upscale", "clip.mp4", "-o", "", told=["-o: is empty, wanted a file or folder"])


def test_no_input_at_all(refused):
    refused("upscale", told=["Missing argument", "vidperc upscale --help`"])
    refused("nosuch", told=["No such command 'nosuch'", "--help`"])


# --- other commands ---


def test_probe_and_models_say_it_in_one_line_too(refused, tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    refused("probe", "notes.mp4", told=["notes.mp4: not a video that can be read"])
    refused("models", "show", "bicubix", told=["did you mean bicubic?"])
    refused("pipelines", "show", "nosuch", told=["unknown pipeline 'nosuch'"])


def test_nothing_of_all_this_needs_more_than_one_line_in_a_process_of_its_own(tmp_path):
    """What native libraries print does not pass through Python."""
    (tmp_path / "notes.mp4").write_text("no video at all")
    done = subprocess.run(
        [sys.executable, "-m", "vidperc", "upscale", "notes.mp4"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("vidperc: notes.mp4: not a video that can be read")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mp4"]
