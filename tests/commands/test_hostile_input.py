"""Files from strangers: refused in one line, quickly, and nothing is opened but the file itself."""

import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import pytest

from tests.clips import make_clip
from vidperc.errors import VidpercError
from vidperc.video.opening import Limits, check_header

SIDE = 60_000


def gif(path, width, height):
    """A GIF that states this size and holds next to nothing."""
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + bytes([2, 2, 0x4C, 1, 0])
    header = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    path.write_bytes(header + 3 * picture + b"\x3b")
    return path


def element(name, content):
    """An element of EBML, its size in eight bytes."""
    return bytes.fromhex(name) + b"\x01" + len(content).to_bytes(7, "big") + content


def number(name, value):
    return element(name, value.to_bytes(4, "big"))


def matroska(path, *tracks):
    """A Matroska file with these tracks' entries, and no frame."""
    header = element(
        "1a45dfa3", number("4286", 1) + number("42f7", 1) + element("4282", b"matroska") + number("4287", 4)
    )
    info = element("1549a966", number("2ad7b1", 1_000_000))
    entries = b"".join(
        element("ae", number("d7", place) + number("73c5", place) + entry)
        for place, entry in enumerate(tracks, start=1)
    )
    cluster = element("1f43b675", number("e7", 0) + element("a3", b"\x81\0\0\x80" + bytes(64)))
    path.write_bytes(header + element("18538067", info + element("1654ae6b", entries) + cluster))
    return path


def picture_track(width, height):
    return number("83", 1) + element("86", b"V_VP9") + element("e0", number("b0", width) + number("ba", height))


TEXT_TRACK = number("83", 17) + element("86", b"S_TEXT/UTF8")


def vidperc(folder, *arguments, seconds=60):
    """Run the command line in a folder: exit code, lines of stderr. It must end, and soon."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "vidperc", *map(str, arguments)]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    return run.returncode, run.stderr.splitlines()


def refused(folder, *arguments, told):
    before = sorted(folder.iterdir())
    code, lines = vidperc(folder, *arguments)
    assert (code, len(lines)) == (1, 1), lines
    assert lines[0].startswith("vidperc: ")
    assert told in lines[0]
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name", ["fifo", "fifo.mp4", "fifo.png", "folder/1.png", "/dev/zero"])
def test_a_pipe_or_device_is_refused_at_once(name, tmp_path):
    path = tmp_path / name
    if name != "/dev/zero":
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    source = "folder" if name.startswith("folder") else name
    told = f"{name}: is no regular file, wanted one; `vidperc upscale - -o FILE` reads from a pipe"
    refused(tmp_path, "probe", source, told=told)
    refused(tmp_path, "upscale", source, "-m", "bicubic", told=told)


def y4m(path, width, height):
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F25:1 Ip C420\nFRAME\n".encode() + bytes(1000))
    return path


def png(path, width, height):
    """A PNG that states this size and holds a few lines of it."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )
    return path


SHAPES = {"huge.gif": gif, "huge.y4m": y4m, "huge.png": png}


@pytest.mark.parametrize("flags", [(), ("--max-input-pixels", "9999999999")])
@pytest.mark.parametrize("name", SHAPES)
def test_a_header_of_60000_by_60000(name, flags, tmp_path):
    SHAPES[name](tmp_path / name, SIDE, SIDE)
    most = 268 if flags else 67
    told = (
        f"vidperc: {name}: states frames of 60000x60000 pixels, wanted at most {most} million pixels; FFmpeg takes "
        "none so large, make them smaller first"
    )
    refused(tmp_path, "upscale", name, *flags, told=told)


def test_a_header_of_60000_by_60000_that_only_ffmpeg_reads(tmp_path):
    matroska(tmp_path / "huge.mkv", picture_track(SIDE, SIDE))
    told = (
        "vidperc: huge.mkv: its video stream has no frame that can be decoded, wanted at least one; it states no size "
        "of its frames, or one that FFmpeg does not take"
    )
    refused(tmp_path, "upscale", "huge.mkv", told=told)


def test_a_folder_that_begins_with_such_an_image(tmp_path):
    png(tmp_path / "frames" / "1.png", SIDE, SIDE)
    told = f"vidperc: {Path('frames', '1.png')}: states frames of 60000x60000 pixels"
    refused(tmp_path, "upscale", "frames", "-o", "out.mp4", told=told)


