"""What an output states of its source, found by reading it again: tags, languages, marks and chapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.stream import Disposition

from vidperc.video.copied import describe, is_cover
from vidperc.video.copied_tags import STALE_TAGS, is_statistics, spelled
from vidperc.video.fates import Copied
from vidperc.video.header import views
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo, display_matrix, first_frame
from vidperc.video.services import service_names

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame

# Of the program that wrote the track, or of the container's own making; an attachment's are how it is found.
TECHNICAL_TAGS = frozenset(
    {"handler_name", "vendor_id", "creation_time", "language", "title", "name", "timecode", "filename", "mimetype"}
)

# Containers state a language where the source has none: "und", or nothing.
NO_LANGUAGE = (None, "", "und")

LONGEST_TOLD = 40  # characters of a tag in a sentence

TIME_TOLERANCE = 0.002  # seconds; Matroska and MP4 round the times of chapters to milliseconds


def read_back(path: Path, source: VideoInfo, copied: Copied, *, excerpt: bool) -> None:
    """Compare a finished output with its source, as compare_with_source() does. excerpt: its chapters were cut."""
    with open_input(source.path) as container, open_input(path) as output:
        compare_with_source(container, output, copied, copied.places, main=source.stream, chapters=not excerpt)
        if source.rotation or source.display_matrix is not None:
            frame = first_frame(output, output.streams.video[0], path, stated=True)
            compare_rotation(frame, source, copied, output.format.name.partition(",")[0])


def compare_with_source(
    source: InputContainer,
    output: InputContainer,
    copied: Copied,
    places: Mapping[int, int],
    *,
    main: int,
    chapters: bool = True,
) -> None:
    """Add to `copied` what of the source's tags, languages, titles, marks and chapters the output states.

    places: of the copied streams, by index in the source, their index in the output. main: the video, in the source.
    chapters: compare them too; an excerpt has others.
    """
    container = output.format.name.partition(",")[0]
    for place, stream in enumerate(source.streams):
        if place == main:
            _compare_stream(stream, output.streams.video[0], copied, "video", container)
            _compare_views(stream, output.streams.video[0], copied, container)
        elif place in places and places[place] < len(output.streams):
            _compare_stream(stream, output.streams[places[place]], copied, describe(stream), container)
    # A timecode goes to the pictures where the container has it there; an excerpt's is another.
    timecode = {key: value for key, value in output.streams.video[0].metadata.items() if key.lower() == "timecode"}
    without = frozenset[str]() if chapters else frozenset({"timecode"})
    _compare_tags(source.metadata, timecode | dict(output.metadata), copied, "file", container, without=without)
    if source.format.name == "mpegts" and container != "mpegts":
        for name in service_names(Path(source.name)):
            copied.drop("programme", f"{container} has no programmes", f"name {spelled(name)!r}")
    _compare_covers([describe(stream) for stream in source.streams if is_cover(stream)], output, copied, container)
    if chapters and source.chapters():
        _compare_chapters(source.chapters(), output.chapters(), copied, container)


def compare_rotation(found: VideoFrame, source: VideoInfo, copied: Copied, container: str) -> None:
    """Add to `copied` whether the output states how its picture is turned. found: its first frame."""
    if source.rotation == 0 and source.display_matrix is None:
        return
    same = found.rotation == source.rotation and (
        source.display_matrix is None or display_matrix(found) == source.display_matrix
    )
    if same:
        copied.keep("video", "rotation")
    else:
        copied.drop("video", f"{container} does not hold it; --bake-rotation turns the pictures instead", "rotation")


def _compare_stream(stream: Stream, found: Stream, copied: Copied, name: str, container: str) -> None:
    if stream.language not in NO_LANGUAGE:
        _tell(copied, name, f"language {spelled(stream.language or '')}", found.language == stream.language, container)
    title = spelled(stream.metadata.get("title", ""))
    if title:
        _tell(
            copied,
            name,
            f"title {title!r}",
            title in (found.metadata.get("title"), found.metadata.get("name")),
            container,
        )
    lost = [
        flag.name.lower()
        for flag in type(stream.disposition)
        if flag.name and flag in stream.disposition & ~found.disposition
    ]
    gained = found.disposition & ~stream.disposition
    if stream.type == "subtitle" and gained & Disposition.default:
        copied.convert(
            name, f"{container} marks the first of its subtitles so, and players may show it", "mark default"
        )
    if stream.disposition:
        _tell(copied, name, f"marks {', '.join(lost)}" if lost else "marks", not lost, container)
    _compare_tags(stream.metadata, found.metadata, copied, name, container, without=TECHNICAL_TAGS)


def _compare_views(stream: Stream, found: Stream, copied: Copied, container: str) -> None:
    wanted = views(stream)
    there = views(found) if wanted else {}
    for what, spelling in wanted.items():
        if there.get(what) == spelling:
            copied.keep("video", what)
        elif what == "cropping":
            copied.drop("video", "the border that players hide is shown; cut it off before (ffmpeg does)", what)
        else:
            copied.drop("video", f"{container} does not state it as the source does; players show it flat", what)


def _compare_tags(
    wanted: Mapping[str, str],
    found: Mapping[str, str],
    copied: Copied,
    name: str,
    container: str,
    without: frozenset[str],
) -> None:
    there = {key.lower(): value for key, value in found.items()}
    for key, value in wanted.items():
        plain = key.lower()
        if plain in STALE_TAGS | without or is_statistics(key):
            continue
        field, got = f"tag {spelled(key)}", there.get(spelled(plain))
        if got is not None and not same_value(spelled(value), got):
            copied.drop(name, f"{container} holds it as {_short(got)!r} in place of {_short(spelled(value))!r}", field)
        else:
            _tell(copied, name, field, got is not None, container)


def same_value(wanted: str, got: str) -> bool:
    """Whether two spellings of a tag say the same: containers have their own of dates, places and counts."""
    if wanted.strip() == got.strip():
        return True
    mine, its = (re.sub(r"[T\s/]+", " ", re.sub(r"\.0+$", "", text.strip().rstrip("Zz/"))) for text in (wanted, got))
    return mine == its or _numbers(mine) == _numbers(its) is not None


def _numbers(text: str) -> list[float] | None:
    """A text of numbers alone, "+48.10+011.50" or "3 12"; None for any other."""
    found = re.findall(r"[+-]?\d+(?:\.\d+)?", text)
    return [float(number) for number in found] if found and "".join(found) == text.replace(" ", "") else None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TOLD else text[: LONGEST_TOLD - 3] + "..."


def _compare_covers(names: list[str], output: InputContainer, copied: Copied, container: str) -> None:
    """Take back that covers are kept where the output shows fewer, as an MP4 with Apple's metadata keys does."""
    there = sum(is_cover(stream) for stream in output.streams)
    kept = [fate for fate in copied.fates if (fate.field, fate.outcome) == ("stream", "kept") and fate.subject in names]
    for fate in kept[there:]:
        copied.fates.remove(fate)
        copied.drop(fate.subject, f"{container} does not hold it; an output name ending in .mkv does")


