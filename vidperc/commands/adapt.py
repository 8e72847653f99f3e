"""`--adapt`: before a video is enlarged, the network learns on from the video's own frames.

Source: learning from what one picture shows at several sizes, A. Shocher, N. Cohen, M. Irani, "Zero-Shot
Super-Resolution using Deep Internal Learning", 2018; here a trained network is begun with, as meta-learned and
fine-tuned ones are since.

A video is softer at its own size than made smaller. What a network learns from smaller frames is kept where it is to
draw less detail than it did, which is right at the larger size all the more; not where it is to draw more.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

import torch

from vidperc.config.finetune import adapt_recipe, start_of
from vidperc.engine.delivery import is_there
from vidperc.engine.job import Job
from vidperc.engine.journal import OutputLock
from vidperc.engine.plan import usable_cores
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job, with_models
from vidperc.errors import VidpercError
from vidperc.models.zoo import find_card, find_chain
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.training.clip_cache import held_out_clips
from vidperc.training.figures import Bicubic
from vidperc.training.follow import follow
from vidperc.training.material import Sources, fingerprint
from vidperc.training.recipe import Recipe
from vidperc.training.students import enlarged, open_student, scale_of
from vidperc.video.images import is_images
from vidperc.video.index import index_frames
from vidperc.video.probe import probe

_LEAST_SECONDS = 1
_WORK, _LEFT_BEHIND = "adapting-", 24 * 3600  # seconds
_LAYOUT = "vidperc adapted 3"  # another number when other weights come of the same video

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Lesson:
    """What is to be learnt. stage: of the pipeline, which has its network from the file `start`. made: where what was
    learnt lies, once it is."""

    pipeline: PipelineSpec
    stage: Upscale
    start: Path
    recipe: Recipe
    made: Path


def adapted_job(job: Job, seconds: float, pool: WorkerPool, *, say: Say) -> Job:
    """The job with the network of its first `upscale` stage replaced by one that has learnt from the source.

    seconds: for learning, after the clips are cut; at least 1. What was learnt is kept in the user's cache
    (XDG_CACHE_HOME), so that a run that goes on, or is made again, has the same network. pool: has the job checked
    before anything is learnt for it.
    Raises VidpercError for a pipeline without networks that learn, a source too small to learn from, and for all that
    the job itself would be refused for.
    """
    lesson = _lesson(job, seconds)
    start, made = lesson.start, lesson.made
    if made.is_file():
        say(f"{made.name}: learnt from this video before")
    else:
        output = prepare_job(job, pool).output
        if is_there(output) and not job.overwrite:
            raise VidpercError(
                f"{output}: exists, and was made with other settings or with what is in the cache no more; -y "
                "overwrites it"
            )
        say(f"{start.stem}: learns from {job.source.name} for {seconds:g} seconds")
        lock = OutputLock(output.absolute())
        lock.acquire()
        try:
            _learn(lesson, job, seconds, say)
        finally:
            lock.release()
    if made.read_bytes() == start.read_bytes():
        say(f"{start.stem}: stays as it is; it learnt to draw more, which suits the video made smaller, not the video")
        return job
    adapted = replace(lesson.stage, model=str(made), scale=None)
    stages = tuple(adapted if it is lesson.stage else it for it in lesson.pipeline.stages)
    return replace(job, pipeline=replace(lesson.pipeline, stages=stages))


def seconds_to_learn(job: Job, seconds: float) -> float:
    """Of these seconds those that `adapted_job` would learn: none where it has before. Raises VidpercError for what
    cannot learn."""
    return 0.0 if _lesson(job, seconds).made.is_file() else seconds


def _lesson(job: Job, seconds: float) -> _Lesson:
    if seconds < _LEAST_SECONDS:
        raise VidpercError(f"--adapt: got {seconds:g} seconds, wanted at least {_LEAST_SECONDS}, such as 5m")
    if any(isinstance(stage, Upscale) and stage.detail for stage in job.pipeline.stages):
        raise VidpercError("--adapt: with detail above 0 it would have to learn twice; wanted one of them")
    if is_images(job.source):
        raise VidpercError(f"--adapt: {job.source} is images, wanted a video to learn from; leave --adapt out")
    info, index = probe(job.source, limits=job.limits), index_frames(job.source)
    pipeline, _ = with_models(job, info, index)
    stage = next((stage for stage in pipeline.stages if isinstance(stage, Upscale)), None)
    if stage is None:
        raise VidpercError(f"--adapt: pipeline {pipeline.name} has no stage `upscale`, wanted one whose network learns")
    chain = find_chain(stage.model, stage.scale)
    if [card.scale for card in chain.cards] != [chain.scale]:
        names = " and ".join(chain.models)
        raise VidpercError(
            f"--adapt: {stage.model} at x{chain.scale} is {names} and resampling; wanted a scale of 2 or 4"
        )
    start = start_of(chain.models[0])
    recipe = adapt_recipe(start, job.source, size=min(info.width, info.height))
    assert recipe.clips is not None
    if len(index.pts) < recipe.clips.frames:
        raise VidpercError(
            f"--adapt: {job.source} has {len(index.pts)} frames, wanted at least {recipe.clips.frames} to learn from; "
            "leave --adapt out"
        )
    facts = [
        _LAYOUT,
        find_card(str(start)).sha256,
        fingerprint(Sources(videos=(job.source,), frame_folders=(), images=())),
        seconds,
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
    return _Lesson(pipeline, stage, start, recipe, _cache() / f"{start.stem}-adapted-{digest}.safetensors")


def _learn(lesson: _Lesson, job: Job, seconds: float, say: Say) -> None:
    start, recipe, made = lesson.start, lesson.recipe, lesson.made
    threads = job.workers or usable_cores()
    with _work_folder(made.parent) as name:
        folder = Path(name)
        learnt = follow(
            recipe,
            job.source.resolve().parent,
            folder,
            threads=threads,
            say=say,
            command=f"vidperc upscale -m {start.stem} --adapt {seconds:g}",
            seconds=seconds,
        ).path
        drawn = _detail_drawn(learnt, start, recipe, folder, threads=threads, say=say)
        say(f"{start.stem}: draws {100 * drawn:.0f} % of the detail that it drew of these frames")
        try:
            if drawn >= 1:  # that it stays as it is was learnt, too: the same command then finds it
                shutil.copyfile(start, learnt)
            learnt.replace(made)
        except OSError as error:
            raise VidpercError(f"--adapt: {made} cannot be written ({error.strerror}); set XDG_CACHE_HOME") from error


def _detail_drawn(learnt: Path, start: Path, recipe: Recipe, folder: Path, *, threads: int, say: Say) -> float:
    """How much a network still draws of the detail that it drew before: the slope of the one on the other, 1 for all.

    Detail is what comes to bicubic, on a few clips of the recipe's video, shrunk by the scale, as it learnt from them.
    """
    assert recipe.clips is not None
    (video,) = map(Path, recipe.clips.videos)
    before, after = (open_student(path, expand=0) for path in (start, learnt))
    scale = scale_of(before)
    clips = replace(recipe.clips, held_out=(glob.escape(video.name),))
    shown = held_out_clips(clips, video.parent, folder, scale=scale, threads=threads, say=say)
    both = square = 0.0
    with torch.no_grad():
        for batch in shown:
            bicubic = enlarged(Bicubic(scale), batch)
            drew, draws = (enlarged(network, batch) - bicubic for network in (before, after))
            both += float((draws * drew).sum())
            square += float(drew.square().sum())
    return both / square if square else 1.0


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "vidperc" / "adapted"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"--adapt: {folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME") from error
    return folder


def _work_folder(cache: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder in the cache for what learning makes, which goes with it. What was learnt before needs none."""
    try:
        for folder in cache.glob(f"{_WORK}*"):
            if time() - folder.stat().st_mtime > _LEFT_BEHIND:  # by a run that was killed
                shutil.rmtree(folder, ignore_errors=True)
        return tempfile.TemporaryDirectory(dir=cache, prefix=_WORK)
    except OSError as error:
        raise VidpercError(f"--adapt: {cache} cannot be written to ({error.strerror}); set XDG_CACHE_HOME") from error