@pytest.mark.parametrize("make", [y4m, png])
def test_what_a_header_may_state_is_what_ffmpeg_takes(make, tmp_path):
    widest = ((1 << 31) // (1000 + 128) - 1024) // 8
    path, taken = tmp_path / f"wide.{make.__name__}", []
    for width in range(widest - 2, widest + 3):
        make(path, width, 1000)
        try:
            check_header(path, Limits(pixels=1 << 40))
        except VidpercError:
            taken.append(False)
        else:
            taken.append(True)
        assert taken[-1] == (opened_width(path) == width)
    assert taken == sorted(taken, reverse=True) and len(set(taken)) == 2


def opened_width(path):
    """What FFmpeg makes of the width that a header states; None where it refuses the file."""
    try:
        with av.open(str(path)) as container:
            return container.streams.video[0].codec_context.width
    except OSError:
        return None


def test_a_header_that_decoders_would_take_and_memory_would_not(tmp_path):
    gif(tmp_path / "large.gif", 12_000, 12_000)
    told = "states frames of 12000x12000 pixels, wanted at most 67 million pixels; --max-input-pixels allows more"
    refused(tmp_path, "upscale", "large.gif", told=told)


def test_the_limit_of_pixels_is_a_flag(tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=3)
    refused(tmp_path, "upscale", "clip.mp4", "--max-input-pixels", "6000", told="states frames of 96x64 pixels")
    command = ["upscale", "clip.mp4", "-m", "bicubic", "--no-progress", "--max-input-pixels", "6144"]
    assert vidperc(tmp_path, *command, seconds=120) == (0, [])


@pytest.mark.parametrize(("count", "told"), [(5000, "many.mkv"), (100, "has 101 streams, wanted at most 64; --max-s")])
def test_many_streams(count, told, tmp_path):
    matroska(tmp_path / "many.mkv", picture_track(64, 48), *[TEXT_TRACK] * count)
    refused(tmp_path, "upscale", "many.mkv", told=told)


def test_a_large_attachment(tmp_path):
    with av.open(str(tmp_path / "fat.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.add_attachment("fat.ttf", "application/x-truetype-font", bytes(65 << 20))
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    refused(tmp_path, "upscale", "fat.mkv", told="attachment 1 has 65 MiB, wanted at most 64")


def test_a_yaml_of_aliases_of_aliases(tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=3)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "name: bomb", "stages: *a9"]) + "\n")
    refused(tmp_path, "run", "bomb.yaml", "clip.mp4", told="bomb.yaml")


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


# --- what is opened ---

PLAYLISTS = {
    "list.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
    "list.mkv": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>secret.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "list.mov": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="secret.mp4"\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n',
}


@pytest.fixture(scope="module")
def strace():
    """Runs a command line in a folder under strace; returns the exit code, stderr, and every path that was opened."""
    probe = subprocess.run(["strace", "-V"], capture_output=True, check=False) if _there("strace") else None
    if probe is None:
        pytest.skip("strace, which sees what every process opens, is not here")

    def run(folder, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        log = folder.parent / f"{folder.name}.strace"
        command = ["strace", "-f", "-qq", "-e", "trace=open,openat,connect", "-s", "300", "-o", str(log)]
        command += [sys.executable, "-m", "vidperc", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return done.returncode, done.stderr.splitlines(), log.read_text()

    return run


def _there(program):
    return any((Path(folder) / program).exists() for folder in os.environ["PATH"].split(os.pathsep))


@pytest.mark.parametrize("name", [*PLAYLISTS, "concat:secret.mp4|secret.mp4", "subfile,,start,0,end,0,,:secret.mp4"])
def test_nothing_is_opened_that_an_input_names(name, strace, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "secret.mp4", frames=3)
    if name in PLAYLISTS:
        (folder / name).write_text(PLAYLISTS[name])
    code, lines, opened = strace(folder, "probe", name)
    assert (code, len(lines)) == (1, 1), lines
    assert "secret.mp4" not in opened.replace(f'"{name}"', "") or "secret.mp4" in name
    assert not [line for line in opened.splitlines() if line.endswith('secret.mp4"') and name not in line]
    assert "AF_INET" not in opened


def test_strace_would_have_seen_it(strace, tmp_path):
    """The test above proves nothing if it could not see an opened file."""
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "secret.mp4", frames=3)
    code, _, opened = strace(folder, "probe", "secret.mp4")
    assert code == 0
    assert f'{folder}/secret.mp4"' in opened


def test_a_pickle_in_weights_runs_nothing(tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path, "upscale", "clip.mp4", "-m", "bad.pth", told="bad.pth: damaged or no plain weights")
    assert not (tmp_path / "sprung").exists()
