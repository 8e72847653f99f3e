"""A job: one input, one pipeline, one output, as they were asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import BinaryIO

from vidperc.engine.cuts import CutChoice
from vidperc.engine.place import asked_form
from vidperc.engine.plan import Wishes
from vidperc.errors import VidpercError
from vidperc.models.zoo import SUFFIXES
from vidperc.ops.turn import NO_TURN, Turn
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.stage import Stage
from vidperc.stages.upscale import Upscale
from vidperc.video.as_read import deinterlaced_index, deinterlaced_info, turn_of, turned_info
from vidperc.video.bare import bare_encoder
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.encoder_settings import EncoderSettings, choose_encoder
from vidperc.video.images import is_images
from vidperc.video.index import FrameIndex
from vidperc.video.opening import Limits
from vidperc.video.probe import VideoInfo


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for.

    guide: the video that the source was made from by another program, whose motion is followed; None for the source.
    pipeline: paths of weights in it become absolute, for workers have a current folder of their own.
    output: the file to make; None names it after the source ("input_x2.mp4"), in `folder` or beside the source.
    label: what is added to that name; empty for the scale ("x2") or the short side ("1080p").
    start, end, sample: seconds from the first frame; a sample without a start is taken from the middle.
    codec, quality, preset, pix_fmt, encoder_options: None leaves the choice to us.
    workers: None for one per core.
    deinterlace: one picture of each interlaced frame, or of each field; empty leaves fields woven.
    bake_rotation: turn the pictures as players show them, instead of keeping the mark that tells how.
    overwrite: do the work again although the output exists.
    strict: refuse when anything of the source would be dropped.
    rate: frames per second of images; None for 25. Videos have times.
    limits: what the source may state of itself.
    pipe: the output goes there as y4m, segment by segment; `output` is then a name in a folder of its own, where the
        job keeps its state until it ends.
    """

    source: Path
    pipeline: PipelineSpec
    guide: Path | None = None
    output: Path | None = None
    folder: Path | None = None
    label: str = ""
    start: Fraction | None = None
    end: Fraction | None = None
    sample: Fraction | None = None
    cuts: CutChoice = field(default_factory=CutChoice)
    codec: str | None = None
    quality: str | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    encoder_options: Mapping[str, str] = field(default_factory=dict[str, str])
    wishes: Wishes = field(default_factory=Wishes)
    workers: int | None = None
    keep_audio: bool = True
    deinterlace: Deinterlace = ""
    bake_rotation: bool = False
    overwrite: bool = False
    strict: bool = False
    rate: Fraction | None = None
    limits: Limits = field(default_factory=Limits)
    pipe: BinaryIO | None = None

    def __post_init__(self) -> None:
        stages = tuple(_with_absolute_weights(stage) for stage in self.pipeline.stages)
        object.__setattr__(self, "pipeline", replace(self.pipeline, stages=stages))


def _with_absolute_weights(stage: Stage) -> Stage:
    """Files that are not there stay as typed: so does whoever looks for them tell."""
    if isinstance(stage, FindMotion) and stage.weights is not None:
        path = Path(stage.weights).absolute()
        return replace(stage, weights=str(path)) if path.is_file() else stage
    if isinstance(stage, Upscale) and Path(stage.model).suffix.lower() in SUFFIXES:
        path = Path(stage.model).absolute()
        return replace(stage, model=str(path)) if path.is_file() else stage
    return stage


def as_read(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[VideoInfo, FrameIndex, Turn]:
    """The source as the job reads it, and how its pictures are turned.

    Raises VidpercError where it cannot be read so.
    """
    if job.guide is not None and (job.deinterlace or job.bake_rotation):
        option = "--deinterlace" if job.deinterlace else "--bake-rotation"
        raise VidpercError(f"{option}: not with a guide, whose frames would no longer be those of the source")
    if job.deinterlace and is_images(job.source):
        raise VidpercError("--deinterlace: images are read as whole pictures; leave it out")
    turn = turn_of(info) if job.bake_rotation else NO_TURN
    if job.bake_rotation:
        info = turned_info(info, turn)
    return deinterlaced_info(info, job.deinterlace), deinterlaced_index(index, job.deinterlace), turn


def selection(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """The pts of the asked excerpt, and its window; None for the window of the whole."""
    if job.start is None and job.end is None and job.sample is None:
        return index.pts, None
    first = index.pts[0]
    whole_end = index.pts[-1] + index.last_duration
    total = (whole_end - first) * info.time_base
    start = job.start
    if start is None:
        start = max(Fraction(0), (total - job.sample) / 2) if job.sample is not None else Fraction(0)
    end = job.end if job.end is not None else total
    if job.sample is not None:
        end = min(end, start + job.sample)
    low, high = first + start / info.time_base, first + end / info.time_base
    pts = index.between(ceil(low), ceil(high))
    if start >= total:
        raise VidpercError(f"{info.path}: --start {float(start):g} is not within it; it lasts {float(total):.3f} s")
    if not pts:
        raise VidpercError(
            f"{info.path}: no frame between {float(start):g} s and {float(end):g} s; it lasts {float(total):.3f} s"
        )
    after = bisect_left(index.pts, pts[-1]) + 1
    return pts, (pts[0], index.pts[after] if after < len(index.pts) else whole_end)


def encoder_settings(job: Job, info: VideoInfo, threads: int) -> EncoderSettings:
    suffix = (job.output or job.source).suffix.lower()
    bare = asked_form(job)
    if bare is not None:
        return bare_encoder(
            bare,
            source_pix_fmt=info.pix_fmt,
            alpha=info.alpha,
            codec=job.codec,
            quality=job.quality,
            preset=job.preset,
            pix_fmt=job.pix_fmt,
            options=job.encoder_options,
            threads=threads,
        )
    return choose_encoder(
        source_pix_fmt=info.pix_fmt,
        bits=info.bits,
        alpha=info.alpha,
        suffix=suffix,
        source_codec=info.codec,
        codec=job.codec,
        quality=job.quality,
        preset=job.preset,
        pix_fmt=job.pix_fmt,
        options=job.encoder_options,
        threads=threads,
        hdr=info.hdr,
    )
