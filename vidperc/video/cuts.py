"""Cuts and fades, found one frame after another from small pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Literal

from vidperc.errors import VidpercError
from vidperc.video.novelty import HEIGHT, WIDTH, Luma, Texture, novelty, novelty_in_place, texture

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

# So many frames before and after it are looked at before a frame is said to be a cut or none.
CONTEXT = 4

# A flash lasts at most so many frames; what is there before and after it is one shot.
FLASH_FRAMES = 2

# The movement around a frame raises what a cut there must reach by this share of its own novelty.
_MOVEMENT = 1.0

# Frames that differ by less are the same frame again, and tell nothing of the movement.
_REPEATED = 0.002

# Pictures on both sides of a flash differ by less than this share of what they differ from the flash.
_SAME = 0.6

# What is left of its light, or of its contrast, after CONTEXT frames of a fade is less than this share.
_FADED = 0.6

# In 8-bit codes of full range: blank pictures are black below the first, and wholly different by the second.
_BLACK_LEVEL = 10.0
_OTHER_LEVEL = 32.0


@dataclass(frozen=True, kw_only=True)
class CutThresholds:
    """When a change is a cut.

    cut: the share of a picture, 0 to 1, that the one before must not show. Lower finds more, and more that is none.
    blank: the contrast, the standard deviation in 8-bit codes, below which a picture is blank; where a shot goes
        through blank pictures into the next there is one cut, when there is something to see again.
    Raises VidpercError for values that cannot be.
    """

    cut: float = 0.4
    blank: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.cut < 1:
            raise VidpercError(f"--cut-threshold {self.cut:g}: wanted more than 0 and less than 1")
        if not 0 < self.blank <= 64:
            raise VidpercError(f"--fade-threshold {self.blank:g}: wanted more than 0 and at most 64")


@dataclass(frozen=True)
class Cut:
    """The first frame of a new shot; a fade where the old one went, or the new one came, by and by."""

    pts: int
    kind: Literal["cut", "fade"]


@dataclass(frozen=True)
class _Seen:
    """A picture, and how much there is to see in it: texture, a blank surface, or black."""

    pts: int
    picture: Texture
    rank: int


_BLACK, _BLANK, _TEXTURED = 0, 1, 2


def small_luma(frame: VideoFrame, reformatter: VideoReformatter) -> Luma:
    """A frame as the small picture that cuts are found in: (40,64) luma, full range."""
    small = reformatter.reformat(frame, width=WIDTH, height=HEIGHT, format="gray", interpolation="AREA")
    return small.to_ndarray()  # pyright: ignore[reportReturnType]


def detect_cuts(pictures: Iterable[tuple[int, Luma]], thresholds: CutThresholds) -> Iterator[Cut]:
    """The cuts among pictures that come as (pts, small luma) in display order, each CONTEXT pictures after it came.

    The first picture is no cut, nor is a flash of at most FLASH_FRAMES. A shot that goes through blank pictures into
    the next gives one cut, when there is something to see again; one that dissolves into the next gives none.
    Source: as in PySceneDetect's AdaptiveDetector a change counts by what it exceeds its neighbours.
    """
    shown = False  # something other than black
    pending = faded = False  # a shot went into blank pictures, and its end was not told yet; it went by and by
    settled = CONTEXT  # pictures since one began to come by and by: the first of them are too faint to be compared
    for before, ahead in _surroundings(_ranked(pictures, thresholds)):
        now, last = ahead[0], before[-1] if before else ahead[0]
        cut = False
        if now.rank < last.rank:
            faded = _faint(before[::-1]) or (faded and pending)
            pending = True
        elif now.rank > last.rank:
            flash = not faded and _is_flash(before, ahead, thresholds)
            cut = shown and not flash and (pending or (settled >= CONTEXT and _fainter(last, now)))
            settled = 0 if _faint(ahead) and not flash else settled
        elif now.rank != _BLACK and settled >= CONTEXT and _is_sudden(before, ahead, thresholds):
            faded = faded or _faint(before[::-1])
            cut = True
        if cut:
            yield Cut(now.pts, "fade" if faded or _faint(ahead) else "cut")
        if cut or now.rank > last.rank:
            pending = faded = False
        shown = shown or now.rank != _BLACK
        settled += 1


def _ranked(pictures: Iterable[tuple[int, Luma]], thresholds: CutThresholds) -> Iterator[_Seen]:
    rank = _BLACK
    for pts, luma in pictures:
        picture = texture(luma)
        # What is hardly blank any more may be so again in the next picture.
        least = thresholds.blank if rank == _TEXTURED else 2 * thresholds.blank
        rank = _TEXTURED if picture.contrast >= least else _BLACK if picture.mean < _BLACK_LEVEL else _BLANK
        yield _Seen(pts, picture, rank)


def _surroundings(seen: Iterable[_Seen]) -> Iterator[tuple[list[_Seen], list[_Seen]]]:
    """For every picture at most CONTEXT before it, and it and at most CONTEXT after it."""
    before: deque[_Seen] = deque(maxlen=CONTEXT)
    ahead: deque[_Seen] = deque()
    for picture in seen:
        ahead.append(picture)
        if len(ahead) > CONTEXT:
            yield list(before), list(ahead)
            before.append(ahead.popleft())
    while ahead:
        yield list(before), list(ahead)
        before.append(ahead.popleft())


def _is_sudden(before: list[_Seen], ahead: list[_Seen], thresholds: CutThresholds) -> bool:
    """Whether a picture is new beside the last one, by more than the movement around it, and no flash."""
    last, now = before[-1:], ahead[0]
    if not last or (now.rank == _TEXTURED and novelty_in_place(last[0].picture, now.picture) < thresholds.cut):
        return False
    new = _difference(last[0], now)
    if new < thresholds.cut:
        return False
    beside = [_difference(*pair) for run in (before, ahead) for pair in pairwise(run) if pair[0].rank == pair[1].rank]
    moved = [difference for difference in beside if difference > _REPEATED]
    if 3 * len(moved) <= len(beside):  # it stands still, but for another cut; drawings that repeat every frame do not
        moved = beside
    movement = median(moved) if moved else 0.0
    return new >= thresholds.cut + _MOVEMENT * movement and not _is_flash(before, ahead, thresholds)


def _is_flash(before: list[_Seen], ahead: list[_Seen], thresholds: CutThresholds) -> bool:
    """Whether a picture shortly before shows what one shortly after does: between them is a flash, or its end."""
    most = min(thresholds.cut, _SAME * _difference(before[-1], ahead[0]))
    for back in range(1, min(FLASH_FRAMES + 1, len(before)) + 1):
        for on in range(min(FLASH_FRAMES + 2 - back, len(ahead))):
            if back + on > 1 and _difference(before[-back], ahead[on]) < most:
                return True
    return False


def _difference(one: _Seen, other: _Seen) -> float:
    """How much two pictures differ, 0 to 1: in their texture, or in their level where they have none."""
    if one.rank == other.rank == _TEXTURED:
        return novelty(one.picture, other.picture)
    if _TEXTURED in (one.rank, other.rank):
        return 1.0
    return min(1.0, abs(one.picture.mean - other.picture.mean) / _OTHER_LEVEL)


def _faint(pictures: Sequence[_Seen]) -> bool:
    """Whether the first of these pictures is fainter than others, flashes aside: it comes, or goes, by and by."""
    first = pictures[0]
    return any(_fainter(first, other) for other in pictures if other.rank >= first.rank)


def _fainter(one: _Seen, other: _Seen) -> bool:
    """Whether a picture has little of the contrast, or of the light, of another."""
    contrast, mean = other.picture.contrast, other.picture.mean
    return one.picture.contrast < _FADED * contrast or one.picture.mean < _FADED * mean
