"""Whether a video that is not marked as interlaced is, as its pictures tell: fields woven into frames, or telecine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
import numpy as np
from av.filter.graph import Graph
from numpy.typing import NDArray

from vidperc.ops.matrices import UNSPECIFIED
from vidperc.video.opening import open_input, video_stream
from vidperc.video.packets import DECODE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.video.frame import VideoFrame

    from vidperc.video.index import FrameIndex
    from vidperc.video.probe import VideoInfo

MOST_LINES = 1152  # of video that was ever interlaced
_HDR = (16, 18)  # transfers that came after it

_PLACES, _FRAMES = 4, 12  # that are looked at, in each of them so many
_FEWEST = 8  # frames that have to speak for fields

# Steps between neighbouring lines over those between lines of one field, where something moves. Natural pictures have
# 0.4 to 0.7, combs from 0.9 up: measured on 60 clips, 8 of them woven and telecined, too.
_COMBED = 0.85
_MOVED = 10  # codes of 8 bits by which a pixel changes where something moves
_FEWEST_MOVED = 50  # pixels


@dataclass(frozen=True)
class Look:
    """What was seen of one frame.

    order: of its fields in time, by FFmpeg's idet: "t" top first, "b" bottom first, "p" none, "u" cannot tell.
    combed: steps between lines as above; 0 where too little moves. marked: the frame says that it is interlaced.
    """

    order: str
    combed: float
    marked: bool


@dataclass(frozen=True)
class Fields:
    """What a few places of a video whose first frame is not marked as interlaced show.

    says: the end of a sentence about it; empty for pictures that are whole. marked: some frames say so themselves.
    """

    says: str = ""
    marked: bool = False


def look_for_fields(path: Path, info: VideoInfo, index: FrameIndex) -> Fields:
    """What the pictures of a few places tell.

    Only what a quick look shows beyond doubt: where little moves, or for a short time, nothing is said.
    """
    if info.height > MOST_LINES or info.color.transfer in _HDR or not path.is_file():
        return Fields()
    places = looks_at(path, index)
    return Fields(verdict(places), any(look.marked for place in places for look in place))


def field_warnings(fields: Fields) -> tuple[str, ...]:
    """What the user should know of fields that the first frame's mark does not tell."""
    found = fields.says
    if not found:
        return ()
    # Unmarked, the top field is taken for the first; a picture of each frame is whole all the same.
    modes = "frame" if "telecined" in found or "bottom" in found else "frame, or field,"
    return (
        f"the source {found}; its fields are enlarged as they are woven, which shows as combs where something moves; "
        f"--deinterlace {modes} makes whole pictures of them",
    )


def verdict(places: list[list[Look]]) -> str:
    """What frames looked at in these places say together, as look_for_fields() gives it."""
    looks = [look for place in places for look in place]
    orders = [look.order for look in looks]
    top, bottom, whole = (orders.count(order) for order in "tbp")
    woven = max(top, bottom)
    marked = sum(look.marked for look in looks)
    if marked:
        part = "" if marked > len(looks) / 2 else " in part"
        return f"is interlaced{part}, as {marked} of {len(looks)} frames say, if not the first"
    if woven < _FEWEST or min(top, bottom) > 0.05 * woven:
        return ""
    combed = sum(look.combed >= _COMBED for look in looks) / sum(look.combed > 0 or look.order != "u" for look in looks)
    first = "top" if top > bottom else "bottom"
    if whole <= 0.1 * woven and combed >= 0.5:
        return f"looks interlaced, {first} field first, although it is not marked so"
    if whole and combed >= 0.25 and all(_in_fives(place) for place in places):
        return "looks like film telecined to video, two of its five frames with fields of two pictures"
    return ""


def _in_fives(place: list[Look]) -> bool:
    """Whether frames that are whole come as one in five, as they do between the mixed ones of telecine."""
    orders = [look.order for look in place[:-1]]  # the last one has no successor to be compared with
    whole = [number % 5 for number, order in enumerate(orders) if order == "p"]
    return len(set(whole)) <= 1


def looks_at(path: Path, index: FrameIndex) -> list[list[Look]]:
    """Some frames after each of a few keyframes spread over the video."""
    middles = (index.pts[len(index.pts) * (2 * place + 1) // (2 * _PLACES)] for place in range(_PLACES))
    keyframes = sorted({before[-1] for pts in middles if (before := index.keyframes_up_to(pts))})
    found: list[list[Look]] = []
    with open_input(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        for keyframe in keyframes or [None]:
            with suppress(*DECODE_ERRORS):
                if keyframe is not None:
                    container.seek(keyframe[1], stream=stream)
                found.append(_looks(islice(container.decode(stream), _FRAMES)))
    return found


def _looks(frames: Iterable[VideoFrame]) -> list[Look]:
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None
    found: list[Look] = []
    seen: list[tuple[float, bool]] = []
    before: NDArray[np.int16] | None = None

    def pulled(graph: Graph) -> None:
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                order = graph.pull().metadata.get("lavfi.idet.single.current_frame", "undetermined")[0]
                found.append(Look(order, *seen[len(found)]))

    for number, frame in enumerate(frames):
        here = frame.width, frame.height, frame.format.name
        if graph is None:
            graph, shape = Graph(), here
            unit = frame.time_base
            source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=unit)
            graph.link_nodes(source, graph.add("idet"), graph.add("buffersink")).configure()
        elif here != shape:
            break
        frame.colorspace = UNSPECIFIED  # the luma is the same, and FFmpeg does not convert what states a rare one
        luma = frame.to_ndarray(format="gray").astype(np.int16)
        seen.append((0.0 if before is None else combing(luma, before), frame.interlaced_frame))
        before = luma
        frame.pts = number
        graph.push(frame)
        pulled(graph)
    if graph is not None:
        graph.push(None)
        pulled(graph)
    return found


def combing(luma: NDArray[np.int16], before: NDArray[np.int16]) -> float:
    """Steps between neighbouring lines over those between lines of one field, (H,W) in codes, where something moved.

    0 where too little did to tell.
    """
    if min(luma.shape) < 5:
        return 0.0
    moved = np.abs(luma - before)[2:-2] > _MOVED
    if int(moved.sum()) < _FEWEST_MOVED:
        return 0.0
    middle = 2 * luma[2:-2]
    near = np.abs(middle - luma[1:-3] - luma[3:-1])[moved].mean()
    far = np.abs(middle - luma[:-4] - luma[4:])[moved].mean()
    return float(near / (far + 0.1))
