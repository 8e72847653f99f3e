"""The names of the programmes in a transport stream, which FFmpeg reads and PyAV does not give.

Source: ETSI EN 300 468, sections 5.2.3 (service description section), 6.2.33 (service descriptor), annex A (text).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PACKET, _SYNC, _PID = 188, 0x47, 0x11
_TABLE, _SERVICE = 0x42, 0x48
_LOOKED_AT = 4 << 20  # bytes; the section comes every two seconds at least
_UTF8 = 0x15
_LONGEST = 4096

# What FFmpeg writes where nobody names a programme.
_UNNAMED = "Service01 (FFmpeg)"


def service_names(path: Path) -> list[str]:
    """Name and provider of each programme that has a name of its own, as "Name (Provider)".

    Nothing for files that are no transport streams.
    """
    with path.open("rb") as file:
        data = file.read(_LOOKED_AT)
    first = next((at for at in range(min(_PACKET, len(data))) if _in_step(data, at)), None)
    if first is None:
        return []
    section = next(_sections(data[first:]), b"")
    return [name for name in _services(section) if name != _UNNAMED]


def _in_step(data: bytes, at: int) -> bool:
    return len(data) > at + 2 * _PACKET and all(data[at + n * _PACKET] == _SYNC for n in range(3))


def _sections(data: bytes) -> Iterator[bytes]:
    """Whole sections of the table, without their head."""
    held: bytearray | None = None
    for at in range(0, len(data) - _PACKET + 1, _PACKET):
        packet = data[at : at + _PACKET]
        if packet[0] != _SYNC or (packet[1] & 0x1F) << 8 | packet[2] != _PID or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40 and payload:  # a section begins here
            held = bytearray(payload[1 + payload[0] :])
        elif held is not None:
            held += payload
        if held is None or len(held) < 3:
            continue
        length = (held[1] & 0x0F) << 8 | held[2]
        if held[0] != _TABLE or len(held) > _LONGEST + _PACKET:
            held = None
        elif len(held) >= 3 + length:
            yield bytes(held[11 : 3 + length - 4])  # less the checksum
            held = None


def _services(section: bytes) -> Iterator[str]:
    at = 0
    while at + 5 <= len(section):
        end = at + 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        at += 5
        while at + 2 <= min(end, len(section)):
            kind, body = section[at], section[at + 2 : at + 2 + section[at + 1]]
            at += 2 + section[at + 1]
            if kind == _SERVICE and len(body) >= 3:
                provider, rest = body[2 : 2 + body[1]], body[2 + body[1] :]
                name = _text(rest[1 : 1 + rest[0]]) if rest else ""
                told = " ".join(part for part in (name, f"({_text(provider)})" if provider else "") if part)
                if told:
                    yield told
        at = end


def _text(raw: bytes) -> str:
    """As it is shown: the control codes for emphasis are left out."""
    if raw[:1] == bytes([_UTF8]):
        text = raw[1:].decode("utf-8", "replace")
    elif raw[:1] and raw[0] < 0x0C:
        text = raw[1:].decode(f"iso8859-{raw[0] + 4}", "replace")
    else:
        text = raw.decode("latin-1")
    return "".join(character for character in text if character.isprintable())
