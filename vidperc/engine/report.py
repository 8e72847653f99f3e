"""The report of a job: what was done, on the user's own video, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vidperc.video.fates import Fate, sentences


@dataclass
class StreamReport:
    """What became of the source's other streams, one sentence each."""

    kept: list[str] = field(default_factory=list[str])
    converted: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])


def stream_report(fates: list[Fate]) -> StreamReport:
    """The fates of whole streams, as sentences, and all that was converted or dropped of any."""
    whole = [fate for fate in fates if fate.field == "stream"]
    return StreamReport(
        kept=sentences(whole, "kept"), converted=sentences(fates, "converted"), dropped=sentences(fates, "dropped")
    )


@dataclass
class JobReport:
    """What a job did.

    guide: the video that was followed beside the source; empty without one.
    pipeline: the settings of every stage, with the networks that were chosen. remarks: what was chosen, and why,
        and what the user was told of the source and of what lies beside the output.
    frames_in: frames that the source announces in the asked range; frames_out: frames of the output.
    window: (first pts, pts of the end) of the excerpt, which the output shows from time 0 on; None for the whole.
    time_error_seconds: the largest difference between a frame's time in the source and in the output.
    cuts: inside the asked range; 0 where no stage looks across frames and none were given.
    fidelity: what became of every stream, and of every field of it: kept, converted or dropped, and why.
    layout: in which frames passed the stages as YUV; empty for RGB.
    damage: what was met while decoding. seconds: wall and CPU by part, waits of the process thread.
    peak_memory_bytes: of the process and its workers together, sampled once a second.
    """

    source: str
    output: str
    guide: str = ""
    already_done: bool = False
    pipeline: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    remarks: list[str] = field(default_factory=list[str])
    frames_in: int = 0
    frames_out: int = 0
    width: int = 0
    height: int = 0
    window: tuple[int, int] | None = None
    time_error_seconds: float = 0.0
    streams: StreamReport = field(default_factory=StreamReport)
    fidelity: list[Fate] = field(default_factory=list[Fate])
    layout: str = ""
    color: dict[str, Any] = field(default_factory=dict[str, Any])
    encoder: dict[str, Any] = field(default_factory=dict[str, Any])
    placement: dict[str, Any] = field(default_factory=dict[str, Any])
    workers: int = 0
    cuts: int = 0
    segments: int = 0
    resumed_segments: int = 0
    crashed_workers: int = 0
    damage: dict[str, int] = field(default_factory=dict[str, int])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    first_frame_seconds: float | None = None
    peak_memory_bytes: int = 0
    output_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def bottleneck(self) -> str:
        return bottleneck(self.seconds, prefix="cpu_")


def bottleneck(seconds: Mapping[str, float], prefix: str = "") -> str:
    """The part that the others wait for: "decode", "process" or "encode"; "" before anything was measured.

    The processing thread stands between the two others, so what it waits for most is what holds the run up, unless it
    hardly waits at all.
    """
    wall = seconds.get(f"{prefix}wall", 0.0)
    waits = {"decode": seconds.get("waited_for_decode", 0.0), "encode": seconds.get("waited_for_encode", 0.0)}
    if wall <= 0:
        return ""
    part = max(waits, key=lambda name: waits[name])
    if waits[part] > 0.3 * wall:
        return part
    # Where a worker does both in turn, nothing waits, and the larger share is what holds the run up.
    return max(("process", "encode"), key=lambda name: seconds.get(f"{prefix}{name}", 0.0))
