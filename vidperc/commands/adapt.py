"""`upscale --adapt`: before a video is enlarged, the network learns on from the video's own frames.

Source: learning from what one picture shows at several sizes, A. Shocher, N. Cohen, M. Irani, "Zero-Shot
Super-Resolution using Deep Internal Learning", 2018; here a trained network is begun with, as meta-learned and
fine-tuned ones are since.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from vidperc.training.follow import follow
from vidperc.training.material import Sources, fingerprint
from vidperc.video.index import index_frames
from vidperc.video.probe import probe

_LEAST_SECONDS = 1
_LAYOUT = "vidperc adapted 2"  # another number when other weights come of the same video


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
    recipe = adapt_recipe(start, job.source, size=min(info.width, info.height))
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
            follow(
                recipe,
                job.source.resolve().parent,
                Path(folder),
                threads=job.workers or usable_cores(),
                say=say,
                command=f"vidperc upscale -m {start.stem} --adapt {seconds:g}",
                seconds=seconds,
            ).path.replace(made)
    learnt = replace(stage, model=str(made), scale=None)
    stages = tuple(learnt if it is stage else it for it in pipeline.stages)
    return replace(job, pipeline=replace(pipeline, stages=stages))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "vidperc" / "adapted"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"--adapt: {folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME") from error
    return folder
