"""The command line. Imports lazily: `--help` must answer before torch could even be found on disk."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from vidperc.commands.options import (
    IO,
    WHAT,
    Cuts,
    CutThreshold,
    Detail,
    Device,
    Ensemble,
    FadeThreshold,
    FvdNetwork,
    Inputs,
    LpipsTrunk,
    NoProgress,
    Overwrite,
    Precision,
    Settings,
    SteadyMethod,
    SteadyStrength,
    Threads,
    VideoOptions,
    takes_video_options,
)
from vidperc.errors import VidpercError
from vidperc.version import __version__

app = typer.Typer(
    help="vidperc makes video look better, and proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
pipelines_app = typer.Typer(
    help="Pipelines in YAML: what there is, what they say, how to write one.", no_args_is_help=True
)
models_app = typer.Typer(help="Networks that need no file, and what a file holds.", no_args_is_help=True)
app.add_typer(pipelines_app, name="pipelines")
recipes_app = typer.Typer(
    help="Recipes in YAML, by which networks are trained: what there is, what they say.", no_args_is_help=True
)
app.add_typer(models_app, name="models")
app.add_typer(recipes_app, name="recipes")

# Typer carries click inside itself or depends on it, by version; this is its UsageError either way.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


@app.command()
@takes_video_options()
def upscale(
    *,
    inputs: Inputs,
    scale: Annotated[
        int | None,
        typer.Option(
            "-s", "--scale", help="Output side over input side; else the network's own, or 2.", rich_help_panel=WHAT
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="auto, a name from `models list`, or a weights file.", rich_help_panel=WHAT),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", help="Short side of the output in pixels, as in 1080.", rich_help_panel=WHAT),
    ] = None,
    detail: Detail = None,
    ensemble: Ensemble = None,
    steady: SteadyStrength = None,
    steady_method: SteadyMethod = None,
    settings: Settings = None,
    options: VideoOptions,
) -> int:
    """Enlarge videos; sound, subtitles, chapters and every timestamp stay.

    Writes input_x2.mp4 beside input.mp4. The same command resumes what was interrupted.
    """
    _log(options.log_level)
    from vidperc.commands.videos import process_videos
    from vidperc.config.upscale import upscale_pipeline

    spec = upscale_pipeline(
        model=model,
        scale=scale,
        resolution=resolution,
        detail=detail,
        ensemble=ensemble,
        steady=steady,
        steady_method=steady_method,
        settings=settings or [],
    )
    return process_videos(spec, inputs, options, label="")


@app.command()
@takes_video_options()
def run(
    *,
    pipeline: Annotated[str, typer.Argument(help="A YAML file, or a name from `pipelines list`.", show_default=False)],
    inputs: Inputs,
    settings: Settings = None,
    options: VideoOptions,
) -> int:
    """Run a pipeline on videos; writes input_NAME.mp4, after the pipeline's name."""
    _log(options.log_level)
    from vidperc.commands.videos import process_videos
    from vidperc.config.pipelines import apply_settings, load_pipeline

    spec = apply_settings(load_pipeline(pipeline), settings or [])
    return process_videos(spec, inputs, options, label=spec.name)


@app.command()
@takes_video_options("allow_url", "adapt", "deinterlace", "bake_rotation")
def steady(
    *,
    processed: Annotated[
        Path, typer.Argument(metavar="PROCESSED", help="What another program made, frame by frame.", show_default=False)
    ],
    guide: Annotated[
        Path,
        typer.Option(
            "--guide",
            help="What it was made from: the same frames at the same times, of any size.",
            metavar="SOURCE",
            show_default=False,
            rich_help_panel=IO,
        ),
    ],
    strength: Annotated[
        float | None,
        typer.Option("--strength", help="0 leaves frames as they are, up to 1; else 0.9.", rich_help_panel=WHAT),
    ] = None,
    steady_method: SteadyMethod = None,
    settings: Settings = None,
    options: VideoOptions,
) -> int:
    """Hold steady a video that another program coloured, stylized or generated from SOURCE.

    Writes processed_steady.mp4 beside processed.mp4, whose sound, subtitles, chapters and timestamps stay.
    """
    _log(options.log_level)
    from vidperc.commands.videos import process_videos
    from vidperc.config.steady import steady_pipeline
    from vidperc.video.images import has_images

    if processed.is_dir() and not has_images(processed):
        raise VidpercError(f"{processed}: is a folder, wanted one video, or its images; each has a guide of its own")
    spec = steady_pipeline(strength=strength, method=steady_method, settings=settings or [])
    return process_videos(spec, [processed], options, label=spec.name, guide=guide)


