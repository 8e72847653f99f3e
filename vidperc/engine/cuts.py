"""The cuts of a job: given, or found before its plan is made."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from vidperc.engine.memory import PARENT_BYTES, WORKER_BYTES, free_bytes
from vidperc.engine.plan import usable_cores
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.video.cut_list import read_cut_list
from vidperc.video.cuts import CutThresholds
from vidperc.video.index import FrameIndex
from vidperc.video.probe import VideoInfo
from vidperc.video.scan import find_cuts

if TYPE_CHECKING:
    from vidperc.engine.job import Job
    from vidperc.engine.ready import Ready

AUTO_CUTS, NO_CUTS = "auto", "none"

# Frames that a decoder holds: those that others refer to, and those on their way out.
DECODER_FRAMES = 24


@dataclass(frozen=True, kw_only=True)
class CutChoice:
    """Where the cuts come from.

    listed: "auto" to find them where a stage looks across frames, "none" for a single shot, or the path of a list.
    thresholds: for finding them.
    """

    listed: str = AUTO_CUTS
    thresholds: CutThresholds = field(default_factory=CutThresholds)


def cut_choice(listed: str, cut: float | None, fade: float | None) -> CutChoice:
    """The choice for a command's --cuts, --cut-threshold and --fade-threshold; None for the usual threshold.

    Raises VidpercError for thresholds that cannot be, or that nothing would use.
    """
    usual = CutThresholds()
    if listed != AUTO_CUTS and (cut is not None or fade is not None):
        option = "--cut-threshold" if cut is not None else "--fade-threshold"
        raise VidpercError(f"{option}: is for finding cuts, which --cuts {listed} leaves out; drop one of the two")
    thresholds = CutThresholds(cut=usual.cut if cut is None else cut, blank=usual.blank if fade is None else fade)
    return CutChoice(listed=listed, thresholds=thresholds)


def given_cuts(choice: CutChoice, info: VideoInfo, index: FrameIndex) -> tuple[int, ...] | None:
    """The pts of the cuts that the user named; None when they are to be found.

    Raises VidpercError for a list that cannot be used.
    """
    if choice.listed == AUTO_CUTS:
        return None
    return () if choice.listed == NO_CUTS else read_cut_list(Path(choice.listed), info, index)


def key_facts(choice: CutChoice, given: tuple[int, ...] | None, *, looks_across: bool) -> Any:
    """What of the cuts decides the frames of a job.

    Without a stage that looks across frames only given ones do: segments start at them.
    """
    if not looks_across:
        return given or None
    return asdict(choice.thresholds) if given is None else given


def must_find_cuts(ready: Ready) -> bool:
    """Whether the cuts matter and were not given."""
    return ready.cuts is None and ready.prepared.looks_across


def cuts_for_plan(job: Job, ready: Ready, watcher: Watcher) -> tuple[int, ...]:
    """The pts of the frames that start a shot, for the plan of a job.

    Those that were given; else, where a stage looks across frames, those that are found among the asked frames and what
    the pipeline reads around them, which every core looks at; else none.
    """
    prepared, pts = ready.prepared, ready.pts
    if ready.cuts is not None:
        watcher.said(f"{len(ready.cuts)} cuts were given")
        return ready.cuts
    if not must_find_cuts(ready):
        return ()
    began = perf_counter()
    low = bisect_left(ready.index.pts, pts[0]) - prepared.lead
    high = bisect_left(ready.index.pts, pts[-1]) + 1 + prepared.tail
    guide = ready.guide
    # A program that worked frame by frame may have made anything of them; what it was given has the cuts of the film.
    info, index = ready.stored if guide is None else (guide.info, guide.index)
    # Of fields, two of which are a stored frame, whose pts count in twice the ticks.
    fields = 2 if job.deinterlace == "field" else 1
    found = find_cuts(
        info,
        index,
        job.cuts.thresholds,
        pts=index.pts[max(0, low) // fields : -(-high // fields)],
        threads=_threads(job, ready, info),
        progress=watcher.scanned,
    )
    if fields > 1:
        found = tuple(replace(cut, pts=fields * cut.pts) for cut in found)
    if guide is not None:
        found = tuple(guide.in_source(cut, ready.index) for cut in found)
    inside = [cut for cut in found if pts[0] < cut.pts <= pts[-1]]
    watcher.found(inside, len(pts), perf_counter() - began)
    return tuple(cut.pts for cut in found)


def _threads(job: Job, ready: Ready, info: VideoInfo) -> int:
    """One decoder for each core, as far as asked and as memory goes; the workers wait with what they have loaded."""
    decoder = DECODER_FRAMES * (2 if info.bits > 8 else 1) * 3 * info.width * info.height // 2
    budget, limit = free_bytes(), job.wishes.max_bytes
    if limit is not None:
        budget = min(budget, limit - PARENT_BYTES - ready.workers * WORKER_BYTES)
    return max(1, min(job.workers or usable_cores(), budget // decoder))
