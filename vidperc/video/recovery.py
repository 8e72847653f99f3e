"""Whether an H.264 packet that is marked as a keyframe gives a whole picture at once."""

from __future__ import annotations

from collections.abc import Iterator

SEI_NAL, IDR_NAL = 6, 5
RECOVERY_POINT = 6


def recovers_slowly(packet: bytes, extradata: bytes | None) -> bool:
    """Whether a decoder that starts at this packet shows remains of nothing for some frames first.

    Streams with intra refresh have no whole pictures after the first; containers mark the packets where a refresh
    starts as keyframes, with a recovery point (ITU-T H.264, D.1.8) that counts the frames until all is there.
    """
    for kind, payload in _units(packet, extradata):
        if kind == IDR_NAL:
            return False
        if kind == SEI_NAL and (count := _recovery_bits(payload)) is not None:
            return count & 0x80 == 0  # an Exp-Golomb code of 0 frames is a single one
    return False


def _units(packet: bytes, extradata: bytes | None) -> Iterator[tuple[int, bytes]]:
    """The type and content of every unit, from length prefixes (avcC) or start codes (Annex B)."""
    if extradata and extradata[0] == 1 and len(extradata) > 4:
        size, place = (extradata[4] & 3) + 1, 0
        while place + size < len(packet):
            length = int.from_bytes(packet[place : place + size])
            place += size
            if length and place < len(packet):
                yield packet[place] & 31, packet[place + 1 : place + length]
            place += length
    else:
        for unit in packet.split(b"\0\0\1")[1:]:
            if unit:
                yield unit[0] & 31, unit[1:]


def _recovery_bits(content: bytes) -> int | None:
    """The first byte of the recovery point among the messages of a unit; None when there is none."""
    place = 0
    while place + 2 < len(content):
        numbers: list[int] = []
        for _ in range(2):  # type, then size; each goes on while its byte is 255
            number = 0
            while place < len(content) and content[place] == 255:
                number, place = number + 255, place + 1
            if place >= len(content):
                return None
            numbers.append(number + content[place])
            place += 1
        kind, size = numbers
        if kind == RECOVERY_POINT and place < len(content):
            return content[place]
        place += size
    return None
