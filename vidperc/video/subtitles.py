"""Text subtitles for containers that hold another kind of them: decoded, and written in the container's own form."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.packet import Packet
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.subtitles.stream import SubtitleStream

# The one kind of text that each container holds, by FFmpeg's names.
TEXT_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}

# Kinds of text that FFmpeg decodes; pictures of text, as on discs, are not among them.
TEXT_SUBTITLES = frozenset({"subrip", "ass", "webvtt", "text", "mov_text", "microdvd", "subviewer", "sami"})

MILLISECOND = Fraction(1, 1000)

Cue = tuple[int, int, bytes]  # start and end in milliseconds, an event as in ASS files, without its times


class TextConverter:
    """Packets of one kind of text subtitles to another; the stream in the output is `place`.

    In MP4 and MOV one text at a time is shown: where cues overlap, each stretch of time shows all that are due in it.
    """

    def __init__(self, output: OutputContainer, stream: SubtitleStream) -> None:
        self.codec = TEXT_CODECS[output.format.name]
        self._decoder = stream.codec_context
        self._decoder.open(strict=False)
        self.place: SubtitleStream = output.add_stream(self.codec)  # pyright: ignore[reportAttributeAccessIssue]
        self._encoder = self.place.codec_context
        self._encoder.subtitle_header = (
            self._decoder.subtitle_header
        )  # styles, which the encoder needs to write its own
        self._encoder.time_base = MILLISECOND
        self._one_at_a_time = self.codec == "mov_text"
        self._due: list[Cue] = []

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """What can be written once this packet has come; packets come in the order of their times."""
        decoded = self._decoder.decode2(packet)
        if decoded is None or packet.pts is None:
            return
        start = round(packet.pts * packet.time_base / MILLISECOND)
        lasts = round((packet.duration or 0) * packet.time_base / MILLISECOND) or decoded.end_display_time
        for rect in decoded:
            if not isinstance(rect, AssSubtitle):
                continue
            cue = start, start + lasts, rect.ass
            if self._one_at_a_time:
                yield from self._until(start)
                self._due.append(cue)
            else:
                yield self._encoded(cue)

    def rest(self) -> Iterator[Packet[Any]]:
        """What was held back."""
        yield from self._until(max((end for _, end, _ in self._due), default=0))

    def _until(self, time: int) -> Iterator[Packet[Any]]:
        """The stretches that end at or before a time, each with all that is due in it."""
        while self._due:
            begin = max(start for start, _, _ in self._due)
            stop = min([time, *(end for _, end, _ in self._due)])
            if stop > begin:
                yield self._encoded((begin, stop, _together([event for _, _, event in self._due])))
            self._due = [(max(start, stop), end, event) for start, end, event in self._due if end > stop]
            if stop >= time:
                return

    def _encoded(self, cue: Cue) -> Packet[Any]:
        start, end, event = cue
        subtitle = SubtitleSet.create(text=event, start=0, end=end - start, pts=start * 1000)
        packet: Packet[Any] = self._encoder.encode_subtitle(subtitle)  # pyright: ignore[reportUnknownVariableType]
        packet.pts = packet.dts = start
        packet.duration = end - start
        packet.time_base = MILLISECOND
        return packet  # pyright: ignore[reportUnknownVariableType]


def _together(events: list[bytes]) -> bytes:
    """One event that shows the texts of all, one below the other: eight fields, then the text, in each."""
    first, *others = [event.split(b",", 8) for event in events]
    return b",".join([*first[:8], b"\\N".join(event[8] for event in (first, *others) if len(event) > 8)])