@app.command()
def probe(
    inputs: Inputs,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    cuts: Annotated[bool, typer.Option("--cuts", help="Find the cuts; the list is one for --cuts FILE.")] = False,
    cut_threshold: CutThreshold = None,
    fade_threshold: FadeThreshold = None,
) -> int:
    """Say what videos hold: frames, times, colours, streams; or where their cuts are."""
    from vidperc.commands.probe import show_cuts, show_videos

    inputs = [Path(one) for one in inputs]
    if cuts:
        return show_cuts(inputs, as_json=as_json, cut=cut_threshold, fade=fade_threshold)
    for option, value in (("--cut-threshold", cut_threshold), ("--fade-threshold", fade_threshold)):
        if value is not None:
            raise VidpercError(f"{option}: is for finding cuts; add --cuts, or drop it")
    return show_videos(inputs, as_json=as_json)


@app.command()
def measure(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="What OUT was made from.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="What is measured; as large as SOURCE, or larger.")],
    reference: Annotated[
        Path | None, typer.Option("--reference", help="What OUT should have been, at its size.", rich_help_panel=IO)
    ] = None,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Pair frames by order, whatever their times.", rich_help_panel=IO)
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file, or over it.", rich_help_panel=IO)
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            help="Of psnr, ssim, ms-ssim, lpips, dists, flolpips, vmaf, warping-error, temporal-ssim, flicker, tof, "
            "tof-paper, tlp, fvd; comma-separated.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights-dir",
            "--weights",
            help="Folder of the weights of networks that metrics look with; lpips is measured then.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    lpips: LpipsTrunk = "squeeze",
    fvd: FvdNetwork = "own",
    motion: Annotated[
        str,
        typer.Option(
            "--motion",
            help="Finds SOURCE's motion: dis-fast, dis-medium, farneback, raft-small, ...",
            rich_help_panel=WHAT,
        ),
    ] = "dis-balanced",
    motion_size: Annotated[
        int,
        typer.Option(
            "--motion-size", min=0, help="Short side it works at, in pixels; 0: SOURCE's own.", rich_help_panel=WHAT
        ),
    ] = 0,
    motion_weights: Annotated[
        str | None, typer.Option("--motion-weights", help="File of a RAFT's weights.", rich_help_panel=WHAT)
    ] = None,
    cuts: Cuts = "auto",
    cut_threshold: CutThreshold = None,
    fade_threshold: FadeThreshold = None,
    no_progress: NoProgress = False,
) -> int:
    """Measure OUT: how near it is to SOURCE or a reference, and how steady over time.

    Figures over time follow the motion of SOURCE, and never come without one of fidelity.
    """
    from vidperc.commands.measure import MeasureOptions, measure_video

    return measure_video(
        MeasureOptions(
            source=source,
            out=out,
            reference=reference,
            in_order=in_order,
            json=json,
            metrics=metrics,
            weights=weights,
            trunk=lpips,
            fvd=fvd,
            motion=motion,
            motion_size=motion_size,
            motion_weights=motion_weights,
            cuts=cuts,
            cut_threshold=cut_threshold,
            fade_threshold=fade_threshold,
            no_progress=no_progress,
        )
    )


@app.command()
def evaluate(
    evaluation: Annotated[
        str, typer.Argument(help="images, vid4, or a YAML file such as those in configs/.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder that holds the folders of its sets.", show_default=False)
    ],
    weights: Annotated[
        Path | None,
        typer.Option("--weights-dir", help="Folder of the weights of networks that metrics look with."),
    ] = None,
    lpips: LpipsTrunk = "squeeze",
    fvd: FvdNetwork = "own",
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every figure to this file, a line each.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file, or over it.")] = None,
    device: Device = "auto",
    precision: Precision = "float32",
) -> int:
    """Measure networks on test sets: pictures or clips made small, enlarged, and held against what they were.

    One table for each set, way of making small, and scale.
    """
    from vidperc.commands.evaluate import EvaluateOptions, evaluate_networks

    return evaluate_networks(
        EvaluateOptions(
            evaluation=evaluation,
            data=data,
            weights=weights,
            trunk=lpips,
            fvd=fvd,
            csv=csv,
            json=json,
            device=device,
            precision=precision,
        )
    )


