"""Rendering one segment: a pure function of the input, the plan and the segment."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING

from vidperc.engine.clips import Pictures, clips_of, on_host, planes_of
from vidperc.engine.guide import guided
from vidperc.engine.journal import Rendered, Sidecar, sha256_of
from vidperc.engine.memory import READ_AHEAD_BYTES
from vidperc.engine.plan import Plan, Segment
from vidperc.engine.reading import Reading, SeekMismatch, read_guide, read_source
from vidperc.pipeline import Pipeline
from vidperc.video.captions import WRITE_CAPTIONS, carrier
from vidperc.video.encoder import Encoder
from vidperc.video.packets import Counts
from vidperc.video.planes import Plane, layout_of
from vidperc.video.prefetch import Consumer, Inline, Meter, prefetch
from vidperc.video.source import Decoded
from vidperc.video.stated import Stated, changes

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from torch import Tensor

log = logging.getLogger(__name__)

# Seconds between two messages about progress.
REPORT_EVERY = 0.2

Report = Callable[[int, dict[str, float]], None]


def render(
    source: Path,
    plan: Plan,
    segment: Segment,
    pipeline: Pipeline,
    partial: Path,
    report: Report | None = None,
    *,
    guide: Path | None = None,
) -> Rendered:
    """Decode, process and encode one segment into the file `partial`.

    report: called now and then with the number of frames emitted so far and the seconds that each part took.
    guide: the video beside the source, if the plan has one.
    After a seek the frames must be the planned ones, else decoding starts further back, at last at the start of the
    file; what is decoded from there is the truth, planned or not.
    """
    reading = read_source(source, plan, segment)
    beside = None if guide is None else read_guide(guide, plan, segment)
    log.debug("segment %d: begun, decoding from %s", segment.index, reading.begins)
    while True:
        try:
            return _render(reading, beside, plan, segment, pipeline, partial, report)
        except SeekMismatch as mismatch:
            again = mismatch.reading.again()
            reading, beside = (again, beside) if mismatch.reading is reading else (reading, again)
            log.debug("segment %d: %s; begun again, decoding from %s", segment.index, mismatch, again.begins)


def _render(
    reading: Reading,
    beside: Reading | None,
    plan: Plan,
    segment: Segment,
    pipeline: Pipeline,
    partial: Path,
    report: Report | None,
) -> Rendered:
    counts, guide_counts = Counts(), Counts()
    unguided: list[int] = []  # pts of frames that the guide does not show
    decode, encode = Meter(), Meter()
    here = Meter()  # of encoding, in this thread
    emitted: list[int] = []

    captions: dict[int, VideoFrame] = {}  # small frames that carry them, by pts
    writes_captions = plan.encoder.codec in WRITE_CAPTIONS

    def noted(frames: Iterator[Decoded]) -> Iterator[Decoded]:
        for item in frames:
            if item.stated is not None and segment.emits(item.pts):
                _note_changes(item.stated, plan, counts)
            small = carrier(item.frame) if writes_captions and segment.emits(item.pts) else None
            if small is not None:
                captions[item.pts] = small
            yield item

    def decoded() -> Iterator[Decoded]:
        frames = noted(reading.frames(counts, threads=plan.placement.threads))
        if beside is None:
            return frames
        partners = dict(zip(segment.expected, beside.expected, strict=True))
        return guided(frames, beside.frames(guide_counts, threads=plan.placement.threads), partners, unguided)

    began, began_cpu, began_all, reported = perf_counter(), thread_time(), process_time(), perf_counter()

    def seconds() -> dict[str, float]:
        process = thread_time() - began_cpu - here.cpu
        return {
            "wall": perf_counter() - began,
            "decode": decode.cpu,
            "process": process,
            # The encoder's own threads; where a worker has several for tensor work, those that help are in it too.
            "encode": max(0.0, process_time() - began_all - decode.cpu - process),
            "waited_for_decode": decode.waited,
            "waited_for_encode": encode.waited,
        }

    layout, color = layout_of(plan.encoder.pix_fmt), plan.output_color
    alone = plan.placement.device == "cpu" and plan.placement.threads == 1  # every core has a worker of its own
    frames = prefetch(decoded, lambda item: item.nbytes, READ_AHEAD_BYTES, decode)
    with Encoder(
        partial,
        plan.encoder,
        width=plan.width,
        height=plan.height,
        time_base=plan.time_base,
        rate=plan.rate,
        color=color,
        sample_aspect=plan.sample_aspect,
    ) as encoder:

        def finished() -> Iterator[tuple[list[Tensor], int]]:
            for clip in pipeline(clips_of(frames, _pictures(plan), segment.shot)):
                ready = [
                    (planes_of(clip, index, layout, color), pts)
                    for index, pts in enumerate(clip.pts)
                    if segment.emits(pts)
                ]
                del clip  # its tensors are four times as large as the planes, and encoding needs memory too
                yield from ready

        def encode_one(item: tuple[list[Plane], int]) -> None:
            arrays, pts = item
            encoder.encode(arrays, pts, captions.pop(pts, None))

        def encode_all(items: Iterator[tuple[list[Plane], int]]) -> None:
            for item in items:
                encode_one(item)

        with Inline(encode_one, here) if alone else Consumer(encode_all, READ_AHEAD_BYTES, encode) as sink:
            for arrays, pts in on_host(finished(), plan.placement.device):
                sink.put((arrays, pts), sum(array.nbytes for array in arrays))
                emitted.append(pts)
                if report is not None and perf_counter() - reported > REPORT_EVERY:
                    reported = perf_counter()
                    report(len(emitted), seconds())
        flushing = thread_time()
    here.cpu += thread_time() - flushing  # the encoder's lookahead, often half of a segment
    if sorted(encoder.packet_pts) != emitted:
        raise RuntimeError(f"segment {segment.index}: {len(emitted)} frames in, {len(encoder.packet_pts)} encoded")
    if not emitted:
        partial.touch()  # damage took every frame; the encoder has written nothing
    sidecar = Sidecar(
        packet_pts=tuple(encoder.packet_pts),
        sha256=sha256_of(partial),
        nbytes=partial.stat().st_size,
        counts=asdict(counts) if beside is None else asdict(counts) | _guide_counts(guide_counts, segment, unguided),
        seconds=seconds(),
        extradata=hashlib.sha256(encoder.extradata).hexdigest(),
    )
    log.debug(
        "segment %d: done, %d frames, %d bytes, %.2f s",
        segment.index,
        len(emitted),
        sidecar.nbytes,
        sidecar.seconds["wall"],
    )
    return Rendered(partial, sidecar)


def _note_changes(stated: Stated, plan: Plan, counts: Counts) -> None:
    """Count in what a frame is not like the first of the video."""
    counts.interlaced_frames += stated.interlaced
    if plan.source_format:
        for name in changes(stated, pix_fmt=plan.source_format, color=plan.color, aspect=plan.coded_aspect):
            setattr(counts, name, getattr(counts, name) + 1)


def _guide_counts(counts: Counts, segment: Segment, unguided: list[int]) -> dict[str, int]:
    """Damage met in the guide, and how many of the segment's frames it cost."""
    damage = {f"guide_{name}": number for name, number in asdict(counts).items() if name != "packets"}
    return {**damage, "guide_frames_missing": sum(map(segment.emits, unguided))}


def _pictures(plan: Plan) -> Pictures:
    return Pictures(
        layout=plan.layout,
        color=plan.color,
        time_base=plan.time_base,
        chunk=plan.placement.chunk,
        device=plan.placement.device,
        guide=plan.guide,
        alpha=plan.alpha,
        turn=plan.turn,
    )
