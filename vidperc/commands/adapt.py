"""`upscale --adapt`: before a video is enlarged, the network learns on from the video's own frames.

Source: learning from what one picture shows at several sizes, A. Shocher, N. Cohen, M. Irani, "Zero-Shot
Super-Resolution using Deep Internal Learning", 2018; here a trained network is begun with, as meta-learned and
fine-tuned ones are since.

What suits a video made smaller need not suit the video. So the network first learns from the video at half its size,
where the truth of the next size up, the video, is known: how much of what it learnt is best there is kept of what it
then learns from the video itself; nothing, where nothing helps.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vidperc.config.finetune import adapt_recipe, start_of
from vidperc.engine.job import Job
from vidperc.engine.plan import usable_cores
from vidperc.engine.prepare_job import with_models
from vidperc.errors import VidpercError
from vidperc.models.zoo import find_card, find_chain
from vidperc.stages.upscale import Upscale
from vidperc.training.clip_cache import held_out_clips
from vidperc.training.figures import measure_of
from vidperc.training.follow import follow
from vidperc.training.material import Sources, fingerprint
from vidperc.training.recipe import Recipe
from vidperc.training.students import go_back, open_student, scale_of
from vidperc.video.index import index_frames
from vidperc.video.probe import probe

_LEAST_SECONDS = 1
_LAYOUT = "vidperc adapted 3"  # another number when other weights come of the same video

# Of what was learnt, one of these is kept.
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)

# Decibels that it has to gain at half the size: with less, four clips of six lost at full size.
_LEAST_GAIN = 0.1


def adapted_job(job: Job, seconds: float, *, say: Callable[[str], None]) -> Job:
    """The job with the network of its first `upscale` stage replaced by one that has learnt from the source.

    seconds: for learning, after the clips are cut; at least 1. What was learnt is kept in the user's cache
    (XDG_CACHE_HOME), so that a run that goes on, or is made again, has the same network.
    Raises VidpercError for a pipeline without networks that learn, or a source too small to learn from.
    """
    if seconds < _LEAST_SECONDS:
        raise VidpercError(f"--adapt: got {seconds:g} seconds, wanted at least {_LEAST_SECONDS}, such as 5m")
    if any(isinstance(stage, Upscale) and stage.detail for stage in job.pipeline.stages):
        raise VidpercError("--adapt: with --detail it would have to learn twice; wanted one of them")
    info, index = probe(job.source, limits=job.limits), index_frames(job.source)
    pipeline, _ = with_models(job, info, index)
    stage = next((stage for stage in pipeline.stages if isinstance(stage, Upscale)), None)
    if stage is None:
        raise VidpercError(f"--adapt: pipeline {pipeline.name} has no stage `upscale`, wanted one whose network learns")
    chain = find_chain(stage.model, stage.scale)
    if [card.scale for card in chain.cards] != [chain.scale]:
        names = " and ".join(chain.models)
        raise VidpercError(f"--adapt: {stage.model} at x{chain.scale} is {names} and resampling; wanted -s 2 or -s 4")
    start = start_of(chain.models[0])
    size = min(info.width, info.height)
    smaller, recipe = (adapt_recipe(start, job.source, size=size, shrunk=shrunk) for shrunk in (2, 1))
    facts = [
        _LAYOUT,
        find_card(str(start)).sha256,
        fingerprint(Sources(videos=(job.source,), frame_folders=(), images=())),
        seconds,
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
    made = _cache() / f"{start.stem}-adapted-{digest}.safetensors"
    if made.is_file():
        say(f"{made.name}: learnt from this video before")
    else:
        say(f"{start.stem}: learns from {job.source.name} for {seconds:g} seconds")
        with tempfile.TemporaryDirectory(dir=made.parent, prefix="adapting-") as folder:
            _learn(
                smaller,
                recipe,
                start,
                Path(folder),
                seconds=seconds,
                threads=job.workers or usable_cores(),
                command=f"vidperc upscale -m {start.stem} --adapt {seconds:g}",
                say=say,
            ).replace(made)
    if made.read_bytes() == start.read_bytes():
        say(f"{start.stem}: stays as it is, what it learnt from the video gains nothing")
        return job
    learnt = replace(stage, model=str(made), scale=None)
    stages = tuple(learnt if it is stage else it for it in pipeline.stages)
    return replace(job, pipeline=replace(pipeline, stages=stages))


def _learn(
    smaller: Recipe,
    recipe: Recipe,
    start: Path,
    folder: Path,
    *,
    seconds: float,
    threads: int,
    command: str,
    say: Callable[[str], None],
) -> Path:
    """A file in the folder with the network that has learnt, or a copy of the one it began with where nothing helps.

    smaller: the recipe that learns from the video at half its size.
    """
    assert recipe.clips is not None
    (video,) = recipe.clips.videos
    data = Path(video).parent
    half = seconds / 2
    tried = follow(smaller, data, folder / "tried", threads=threads, say=say, command=command, seconds=half).path
    share, gain = _best_share(tried, start, recipe, data, folder, threads=threads, say=say)
    if gain < _LEAST_GAIN:
        return Path(shutil.copyfile(start, folder / "as-it-was.safetensors"))
    say(f"{start.stem}: {share:g} of what it learns is kept, which gains {gain:.2f} dB at half the size")
    recipe = replace(recipe, share_learnt=share)
    return follow(recipe, data, folder, threads=threads, say=say, command=command, seconds=half).path


def _best_share(
    tried: Path, start: Path, recipe: Recipe, data: Path, folder: Path, *, threads: int, say: Callable[[str], None]
) -> tuple[float, float]:
    """How much to keep of what was learnt, and what that gains in dB on clips of the video, shrunk by the scale."""
    assert recipe.clips is not None
    network = open_student(start, expand=0)
    clips = replace(recipe.clips, sizes=(1.0,), held_out=(Path(recipe.clips.videos[0]).name,))
    shown = held_out_clips(clips, data, folder, scale=scale_of(network), threads=threads, say=say)
    measure = measure_of({"clips": shown}, None)

    def gained(share: float) -> float:
        between = open_student(tried, expand=0)
        go_back(between, start, share_learnt=share)
        return measure(between)["clips Y-PSNR"] - before

    before = measure(network)["clips Y-PSNR"]
    gains = {share: gained(share) for share in _SHARES}
    best = max(gains, key=lambda share: gains[share])
    return best, gains[best]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "vidperc" / "adapted"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"--adapt: {folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME") from error
    return folder
