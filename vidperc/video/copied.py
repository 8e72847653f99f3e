"""All that an output has beside its picture: the source's other streams, chapters and tags, copied once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.error
from av.packet import Packet

from vidperc.video.identity import identity_tags
from vidperc.video.probe import VideoInfo, codec_name

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

# Written by whoever made the source about the source; untrue of the output.
STALE_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "vidperc_job"})

# Matroska's, of packets that are gone; some end in a language (NUMBER_OF_FRAMES-eng).
STATISTICS_TAGS = ("_STATISTICS", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "DURATION")


@dataclass
class Copied:
    """What became of the source's other streams; each entry is a sentence for the user."""

    kept: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])
    packets: dict[int, int] = field(default_factory=dict[int, int])


def copy_streams(
    output: OutputContainer, container: InputContainer, source: VideoInfo, copied: Copied, *, keep_audio: bool
) -> dict[int, Stream]:
    """Streams of the output for what can be copied, by the index of the source's stream."""
    places: dict[int, Stream] = {}
    main = container.streams[source.stream]
    _copy_stream_tags(main, output.streams.video[0])
    for stream in container.streams:
        if stream.index == source.stream:
            continue
        name = describe(stream)
        if stream.type == "audio" and not keep_audio:
            copied.dropped.append(f"{name}: --no-audio")
        elif stream.type == "data" and codec_name(stream) == "bin_data" and source.chapters:
            continue  # an MP4's chapters as text; they are copied as chapters, and the muxer makes its own
        elif stream.type == "data" and stream.metadata.get("timecode", "") == main.metadata.get("timecode"):
            copied.kept.append(f"timecode {main.metadata['timecode']}")  # a tag of the video, the container's own track
        elif stream.type == "attachment":
            _copy_attachment(output, stream, name, copied)
        elif stream.type in ("audio", "subtitle"):
            try:
                place = output.add_stream_from_template(stream, opaque=True)
            except (ValueError, av.error.FFmpegError) as error:
                hint = "" if output.format.name == "matroska" else "; an output name ending in .mkv may keep it"
                copied.dropped.append(f"{name}: {error}{hint}")
                continue
            _copy_stream_tags(stream, place)
            places[stream.index] = place
            copied.kept.append(name)
        else:
            copied.dropped.append(f"{name}: {stream.type} streams other than the main video are not copied yet")
    return places


def describe(stream: Stream) -> str:
    """A stream in a few words: "audio 1 (aac, eng)"."""
    details = [codec_name(stream), stream.language]
    return f"{stream.type} {stream.index} ({', '.join(str(d) for d in details if d)})"


def _copy_attachment(output: OutputContainer, stream: Stream, name: str, copied: Copied) -> None:
    if output.format.name != "matroska":
        copied.dropped.append(f"{name}: {output.format.name} holds no attachments; an output name ending in .mkv does")
        return
    attachment = output.add_attachment(
        stream.metadata.get("filename", f"attachment{stream.index}"),
        getattr(stream, "mimetype", None) or stream.metadata.get("mimetype", "application/octet-stream"),
        getattr(stream, "data", b""),
    )
    _copy_stream_tags(stream, attachment)
    copied.kept.append(name)


def _copy_stream_tags(stream: Stream, place: Stream) -> None:
    for key, value in stream.metadata.items():
        if key.lower() not in STALE_TAGS and not key.startswith(STATISTICS_TAGS):
            place.metadata[key] = value
    place.disposition = stream.disposition


def copy_tags(output: OutputContainer, container: InputContainer, identity: str) -> None:
    """The tags of the source that are true of the output, and the identity of its job where it is a tag."""
    output.metadata.update({k: v for k, v in container.metadata.items() if k.lower() not in STALE_TAGS})
    output.metadata.update(identity_tags(output.format.name, identity))


def copy_chapters(
    output: OutputContainer,
    container: InputContainer,
    source: VideoInfo,
    window: tuple[int, int] | None,
    copied: Copied,
) -> None:
    """The source's chapters; of an excerpt, (first pts, pts of the end), those within it, cut to it."""
    chapters = container.chapters()
    if window is not None:
        kept = []
        for chapter in chapters:
            unit = chapter["time_base"] or Fraction(1, 1000)
            start, stop = (round(edge * source.time_base / unit) for edge in window)
            if chapter["end"] > start and chapter["start"] < stop:
                chapter["start"] = max(chapter["start"], start) - start
                chapter["end"] = min(chapter["end"], stop) - start
                kept.append(chapter)
        chapters = kept
    if chapters:
        output.set_chapters(chapters)
        copied.kept.append(f"{len(chapters)} chapters")


def other_packets(
    container: InputContainer,
    places: dict[int, Stream],
    time_base: Fraction,
    window: tuple[int, int] | None,
    copied: Copied,
) -> Iterator[Packet[Any]]:
    """The packets of the copied streams, in the order of the source, counted in `copied.packets`.

    window: of an excerpt in time_base, as for write_output; packets outside it are left out.
    """
    if not places:
        return
    first = window[0] * time_base if window else None
    end = window[1] * time_base if window else None
    done: set[int] = set()
    for packet in container.demux([container.streams[index] for index in places]):
        index = packet.stream.index
        when = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or when is None or is_gap(packet):
            continue
        if first is not None and end is not None:
            if when * packet.time_base >= end:
                done.add(index)
                if len(done) == len(places):
                    return
                continue
            if (when + max(packet.duration or 0, 1)) * packet.time_base <= first:
                continue
            if packet.stream.type == "subtitle" and packet.duration:
                packet.duration = min(packet.duration, round(end / packet.time_base) - when)
            back = round(first / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - back
            packet.dts = None if packet.dts is None else packet.dts - back
        packet.stream = places[index]
        copied.packets[places[index].index] = copied.packets.get(places[index].index, 0) + 1
        yield packet


def is_gap(packet: Packet[Any]) -> bool:
    """Whether a packet is the empty text that fills the gaps of an MP4's subtitles; each muxer makes its own."""
    return codec_name(packet.stream) == "mov_text" and bytes(packet) == b"\0\0"
