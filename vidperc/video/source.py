"""Decoding: frames of a file with their exact times, from a seek or from the start, tolerant of damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from vidperc.video.decoder import alpha_decoder
from vidperc.video.deinterlace import Deinterlace, deinterlaced
from vidperc.video.images import image_frames, image_paths, is_images
from vidperc.video.opening import MOST_PIXELS, open_input, video_stream
from vidperc.video.packets import DECODE_ERRORS, Counts, make_no_times, show_in_order, tolerant_packets
from vidperc.video.probe import rate_of
from vidperc.video.stated import Stated, state

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Decoded:
    """One decoded frame: its picture, time and duration in ticks of the stream's time base.

    stated: what it states, as the decoder gave it; None of an image, which is read like the first.
    """

    frame: VideoFrame = field(repr=False)
    pts: int
    duration: int
    stated: Stated | None = field(default=None, kw_only=True)

    @property
    def nbytes(self) -> int:
        return sum(plane.buffer_size for plane in self.frame.planes)


def read_frames(
    path: Path,
    *,
    start: int | None = None,
    stop: int | None = None,
    keyframe: tuple[int, int] | None = None,
    timed: bool = True,
    threads: int = 0,
    size: tuple[int, int] | None = None,
    rough: bool = False,
    deinterlace: Deinterlace = "",
    counts: Counts | None = None,
) -> Iterator[Decoded]:
    """Decode the main video stream and give the frames with start <= pts < stop, in display order.

    keyframe: the one to seek to, as in FrameIndex; None decodes from the start of the file.
    timed: False where packets carry no times of display; frames then take the times of decoding in their own order,
        and where there are none either, they follow each other at the stream's rate from 0.
    threads: of the decoder; 0 lets it choose.
    size: width and height that every frame must have; others are scaled to it and counted.
    rough: without the decoder's loop filter: a quarter quicker, and blocks show; for pictures that nobody sees.
    deinterlace: whole pictures of interlaced frames, one of each, or one of each field, whose times, and start and
        stop, then count in half the ticks. What comes first after a keyframe is not whole.
    counts: is added to as damage is met.
    Frames at the start of a file that have no time lead up to the first that has one, at the stream's rate.
    A damaged packet costs what it holds, never the rest; times never run backwards. Images have the ticks of
    index_frames(); raises VidpercError for one that is damaged, or not as the others.
    """
    counts = counts if counts is not None else Counts()
    if is_images(path):
        most = max(MOST_PIXELS, 0 if size is None else size[0] * size[1])
        for number, image in image_frames(image_paths(path), start=start, stop=stop, max_pixels=most):
            counts.packets += 1
            yield Decoded(image, number, 1)
        return
    with open_input(path) as container:
        stream = video_stream(container, path)
        make_no_times(container, stream)
        stream.thread_type = "AUTO"
        stream.thread_count = threads
        if rough:
            stream.codec_context.options = {**stream.codec_context.options, "skip_loop_filter": "all"}
        if keyframe is not None:
            container.seek(keyframe[1], stream=stream, backward=True)
        ticks = ticks_per_frame(stream)
        step = round(ticks)
        reformatter = VideoReformatter()
        frames = _decode(container, stream, counts, alpha_decoder(stream, threads))
        if timed:
            timed_frames = (
                _counted_back(frames, path, ticks, counts) if keyframe is None else ((f, f.pts) for f in frames)
            )
        else:
            timed_frames = _in_order(frames, stream.start_time or 0, step)
        shown = _rising(timed_frames, step, counts)
        if deinterlace:
            shown = deinterlaced(shown, stream.time_base or Fraction(1, 90000), deinterlace)
        for frame, pts in shown:
            if start is not None and pts < start:
                continue
            if stop is not None and pts >= stop:
                return
            counts.corrupt_frames += frame.is_corrupt
            stated = cast("Stated", frame.opaque)
            if size is not None and (frame.width, frame.height) != size:
                counts.rescaled_frames += 1
                frame = reformatter.reformat(frame, width=size[0], height=size[1], interpolation="BICUBIC")
            yield Decoded(frame, pts, frame.duration or step, stated=stated)


def _counted_back(
    frames: Iterator[VideoFrame], path: Path, ticks: Fraction, counts: Counts
) -> Iterator[tuple[VideoFrame, int | None]]:
    """The frames of a whole file with their times; those at its start that have none lead up to the first that has."""
    before: Iterator[int] | None = None
    for frame in frames:
        time = frame.pts
        if time is not None:
            yield frame, time
            yield from ((other, other.pts) for other in frames)
            return
        if before is None:
            before = iter(_lead_in(path, ticks))
        counts.untimed_frames += 1
        yield frame, next(before, None)


def _lead_in(path: Path, ticks: Fraction) -> list[int]:
    """The times of the first frames that have none, counted back from the first that has one, or else from 0 on.

    The file is read again for that: what is before that frame, which may be seconds, would fill the memory.
    """
    place = -1
    with open_input(path) as container:
        stream = video_stream(container, path)
        make_no_times(container, stream)
        for place, frame in enumerate(_decode(container, stream, Counts(), None)):
            if frame.pts is not None:
                return times_before(frame.pts, place, ticks)
    return [round(number * ticks) for number in range(place + 1)]


def times_before(first: int, count: int, ticks: Fraction) -> list[int]:
    """The times of so many frames that lead up to one that is shown at `first`, each of so many ticks."""
    return [first - round(place * ticks) for place in range(count, 0, -1)]


def _rising(
    frames: Iterator[tuple[VideoFrame, int | None]], step: int, counts: Counts
) -> Iterator[tuple[VideoFrame, int]]:
    """The frames with times that rise; one that is out of line, ahead of or behind its neighbours, has a damaged time.

    It is shown between its neighbours, where there is room. A frame waits for its successor: let through at once, a
    single time that is far too late would cost all frames until then.
    """
    held: tuple[VideoFrame, int] | None = None
    last: int | None = None
    before: list[VideoFrame] = []  # without a time, shown before the held one
    after: list[VideoFrame] = []
    for frame, time in frames:
        pts = time
        if pts is None:
            pts = 0 if held is None else held[1] + step
            counts.untimed_frames += 1
        if held is None:
            held = frame, pts
        elif pts > held[1]:
            yield from _between(before, last, held[1], counts)
            yield held
            last = held[1]
            held, before, after = (frame, pts), after, []
        else:
            counts.corrupt_frames += 1
            if pts == held[1] or (last is not None and pts <= last):
                after.append(frame)
            else:
                before, after = [*before, held[0], *after], []
                held = frame, pts
    if held is not None:
        yield from _between(before, last, held[1], counts)
        yield held
        yield from _between(after, held[1], held[1] + step * (len(after) + 1), counts)


def _between(frames: list[VideoFrame], low: int | None, high: int, counts: Counts) -> Iterator[tuple[VideoFrame, int]]:
    """The frames at even distances between two times, if there is room."""
    if low is None or high - low <= len(frames):
        return
    for place, frame in enumerate(frames, start=1):
        counts.untimed_frames += 1
        yield frame, low + (high - low) * place // (len(frames) + 1)


def _in_order(frames: Iterator[VideoFrame], first: int, step: int) -> Iterator[tuple[VideoFrame, int]]:
    """The frames with the times of decoding, moved so that the first is shown at `first`.

    Frames that the decoder still held at the end of the file have none; they follow at the last distance.
    """
    delay, last = 0, None
    for frame in frames:
        if last is None:
            delay = 0 if frame.dts is None else frame.dts - first
            time = first
        else:
            time = last + step if frame.dts is None else frame.dts - delay
            step = time - last if time > last else step
        last = time
        yield frame, time


def _decode(
    container: InputContainer, stream: VideoStream, counts: Counts, decoder: VideoCodecContext | None
) -> Iterator[VideoFrame]:
    """The frames of a stream by its own decoder, or by another one for it."""
    for packet in tolerant_packets(container, [stream], counts):
        counts.packets += packet.size > 0
        show_in_order(packet, stream, container)
        try:
            frames = packet.decode() if decoder is None else decoder.decode(packet if packet.size else None)
        except DECODE_ERRORS:
            counts.corrupt_packets += 1
            continue
        for frame in frames:
            state(frame, decoder or stream.codec_context)
            yield frame


def ticks_per_frame(stream: VideoStream) -> Fraction:
    """How long a frame lasts at the rate that a stream states, at least a tick."""
    return max(Fraction(1), 1 / (rate_of(stream) * stream.time_base)) if stream.time_base else Fraction(1)
