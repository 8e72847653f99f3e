"""The packets of a source's other streams on their way into the output."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.packet import Packet

from vidperc.video.copied import MP4_AND_MOV, Lane, describe
from vidperc.video.fates import Copied
from vidperc.video.packets import tolerant_packets
from vidperc.video.probe import codec_name

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream


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