def _compare_chapters(wanted: list[Any], found: list[Any], copied: Copied, container: str) -> None:
    def seconds(chapter: Any, edge: str) -> float:
        return float(chapter[edge] * chapter["time_base"])

    for number, chapter in enumerate(wanted, start=1):
        title = spelled(chapter["metadata"].get("title", ""))
        same = (
            number <= len(found)
            and abs(seconds(found[number - 1], "start") - seconds(chapter, "start")) <= TIME_TOLERANCE
        )
        subject = f"chapter {number}"
        if not same:
            copied.drop(subject, f"{container} gives it back at another time, or not at all")
            continue
        there = found[number - 1]
        if title and there["metadata"].get("title") != title:
            copied.drop(subject, f"{container} does not hold it", f"title {title!r}")
        if abs(seconds(there, "end") - seconds(chapter, "end")) > TIME_TOLERANCE:
            copied.drop(subject, f"{container} lets it last until {seconds(there, 'end'):.3f} s", "end")
        tags = {key: value for key, value in chapter["metadata"].items() if key.lower() != "title"}
        kept = {key.lower() for key in there["metadata"]}
        for key in tags:
            if spelled(key).lower() not in kept:
                copied.drop(subject, f"{container} does not hold it", f"tag {spelled(key)}")


def _tell(copied: Copied, subject: str, field: str, kept: bool, container: str) -> None:
    if kept:
        copied.keep(subject, field)
    else:
        copied.drop(subject, f"{container} does not hold it", field)
