"""Interlaced video as whole pictures, one for each frame or one for each field, by FFmpeg's bwdif."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, get_args

import av.error
from av.filter.graph import Graph
from av.video.frame import VideoFrame

from vidperc.errors import VidpercError

Deinterlace = Literal["", "frame", "field"]

Timed = tuple[VideoFrame, int]


def deinterlace_mode(text: str | None, option: str) -> Deinterlace:
    """The mode that a user named; None leaves fields woven. Raises VidpercError for another."""
    for mode in get_args(Deinterlace):
        if text == mode or text is None:
            return mode
    raise VidpercError(f"{option} {text}: wanted frame, for as many pictures as frames, or field, for twice as many")


def deinterlaced(frames: Iterator[Timed], time_base: Fraction, mode: Deinterlace) -> Iterator[Timed]:
    """Frames with their pts as whole pictures: as many for "frame", twice as many, in half the ticks, for "field".

    The field that is shown second comes half way to the next frame; after the last one, as far as before it. Each
    picture is made of a frame and its two neighbours, so the first after a seek is not what it would have been.
    A frame that is not interlaced is treated as if it were: streams are often marked wrongly.
    Source: FFmpeg's bwdif, after J. Weston's w3fdif (BBC R&D) and yadif.
    """
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None
    ticks = 2 if mode == "field" else 1
    last: int | None = None

    def pulled(graph: Graph) -> Iterator[Timed]:
        nonlocal last
        for frame in _pulled(graph):
            pts = (frame.pts or 0) // (2 // ticks)  # the filter always counts in halves
            if last is None or pts > last:  # the two fields of a film of one frame have one time
                last = pts
                yield frame, pts

    for frame, pts in frames:
        here = frame.width, frame.height, frame.format.name
        if graph is None or here != shape:  # another size in mid-stream: the fields before it are done with
            if graph is not None:
                graph.push(None)
                yield from pulled(graph)
            graph, shape = _graph(frame, time_base, mode), here
        frame.pts, frame.time_base = pts, time_base
        graph.push(frame)
        yield from pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from pulled(graph)


def _graph(frame: VideoFrame, time_base: Fraction, mode: Deinterlace) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    bwdif = graph.add("bwdif", f"mode=send_{mode}:parity=auto:deint=all")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, VideoFrame)
        yield frame
