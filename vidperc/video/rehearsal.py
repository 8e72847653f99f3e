"""What a container will hold of a source, found before any work by writing the beginning of the output into memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.error
from av.packet import Packet

from vidperc.errors import VidpercError
from vidperc.video.copied import Lane, copy_streams, cover_packet
from vidperc.video.copied_packets import leave_out_empty
from vidperc.video.copied_tags import copy_chapters, copy_tags
from vidperc.video.fates import Copied
from vidperc.video.opening import open_input
from vidperc.video.output import CONTAINERS, container_options, new_video_stream, open_template
from vidperc.video.packets import tolerant_packets
from vidperc.video.probe import VideoInfo, first_frame
from vidperc.video.read_back import compare_rotation, compare_with_source

# Packets that are read for the first of every stream; one that comes later is taken at its header's word.
MOST_PACKETS = 3000

REFUSALS = (av.error.FFmpegError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What will become of a source in a container.

    refused: why it does not take a stream of the source, by index.
    all_tags: MP4 and MOV hold more of the tags in the form that Apple calls metadata keys.
    """

    copied: Copied
    refused: Mapping[int, str] = field(default_factory=dict[int, str])
    all_tags: bool = False


def rehearse(output: Path, segment: bytes, source: VideoInfo, *, keep_audio: bool, excerpt: bool) -> Rehearsal:
    """Write the headers of an output and the first packet of every stream into memory, and read them again.

    segment: one frame, as check_encoder() made it. output: tells the container by its ending.
    excerpt: chapters will be cut, and are not compared.
    Raises VidpercError when the container does not take the video alone.
    """
    refused: dict[int, str] = {}
    suffix = output.suffix.lower()
    try:
        plain = _attempt(suffix, segment, source, keep_audio, refused, all_tags=False, chapters=not excerpt)
    except REFUSALS as error:
        refused = _refused_alone(suffix, segment, source, keep_audio)
        try:
            plain = _attempt(suffix, segment, source, keep_audio, refused, all_tags=False, chapters=not excerpt)
        except REFUSALS:
            hint = "choose another --codec" if suffix == ".mkv" else "an output name ending in .mkv may"
            raise VidpercError(f"{CONTAINERS[suffix]} cannot hold these streams ({error}); {hint}") from error
    if suffix in (".mp4", ".m4v", ".mov") and source.container.startswith("mov") and plain.dropped:
        keyed = _attempt(suffix, segment, source, keep_audio, refused, all_tags=True, chapters=not excerpt)
        if len(keyed.dropped) < len(plain.dropped) and _streams_lost(keyed) <= _streams_lost(plain):
            return Rehearsal(copied=keyed, refused=refused, all_tags=True)
    return Rehearsal(copied=plain, refused=refused)


def _streams_lost(copied: Copied) -> int:
    return sum((fate.field, fate.outcome) == ("stream", "dropped") for fate in copied.fates)


def _refused_alone(suffix: str, segment: bytes, source: VideoInfo, keep_audio: bool) -> dict[int, str]:
    """The streams that the container does not take beside the video, each on its own, and why."""
    refused: dict[int, str] = {}
    others = [stream.index for stream in source.streams if stream.index != source.stream]
    for index in others:
        without = {other: "" for other in others if other != index}
        try:
            _attempt(suffix, segment, source, keep_audio, without, all_tags=False, chapters=False)
        except REFUSALS:
            refused[index] = f"{CONTAINERS[suffix]} does not take it"
    return refused


def _attempt(
    suffix: str,
    segment: bytes,
    source: VideoInfo,
    keep_audio: bool,
    refused: Mapping[int, str],
    *,
    all_tags: bool,
    chapters: bool,
) -> Copied:
    copied = Copied()
    written = io.BytesIO()
    options = container_options(suffix, source, all_tags=all_tags, finished=False)
    with open_input(source.path) as container, open_template(io.BytesIO(segment), source) as template:
        output = av.open(written, "w", format=CONTAINERS[suffix], container_options=options)
        try:
            video = new_video_stream(output, template, source, suffix)
            lanes, covers = copy_streams(output, container, source, copied, keep_audio=keep_audio, refused=refused)
            copy_tags(output, container, "0" * 64)
            copy_chapters(output, container, source, None, copied)
            output.start_encoding()
            for packet in tolerant_packets(template, [template.streams.video[0]]):
                if packet.size:
                    packet.stream = video
                    output.mux_one(packet)
            for cover in covers:
                output.mux_one(cover_packet(cover))
            sent = _first_packets(container, lanes, output)
        finally:
            output.close()
        copied.packets = {lanes[index].place.index: 1 for index in sent}
        leave_out_empty(output, lanes, copied)
        with av.open(io.BytesIO(written.getvalue()), "r", metadata_errors="surrogateescape") as result:
            compare_with_source(container, result, copied, copied.places, main=source.stream, chapters=chapters)
            if source.rotation or source.display_matrix is not None:
                frame = first_frame(result, result.streams.video[0], source.path, stated=True)
                compare_rotation(frame, source, copied, result.format.name.partition(",")[0])
    return copied


def _first_packets(container: Any, lanes: dict[int, Lane], output: Any) -> set[int]:
    """Mux the first packet of each stream; returns the streams that had one, by their index in the source."""
    sent: set[int] = set()
    if not lanes:
        return sent
    for count, packet in enumerate(tolerant_packets(container, [container.streams[index] for index in lanes])):
        index = packet.stream.index
        if count > MOST_PACKETS or len(sent) == len(lanes):
            break
        if packet.size == 0 or packet.pts is None or index in sent:
            continue
        lane = lanes[index]
        converted: list[Packet[Any]] = [packet] if lane.converter is None else _all_of(lane, packet)
        for ready in converted:
            ready.stream = lane.place
            output.mux_one(ready)
        if converted:
            sent.add(index)
    return sent


def _all_of(lane: Lane, packet: Packet[Any]) -> list[Packet[Any]]:
    assert lane.converter is not None
    return [*lane.converter.packets(packet), *lane.converter.rest()]
