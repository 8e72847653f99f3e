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
    from fractions import Fraction

    from vidperc.engine.report import JobReport
    from vidperc.pipeline import PipelineSpec

__all__ = ["VidpercError", "__version__", "run", "steady", "upscale"]


def upscale(
    source: str | Path,
    output: str | Path | None = None,
    *,
    model: str = "auto",
    scale: int | None = None,
    resolution: int | None = None,
    detail: float | None = None,
    ensemble: int | None = None,
    steady: float | None = None,
    steady_method: str | None = None,
    cuts: str | Path = "auto",
    cut_threshold: float | None = None,
    fade_threshold: float | None = None,
    fps: float | str | Fraction | None = None,
    deinterlace: str | None = None,
    bake_rotation: bool = False,
    strict: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> JobReport:
    """Enlarge a video: every frame, every timestamp, with its sound, subtitles, chapters and tags.

    model: a name that `vidperc models list` shows, or the path of a weights file (.safetensors, .pth); auto chooses
        between our networks for clean and for compressed video by a look at the source.
    scale: output side over input side; None for the network's own, 2 for our families of networks.
    resolution: short side of the output in pixels, reached by resampling what the network made.
    detail: 0 for what is nearest to the source on average, to 1 for the finest detail, of networks that have a
        perceptual twin; None for 0.
    ensemble: the mean over so many orientations of each frame, 1, 2, 4 or 8; nearer to the truth, and as many times
        slower; None for 1.
    steady: how firmly what the network adds is held in place along the motion, so that it does not flicker, 0 for not
        at all to 1; None for the usual, which is not at all. steady_method: blend, or learned, by a network.
    source: a video; an image; a folder of images, or a numbered name of them ("frames/%05d.png"), for its frames.
    output: None writes "input_x2.mp4" beside the input, "photo_x2.png" for an image, a folder "frames_x2" for a folder
        of them. A video (.mp4, .m4v, .mov, .mkv, .webm), bare frames (.y4m), an image or images ("out/%05d.png").
    cuts, cut_threshold, fade_threshold, fps, deinterlace, bake_rotation, strict: as in run.
    overwrite: do it again although the output exists.
    Returns the report of the job. Raises VidpercError with one line that says what to do.
    """
    from vidperc.config.upscale import upscale_pipeline

    spec = upscale_pipeline(
        model=model,
        scale=scale,
        resolution=resolution,
        detail=detail,
        ensemble=ensemble,
        steady=steady,
        steady_method=steady_method,
    )
    cutting = cuts, cut_threshold, fade_threshold
    return _run(
        spec,
        source,
        output,
        label="",
        cutting=cutting,
        reading=(fps, deinterlace, bake_rotation),
        strict=strict,
        device=device,
        overwrite=overwrite,
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
    fps: float | str | Fraction | None = None,
    deinterlace: str | None = None,
    bake_rotation: bool = False,
    strict: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> JobReport:
    """Run a pipeline on a video.

    pipeline: the name of a built-in one, or the path of a YAML file. settings: "stage.key=value" each.
    cuts: where a stage looks across frames, it does not look across cuts. "auto" finds them, "none" takes the video for
        a single shot, a path names a file with the time of a cut in every line.
    cut_threshold: the share of a picture, 0 to 1, that a cut must change; None for 0.4.
    fade_threshold: the contrast, in 8-bit codes, below which a picture has faded away; None for 1.5.
    fps: frames per second of a source that is images, as 24 or "30000/1001"; None for 25. Videos have times.
    deinterlace: whole pictures of interlaced video, "frame" for one of each frame, "field" for two; None leaves the
        fields woven.
    bake_rotation: turn and mirror the pictures as players show them; else the mark that says so is kept.
    strict: raise VidpercError before any work if something of the source would be dropped, instead of reporting it.
    overwrite: as in upscale.
    source, output: as in upscale; None writes "input_NAME.mp4" beside the input, with the pipeline's name.
    Returns the report of the job. Raises VidpercError with one line that says what to do.
    """
    from vidperc.config.pipelines import apply_settings, load_pipeline

    spec = apply_settings(load_pipeline(str(pipeline)), settings or [])
    cutting = cuts, cut_threshold, fade_threshold
    return _run(
        spec,
        source,
        output,
        label=spec.name,
        cutting=cutting,
        reading=(fps, deinterlace, bake_rotation),
        strict=strict,
        device=device,
        overwrite=overwrite,
    )


def steady(
    processed: str | Path,
    guide: str | Path,
    output: str | Path | None = None,
    *,
    strength: float | None = None,
    steady_method: str | None = None,
    settings: list[str] | None = None,
    cuts: str | Path = "auto",
    cut_threshold: float | None = None,
    fade_threshold: float | None = None,
    fps: float | str | Fraction | None = None,
    strict: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> JobReport:
    """Hold a video steady that another program made, frame by frame, from another: coloured, stylized, generated.

    processed: that video. guide: the one that it was made from, with the same frames at the same times, counted from
        the first frame of each; its size may be another. What the other program added is held along its motion.
    strength: 0 to leave frames as they are, to 1; None for 0.9. steady_method: as in upscale.
    settings: of the pipeline `steady`, as in run.
    cuts, cut_threshold, fade_threshold, fps, strict, overwrite: as in run; cuts are found in the guide.
    output: None writes "processed_steady.mp4" beside the processed video, with that one's sound and the rest.
    Returns the report of the job. Raises VidpercError with one line that says what to do.
    """
    from vidperc.config.steady import steady_pipeline

    spec = steady_pipeline(strength=strength, method=steady_method, settings=settings or [])
    cutting = cuts, cut_threshold, fade_threshold
    return _run(
        spec,
        processed,
        output,
        guide=guide,
        label=spec.name,
        cutting=cutting,
        reading=(fps, None, False),
        strict=strict,
        device=device,
        overwrite=overwrite,
    )


def _run(
    spec: PipelineSpec,
    source: str | Path,
    output: str | Path | None,
    *,
    label: str,
    cutting: tuple[str | Path, float | None, float | None],
    reading: tuple[float | str | Fraction | None, str | None, bool],
    strict: bool,
    device: str,
    overwrite: bool,
    guide: str | Path | None = None,
) -> JobReport:
    from vidperc.engine.cuts import cut_choice
    from vidperc.engine.job import Job
    from vidperc.engine.plan import Wishes
    from vidperc.engine.pool import WorkerPool
    from vidperc.engine.run import run_job
    from vidperc.engine.watcher import Watcher
    from vidperc.video.deinterlace import deinterlace_mode
    from vidperc.video.times import parse_rate

    fps, deinterlace, bake_rotation = reading
    cuts, cut_threshold, fade_threshold = cutting
    job = Job(
        source=Path(source),
        guide=None if guide is None else Path(guide),
        output=None if output is None else Path(output),
        label=label,
        pipeline=spec,
        cuts=cut_choice(str(cuts), cut_threshold, fade_threshold),
        wishes=Wishes(device=device),
        rate=None if fps is None else parse_rate(str(fps), "fps"),
        deinterlace=deinterlace_mode(deinterlace, "deinterlace"),
        bake_rotation=bake_rotation,
        strict=strict,
        overwrite=overwrite,
    )
    with WorkerPool() as pool:
        return run_job(job, pool, Watcher())
