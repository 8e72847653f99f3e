"""Lists of cuts in text files, one time a line, as people and `vidperc probe --cuts` write them."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.video.index import FrameIndex
from vidperc.video.probe import VideoInfo
from vidperc.video.times import parse_seconds

# A list of ten hours with a cut every second is a tenth of this.
MAX_LIST_BYTES = 8 << 20

MAX_WRITTEN = 40  # characters; longer lines are none of ours, and are not repeated in full


def read_cut_list(path: Path, info: VideoInfo, index: FrameIndex) -> tuple[int, ...]:
    """The pts of the frames that a list of cuts names, in order.

    Each line holds the time of the first frame of a shot, counted from the first frame of the video as --start is:
    seconds or a clock; what follows a # is a remark. A time means the frame that is nearest, so that times rounded to
    a thousandth of a second find theirs.
    Raises VidpercError with file and line for what is no time, or is outside of the video.
    """
    first, last = index.pts[0], index.pts[-1]
    total = (last + index.last_duration - first) * info.time_base
    found: set[int] = set()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        written = written if len(written) <= MAX_WRITTEN else f"{written[:MAX_WRITTEN]}..."
        seconds = parse_seconds(written, f"{path}:{number}:")
        if seconds >= total:
            raise VidpercError(
                f"{path}:{number}: {written} is outside of {info.path}, which lasts {float(total):.3f} s; "
                f"wanted the time of one of its frames, counted from the first"
            )
        found.add(_nearest(index.pts, first + seconds / info.time_base))
    return tuple(sorted(found))


def _nearest(pts: tuple[int, ...], time: Fraction) -> int:
    place = bisect_left(pts, time)
    return min(pts[max(0, place - 1) : place + 1], key=lambda candidate: abs(candidate - time))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise VidpercError(f"{path}: is larger than {MAX_LIST_BYTES >> 20} MiB, wanted a list of cuts")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise VidpercError(f"{path}: no such file, wanted a list of cuts, or --cuts auto or none") from error
    except UnicodeDecodeError as error:
        raise VidpercError(f"{path}: is no text, wanted a list of cuts: a time in every line") from error
    except OSError as error:
        raise VidpercError(f"{path}: cannot be read ({error.strerror}), wanted a list of cuts") from error
