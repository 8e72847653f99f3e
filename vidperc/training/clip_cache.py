"""A cache of training clips: made once, one file, of which a step reads no more than the crops it draws."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.motion.estimator import FlowEstimator, open_estimator
from vidperc.motion.find import find_motion
from vidperc.motion.occlusion import points_inside
from vidperc.motion.table import DEFAULT_ESTIMATOR
from vidperc.ops.turn import Turn, turned, turned_flow
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.clip_file import Arrays, ClipFile, map_clips
from vidperc.training.clip_making import Cut, Job, Tally, plan_clips
from vidperc.training.clips import a_place, detail
from vidperc.training.degrade import Degradation, degrade, draw_degradation
from vidperc.training.exact_motion import exact_motion
from vidperc.training.material import Material, Part, Sources, find_sources, told_apart_by

_LAYOUT = "vidperc clips 2"  # another number when other bytes come of the same material
_TOLD_EVERY = 20.0  # seconds
_HELD_OUT, _HELD_OUT_SIDE = 16, 96  # clips that are held out, and the side of their small frames

Say = Callable[[str], None]


class ClipCache:
    """Clips in a file, memory-mapped.

    path: a safetensors file with `large` (count,T,S,S,3) and `small` (count,T,h,h,3), uint8 RGB, and their motion,
    `flow` (count,T,2,h,h) float16 and `visible` (count,T,h,h) uint8.
    Raises VidpercError for a file that is not such a one, or not whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = map_clips(path)
        shape: tuple[int, ...] = self._arrays["large"].shape
        self.count, self.frames, self.side = shape[:3]
        self.scale = self.side // int(self._arrays["small"].shape[2])

    def draw(self, numbers: range, *, frames: int, patch: int, seed: int) -> ClipBatch:
        """The clips of these numbers, cut to so many frames and to small frames of patch x patch pixels.

        Clip, first frame and place are drawn, and whether it is mirrored and turned, by the seed and the number alone:
        `draw(range(8))` is `draw(range(4))` and `draw(range(4, 8))`. Of two places it is the one with more detail.
        What the flow leads to outside of a crop is not visible.

        Raises VidpercError for longer or larger clips than there are.
        """
        small = self.side // self.scale
        if not 1 <= frames <= self.frames or not 2 <= patch <= small:
            raise VidpercError(
                f"{self.path}: got {frames} frames of {patch} pixels, wanted at most {self.frames} of {small}; make "
                "patch or frames smaller, or `frames` and `side` of the clips larger"
            )
        large = patch * self.scale
        batch = ClipBatch(
            small=torch.empty(len(numbers), frames, 3, patch, patch),
            large=torch.empty(len(numbers), frames, 3, large, large),
            flow=torch.empty(len(numbers), frames, 2, patch, patch),
            visible=torch.empty(len(numbers), frames, 1, patch, patch),
        )
        for place, number in enumerate(numbers):
            self._draw_into(batch, place, np.random.default_rng((seed, number)))
        batch.small.div_(255)
        batch.large.div_(255)
        return batch

    def _draw_into(self, batch: ClipBatch, place: int, chance: np.random.Generator) -> None:
        """Draw a clip into its place of a batch, its pixels in 8-bit codes."""
        frames, _, patch, _ = batch.small.shape[1:]
        clip = int(chance.integers(self.count))
        start = a_place(chance, self.frames, frames)
        corners = [[a_place(chance, self.side // self.scale, patch) for _ in range(2)] for _ in range(2)]
        # The better of two places, as a camera takes it: a part of a good clip may be all sky.
        middle = self._arrays["small"][clip, start + frames // 2]
        top, left = max(corners, key=lambda yx: detail(middle[yx[0] : yx[0] + patch, yx[1] : yx[1] + patch]))
        turn = Turn(transposed=_toss(chance), mirrored=_toss(chance), upside_down=_toss(chance))

        def part(name: str, scale: int = 1) -> Tensor:
            y, x, side = top * scale, left * scale, patch * scale
            rows = self._arrays[name][clip, start : start + frames]
            if name in ("small", "large"):
                rows = rows.transpose(0, 3, 1, 2)
            return torch.from_numpy(rows[..., y : y + side, x : x + side].copy(order="K"))

        batch.small[place] = turned(part("small"), turn)
        batch.large[place] = turned(part("large", self.scale), turn)
        flow = turned_flow(part("flow").float(), turn)  # (T, 2, p, p)
        batch.flow[place] = flow
        batch.visible[place] = turned(part("visible")[:, None], turn) * points_inside(flow)
        # The first frame of a clip has nothing before it, also where the cache has.
        batch.flow[place, 0] = 0
        batch.visible[place, 0] = 0


def make_clip_cache(
    material: Material,
    data: Path,
    folder: Path,
    scale: int,
    threads: int,
    say: Say,
    *,
    seed: int = 0,
    part: Part = "learnt",
) -> ClipCache:
    """The clips of a material, made now or taken from a file in the folder that was made of the same.

    data: the folder that holds the material's files. scale: of large frames to small ones. threads: at work at once;
    the bytes of the file do not depend on them. part: of which files, see `find_sources`. say: is told, a line each
    time, what reads the videos, what is left out and how far it is.
    The file is named for all that makes it, begins as `.partial`, and is begun anew when it was interrupted.
    Raises VidpercError when no clip can be made or the file cannot be written, ValueError for a side that the scale
    does not suit.
    """
    material.check(scale)
    sources = find_sources(material, data, part)
    facts = {"material": told_apart_by(material, sources), "scale": scale, "seed": seed}
    digest = hashlib.sha256(json.dumps([_LAYOUT, facts]).encode()).hexdigest()[:10]
    path = folder / f"clips-{digest}.safetensors"
    lock = FileLock(path.with_suffix(".lock"))  # of several processes, one makes it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise VidpercError(f"{folder}: no file can be made there ({error.strerror}); name another") from error
    try:
        if path.is_file():
            say(f"{path.name}: its clips are taken")
        else:
            _make(path, material, sources, scale=scale, seed=seed, threads=threads, say=say)
    finally:
        lock.release()
    return ClipCache(path)


def held_out_clips(
    material: Material, data: Path, folder: Path, *, scale: int, threads: int, say: Say
) -> list[ClipBatch]:
    """The few clips that are measured at every checkpoint, each a batch of its own; as `make_clip_cache` otherwise."""
    side = min(material.side, _HELD_OUT_SIDE * scale)
    few = replace(material, count=_HELD_OUT, side=side - side % (2 * scale))
    try:
        cache = make_clip_cache(few, data, folder, scale, threads, say, part="held_out")
    except VidpercError as error:
        raise VidpercError(f"held out: {error}") from error
    numbers = [range(place, place + 1) for place in range(_HELD_OUT)]
    return [cache.draw(number, frames=few.frames, patch=cache.side // scale, seed=0) for number in numbers]


def _make(path: Path, material: Material, sources: Sources, *, scale: int, seed: int, threads: int, say: Say) -> None:
    side, small = material.side, material.side // scale
    of_frame = {"large": (side, side, 3), "small": (small, small, 3), "flow": (2, small, small)}
    shapes = {name: (material.frames, *shape) for name, shape in {**of_frame, "visible": (small, small)}.items()}
    facts = {"layout": _LAYOUT, "material": json.dumps(asdict(material)), "scale": str(scale), "seed": str(seed)}
    own, began, met = threading.local(), monotonic(), Tally()

    def begin() -> None:
        torch.set_num_threads(1)  # one of several at work; and what estimators find may depend on it
        own.estimator = open_estimator(DEFAULT_ESTIMATOR)

    def work(job: Job) -> Tally:
        cuts, tally = job.make()
        for place, cut in enumerate(cuts, start=job.place):
            chance = np.random.default_rng((seed, 2, place))
            file.put(place, _arrays(cut, material, scale, chance, own.estimator))
        return tally

    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        jobs = plan_clips(material, sources, scale=scale, seed=seed, threads=pool, say=say)
        with ClipFile(path, material.count, shapes, facts) as file:
            said = began
            try:
                for job, tally in zip(jobs, pool.map(work, jobs), strict=True):
                    met.add(tally)
                    if monotonic() - said > _TOLD_EVERY:
                        said = monotonic()
                        say(f"{path.name}: {job.place + job.count} of {material.count} clips are made")
            finally:
                pool.shutdown(cancel_futures=True)
    say(f"{path.name}: {material.count} clips in {monotonic() - began:.0f} s{met}")


def _arrays(cut: Cut, material: Material, scale: int, chance: np.random.Generator, estimator: FlowEstimator) -> Arrays:
    """What is kept of a clip, under the names of a ClipFile."""
    how = Degradation(kernel="bd" if material.degradation == "bd" else "bicubic")
    if material.degradation == "real":
        how = draw_degradation(chance, scale=scale)
    small = degrade(cut.pixels, how, scale=scale, chance=chance)
    if cut.filmed is not None and material.flow == "exact":
        motion = exact_motion(cut.filmed, small.shape[1])
    else:
        frames = torch.from_numpy(small).permute(0, 3, 1, 2).float().div_(255)  # (T, 3, h, h)
        (motion,) = find_motion([(frames, 0)], estimator)
    flow, visible = motion.flow.numpy(), motion.visible[:, 0].numpy()
    return {"large": cut.pixels, "small": small, "flow": flow, "visible": visible}


def _toss(chance: np.random.Generator) -> bool:
    return bool(chance.integers(2))
