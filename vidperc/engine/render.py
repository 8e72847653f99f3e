"""Rendering one segment: a pure function of the input, the plan and the segment."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time, thread_time

from vidperc.engine.clips import Pictures, clips_of, planes_of
from vidperc.engine.journal import Rendered, Sidecar, sha256_of
from vidperc.engine.memory import READ_AHEAD_BYTES
from vidperc.engine.plan import Plan, Segment
from vidperc.pipeline import Pipeline
from vidperc.video.encoder import Encoder
from vidperc.video.planes import Plane, layout_of
from vidperc.video.prefetch import Consumer, Inline, Meter, prefetch
from vidperc.video.source import Counts, Decoded, read_frames

log = logging.getLogger(__name__)

# Seconds between two messages about progress.
REPORT_EVERY = 0.2

Report = Callable[[int, dict[str, float]], None]


class SeekMismatch(Exception):
    """Frames after a seek are not the planned ones."""


def render(
    source: Path, plan: Plan, segment: Segment, pipeline: Pipeline, partial: Path, report: Report | None = None
) -> Rendered:
    """Decode, process and encode one segment into the file `partial`.

    report: called now and then with the number of frames emitted so far and the seconds that each part took.
    After a seek the frames must be the planned ones, else decoding starts further back, at last at the start of the
    file; what is decoded from there is the truth, planned or not.
    """
    seek = segment.seeks[0] if segment.seeks else None
    log.debug("segment %d: begun, decoding from %s", segment.index, _spelled(seek))
    try:
        return _render(source, plan, segment, pipeline, partial, report, seek, strict=seek is not None)
    except SeekMismatch as mismatch:
        seek = _trusted_seek(source, plan, segment)
        log.debug("segment %d: %s; begun again, decoding from %s", segment.index, mismatch, _spelled(seek))
    return _render(source, plan, segment, pipeline, partial, report, seek, strict=False)


def _spelled(seek: tuple[int, int] | None) -> str:
    return "the start of the file" if seek is None else f"the keyframe at pts {seek[0]}"


def _trusted_seek(source: Path, plan: Plan, segment: Segment) -> tuple[int, int] | None:
    """Where to decode from when the preferred seek gave other frames than planned; None for the start.

    A keyframe further back that gives the planned frames is good. When two keyframes agree on what differs, the
    file is damaged there and the seek is not to blame. Only decodes.
    """
    surveys: list[tuple[int, ...]] = []
    for seek in segment.seeks:
        counts = Counts()
        frames = _frames(source, plan, segment, seek, counts)
        found = tuple(decoded.pts for decoded in frames)
        if found == segment.expected and not counts.damage:
            return seek
        surveys.append(found)
    agree = len(surveys) > 1 and surveys[0] == surveys[1] and surveys[0][:1] == segment.expected[:1]
    return segment.seeks[1] if agree else None


def _frames(
    source: Path, plan: Plan, segment: Segment, seek: tuple[int, int] | None, counts: Counts, *, threads: int = 1
) -> Iterator[Decoded]:
    return read_frames(
        source,
        start=segment.read_from,
        stop=segment.after,
        keyframe=seek,
        timed=plan.timed,
        threads=threads,
        size=(plan.source_width, plan.source_height),
        counts=counts,
    )


def _checked(frames: Iterator[Decoded], segment: Segment, counts: Counts) -> Iterator[Decoded]:
    """The frames, as long as they are the planned ones and undamaged; raises SeekMismatch at the first that is not."""
    planned = iter(segment.expected)
    for decoded in frames:
        wanted = next(planned, None)
        if decoded.pts != wanted or counts.damage:
            raise SeekMismatch(
                f"damage before pts {wanted}" if counts.damage else f"got {decoded.pts}, planned {wanted}"
            )
        yield decoded
    missing = next(planned, None)
    if missing is not None:
        raise SeekMismatch(f"no frame for pts {missing}")


def _render(
    source: Path,
    plan: Plan,
    segment: Segment,
    pipeline: Pipeline,
    partial: Path,
    report: Report | None,
    seek: tuple[int, int] | None,
    *,
    strict: bool,
) -> Rendered:
    counts = Counts()
    decode, encode = Meter(), Meter()
    here = Meter()  # of encoding, in this thread
    emitted: list[int] = []

    def decoded() -> Iterator[Decoded]:
        # With several threads a decoder that meets damage loses frames at the end; undamaged ones are checked.
        threads = plan.placement.threads if strict else 1
        frames = _frames(source, plan, segment, seek, counts, threads=threads)
        return _checked(frames, segment, counts) if strict else frames

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

        def encode_one(item: tuple[list[Plane], int]) -> None:
            encoder.encode(*item)

        def encode_all(items: Iterator[tuple[list[Plane], int]]) -> None:
            for item in items:
                encode_one(item)

        with Inline(encode_one, here) if alone else Consumer(encode_all, READ_AHEAD_BYTES, encode) as sink:
            for clip in pipeline(clips_of(frames, _pictures(plan), segment.shot)):
                ready = [
                    ([plane.cpu().numpy() for plane in planes_of(clip, index, layout, color)], pts)
                    for index, pts in enumerate(clip.pts)
                    if segment.emits(pts)
                ]
                del clip  # its tensors are four times as large as the planes, and encoding needs memory too
                for arrays, pts in ready:
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
        counts=asdict(counts),
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


def _pictures(plan: Plan) -> Pictures:
    return Pictures(
        layout=plan.layout,
        color=plan.color,
        time_base=plan.time_base,
        chunk=plan.placement.chunk,
        device=plan.placement.device,
    )
