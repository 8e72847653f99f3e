"""A job: one input, one pipeline, one output; checked against both and against the machine before it runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO

import av

from vidperc.clip import Color
from vidperc.engine.cuts import CutChoice, given_cuts, key_facts
from vidperc.engine.guide import Guide, must_have_guide, read_guide
from vidperc.engine.journal import input_identity, job_key, sha256_of
from vidperc.engine.memory import PARENT_BYTES, free_bytes
from vidperc.engine.place import (
    Place,
    asked_form,
    asked_place,
    check_place,
    default_place,
    image_names,
    must_be_one,
)
from vidperc.engine.plan import (
    MAX_SEGMENT_FRAMES,
    Plan,
    Prepared,
    Segment,
    Wishes,
    plan_segments,
    segment_count,
    usable_cores,
)
from vidperc.engine.pool import WorkerPool
from vidperc.engine.worker import PrepareTask
from vidperc.errors import VidpercError
from vidperc.models.twins import told_detail
from vidperc.models.zoo import AUTO, AUTO_CLEAN, AUTO_COMPRESSED, SUFFIXES
from vidperc.ops.turn import NO_TURN, Turn
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.stage import Stage
from vidperc.stages.upscale import Upscale
from vidperc.version import __version__
from vidperc.video.as_read import deinterlaced_index, deinterlaced_info, origin_of, turn_of, turned_info
from vidperc.video.bare import PNG, Bare, bare_encoder, bare_fates, form_fate
from vidperc.video.captions import frame_fates
from vidperc.video.compression import look_at_compression
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.encoder import check_encoder, container_takes
from vidperc.video.encoder_settings import EncoderSettings, choose_encoder, held_bytes
from vidperc.video.fates import Fate, sentences
from vidperc.video.image_fates import note_fates
from vidperc.video.images import gaps_in_names, image_paths, is_images
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex, cut_off_warnings, index_frames
from vidperc.video.opening import Limits
from vidperc.video.output import CONTAINERS
from vidperc.video.picture_fates import container_fate, picture_fates, reading_fates, time_fate
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo, encoded_color, probe
from vidperc.video.rehearsal import Rehearsal, rehearse
from vidperc.video.weaving import field_warnings

ENCODER_THREADS = 1
HDR_TRANSFERS = frozenset({16, 18})  # H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67)


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


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A job that was checked against its input and the machine.

    pipeline: the job's, with the networks that `auto` stands for. chosen: why those, and which are mixed with their
        twins, a sentence each.
    identities: what tells the input, and the guide, from other files.
    info, index: of the source as it is read. stored: as it is stored; another when it is deinterlaced or turned.
    origin: the time of the source that is 0 in an output of the whole.
    woven: what the pictures of a source tell that is not marked as interlaced, as field_warnings() has it.
    cuts: pts of those that the user gave; None when they are to be found.
    bare: the form of an output that is no container; None for one.
    output, place: what will appear, and what it is. names: of the images in a folder, by their frames' pts.
    rehearsal: what the output takes of the source. picture_fates: what becomes of the picture itself.
    """

    output: Path
    pipeline: PipelineSpec
    chosen: tuple[str, ...]
    identities: dict[Path, dict[str, Any]]
    info: VideoInfo
    index: FrameIndex
    stored: tuple[VideoInfo, FrameIndex]
    turn: Turn
    guide: Guide | None
    pts: tuple[int, ...]
    window: tuple[int, int] | None
    origin: int
    woven: tuple[str, ...]
    cuts: tuple[int, ...] | None
    prepared: Prepared
    encoder: EncoderSettings
    color: Color
    bare: Bare | None
    place: Place
    names: dict[int, str]
    rehearsal: Rehearsal
    picture_fates: tuple[Fate, ...]
    workers: int
    key: str

    def with_guide(self, segment: Segment) -> Segment:
        """The segment with what it reads of the guide, if there is one."""
        return segment if self.guide is None else replace(segment, guide=self.guide.span(segment, self.index))


