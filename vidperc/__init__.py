"""vidperc makes video look better, and proves it.

    import vidperc

    report = vidperc.upscale("input.mp4", scale=2)
    print(report.output, report.frames_out)

The names below are the whole face of the library; everything else may change between versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError
from vidperc.version import __version__

if TYPE_CHECKING:
    from vidperc.engine.report import JobReport

__all__ = ["VidpercError", "__version__", "run", "upscale"]


def upscale(
    source: str | Path,
    output: str | Path | None = None,
    *,
    model: str = "auto",
    scale: int | None = None,
    resolution: int | None = None,
    cuts: str | Path = "auto",
    cut_threshold: float | None = None,
    fade_threshold: float | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> JobReport:
    """Enlarge a video: every frame, every timestamp, with its sound, subtitles, chapters and tags.

    model: a name that `vidperc models list` shows, or the path of a weights file (.safetensors, .pth); auto chooses
        between our networks for clean and for compressed video by a look at the source.
    scale: output side over input side; None for the network's own, 2 for our families of networks.
    resolution: short side of the output in pixels, reached by resampling what the network made.
    cuts, cut_threshold, fade_threshold: as in run.
    output: None writes "input_x2.mp4" beside the input.
    overwrite: do it again although the output exists.
    Returns the report of the job. Raises VidpercError with one line that says what to do.
    """
    settings = [f"upscale.model={model}", *([f"upscale.scale={scale}"] if scale is not None else [])]
    pipeline = "upscale" if resolution is None else "upscale_resize"
    if resolution is not None:
        settings.append(f"resize.resolution={resolution}")
    return run(
        pipeline,
        source,
        output,
        settings=settings,
        cuts=cuts,
        cut_threshold=cut_threshold,
        fade_threshold=fade_threshold,
        device=device,
        overwrite=overwrite,
        _label="",
    )


def run(
    pipeline: str | Path,
    source: str | Path,
    output: str | Path | None = None,
    *,
    settings: list[str] | None = None,
    cuts: str | Path = "auto",
    cut_threshold: float | None = None,
    fade_threshold: float | None = None,
    device: str = "auto",
    overwrite: bool = False,
    _label: str | None = None,
) -> JobReport:
    """Run a pipeline on a video.

    pipeline: the name of a built-in one, or the path of a YAML file. settings: "stage.key=value" each.
    cuts: where a stage looks across frames, it does not look across cuts. "auto" finds them, "none" takes the video for
        a single shot, a path names a file with the time of a cut in every line.
    cut_threshold: the share of a picture, 0 to 1, that a cut must change; None for 0.4.
    fade_threshold: the contrast, in 8-bit codes, below which a picture has faded away; None for 1.5.
    output: None writes "input_NAME.mp4" beside the input, with the pipeline's name.
    Returns the report of the job. Raises VidpercError with one line that says what to do.
    """
    from vidperc.config.pipelines import apply_settings, load_pipeline
    from vidperc.engine.cuts import cut_choice
    from vidperc.engine.job import Job
    from vidperc.engine.plan import Wishes
    from vidperc.engine.pool import WorkerPool
    from vidperc.engine.run import Watcher, run_job

    spec = apply_settings(load_pipeline(str(pipeline)), settings or [])
    job = Job(
        source=Path(source),
        output=None if output is None else Path(output),
        label=spec.name if _label is None else _label,
        pipeline=spec,
        cuts=cut_choice(str(cuts), cut_threshold, fade_threshold),
        wishes=Wishes(device=device),
        overwrite=overwrite,
    )
    with WorkerPool() as pool:
        return run_job(job, pool, Watcher())
