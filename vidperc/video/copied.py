"""All that an output has beside its picture: the source's other streams, chapters and tags, copied once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av.error
from av.packet import Packet

from vidperc.video.fates import Copied, Fate
from vidperc.video.header import header_in
from vidperc.video.identity import identity_tags
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo, codec_name, rate_of
from vidperc.video.smpte import moved_timecode
from vidperc.video.source import tolerant_packets
from vidperc.video.subtitles import TEXT_SUBTITLES, TextConverter

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from av.video.stream import VideoStream

# Written by whoever made the source about the source; untrue of the output.
STALE_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "vidperc_job", "alpha_mode"})

# Matroska's, of packets that are gone; some end in a language (NUMBER_OF_FRAMES-eng).
_STATISTICS = re.compile(
    r"(_STATISTICS_(TAGS|WRITING_APP|WRITING_DATE_UTC)|BPS|NUMBER_OF_FRAMES|NUMBER_OF_BYTES|DURATION)(-[A-Za-z]{2,8})*"
)

PICTURE_TYPES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "bmp": ("bmp", "image/bmp")}

MP4_AND_MOV = ("mp4", "mov")


@dataclass(frozen=True)
class Lane:
    """Where the packets of one stream of the source go, and what they pass on the way."""

    place: Stream
    converter: TextConverter | None = None


@dataclass(frozen=True)
class Cover:
    """A cover picture that is muxed once the header is written."""

    place: Stream
    data: bytes


def is_statistics(tag: str) -> bool:
    """Whether a tag tells of packets of the source."""
    return _STATISTICS.fullmatch(tag) is not None


def copy_streams(
    output: OutputContainer,
    container: InputContainer,
    source: VideoInfo,
    copied: Copied,
    *,
    keep_audio: bool,
    refused: Mapping[int, str] | None = None,
) -> tuple[dict[int, Lane], list[Cover]]:
    """Streams of the output for what can be kept, by the index of the source's stream, and its cover pictures.

    refused: why the container does not take a stream of the source, by index, as rehearse() found.
    """
    refused = refused or {}
    lanes: dict[int, Lane] = {}
    main = container.streams[source.stream]
    _copy_stream_tags(main, output.streams.video[0])
    later: list[tuple[Stream, str]] = []
    for stream in container.streams:
        if stream.index == source.stream:
            continue
        name = describe(stream)
        if stream.type == "audio" and not keep_audio:
            copied.drop(name, "--no-audio", asked=True)
        elif stream.type == "data" and codec_name(stream) == "bin_data" and source.chapters:
            continue  # an MP4's chapters as text; they are copied as chapters, and the muxer makes its own
        elif stream.type == "data" and stream.metadata.get("timecode", "") == main.metadata.get("timecode"):
            copied.keep(f"timecode {main.metadata['timecode']}")  # a tag of the video, the container's own track
            if "reel_name" in stream.metadata:
                reel = spelled(stream.metadata["reel_name"])
                copied.drop("timecode", f"the track is made anew, without {reel!r}", "tag reel_name")
        elif stream.type == "data":
            # Muxers refuse them, or write headers that no reader takes for such a track, and say nothing.
            copied.drop(name, f"tracks of data are not written to {output.format.name}")
        elif stream.index in refused:
            copied.drop(name, refused[stream.index] + _hint(output, stream))
        elif stream.type == "attachment" or is_cover(stream):
            later.append((stream, name))  # containers list them last, and streams are found again by their place
        else:
            lane = _lane(output, stream, name, copied)
            if lane is not None:
                _copy_stream_tags(stream, lane.place)
                lanes[stream.index] = lane
    covers: list[Cover] = []
    for stream, name in later:
        if stream.type == "attachment":
            _copy_attachment(output, stream, name, copied)
        else:
            covers.extend(_copy_cover(output, stream, name, source, copied))
    return lanes, covers


def _lane(output: OutputContainer, stream: Stream, name: str, copied: Copied) -> Lane | None:
    """A place for a stream as it is, or as text of the output's own kind; None where it is dropped."""
    try:
        lane = Lane(output.add_stream_from_template(stream, opaque=True))
    except (ValueError, av.error.FFmpegError) as error:
        if codec_name(stream) in TEXT_SUBTITLES:
            converter = TextConverter(output, cast("SubtitleStream", stream))
            copied.convert(name, f"{output.format.name} holds text as {converter.codec} only{_hint(output, stream)}")
            return Lane(converter.place, converter)
        copied.drop(name, f"{error}{_hint(output, stream)}")
        return None
    if stream.type == "video" and output.format.name in MP4_AND_MOV and codec_name(stream) == "hevc":
        lane.place.codec_tag = "hvc1"  # the only tag that Apple's players take
    copied.keep(name, reason="as it is, not enlarged" if stream.type == "video" else "")
    return lane


