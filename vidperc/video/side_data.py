"""What a decoded frame carries beside its picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av.error
from av.filter.graph import Graph
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame) -> dict[str, bytes]:
    """What a frame carries beside its picture, by FFmpeg's names without AV_FRAME_DATA; never a colour profile.

    Raises ValueError where PyAV does not know the type of one; it then gives up on all.
    """
    # PyAV frees the dictionary of side data once more than it may, which ends the program. Only FFmpeg's decoder of PNG
    # makes one, for the name of a profile; but PNG is in videos, too, and filters give its frames any format. So
    # FFmpeg itself takes the profile away first, of all frames alike.
    data: Any = _through(frame, "delete").pull().side_data  # its iterator gives the values
    return {str(item.type.name): bytes(item) for item in data}


def has_profile(frame: VideoFrame) -> bool:
    """Whether a frame carries a colour profile."""
    try:
        _through(frame, "select").pull()
    except av.error.BlockingIOError:  # the filter let nothing pass
        return False
    return True


def _through(frame: VideoFrame, mode: str) -> Graph:
    """FFmpeg's filter of side data, told of colour profiles, with a frame in it, whose picture it shares."""
    graph = Graph()
    graph.threads = 1  # threads would take longer to begin than all the rest
    ticks = Fraction(1, 25)  # must be given; no time is read
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=ticks)
    profile = graph.add("sidedata", f"mode={mode}:type=ICC_PROFILE")
    graph.link_nodes(source, profile, graph.add("buffersink")).configure()
    graph.push(frame)
    return graph