@app.command()
def doctor() -> int:
    """Say what this machine offers: devices, encoders, versions and their open holes."""
    from vidperc.commands.doctor import show_machine

    return show_machine()


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name from `recipes list`, or a YAML file.", show_default=False)],
    data: Annotated[Path, typer.Option("--data", help="Folder that holds the recipe's images and videos.")] = Path(),
    out: Annotated[Path, typer.Option("--out", help="Folder for the network, its checkpoint and its log.")] = Path(
        "trained"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key of the recipe, e.g. steps=200."),
    ] = None,
    threads: Threads = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write event files, too.")] = False,
) -> int:
    """Train a network by a recipe; writes NAME.safetensors, which `upscale -m` takes (or fvd@own uses, by own-3d).

    The same command goes on from the last checkpoint of what was interrupted. Under torchrun all its processes train
    together.
    """
    from vidperc.commands.train import train_network

    return train_network(
        recipe, data=data, folder=out, settings=settings or (), threads=threads, tensorboard=tensorboard
    )


@app.command()
def finetune(
    model: Annotated[
        str, typer.Option("-m", "--model", help="A network of ours by name, or a weights file.", show_default=False)
    ],
    clips: Annotated[
        Path,
        typer.Option(
            "--clips", help="A video, or a folder: its videos and folders of frames, at any depth.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .safetensors file; else MODEL-finetuned.safetensors.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A YAML file with other terms; else the built-in one.")
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option("--held-out", help="A file that is measured and not learnt from; a name or a glob."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key of the recipe, e.g. steps=200."),
    ] = None,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> int:
    """Train a network further on clips of your own, so that it is sharp on them and does not flicker.

    Writes a file for `upscale -m`, and says how the clips that were held out fared before and after. The same command
    goes on where it was interrupted.
    """
    from vidperc.commands.finetune import finetune_network

    return finetune_network(
        model,
        clips,
        output=output,
        recipe=recipe,
        held_out=held_out or (),
        settings=settings or (),
        threads=threads,
        overwrite=overwrite,
    )


@pipelines_app.command("list")
def list_pipelines() -> int:
    """The built-in pipelines."""
    from vidperc.commands.pipelines import list_builtin

    return list_builtin()


@pipelines_app.command("show")
def show_pipeline(name: Annotated[str, typer.Argument(help="A name, or a YAML file.")]) -> int:
    """A pipeline's YAML, ready to be saved and changed."""
    from vidperc.commands.pipelines import show

    return show(name)


@pipelines_app.command("schema")
def pipelines_schema() -> int:
    """The JSON Schema of pipeline files, for editors."""
    from vidperc.commands.pipelines import show_schema

    return show_schema()


@models_app.command("list")
def list_models() -> int:
    """The networks that need no file."""
    from vidperc.commands.models import list_builtin

    return list_builtin()


@models_app.command("show")
def show_model(model: Annotated[str, typer.Argument(help="A name, or a weights file.")]) -> int:
    """What a network is: scale, size, licence, what it may be fed."""
    from vidperc.commands.models import show

    return show(model)


@recipes_app.command("list")
def list_recipes() -> int:
    """The recipes of the networks that come along."""
    from vidperc.commands.train import list_recipes

    return list_recipes()


@recipes_app.command("show")
def show_recipe(name: Annotated[str, typer.Argument(help="A name, or a YAML file.")]) -> int:
    """A recipe's YAML, ready to be saved and changed."""
    from vidperc.commands.train import show_recipe

    return show_recipe(name)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="The version, and no more.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"vidperc {__version__}")
        raise typer.Exit


def _said(error: Exception) -> str:
    """A usage error with the name of the option in it."""
    spell = getattr(error, "format_message", None)
    return str(spell()) if spell is not None else str(error)


def _log(level: str) -> None:
    import logging

    names = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if level.lower() not in names:
        raise VidpercError(f"--log-level {level}: wanted one of {', '.join(names)}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("vidperc").setLevel(names[level.lower()])


def main() -> None:
    """Run the command line; a mistake of the user's is one line on stderr and exit code 1."""
    # As for the engine's workers (engine/pool.py); read when torch is loaded, which nothing has done yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    terminated = False

    def stop_like_ctrl_c(*_: object) -> None:
        nonlocal terminated
        terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # some send it twice; the second must not disturb the stopping
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop_like_ctrl_c)  # Windows never sends it
    try:
        code = app(standalone_mode=False)
    except VidpercError as error:
        typer.echo(f"vidperc: {error}", err=True)
        code = 1
    except UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "vidperc"
        typer.echo(f"vidperc: {' '.join(_said(error).split())} (see `{command} --help`)", err=True)
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("vidperc: stopped", err=True)
        code = 130
    except typer.Exit as done:
        code = done.exit_code
    except BrokenPipeError:
        code = 1
    if terminated and code == 130:
        code = 143
    sys.exit(code if isinstance(code, int) else 0)
