"""Small videos that tests make, and readers of what came out that share no code with vidperc's own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

TEST_DATA = Path(os.environ["VIDPERC_TEST_DATA"]) if os.environ.get("VIDPERC_TEST_DATA") else None
NO_TEST_DATA = "VIDPERC_TEST_DATA is not set; it names the folder of real videos"


def real_videos(*folders: str, max_bytes: int) -> list[Any]:
    """Parameters for a test: the real videos up to this size in folders of the test data, or one that skips."""
    if TEST_DATA is None:
        return [pytest.param(Path(), marks=pytest.mark.skip(reason=NO_TEST_DATA), id="no-data")]
    found = sorted(path for folder in folders for path in (TEST_DATA / "videos" / folder).iterdir())
    return [pytest.param(path, id=path.name) for path in found if path.stat().st_size <= max_bytes]


def picture(index: int, width: int, height: int, shot: int = 0) -> np.ndarray:
    """(height,width,3) uint8: texture that moves two pixels a frame, other colours in every shot."""
    y, x = np.mgrid[0:height, 0:width]
    wave = np.sin((x + 2 * index) / 5) + np.sin((y + index) / 7) + np.sin((x + y + 3 * index) / 11)
    tint = np.array([(1, 0.8, 0.6), (0.5, 0.9, 1.0), (0.9, 0.5, 0.9)][shot % 3])
    return ((128 + 40 * wave)[..., None] * tint).clip(0, 255).astype(np.uint8)


def make_clip(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (96, 64),
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 12800),
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    cuts: Sequence[int] = (),
    sound: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a video of moving texture; pts in ticks of time_base, else a constant rate. Returns the path."""
    width, height = size
    step = int(1 / (rate * time_base))
    times = list(pts) if pts is not None else [i * step for i in range(frames)]
    container_options = {}
    if path.suffix in (".mp4", ".mov"):
        ticks = str(time_base.denominator)
        container_options = {"video_track_timescale": ticks, "movie_timescale": ticks}
    with av.open(str(path), "w", container_options=container_options) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=rate, options={"g": "12", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = time_base
        voice = container.add_stream("aac", rate=44100) if sound else None
        for index, time in enumerate(times):
            shot = sum(index >= cut for cut in cuts)
            frame = av.VideoFrame.from_ndarray(picture(index, width, height, shot), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            seconds = float((times[-1] - times[0]) * time_base)
            samples = np.sin(np.arange(int(44100 * seconds) + 1024) * 0.05).astype(np.float32)
            for start in range(0, len(samples) - 1023, 1024):
                sound_frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
                sound_frame.sample_rate, sound_frame.pts = 44100, start
                container.mux(voice.encode(sound_frame))
            container.mux(voice.encode(None))
    return path


def changed_clip(clip: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """Copy a video whose stream is changed by `change(stream)` before it is written. Returns the path."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        places = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        change(output.streams.video[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = places[packet.stream.index]
                output.mux(packet)
    return path


def turned_clip(clip: Path, path: Path, *, degrees: int) -> Path:
    """Copy a video with a mark that its picture is to be turned. Returns the path."""
    return changed_clip(clip, path, lambda stream: stream.set_display_rotation(degrees))


def header_only(path: Path) -> Path:
    """Write a video that was begun and holds no frame. Returns the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 96, 64
        container.start_encoding()
    return path


def ffprobe_times(path: Path) -> list[Fraction]:
    """The times of all frames of the video stream in seconds, exactly, as ffprobe prints them."""
    answer = _ffprobe(path, "-select_streams", "v:0", "-show_entries", "packet=pts,flags:stream=time_base")
    time_base = Fraction(answer["streams"][0]["time_base"])
    shown = [packet for packet in answer["packets"] if "D" not in packet["flags"]]  # an edit list hides the others
    return sorted(packet["pts"] * time_base for packet in shown)


def ffprobe_packets(path: Path, kind: str = "a") -> list[str]:
    """The hashes of all packets of the streams of a kind ("a", "s"), stream by stream, as ffprobe prints them."""
    answer = _ffprobe(
        path, "-select_streams", kind, "-show_data_hash", "md5", "-show_entries", "packet=stream_index,data_hash"
    )
    return [p["data_hash"] for p in sorted(answer["packets"], key=lambda p: p["stream_index"])]


def ffprobe_video(path: Path) -> dict[str, Any]:
    """Everything that ffprobe prints of the video stream."""
    return _ffprobe(path, "-select_streams", "v:0", "-show_streams")["streams"][0]


def ffprobe_streams(path: Path) -> list[dict[str, Any]]:
    """Everything that ffprobe prints of all streams."""
    return _ffprobe(path, "-show_streams")["streams"]


def _ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def plane_hash(frame: av.VideoFrame) -> str:
    """The hash of what a frame shows, without the padding of its rows."""
    digest = hashlib.sha256()
    bytes_per_pixel = 2 if frame.format.components[0].bits > 8 else 1
    if not frame.format.is_planar:
        bytes_per_pixel = frame.format.padded_bits_per_pixel // 8
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        digest.update(np.ascontiguousarray(rows[: plane.height, : plane.width * bytes_per_pixel]))
    return digest.hexdigest()


def decoded_frames(path: Path) -> list[tuple[int, str]]:
    """(pts, hash of the decoded planes) of every frame."""
    with av.open(str(path)) as container:
        return [(frame.pts, plane_hash(frame)) for frame in container.decode(video=0)]