def _hint(output: OutputContainer, stream: Stream) -> str:
    """Which container keeps a stream as it is; empty where none does."""
    for suffix, container in ((".mkv", "matroska"), (".mov", "mov")):
        if container != output.format.name and header_in(container, stream):
            return f"; an output name ending in {suffix} keeps it as it is"
    return ""


def describe(stream: Stream) -> str:
    """A stream in a few words: "audio 1 (aac, eng)"."""
    language = stream.language if stream.language != "und" else None
    details = [codec_name(stream), language, "cover" if is_cover(stream) else None]
    return spelled(f"{stream.type} {stream.index} ({', '.join(str(d) for d in details if d)})")


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a picture beside the film."""
    return bool(stream.disposition & stream.disposition.attached_pic)


def _copy_attachment(output: OutputContainer, stream: Stream, name: str, copied: Copied) -> None:
    if output.format.name != "matroska":
        copied.drop(name, f"{output.format.name} holds no attachments; an output name ending in .mkv does")
        return
    attachment = output.add_attachment(
        spelled(stream.metadata.get("filename", f"attachment{stream.index}")),
        getattr(stream, "mimetype", None) or stream.metadata.get("mimetype", "application/octet-stream"),
        getattr(stream, "data", b""),
    )
    _copy_stream_tags(stream, attachment)
    copied.keep(name)


def _copy_cover(
    output: OutputContainer, stream: Stream, name: str, source: VideoInfo, copied: Copied
) -> Iterator[Cover]:
    """A cover picture's place: a marked stream in MP4, an attachment in Matroska. MOV takes one and writes nothing."""
    data = _cover_data(source, stream.index)
    codec = codec_name(stream)
    if not data or codec not in PICTURE_TYPES:
        copied.drop(name, "holds no picture" if not data else f"{codec} pictures are not copied")
    elif output.format.name == "matroska":
        suffix, kind = PICTURE_TYPES[codec]
        attachment = output.add_attachment(stream.metadata.get("filename", f"cover.{suffix}"), kind, data)
        _copy_stream_tags(stream, attachment)
        copied.keep(name)
    elif output.format.name == "mp4":
        place = output.add_stream_from_template(stream, opaque=True)
        _copy_stream_tags(stream, place)
        copied.keep(name)
        yield Cover(place, data)
    else:
        copied.drop(name, f"{output.format.name} holds no pictures; an output name ending in .mp4 or .mkv does")


def _cover_data(source: VideoInfo, index: int) -> bytes:
    with open_input(source.path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""


def cover_packet(cover: Cover) -> Packet[Any]:
    """The packet of a cover picture, to be muxed after the header."""
    packet = Packet(cover.data)
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 90000)
    packet.stream = cover.place
    packet.is_keyframe = True
    return packet


def _copy_stream_tags(stream: Stream, place: Stream) -> None:
    for key, value in stream.metadata.items():
        if key.lower() not in STALE_TAGS and not is_statistics(key):
            place.metadata[spelled(key)] = spelled(value)
    place.disposition = stream.disposition


