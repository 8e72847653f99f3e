"""Options that several commands share, as the command line spells them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import typer

from vidperc.errors import VidpercError

IO, WHAT, MACHINE, ENCODING, RUN = "Input and output", "What to make", "Machine", "Encoding", "Run"


def _input(text: str) -> Path | str:
    if not text:  # a Path of nothing is the current folder
        raise VidpercError("an input is empty, wanted a video or a folder; is a variable of the command line not set?")
    # As text: a path would lose one slash of "https://". A single letter before the colon is a drive.
    return text if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) else Path(text)


Inputs = Annotated[
    list[Any],  # of Path, and of text for addresses
    typer.Argument(
        help="Videos, images, or folders of either; frames/%05d.png for numbered images.",
        show_default=False,
        parser=_input,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        help="File, or folder for several inputs; else beside the input.",
        metavar="PATH",
        rich_help_panel=IO,
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="From here on: 90, 1:30, 2m.", rich_help_panel=IO)]
End = Annotated[str | None, typer.Option("--end", help="Up to here.", rich_help_panel=IO)]
Sample = Annotated[
    str | None, typer.Option("--sample", help="Only so much, from --start or the middle: 10s.", rich_help_panel=IO)
]
Cuts = Annotated[
    str,
    typer.Option(
        "--cuts",
        help="auto, none, or a file with the time of a cut in every line.",
        metavar="FILE",
        rich_help_panel=WHAT,
    ),
]
CutThreshold = Annotated[
    float | None,
    typer.Option("--cut-threshold", help="What share of a picture a cut must change, else 0.4.", rich_help_panel=WHAT),
]
FadeThreshold = Annotated[
    float | None,
    typer.Option(
        "--fade-threshold", help="Contrast in 8-bit codes of a faded picture, else 1.5.", rich_help_panel=WHAT
    ),
]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel=IO)]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Of the CPU; else all of them.")]
Overwrite = Annotated[bool, typer.Option("-y", "--overwrite", help="Replace an existing output.", rich_help_panel=IO)]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse before any work if something of the input would be dropped.", rich_help_panel=IO
    ),
]
DeinterlaceMode = Annotated[
    str | None,
    typer.Option(
        "--deinterlace",
        help="Whole pictures of interlaced video: frame, one of each; field, two.",
        metavar="RATE",
        rich_help_panel=WHAT,
    ),
]
BakeRotation = Annotated[
    bool,
    typer.Option(
        "--bake-rotation", help="Turn the pictures; else the mark that turns them is kept.", rich_help_panel=WHAT
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        "--fps", help="Frames a second of images, as in 24 or 30000/1001; else 25.", metavar="RATE", rich_help_panel=IO
    ),
]
AllowUrl = Annotated[
    bool,
    typer.Option(
        "--allow-url", help="Inputs may be addresses (http, https); they are fetched whole first.", rich_help_panel=IO
    ),
]
MaxInputPixels = Annotated[
    int | None,
    typer.Option(
        "--max-input-pixels", min=1, help="Of a frame that an input may state; else 67108864.", rich_help_panel=IO
    ),
]
MaxStreams = Annotated[
    int | None,
    typer.Option("--max-streams", min=1, help="That an input may have; else 64.", rich_help_panel=IO),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda:N.", rich_help_panel=MACHINE)]
Precision = Annotated[
    str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.", rich_help_panel=MACHINE)
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes; else one per core.", rich_help_panel=MACHINE)
]
Chunk = Annotated[int | None, typer.Option("--chunk", help="Frames per step.", rich_help_panel=MACHINE)]
Tile = Annotated[
    int | None, typer.Option("--tile", help="Tile side in input pixels, 0 for whole frames.", rich_help_panel=MACHINE)
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", help="Stay below this, as in 2GiB; less memory is slower.", rich_help_panel=MACHINE),
]
Codec = Annotated[
    str | None,
    typer.Option("-c", "--codec", help="Encoder: libx264, libx265, libsvtav1, ...", rich_help_panel=ENCODING),
]
Crf = Annotated[str | None, typer.Option("--crf", help="Constant quality, lower is better.", rich_help_panel=ENCODING)]
Preset = Annotated[
    str | None, typer.Option("--preset", help="Speed against size: medium, slow, 7, ...", rich_help_panel=ENCODING)
]
PixFmt = Annotated[
    str | None, typer.Option("--pix-fmt", help="Pixel format: yuv420p10le, ...", rich_help_panel=ENCODING)
]
EncoderOptions = Annotated[
    list[str] | None,
    typer.Option("-e", "--encoder-option", help="KEY=VALUE for the encoder; repeatable.", rich_help_panel=ENCODING),
]
Detail = Annotated[
    float | None,
    typer.Option(
        "--detail",
        help="0 for what is nearest to the source, up to 1 for the finest detail; else 0.",
        rich_help_panel=WHAT,
    ),
]
Ensemble = Annotated[
    int | None,
    typer.Option(
        "--ensemble",
        help="The mean over 2, 4 or 8 orientations of each frame; as many times slower.",
        rich_help_panel=WHAT,
    ),
]
SteadyStrength = Annotated[
    float | None,
    typer.Option(
        "--steady",
        help="Hold what the network adds along the motion: 0 for off, up to 1; 0.9 is a good choice.",
        rich_help_panel=WHAT,
    ),
]
SteadyMethod = Annotated[
    str | None,
    typer.Option("--steady-method", help="How: blend, or learned, by a network; else blend.", rich_help_panel=WHAT),
]
Adapt = Annotated[
    str | None,
    typer.Option("--adapt", help="Let the network learn from the video first, as long as 5m.", rich_help_panel=WHAT),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="STAGE.key=value, or STAGE#2.key=value; repeatable.", rich_help_panel=WHAT),
]
DebugMotion = Annotated[
    Path | None,
    typer.Option(
        "--debug-motion",
        help="Then write a video that shows source, motion, mask and output, and x-t slices beside it.",
        metavar="FILE",
        rich_help_panel=RUN,
    ),
]
LpipsTrunk = Annotated[
    str, typer.Option("--lpips", help="The network of lpips, tlp and flolpips: squeeze, alex or vgg.", metavar="NAME")
]
FvdNetwork = Annotated[
    str, typer.Option("--fvd", help="The network of fvd: own, r3d_18, ..., or the file of I3D.", metavar="NAME")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would take; do nothing.", rich_help_panel=RUN)]
Report = Annotated[Path | None, typer.Option("--report", help="Write what was done as JSON.", rich_help_panel=RUN)]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Only results and warnings.", rich_help_panel=RUN)]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.", rich_help_panel=RUN)]


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What the command line says about output, time, machine and encoder, as commands over videos share it.

    output: as typed: a path would lose the slash at the end that means a folder.
    """

    output: Output = None
    fps: Fps = None
    allow_url: AllowUrl = False
    adapt: Adapt = None
    start: Start = None
    end: End = None
    sample: Sample = None
    cuts: Cuts = "auto"
    cut_threshold: CutThreshold = None
    fade_threshold: FadeThreshold = None
    no_audio: NoAudio = False
    overwrite: Overwrite = False
    strict: Strict = False
    max_input_pixels: MaxInputPixels = None
    max_streams: MaxStreams = None
    deinterlace: DeinterlaceMode = None
    bake_rotation: BakeRotation = False
    device: Device = "auto"
    precision: Precision = "auto"
    workers: Workers = None
    chunk: Chunk = None
    tile: Tile = None
    max_memory: MaxMemory = None
    codec: Codec = None
    crf: Crf = None
    preset: Preset = None
    pix_fmt: PixFmt = None
    encoder_options: EncoderOptions = None
    dry_run: DryRun = False
    debug_motion: DebugMotion = None
    report: Report = None
    no_progress: NoProgress = False
    log_level: LogLevel = "warning"


def takes_video_options(*without: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command the parameters of `VideoOptions` beside its own, but for some.

    The command takes them as its last argument, `options`. Typer makes options of what it finds in a signature.
    """
    hints = get_type_hints(VideoOptions, include_extras=True)
    assert hints.keys() >= set(without), without
    shared = [
        Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=hints[option.name])
        for option in fields(VideoOptions)
        if option.name not in without
    ]

    def decorated(command: Callable[..., int]) -> Callable[..., int]:
        *own, last = signature(command, eval_str=True).parameters.values()
        assert last.name == "options", last

        @functools.wraps(command)
        def run(**given: Any) -> int:
            options = VideoOptions(**{option.name: given.pop(option.name) for option in shared})
            return command(**given, options=options)

        # Help has the groups in the order of their first options: where a video goes, then what is made of it.
        first, *rest = shared
        needed = [parameter for parameter in own if parameter.default is Parameter.empty]
        every = [*needed, first, *(parameter for parameter in own if parameter not in needed), *rest]
        seen = cast("Any", run)
        seen.__signature__ = signature(command).replace(parameters=every)
        seen.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        return run

    return decorated
