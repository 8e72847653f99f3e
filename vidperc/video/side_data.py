"""What a decoded frame carries beside its picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.filter.graph import Graph
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame) -> dict[str, bytes]:
    """What a frame carries beside its picture, by FFmpeg's names without AV_FRAME_DATA; never a colour profile.

    Raises ValueError where PyAV does not know the type of one; it then gives up on all.
    """
    # PyAV frees the dictionary of side data once more than it may, which ends the program. Only FFmpeg's decoder of PNG
    # makes one, for the name of a profile; but PNG is in videos, too, and filters give its frames any format. So
    # FFmpeg itself takes the profile away first, of all frames alike.
    data: Any = _through(frame, "mode=delete:type=ICC_PROFILE").side_data  # its iterator gives the values
    return {str(item.type.name): bytes(item) for item in data}


def _through(frame: VideoFrame, settings: str) -> VideoFrame:
    """The frame, its picture shared, behind FFmpeg's filter of side data."""
    graph = Graph()
    graph.threads = 1  # threads would take longer to begin than all the rest
    ticks = Fraction(1, 25)  # must be given; no time is read
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=ticks)
    chosen = graph.add("sidedata", settings)
    sink = graph.add("buffersink")
    source.link_to(chosen)
    chosen.link_to(sink)
    graph.configure()
    graph.push(frame)
    passed = graph.pull()
    assert isinstance(passed, VideoFrame)
    return passed
