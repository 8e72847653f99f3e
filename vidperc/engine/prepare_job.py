"""Making a job ready: its input, its output's place and the machine are looked at before any work."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from vidperc.engine.cuts import given_cuts, key_facts
from vidperc.engine.guide import must_have_guide, read_guide
from vidperc.engine.job import Job, as_read, encoder_settings, selection
from vidperc.engine.journal import input_identity, job_key, sha256_of
from vidperc.engine.memory import PARENT_BYTES, free_bytes
from vidperc.engine.place import (
    asked_form,
    asked_place,
    check_place,
    default_place,
    image_names,
    must_be_one,
)
from vidperc.engine.plan import MAX_SEGMENT_FRAMES, Prepared, segment_count, usable_cores
from vidperc.engine.pool import WorkerPool
from vidperc.engine.ready import Ready, luma_layout, versions
from vidperc.engine.worker import PrepareTask
from vidperc.errors import VidpercError
from vidperc.models.twins import told_detail
from vidperc.models.zoo import AUTO, AUTO_CLEAN, AUTO_COMPRESSED
from vidperc.pipeline import PipelineSpec
from vidperc.stages.motion import FindMotion
from vidperc.stages.upscale import Upscale
from vidperc.video.as_read import origin_of
from vidperc.video.bare import PNG, bare_fates, form_fate
from vidperc.video.captions import frame_fates
from vidperc.video.compression import look_at_compression
from vidperc.video.encoder import check_encoder, container_takes
from vidperc.video.encoder_settings import held_bytes
from vidperc.video.fates import Fate, sentences
from vidperc.video.image_fates import note_fates
from vidperc.video.images import is_images
from vidperc.video.index import FrameIndex, index_frames
from vidperc.video.output import CONTAINERS
from vidperc.video.picture_fates import container_fate, matrix_fate, picture_fates, reading_fates, time_fate
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo, encoded_color, probe
from vidperc.video.rehearsal import Rehearsal, rehearse
from vidperc.video.weaving import Fields, field_warnings, look_for_fields

ENCODER_THREADS = 1


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
    info, index, turn = as_read(job, info, index)
    pts, window = selection(job, info, index)
    origin = 0 if window else origin_of(info, index)
    fields = Fields() if job.deinterlace or info.interlaced else look_for_fields(job.source, *stored)
    cut_off = index.cut_off
    if cut_off and window and pts[-1] != index.pts[-1] and not cut_off.touches(window[1] * info.time_base):
        cut_off = None
    cuts = given_cuts(job.cuts, info, index)
    cores = usable_cores()
    # A first guess, so that workers start now: a GPU takes one, a slow network on a CPU makes more segments.
    workers = min(job.workers or cores, segment_count(len(pts)))
    pool.start(workers)
    encoder_settings(job, info, ENCODER_THREADS)
    size = None if guide is None else (guide.info.width, guide.info.height)
    prepared = _ask(job, info, pool, guide=size, frames=min(len(pts), MAX_SEGMENT_FRAMES), cores=cores, workers=workers)
    on_cpu = prepared.placement.device == "cpu"
    workers = min(job.workers or cores, segment_count(len(pts), prepared.frame_work)) if on_cpu else 1
    workers = _that_fit(job, workers, prepared)
    pool.keep(workers)
    placement = replace(prepared.placement, threads=max(1, cores // workers))
    prepared = replace(prepared, placement=placement)
    # A constant on CPUs, where several workers encode at once: neither they nor the machine may change the output.
    encoder = encoder_settings(job, info, ENCODER_THREADS if on_cpu else max(ENCODER_THREADS, cores))
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
        *matrix_fate(info, encoder, through_rgb=not luma_layout(info, encoder, color, prepared, turn)),
        *(() if is_images(job.source) else frame_fates(job.source, encoder.codec, captions=index.captions)),
        *time_fate(info, origin, output),
        *(cut_off.fates(rehearsal.copied.fates) if cut_off else ()),
        *reading_fates(
            stored[0].interlaced or fields.marked, deinterlace=job.deinterlace, turned=bool(turn) and bare is None
        ),
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
        woven=field_warnings(fields),
        cut_off=cut_off,
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
        encoder_bytes=held_bytes(encoder_settings(job, info, ENCODER_THREADS), frames),
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
