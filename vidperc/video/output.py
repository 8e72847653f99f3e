"""The output file: segments joined under exact timestamps, everything else copied once from the source."""

from __future__ import annotations

import contextlib
import heapq
import io
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.packet import Packet

from vidperc.errors import VidpercError
from vidperc.video.copied import Lane, copy_streams, cover_packet, describe
from vidperc.video.copied_packets import leave_out_empty, other_packets, tell_empty, weight
from vidperc.video.copied_tags import copy_chapters, copy_tags, move_timecode
from vidperc.video.fates import Copied
from vidperc.video.identity import append_identity
from vidperc.video.light_header import stating_light
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

MP4_FAMILY = frozenset({".mp4", ".m4v", ".mov"})
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}


@dataclass(frozen=True)
class Part:
    """The encoded packets of one segment: a private file, and the pts of its packets in the order of the file."""

    path: Path
    packet_pts: tuple[int, ...]


def decode_times(packet_pts: Sequence[int], *, early: bool = False) -> list[int]:
    """The dts of packets in decoding order that have these pts: by rank, never above the pts, strictly increasing.

    With S the sorted pts and d the largest lead of a packet's place over its rank, dts_k = S[k - d].
    early: the first is at least as much earlier than its pts as the last one is. MP4 adds up the steps between dts, and
        a film is as long as that sum at most, so that steps which are missing at the end have to be at the start.
    """
    shown = sorted(packet_pts)
    delay = max(place - bisect_left(shown, pts) for place, pts in enumerate(packet_pts))
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    if early and delay:
        step = max(step, -((shown[len(shown) - 1 - delay] - packet_pts[-1]) // delay))
    before = [shown[0] - (delay - place) * step for place in range(delay)]
    return before + shown[: len(shown) - delay]


def write_output(
    path: Path,
    parts: Sequence[Part],
    *,
    source: VideoInfo,
    last_duration: int,
    window: tuple[int, int] | None = None,
    origin: int = 0,
    keep_audio: bool = True,
    identity: str,
    refused: Mapping[int, str] | None = None,
    all_tags: bool = False,
) -> Copied:
    """Join the parts into a file at path, with the source's audio, subtitles, attachments, chapters and tags.

    window: (first pts, pts of the end) of the excerpt, in the source's time base; its start becomes time 0 and other
        streams are cut to it. None keeps all, under the absolute times of the source.
    origin: the time in the source, in its time base, that becomes 0 where there is no window; see origin_of().
    refused, all_tags: what rehearse() found of this container.
    Raises VidpercError when the container cannot hold the video; OSError when the disk is full.
    """
    shift = window[0] if window else origin
    options = container_options(path.suffix.lower(), source, all_tags=all_tags)
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
                lanes, covers = copy_streams(output, container, source, copied, keep_audio=keep_audio, refused=refused)
                copy_tags(output, container, identity)
                move_timecode(output, container, source, window, copied)
                copy_chapters(output, container, source, window, copied, origin=origin)
                _start(output, path)
            for cover in covers:
                output.mux_one(cover_packet(cover))
            mp4 = path.suffix.lower() in MP4_FAMILY
            pictures = _video_packets(parts, video, source.time_base, shift, last_duration, early=mp4)
            others = other_packets(container, lanes, source.time_base, window, copied, origin=origin)
            refusals: dict[int, int] = {}
            for packet in heapq.merge(pictures, others, key=_decode_seconds):
                index, counted = packet.stream.index, weight(packet)
                if mp4 and packet.stream.type == "subtitle" and not packet.duration:
                    packet.duration = _least(packet)
                try:
                    output.mux_one(packet)
                except (av.error.ArgumentError, av.error.InvalidDataError):
                    # Times of a damaged stream that run backwards, say. Of the video none may be missing; the last
                    # look at the output would find it.
                    refusals[index] = refusals.get(index, 0) + 1
                    if index in copied.packets:
                        copied.packets[index] -= counted
            _take_back(refusals, container, lanes, copied)
            output.close()
            finished = True
            leave_out_empty(output, lanes, copied)
            tell_empty(container, lanes, copied, output.format.name)
        finally:
            if not finished:
                _close_quietly(output)
                path.unlink(missing_ok=True)
    if path.suffix.lower() in MP4_FAMILY:
        append_identity(path, identity)
    return copied


def _least(packet: Packet[Any]) -> int:
    """The shortest duration that a track tells from none: its edit list ends where its last packet does.

    Readers leave out what begins at that end, as the last caption does that lasts no time.
    """
    tick = packet.stream.time_base or packet.time_base
    return max(1, ceil(tick / packet.time_base))


def _take_back(
    refusals: Mapping[int, int], container: InputContainer, lanes: Mapping[int, Lane], copied: Copied
) -> None:
    """Of copied streams the packets that the container refused are not in the output; say so."""
    for index, lane in lanes.items():
        count = refusals.get(lane.place.index, 0)
        if count:
            name = describe(container.streams[index])
            copied.drop(name, "damaged, the container does not take them", f"{count} packets")


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


def container_options(suffix: str, source: VideoInfo, *, all_tags: bool, finished: bool = True) -> dict[str, str]:
    """What the muxer of a container is told. all_tags: as in Rehearsal. finished: the index goes to the front."""
    if suffix not in MP4_FAMILY:
        # Sound that begins before 0, as AAC from an MP4 does, would push every frame back by as much.
        return {"avoid_negative_ts": "disabled"}
    ticks = source.time_base.denominator
    flags = ["faststart"] * finished + ["use_metadata_tags"] * all_tags
    return {
        **({"movflags": "+" + "+".join(flags)} if flags else {}),
        "video_track_timescale": str(ticks),
        # A multiple, so that edit lists can state the start exactly; fine enough for the audio's own offset.
        "movie_timescale": str(ticks * -(-90000 // ticks)),
    }


def _video_stream(
    output: OutputContainer, first: Path, path: Path, source: VideoInfo
) -> tuple[VideoStream, InputContainer]:
    """A stream with the headers of the first segment; the segment stays open until the header is written."""
    template = open_template(first, source)
    try:
        video = new_video_stream(output, template, source, path.suffix.lower())
    except ValueError as error:
        template.close()
        raise VidpercError(f"{path}: {error}; choose another --codec, or an output name ending in .mkv") from error
    return video, template


def open_template(segment: Path | io.BytesIO, source: VideoInfo) -> InputContainer:
    """A segment from whose headers new_video_stream() makes the output's, with the source's light in them.

    Most encoders cannot be told of it, or FFmpeg does not. 8 bits are no HDR, and do not state it.
    """
    template = av.open(str(segment) if isinstance(segment, Path) else segment, "r")
    deep = any(component.bits > 8 for component in template.streams.video[0].format.components)
    if not source.hdr.static or not deep:
        return template
    template.close()
    return av.open(stating_light(segment, source.hdr), "r")


def new_video_stream(output: OutputContainer, template: InputContainer, source: VideoInfo, suffix: str) -> VideoStream:
    """The video of an output: the headers of an encoded segment, with the source's rate, shape and rotation."""
    video = output.add_stream_from_template(template.streams.video[0], opaque=True)
    if suffix in MP4_FAMILY and template.streams.video[0].codec_context.name == "hevc":
        video.codec_tag = "hvc1"  # the only tag that Apple's players take
    if "alpha_mode" in template.streams.video[0].metadata:
        video.metadata["alpha_mode"] = "1"  # or the muxer leaves the mark out, and players the transparency
    video.codec_context.framerate = source.rate  # for tags and timecodes; MP4 fails on a timecode without it
    if source.sample_aspect is not None:
        video.sample_aspect_ratio = source.sample_aspect
    if source.display_matrix is not None:
        video.set_display_matrix(source.display_matrix)
    elif source.rotation:
        video.set_display_rotation(source.rotation)
    return video


def _check_aspect(output: OutputContainer, encoded: VideoStream, source: VideoInfo, copied: Copied) -> None:
    """Say so where the shape of a pixel is lost: in Matroska only the encoded pictures can state it, not all do."""
    wanted = source.sample_aspect or Fraction(1)
    if output.format.name in ("matroska", "webm") and (encoded.sample_aspect_ratio or Fraction(1)) != wanted:
        shape, codec = f"{wanted.numerator}:{wanted.denominator}", encoded.codec_context.codec.canonical_name
        copied.drop(
            f"sample aspect {shape}",
            f"{codec} in {output.format.name} does not state it, players show square pixels; "
            f"an output name ending in .mp4 keeps it",
        )


def _video_packets(
    parts: Sequence[Part], stream: VideoStream, time_base: Fraction, shift: int, last_duration: int, *, early: bool
) -> Iterator[Packet[Any]]:
    packet_pts = [pts - shift for part in parts for pts in part.packet_pts]
    packet_dts = decode_times(packet_pts, early=early)
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
                if early and place + 1 == len(packet_pts):
                    # What is missing until the steps between dts are as long as the film; never beyond its end.
                    packet.duration = max(
                        packet.duration, shown[-1] + last_duration - shown[0] - (packet_dts[-1] - packet_dts[0])
                    )
                packet.stream = stream
                place += 1
                yield packet
        if in_part != len(part.packet_pts):
            raise RuntimeError(f"{part.path.name}: holds {in_part} packets, its sidecar says {len(part.packet_pts)}")


def packets_of(segment: Path) -> Iterator[bytes]:
    """What is in each packet of a finished segment."""
    with av.open(str(segment)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield bytes(packet)


def _decode_seconds(packet: Packet[Any]) -> Fraction:
    when = packet.dts if packet.dts is not None else packet.pts
    return (when or 0) * packet.time_base
