"""`vidperc doctor`: what this machine offers, and what to beware of."""

from __future__ import annotations

import platform
from fractions import Fraction

import av
import psutil
import typer

from vidperc.clip import Color
from vidperc.engine.plan import usable_cores
from vidperc.errors import VidpercError
from vidperc.version import __version__
from vidperc.video.encoder import check_encoder
from vidperc.video.encoder_settings import choose_encoder

# Tried in this order; what opens is usable with --codec.
# fmt: off
ENCODERS = (
    "libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks",
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_videotoolbox", "hevc_videotoolbox", "prores_videotoolbox",
    "h264_qsv", "hevc_qsv", "av1_qsv", "h264_amf", "hevc_amf", "h264_vaapi", "hevc_vaapi",
)
# fmt: on

# The first FFmpeg release without the holes in its HLS reader that were public when this was written.
FFMPEG_MENDED = (8, 1, 3)


def show_machine() -> int:
    """Devices, instruction set, encoders and versions, a line each."""
    import torch

    from vidperc.models.precision import fast_precision, instruction_set

    memory = psutil.virtual_memory()
    rows = [
        ("vidperc", __version__),
        ("system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"),
        ("torch", torch.__version__),
        ("cpu", f"{usable_cores()} cores, {instruction_set()}"),
        ("memory", f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB free"),
    ]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(gpus):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        rows.append((f"cuda:{index}", f"{name}, {total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB free"))
    device = "cuda:0" if gpus else "cpu"
    rows.append(("default device", device))
    rows.append(("precision", f"{fast_precision(device)}, the quickest here"))
    rows.append(("av", av.__version__))
    rows.append(("ffmpeg", _ffmpeg()))
    rows.append(("encoders", ", ".join(name for name in ENCODERS if _opens(name)) or "none"))
    for name, value in rows:
        typer.echo(f"{name:15} {value}")
    return 0


def _ffmpeg() -> str:
    version = av.ffmpeg_version_info
    try:
        numbers = tuple(int(part) for part in version.split("-")[0].lstrip("n").split("."))
    except ValueError:
        return f"{version} (a build without a release number)"
    if numbers < FFMPEG_MENDED:
        return f"{version}; has open holes in its HLS reader, mended in 8.1.3; vidperc opens no playlists"
    return version


def _opens(name: str) -> bool:
    """Whether an encoder can be opened here, not only whether FFmpeg knows it."""
    try:
        settings = choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=name)
        check_encoder(settings, width=640, height=360, time_base=Fraction(1, 25), rate=Fraction(25), color=Color())
    except VidpercError:
        return False
    return True
