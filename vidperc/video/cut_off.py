"""Files that end before they should: found by the sizes that a container states, for FFmpeg stops without a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import av

from vidperc.video.copied import describe
from vidperc.video.fates import Fate
from vidperc.video.header import SEGMENT, size_at
from vidperc.video.opening import open_input
from vidperc.video.packets import tolerant_packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# What headers and packets may differ in at the end of a whole file: the delay of a sound codec, a last frame.
SURE_SECONDS = Fraction(1, 5)

ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
LARGEST_HEADER = 1 << 16


@dataclass(frozen=True, kw_only=True)
class CutTrack:
    """What is there of one stream of a file that was cut off.

    name: as describe() has it. ends: of its last packet, in seconds. packets: that are there.
    announced: packets that the container states there are; None where it does not. seconds: that it states the stream
        lasts; None where it does not.
    """

    stream: int
    type: str
    name: str
    packets: int
    ends: Fraction
    announced: int | None
    seconds: Fraction | None

    @property
    def loss(self) -> str:
        """What is missing; empty where that cannot be said, as of subtitles, which are sparse."""
        if self.announced is not None and self.announced > self.packets:
            unit = "frames" if self.type == "video" else "packets"
            return f"{self.packets} of the {self.announced} announced {unit} are there"
        if self.type not in ("video", "audio") or self.seconds is None or self.seconds - self.ends <= SURE_SECONDS:
            return ""
        return f"{float(self.ends):.3f} of the {float(self.seconds):.3f} announced seconds are there"


@dataclass(frozen=True, kw_only=True)
class CutOff:
    """A file that ends before it should.

    missing_bytes: before the end that it states. main: the stream of the video.
    """

    main: int
    missing_bytes: int
    tracks: tuple[CutTrack, ...]

    def touches(self, end: Fraction) -> bool:
        """Whether something is missing of what is shown before this time."""
        lost = [track for track in self.tracks if track.loss]
        return any(end > track.ends for track in lost or self.tracks if track.stream == self.main or track in lost)

    def sentence(self) -> str:
        """What the user should know, in a line."""
        losses = "; ".join(f"{_short(track.name)}: {loss}" for track in self.tracks if (loss := track.loss))
        said = f"the source is cut off, {self.missing_bytes} bytes before the end that it states"
        return f"{said}; {losses}" if losses else said

    def fates(self, others: Sequence[Fate]) -> list[Fate]:
        """What is gone of each stream that an output has, or of the file where no stream can be named.

        others: the fates of all streams but the main one.
        """
        names = {fate.subject for fate in others if _is_there(fate)}
        losses = {track: loss for track in self.tracks if (loss := track.loss)}
        if not losses:
            return [Fate(subject="file", field="length", outcome="dropped", reason=self.sentence())]
        return [
            Fate(
                subject="video" if track.stream == self.main else track.name,
                field="length",
                outcome="dropped",
                reason=f"the source is cut off; {loss}",
            )
            for track, loss in losses.items()
            if track.stream == self.main or track.name in names
        ]

    def told(self, others: Sequence[Fate]) -> list[Fate]:
        """The fates of all streams but the main one; what is cut off is not said to be kept as if it were whole."""
        cut = {track.name for track in self.tracks if track.loss}
        reason = "as far as it is there, for the source is cut off"
        return [
            replace(fate, reason=f"{fate.reason}; {reason}" if fate.reason else reason)
            if fate.subject in cut and _is_there(fate)
            else fate
            for fate in others
        ]


def _is_there(fate: Fate) -> bool:
    return fate.field == "stream" and fate.outcome != "dropped"


def _short(name: str) -> str:
    return name.partition(" (")[0]


def find_cut_off(path: Path, container: InputContainer, main: VideoStream) -> CutOff | None:
    """What is missing at the end of a file; None when nothing is, or its container states no size.

    container: the file, its main stream read to the end, which is when fragments of an MP4 are known.
    """
    name, size = container.format.name, path.stat().st_size
    seconds = Fraction(container.duration, av.time_base) if container.duration else None
    announced: dict[int, int] = {}
    with path.open("rb") as file:
        if name.startswith("mov"):
            end, box = _box_end(file, size)
            if end > size:
                announced = _announced_samples(container, size)
            # A box may only claim more than it holds, and what follows the last one may be no box.
            if not announced and box != b"moof":
                return None
        elif name.startswith("matroska"):
            end = _matroska_end(file.read(LARGEST_HEADER))
        elif name == "avi":
            end = _riff_end(file, size)
            # Its "frames" are ticks. FFmpeg's duration goes by the size of the file.
            seconds = main.frames * main.time_base if main.frames and main.time_base else None
        elif name == "flv":
            end = _tags_end(file, size)
        elif name == "asf":
            end, seconds = _asf_end(file.read(LARGEST_HEADER))
        else:
            return None
    if end <= size:
        return None
    return CutOff(main=main.index, missing_bytes=end - size, tracks=_tracks(path, announced, seconds))


def _tracks(path: Path, announced: dict[int, int], seconds: Fraction | None) -> tuple[CutTrack, ...]:
    with open_input(path) as container:
        counts = dict.fromkeys((stream.index for stream in container.streams), 0)
        ends = dict.fromkeys(counts, Fraction(0))
        for packet in tolerant_packets(container, list(container.streams)):
            when = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0 or packet.is_discard:
                continue
            index = packet.stream_index
            counts[index] += 1
            if when is not None:
                ends[index] = max(ends[index], (when + (packet.duration or 0)) * packet.time_base)
        return tuple(
            CutTrack(
                stream=stream.index,
                type=stream.type,
                name=describe(stream),
                packets=counts[stream.index],
                ends=ends[stream.index],
                announced=announced.get(stream.index),
                seconds=_stated_seconds(stream) or seconds,
            )
            for stream in container.streams
            if stream.type in ("video", "audio", "subtitle")
        )


def _stated_seconds(stream: Stream) -> Fraction | None:
    """How long a stream of Matroska lasts, as muxers note in a tag, "00:01:02.500000000"."""
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    return stated and Fraction(stated[3]) + 60 * int(stated[2]) + 3600 * int(stated[1])


def _box_end(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Where the last box of an MP4 states that it ends, and its kind."""
    place, kind = 0, b""
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file, wherever that is
            break
        place += length
    return place, kind


