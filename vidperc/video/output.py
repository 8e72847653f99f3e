"""The output file: segments joined under exact timestamps, everything else copied once from the source."""

from __future__ import annotations

import contextlib
import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.packet import Packet

from vidperc.errors import VidpercError
from vidperc.video.identity import append_identity, identity_tags
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo, codec_name

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

MP4_FAMILY = frozenset({".mp4", ".m4v", ".mov"})
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}

# Written by whoever made the source about the source; untrue of the output.
STALE_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "vidperc_job"})

# Matroska's, of packets that are gone; some end in a language (NUMBER_OF_FRAMES-eng).
STATISTICS_TAGS = ("_STATISTICS", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "DURATION")


@dataclass(frozen=True)
class Part:
    """The encoded packets of one segment: a private file, and the pts of its packets in the order of the file."""

    path: Path
    packet_pts: tuple[int, ...]


@dataclass
class Copied:
    """What became of the source's other streams; each entry is a sentence for the user."""

    kept: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])
    packets: dict[int, int] = field(default_factory=dict[int, int])


def decode_times(packet_pts: Sequence[int]) -> list[int]:
    """The dts of packets in decoding order that have these pts: by rank, never above the pts, strictly increasing.

    With S the sorted pts and d the largest lead of a packet's place over its rank, dts_k = S[k - d].
    """
    shown = sorted(packet_pts)
    delay = max(place - bisect_left(shown, pts) for place, pts in enumerate(packet_pts))
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    before = [shown[0] - (delay - place) * step for place in range(delay)]
    return before + shown[: len(shown) - delay]


