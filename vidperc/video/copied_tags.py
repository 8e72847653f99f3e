"""What a source says of itself, in its output: tags, chapters and timecode."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from vidperc.video.fates import Copied, Fate
from vidperc.video.identity import identity_tags
from vidperc.video.probe import VideoInfo, rate_of
from vidperc.video.smpte import moved_timecode

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

# Written by whoever made the source about the source; untrue of the output.
STALE_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "vidperc_job", "alpha_mode"})

# Matroska's, of packets that are gone; some end in a language (NUMBER_OF_FRAMES-eng).
_STATISTICS = re.compile(
    r"(_STATISTICS_(TAGS|WRITING_APP|WRITING_DATE_UTC)|BPS|NUMBER_OF_FRAMES|NUMBER_OF_BYTES|DURATION)(-[A-Za-z]{2,8})*"
)


def is_statistics(tag: str) -> bool:
    """Whether a tag tells of packets of the source."""
    return _STATISTICS.fullmatch(tag) is not None


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