def prepare_job(job: Job, pool: WorkerPool) -> Ready:
    """Read the input, check the output's place, and have a worker check the pipeline.

    Raises VidpercError for everything that would make the job fail later and can be known now.
    """
    pool.start(1)  # it imports torch while we read the input
    if job.output is not None:
        check_place(job, asked_place(job, job.output))
    videos = [job.source, *([] if job.guide is None else [job.guide])]
    for video in videos:
        if not video.is_file():
            probe(video, limits=job.limits)  # says why
    identities = {video: input_identity(video) for video in videos}
    if job.rate is not None and not is_images(job.source):
        raise VidpercError(f"--fps {job.rate}: is for images, and {job.source} is a video with times of its own")
    info = probe(job.source, limits=job.limits, rate=job.rate)
    index = index_frames(job.source)
    guide = None
    if job.guide is not None:
        guide = read_guide(job.guide, info, index)
    else:
        must_have_guide(job.pipeline)
    pipeline, chosen = with_models(job, info, index)
    job = replace(job, pipeline=pipeline)
    stored = info, index
    bare = asked_form(job)
    if bare is not None and (info.rotation or info.display_matrix is not None) and job.guide is None:
        job = replace(job, bake_rotation=True)  # it has no mark that could tell
    info, index, turn = _as_read(job, info, index)
    pts, window = _selection(job, info, index)
    origin = 0 if window else origin_of(info, index)
    woven = () if job.deinterlace or info.interlaced else field_warnings(job.source, *stored)
    cuts = given_cuts(job.cuts, info, index)
    cores = usable_cores()
    # A first guess, so that workers start now: a GPU takes one, a slow network on a CPU makes more segments.
    workers = min(job.workers or cores, segment_count(len(pts)))
    pool.start(workers)
    _encoder(job, info, ENCODER_THREADS)
    size = None if guide is None else (guide.info.width, guide.info.height)
    prepared = _ask(job, info, pool, guide=size, frames=min(len(pts), MAX_SEGMENT_FRAMES), cores=cores, workers=workers)
    on_cpu = prepared.placement.device == "cpu"
    workers = min(job.workers or cores, segment_count(len(pts), prepared.frame_work)) if on_cpu else 1
    workers = _that_fit(job, workers, prepared)
    pool.keep(workers)
    placement = replace(prepared.placement, threads=max(1, cores // workers))
    prepared = replace(prepared, placement=placement)
    # A constant on CPUs, where several workers encode at once: neither they nor the machine may change the output.
    encoder = _encoder(job, info, ENCODER_THREADS if on_cpu else max(ENCODER_THREADS, cores))
    color = encoded_color(info.color, rgb=layout_of(encoder.pix_fmt).rgb, lines=prepared.height)
    if bare is PNG:
        color = replace(color, full_range=True)
    segment = check_encoder(
        encoder,
        width=prepared.width,
        height=prepared.height,
        time_base=info.time_base,
        rate=info.rate,
        color=color,
    )
    place = default_place(job, info, prepared, segment) if job.output is None else asked_place(job, job.output)
    # Absolute: a relative name with a colon in it would be read as a protocol.
    place = replace(place, path=place.path.absolute())
    check_place(job, place)
    must_be_one(place, len(pts))
    output = place.path / "any.png" if place.folder else place.path
    if bare is None:
        _must_take(output, segment, encoder.codec)
        rehearsal = rehearse(output, segment, info, keep_audio=job.keep_audio, excerpt=window is not None)
    else:
        lost = bare_fates(
            bare, stored[0], index, encoder, turned=bool(turn), keep_audio=job.keep_audio, excerpt=window is not None
        )
        rehearsal = Rehearsal(copied=lost)
    asked = job.output is not None
    pictures = (
        *(container_fate(info, output, asked=asked, codec=encoder.codec) if bare is None else ()),
        *([form_fate(bare, info, asked=asked)] if bare is not None else ()),
        *note_fates(job.source, bare),
        *picture_fates(info, encoder, output),
        *(() if is_images(job.source) else frame_fates(job.source, encoder.codec, captions=index.captions)),
        *time_fate(info, origin, output),
        *reading_fates(stored[0], deinterlace=job.deinterlace, turned=bool(turn) and bare is None),
    )
    names = image_names(job, place, pts) if place.folder else {}
    if job.strict:
        _refuse_losses(job, [*pictures, *rehearsal.copied.fates])
    facts = {
        "input": identities[job.source],
        **({} if job.guide is None else {"guide": identities[job.guide]}),
        # Weights count by what they hold, their sha256, not by where they lie.
        "pipeline": [
            {key: Path(value).name if value and key in ("model", "weights") else value for key, value in stage.items()}
            for stage in job.pipeline.settings()
        ],
        "weights": [(card.name, card.scale, card.sha256, card.detail, card.twin_sha256) for card in prepared.cards],
        "motion_weights": [
            sha256_of(Path(stage.weights))
            for stage in job.pipeline.stages
            if isinstance(stage, FindMotion) and stage.weights is not None
        ],
        "window": window,
        "encoder": (encoder.codec, encoder.pix_fmt, encoder.options),
        "wishes": asdict(job.wishes),
        "cuts": key_facts(job.cuts, cuts, looks_across=prepared.looks_across),
        "keep_audio": job.keep_audio,
        "reading": (job.deinterlace, job.bake_rotation),
        "container": output.suffix.lower() if bare is not PNG else tuple(names.values())[:1],
        "rate": None if job.rate is None else str(job.rate),
        "device": prepared.placement.device,
        "versions": versions(prepared),
    }
    return Ready(
        output=place.path,
        place=place,
        names=names,
        pipeline=pipeline,
        chosen=(*chosen, *told_detail(prepared.cards)),
        identities=identities,
        info=info,
        index=index,
        stored=stored,
        turn=turn,
        guide=guide,
        pts=pts,
        window=window,
        origin=origin,
        woven=woven,
        cuts=cuts,
        prepared=prepared,
        encoder=encoder,
        color=color,
        bare=bare,
        rehearsal=rehearsal,
        picture_fates=pictures,
        workers=workers,
        key=job_key(facts),
    )


def with_models(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[PipelineSpec, list[str]]:
    """The pipeline with a family of networks for `auto`, and why it is that one."""
    stages = [stage for stage in job.pipeline.stages if isinstance(stage, Upscale) and stage.model == AUTO]
    if not stages:
        return job.pipeline, []
    found = look_at_compression(job.source, info, index)
    family = AUTO_COMPRESSED if found.shows else AUTO_CLEAN
    # Once the first has mended what compression did, the others see a clean picture.
    models = {id(stage): AUTO_CLEAN if place else family for place, stage in enumerate(stages)}
    chosen = [
        replace(stage, model=models[id(stage)]) if isinstance(stage, Upscale) and id(stage) in models else stage
        for stage in job.pipeline.stages
    ]
    kind = "compressed" if found.shows else "clean"
    why = f"model {family}, for {kind} video: the source is {found} (-m to choose another)"
    return replace(job.pipeline, stages=tuple(chosen)), [why]


def _must_take(output: Path, segment: bytes, codec: str) -> None:
    container = CONTAINERS[output.suffix.lower()]
    if not container_takes(container, segment):
        other = "" if container == "matroska" else ", or an output name ending in .mkv"
        raise VidpercError(f"{output}: {container} cannot hold video from {codec}; choose another --codec{other}")


def _refuse_losses(job: Job, fates: list[Fate]) -> None:
    lost = sentences(fates, "dropped", unasked=True)
    if lost:
        more = f" (and {len(lost) - 3} more)" if len(lost) > 3 else ""
        raise VidpercError(
            f"{job.source}: --strict, and this would be dropped: {'; '.join(lost[:3])}{more}; "
            f"leave --strict out to go on"
        )


def _as_read(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[VideoInfo, FrameIndex, Turn]:
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


def _selection(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[tuple[int, ...], tuple[int, int] | None]:
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


def _encoder(job: Job, info: VideoInfo, threads: int) -> EncoderSettings:
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


def _ask(
    job: Job,
    info: VideoInfo,
    pool: WorkerPool,
    *,
    guide: tuple[int, int] | None,
    frames: int,
    cores: int,
    workers: int,
) -> Prepared:
    """What a worker finds out about the pipeline.

    The first one's answer holds. The others do the same at once, on the CPU: each has to load the networks anyway, and
    what is timed is timed on a machine as busy as it will be. A GPU takes one worker.
    """
    answers: dict[int, object] = {}
    task = PrepareTask(
        spec=job.pipeline,
        wishes=job.wishes,
        width=info.width,
        height=info.height,
        frames=frames,
        encoder_bytes=held_bytes(_encoder(job, info, ENCODER_THREADS), frames),
        threads=max(1, cores // workers),
        workers=workers,
        guide=guide,
    )
    others = 0 if job.wishes.device not in ("auto", "cpu") else workers - 1
    on_cpu = replace(task, wishes=replace(task.wishes, device="cpu"))
    pool.run([task, *[on_cpu] * others], workers=workers, done=answers.__setitem__)
    prepared = answers[0]
    assert isinstance(prepared, Prepared)
    return prepared


def _that_fit(job: Job, workers: int, prepared: Prepared) -> int:
    """As many of the workers as the memory holds that is free, or allowed.

    Raises VidpercError when one takes more than what is allowed.
    """
    limit = job.wishes.max_bytes
    if job.workers is None:
        workers = max(1, min(workers, free_bytes() // prepared.worker_bytes))
    if limit is None:
        return workers
    allowed = (limit - PARENT_BYTES) // prepared.worker_bytes
    if allowed < 1:
        needed = prepared.worker_bytes + PARENT_BYTES
        raise VidpercError(
            f"--max-memory {limit / 2**30:.2f} GiB: this job takes up to {needed / 2**30:.2f} GiB with one worker and "
            "small tiles, most of it in the encoder; allow more, or use a quicker --preset or a smaller scale"
        )
    return min(workers, allowed)


def versions(prepared: Prepared) -> dict[str, str]:
    """The versions that decide frames: ours, PyAV's, its FFmpeg's, torch's."""
    return {"vidperc": __version__, "av": av.__version__, "ffmpeg": av.ffmpeg_version_info, **prepared.versions}


def warnings(job: Job, ready: Ready) -> list[str]:
    """What of a source is not handled as its owner may expect."""
    info, encoder = ready.info, ready.encoder
    found = [*ready.woven]
    if ready.pts[-1] == ready.index.pts[-1]:
        found.extend(cut_off_warnings(ready.stored[1]))
    if is_images(job.source):
        gaps = gaps_in_names(image_paths(job.source))
        if gaps:
            found.append(gaps)
        if job.rate is None and asked_form(job) is not PNG:
            found.append(f"images have no times, so they are shown at {info.rate} a second; --fps says otherwise")
    if info.interlaced:
        found.append(
            "the source is interlaced; its fields are enlarged as they are woven, which shows as combs where something "
            "moves; --deinterlace frame, or field, makes whole pictures of them"
        )
    if info.color.transfer in HDR_TRANSFERS and layout_of(encoder.pix_fmt).bits < 10:
        found.append(f"the source is HDR and {encoder.pix_fmt} has 8 bits, so it will show bands; libx265 takes 10")
    return found


def _luma_layout(ready: Ready) -> str:
    """The layout in which frames can stay YUV all the way; empty when they must become RGB."""
    source, output = layout_of(ready.info.pix_fmt), layout_of(ready.encoder.pix_fmt)
    if not ready.prepared.takes_luma or source.rgb or output.rgb or ready.info.color.matrix != ready.color.matrix:
        return ""
    if ready.turn:  # chroma would sit elsewhere
        return ""
    same = (source.planes, source.shift_x, source.shift_y) == (output.planes, output.shift_x, output.shift_y)
    return source.name if same else ""


def make_plan(job: Job, ready: Ready, cuts: tuple[int, ...] = ()) -> Plan:
    """The plan of a run that starts now; cuts are the pts of the frames that start a shot."""
    prepared = ready.prepared
    segments = plan_segments(
        ready.index,
        ready.pts,
        cuts=cuts,
        lead=prepared.lead,
        tail=prepared.tail,
        frame_work=prepared.frame_work,
        exact_seek=ready.info.container.startswith(EXACT_SEEK_FORMATS),
    )
    return Plan(
        source=job.source.name,
        width=prepared.width,
        height=prepared.height,
        source_width=ready.info.width,
        source_height=ready.info.height,
        time_base=ready.info.time_base,
        rate=ready.info.rate,
        color=ready.info.color,
        output_color=ready.color,
        sample_aspect=ready.info.sample_aspect,
        # Of an excerpt's last frame: until the frame that is not in it any more.
        last_duration=ready.window[1] - ready.pts[-1] if ready.window else ready.index.last_duration,
        window=ready.window,
        timed=not ready.index.sequential,
        layout=_luma_layout(ready),
        placement=prepared.placement,
        encoder=ready.encoder,
        segments=tuple(ready.with_guide(segment) for segment in segments),
        versions=versions(prepared),
        cuts=cuts,
        guide=None if ready.guide is None else ready.guide.video(),
        alpha=ready.info.alpha and layout_of(ready.encoder.pix_fmt).alpha,
        deinterlace=job.deinterlace,
        turn=ready.turn,
    )