def _announced_samples(container: InputContainer, size: int) -> dict[int, int]:
    """How many samples an MP4 announces of each stream of which some lie behind the end of the file."""
    found: dict[int, int] = {}
    for stream in container.streams:
        shown = [entry for entry in stream.index_entries if not entry.is_discard]
        if any(entry.pos + entry.size > size for entry in shown):
            found[stream.index] = len(shown)
    return found


def _matroska_end(head: bytes) -> int:
    """Where a Matroska file states that it ends; 0 where it does not, as live streams do not."""
    place = head.find(SEGMENT) + len(SEGMENT)
    if place < len(SEGMENT) or place + 8 > len(head) or not head[place]:
        return 0
    length, begins = size_at(head, place)
    return 0 if length is None else begins + length


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk of an AVI states that it ends; large files have several. 0 where it does not."""
    place = 0
    while place + 12 <= size:
        file.seek(place)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        # A recording that was never finished states no length; what follows the last chunk may be no chunk.
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return 0
        place += 8 + length
    return place


def _tags_end(file: BinaryIO, size: int) -> int:
    """Where the last tag of an FLV states that it ends; 0 where what is found is no tag."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    if 11 <= length <= size - 4:  # every tag is followed by its size, so that the last bytes tell of a whole file
        file.seek(size - 4 - length)
        if 11 + int.from_bytes(file.read(4)[1:], "big") == length:
            return size
    file.seek(5)
    place = int.from_bytes(file.read(4), "big") + 4
    while place + 11 <= size:
        file.seek(place)
        head = file.read(4)
        if head[0] & 0x1F not in (8, 9, 18):
            return 0
        place += 11 + int.from_bytes(head[1:], "big") + 4
    return place - 4


def _asf_end(head: bytes) -> tuple[int, Fraction | None]:
    """The size that an ASF or WMV file states of itself, 0 where it does not, as broadcasts do not; and its seconds."""
    place = head.find(ASF_PROPERTIES)
    stated = head[place : place + 96]
    if place < 0 or len(stated) < 96 or stated[88] & 1:
        return 0, None
    size, play, preroll = (int.from_bytes(stated[at : at + 8], "little") for at in (40, 64, 80))
    return size, Fraction(play, 10**7) - Fraction(preroll, 1000)
