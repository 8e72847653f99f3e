"""The source's other streams in an output: a place for each that can be kept, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av.error
from av.packet import Packet

from vidperc.video.copied_tags import STALE_TAGS, is_statistics, spelled
from vidperc.video.fates import Copied
from vidperc.video.header import header_in
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo, codec_name
from vidperc.video.subtitles import TEXT_SUBTITLES, TextConverter

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

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