def spelled(text: str) -> str:
    """A tag as text that can be written: what is no UTF-8 in the source becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def copy_tags(output: OutputContainer, container: InputContainer, identity: str) -> None:
    """The tags of the source that are true of the output, and the identity of its job where it is a tag."""
    for key, value in container.metadata.items():
        if key.lower() not in STALE_TAGS:
            output.metadata[spelled(key)] = spelled(value)
    output.metadata.update(identity_tags(output.format.name, identity))


def move_timecode(
    output: OutputContainer,
    container: InputContainer,
    source: VideoInfo,
    window: tuple[int, int] | None,
    copied: Copied,
) -> None:
    """Let the timecode of an excerpt, or of pictures made of fields, be that of its own first picture."""
    main = cast("VideoStream", container.streams[source.stream])
    rate = rate_of(main)
    later = window[0] * source.time_base - (main.start_time or 0) * (main.time_base or 0) if window else Fraction(0)
    if not later and rate == source.rate:
        return
    for tags in (output.streams.video[0].metadata, output.metadata):
        for key, was in list(tags.items()):
            if key.lower() != "timecode":
                continue
            now = moved_timecode(was, rate, later, new_rate=source.rate)
            if now is not None and now != was:
                tags[key] = now
                said = f"{was} of the source's first picture is {now} of the first one here"
                copied.fates.append(
                    Fate(subject="video", field="timecode", outcome="converted", reason=said, asked=True)
                )


def copy_chapters(
    output: OutputContainer,
    container: InputContainer,
    source: VideoInfo,
    window: tuple[int, int] | None,
    copied: Copied,
    *,
    origin: int = 0,
) -> None:
    """The source's chapters; of an excerpt, (first pts, pts of the end), those within it, cut to it.

    origin: as for write_output.
    """
    chapters = container.chapters()
    if window is None and origin:
        for chapter in chapters:
            back = round(origin * source.time_base / (chapter["time_base"] or Fraction(1, 1000)))
            chapter["start"], chapter["end"] = chapter["start"] - back, chapter["end"] - back
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
    for chapter in chapters:
        chapter["metadata"] = {spelled(key): spelled(value) for key, value in chapter["metadata"].items()}
    if chapters:
        output.set_chapters(chapters)
        copied.keep(f"{len(chapters)} chapter{'s' if len(chapters) > 1 else ''}")


def other_packets(
    container: InputContainer,
    lanes: dict[int, Lane],
    time_base: Fraction,
    window: tuple[int, int] | None,
    copied: Copied,
    *,
    origin: int = 0,
) -> Iterator[Packet[Any]]:
    """The packets of the copied streams, in the order of the source, counted in `copied.packets`.

    window: of an excerpt in time_base, as for write_output; packets outside it are left out. origin: as there.
    """
    for packet, index in _within(container, lanes, time_base, window, origin):
        lane = lanes[index]
        if lane.converter is None:
            yield _counted(packet, lane, copied)
            continue
        for converted in lane.converter.packets(packet):
            yield _counted(converted, lane, copied)
    for lane in lanes.values():
        if lane.converter is not None:
            for converted in lane.converter.rest():
                yield _counted(converted, lane, copied)


def _counted(packet: Packet[Any], lane: Lane, copied: Copied) -> Packet[Any]:
    packet.stream = lane.place
    copied.packets[lane.place.index] = copied.packets.get(lane.place.index, 0) + weight(packet)
    return packet


def weight(packet: Packet[Any]) -> int:
    """What a packet counts in `copied.packets`: one, or its bytes of PCM, which MP4 and MOV cut into packets anew."""
    return packet.size if is_pcm(packet.stream) else 1


def is_pcm(stream: Stream) -> bool:
    """Whether a stream is sound without compression."""
    return codec_name(stream).startswith("pcm_")


def _within(
    container: InputContainer, lanes: dict[int, Lane], time_base: Fraction, window: tuple[int, int] | None, origin: int
) -> Iterator[tuple[Packet[Any], int]]:
    """The packets of these streams that begin or last within the window, moved to its start, and their streams."""
    if not lanes:
        return
    first = window[0] * time_base if window else None
    end = window[1] * time_base if window else None
    done: set[int] = set()
    begun: set[int] = set()
    for packet in tolerant_packets(container, [container.streams[index] for index in lanes]):
        index = packet.stream.index
        when = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or when is None or is_gap(packet):
            continue
        if first is not None and end is not None:
            if when * packet.time_base >= end:
                done.add(index)
                if len(done) == len(lanes):
                    return
                continue
            if (when + max(packet.duration or 0, 1)) * packet.time_base <= first:
                continue
            if packet.stream.type == "video" and not packet.is_keyframe and index not in begun:
                continue  # nothing that it refers to is there
            begun.add(index)
            back = round(first / packet.time_base)
            if packet.stream.type == "subtitle" and packet.duration:
                stop = min(when + packet.duration, round(end / packet.time_base))
                packet.pts = packet.dts = max(when, back)
                packet.duration = stop - max(when, back)
            packet.pts = None if packet.pts is None else packet.pts - back
            packet.dts = None if packet.dts is None else packet.dts - back
        elif origin:
            back = round(origin * time_base / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - back
            packet.dts = None if packet.dts is None else packet.dts - back
        yield packet, index


def is_gap(packet: Packet[Any]) -> bool:
    """Whether a packet is the empty text that fills the gaps of an MP4's subtitles; each muxer makes its own."""
    return codec_name(packet.stream) == "mov_text" and bytes(packet) == b"\0\0"


def leave_out_empty(output: OutputContainer, lanes: dict[int, Lane], copied: Copied) -> None:
    """Where a container leaves out tracks without packets, as MP4 does, let `copied` say where the others are then."""
    copied.places = {index: lane.place.index for index, lane in lanes.items()}
    if output.format.name not in MP4_AND_MOV:
        return
    empty = {index: place for index, place in copied.places.items() if not copied.packets.get(place)}
    for index in empty:
        del copied.places[index]
    moved = {place: place - sum(gone < place for gone in empty.values()) for place in copied.places.values()}
    copied.places = {index: moved[place] for index, place in copied.places.items()}
    copied.packets = {moved[place]: count for place, count in copied.packets.items()}


def tell_empty(container: InputContainer, lanes: dict[int, Lane], copied: Copied, name: str) -> None:
    """Let `copied` say of which streams nothing is there to copy, once all was."""
    for index in lanes:
        if index not in copied.places:
            subject = describe(container.streams[index])
            copied.fates = [fate for fate in copied.fates if fate.subject != subject]
            copied.convert(subject, f"nothing of it is in this part, and {name} has no empty streams")
