"""VMAF, by the libvmaf of an FFmpeg that is installed."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import IO, Any

import numpy as np
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.metrics.metric import picture
from vidperc.metrics.step import Step
from vidperc.ops.color import rgb_to_planes
from vidperc.ops.layout import LAYOUTS

# Sides, in pixels; libvmaf halves pictures four times and has no window left below.
SMALLEST = 32
_BT709 = 1


def find_vmaf() -> str:
    """The ffmpeg on the PATH. Raises VidpercError where there is none, or it has no libvmaf."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise VidpercError("vmaf: no ffmpeg on the PATH, wanted one with libvmaf; install it, or leave vmaf out")
    asked = subprocess.run(
        [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if " libvmaf " not in asked.stdout:
        raise VidpercError(f"vmaf: {program} has no libvmaf, wanted an ffmpeg that has; install one, or leave vmaf out")
    return program


class VmafTally:
    """Sends every frame's luma to one ffmpeg and reads its figures in the end; holds no frames.

    Luma is of BT.709, limited range, 8 bits, which is what the model learnt from. A frame's figure depends on the one
    before it by its measure of motion, across cuts too.
    Source: Z. Li et al., "Toward A Practical Perceptual Video Quality Metric", 2016, model vmaf_v0.6.1.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="vidperc-vmaf-")
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._grey = b""
        self._values: list[float | None] = []

    def add(self, step: Step) -> None:
        out, true = (picture(step.now, of)[0] for of in ("out", "true"))
        if self._pipe is None:
            self._begin(true.shape[-2], true.shape[-1])
        assert self._pipe is not None
        try:
            # One picture above the other, the planes of both after those of luma; their colour is not looked at.
            for frame in (out, true):
                self._pipe.write(_luma(frame))
            self._pipe.write(self._grey)
        except BrokenPipeError as error:
            raise self._failed() from error

    def figure(self) -> float | None:
        """The mean over frames, as libvmaf has it. Raises VidpercError where ffmpeg failed."""
        if self._process is None or self._pipe is None:
            return None
        try:
            self._pipe.close()
        except BrokenPipeError as error:
            raise self._failed() from error
        if self._process.wait():
            raise self._failed()
        log: dict[str, Any] = json.loads(Path(self._folder.name, "vmaf.json").read_text())
        self._values = [float(frame["metrics"]["vmaf"]) for frame in log["frames"]]
        return fmean(value for value in self._values if value is not None)

    def of_frames(self) -> Sequence[float | None]:
        return self._values

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for file in (self._pipe, self._said):
            if file is not None and not file.closed:
                with contextlib.suppress(BrokenPipeError):
                    file.close()
        self._folder.cleanup()

    def _begin(self, height: int, width: int) -> None:
        self._grey = bytes(np.full(4 * height * width, 128, np.uint8))
        graph = (
            f"split[a][b];[a]crop={width}:{height}:0:0[out];[b]crop={width}:{height}:0:{height}[true];"
            "[out][true]libvmaf=model=version=vmaf_v0.6.1:log_fmt=json:log_path=vmaf.json"
        )
        command = [self._program, "-hide_banner", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "yuv444p"]
        command += ["-s", f"{width}x{2 * height}", "-i", "pipe:0", "-lavfi", graph, "-f", "null", "-"]
        self._said = Path(self._folder.name, "said").open("w+b")  # noqa: SIM115, open as long as the process runs
        self._process = subprocess.Popen(
            command, cwd=self._folder.name, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said
        )
        self._pipe = self._process.stdin

    def _failed(self) -> VidpercError:
        told = ""
        if self._said is not None:
            self._said.seek(0)
            told = " ".join(self._said.read().decode(errors="replace").split())[:200]
        return VidpercError(f"vmaf: {self._program} failed ({told or 'it did not say why'}); leave vmaf out")


def _luma(frame: Tensor) -> bytes:
    (luma,) = rgb_to_planes(frame.cpu(), LAYOUTS["gray"], matrix=_BT709, full_range=False)
    return luma.contiguous().numpy().tobytes()