def write_output(
    path: Path,
    parts: Sequence[Part],
    *,
    source: VideoInfo,
    last_duration: int,
    window: tuple[int, int] | None = None,
    keep_audio: bool = True,
    identity: str,
) -> Copied:
    """Join the parts into a file at path, with the source's audio, subtitles, attachments, chapters and tags.

    window: (first pts, pts of the end) of the excerpt, in the source's time base; its start becomes time 0 and other
        streams are cut to it. None keeps all, under the absolute times of the source.
    Raises VidpercError when the container cannot hold the video; OSError when the disk is full.
    """
    shift = window[0] if window else 0
    options: dict[str, str] = {}
    if path.suffix.lower() in MP4_FAMILY:
        ticks = source.time_base.denominator
        options = {
            "movflags": "+faststart",
            "video_track_timescale": str(ticks),
            # A multiple, so that edit lists can state the start exactly; fine enough for the audio's own offset.
            "movie_timescale": str(ticks * -(-90000 // ticks)),
        }
    else:
        # Sound that begins before 0, as AAC from an MP4 does, would push every frame back by as much.
        options = {"avoid_negative_ts": "disabled"}
    copied = Copied()
    with open_input(source.path) as container:
        try:
            output = av.open(str(path), "w", format=CONTAINERS[path.suffix.lower()], container_options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise VidpercError(f"{path}: cannot be written ({error.strerror})") from error
        finished = False
        try:
            video, template = _video_stream(output, parts[0].path, path, source)
            with template:
                _check_aspect(output, template.streams.video[0], source, copied)
                places = _copy_streams(output, container, source, copied, keep_audio=keep_audio)
                _copy_tags(output, container, source, identity)
                _copy_chapters(output, container, source, window, copied)
                _start(output, path)
            video_packets = _video_packets(parts, video, source.time_base, shift, last_duration)
            other_packets = _other_packets(container, places, source.time_base, window, copied)
            for packet in heapq.merge(video_packets, other_packets, key=_decode_seconds):
                output.mux_one(packet)
            output.close()
            finished = True
        finally:
            if not finished:
                _close_quietly(output)
                path.unlink(missing_ok=True)
    if path.suffix.lower() in MP4_FAMILY:
        append_identity(path, identity)
    return copied


def _start(output: OutputContainer, path: Path) -> None:
    try:
        output.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        hint = "choose another --codec" if output.format.name == "matroska" else "an output name ending in .mkv may"
        raise VidpercError(f"{output.format.name} cannot hold these streams ({error}); {hint}") from error


def _close_quietly(output: OutputContainer) -> None:
    # The reason for stopping is already on its way up, and the file is removed.
    with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
        output.close()


def _video_stream(
    output: OutputContainer, first: Path, path: Path, source: VideoInfo
) -> tuple[VideoStream, InputContainer]:
    """A stream with the headers of the first segment; the segment stays open until the header is written."""
    template = av.open(str(first))
    try:
        video = output.add_stream_from_template(template.streams.video[0], opaque=True)
    except ValueError as error:
        template.close()
        raise VidpercError(f"{path}: {error}; choose another --codec, or an output name ending in .mkv") from error
    if path.suffix.lower() in MP4_FAMILY and template.streams.video[0].codec_context.name == "hevc":
        video.codec_tag = "hvc1"  # the only tag that Apple's players take
    video.codec_context.framerate = source.rate  # for tags and timecodes; MP4 fails on a timecode without it
    if source.sample_aspect is not None:
        video.sample_aspect_ratio = source.sample_aspect
    if source.display_matrix is not None:
        video.set_display_matrix(source.display_matrix)
    elif source.rotation:
        video.set_display_rotation(source.rotation)
    return video, template


def _check_aspect(output: OutputContainer, encoded: VideoStream, source: VideoInfo, copied: Copied) -> None:
    """Say so where the shape of a pixel is lost: in Matroska only the encoded pictures can state it, not all do."""
    wanted = source.sample_aspect or Fraction(1)
    if output.format.name in ("matroska", "webm") and (encoded.sample_aspect_ratio or Fraction(1)) != wanted:
        shape = f"{wanted.numerator}:{wanted.denominator}"
        copied.dropped.append(
            f"sample aspect {shape}: {encoded.codec_context.name} in {output.format.name} does not state it, players "
            f"will show square pixels; an output name ending in .mp4 keeps it"
        )


def _copy_streams(
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


def _copy_tags(output: OutputContainer, container: InputContainer, source: VideoInfo, identity: str) -> None:
    output.metadata.update({k: v for k, v in container.metadata.items() if k.lower() not in STALE_TAGS})
    output.metadata.update(identity_tags(output.format.name, identity))


def _copy_chapters(
    output: OutputContainer,
    container: InputContainer,
    source: VideoInfo,
    window: tuple[int, int] | None,
    copied: Copied,
) -> None:
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


def _video_packets(
    parts: Sequence[Part], stream: VideoStream, time_base: Fraction, shift: int, last_duration: int
) -> Iterator[Packet[Any]]:
    packet_pts = [pts - shift for part in parts for pts in part.packet_pts]
    packet_dts = decode_times(packet_pts)
    shown = sorted(packet_pts)
    place = 0
    for part in parts:
        in_part = 0
        with av.open(str(part.path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0:
                    continue
                in_part += 1
                if in_part > len(part.packet_pts):
                    break
                pts = packet_pts[place]
                rank = bisect_left(shown, pts)
                packet.time_base = time_base
                packet.pts, packet.dts = pts, packet_dts[place]
                packet.duration = shown[rank + 1] - pts if rank + 1 < len(shown) else last_duration
                packet.stream = stream
                place += 1
                yield packet
        if in_part != len(part.packet_pts):
            raise RuntimeError(f"{part.path.name}: holds {in_part} packets, its sidecar says {len(part.packet_pts)}")


def _other_packets(
    container: InputContainer,
    places: dict[int, Stream],
    time_base: Fraction,
    window: tuple[int, int] | None,
    copied: Copied,
) -> Iterator[Packet[Any]]:
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


def _decode_seconds(packet: Packet[Any]) -> Fraction:
    when = packet.dts if packet.dts is not None else packet.pts
    return (when or 0) * packet.time_base
