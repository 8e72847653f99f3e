"""Clips made of a material: cut out of footage where it is worth it, or filmed by a made-up camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from vidperc.errors import VidpercError
from vidperc.training.clip_sources import Photo, Say, fitting_sizes, open_footage, open_photos
from vidperc.training.clips import ClipPixels, Filmed, a_place, film_over
from vidperc.training.footage import Footage, read_excerpt
from vidperc.training.images import Pixels
from vidperc.training.material import Material, Sources
from vidperc.training.worth import worth
from vidperc.video.stills import read_still

Chance = np.random.Generator
Seed = tuple[int, int, int]

_LAYERS, _LAYER_OFTEN = 2, 0.3  # what may pass before a made-up camera, and how often each does
_PLACES = 8  # that are looked at in an excerpt for each clip that is cut out of it
_MOST = 4  # clips of one excerpt
_READ, _TRIED = 5, 40  # excerpts that are read, and tried, before the best of them has to do
_HELD = 16  # images in memory


@dataclass(frozen=True)
class Cut:
    """A clip (T,S,S,3) uint8 RGB. filmed: how it was made, where it was made up."""

    pixels: ClipPixels
    filmed: Filmed | None = None


_Faulty = tuple[float, str, Cut]  # what shrinking loses, the fault, and the clip


@dataclass
class Tally:
    """What was met: excerpts that are damaged, why one of them cannot be read, crops left out by fault, clips kept in
    spite of one."""

    damaged: int = 0
    unreadable: str = ""
    left_out: Counter[str] = field(default_factory=Counter[str])
    kept: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: Tally) -> None:
        """What another job met."""
        self.damaged += other.damaged
        self.unreadable = self.unreadable or other.unreadable
        self.left_out += other.left_out
        self.kept += other.kept

    @property
    def told_unreadable(self) -> str:
        """Why an excerpt cannot be read, in brackets; empty where all can."""
        return f" ({self.unreadable})" if self.unreadable else ""

    def __str__(self) -> str:
        """In words, each part after a semicolon; empty where there was nothing."""
        damaged = f"; {self.damaged} excerpts were damaged" if self.damaged else ""
        damaged += self.told_unreadable
        parts = (("places left out", self.left_out), ("clips kept for want of better", self.kept))
        told = (f"; {what}: {', '.join(f'{n} {why}' for why, n in sorted(c.items()))}" for what, c in parts if c)
        return damaged + "".join(told)


@dataclass(frozen=True)
class Job:
    """So many clips, the first of which has this place among all; `make` gives the same however often."""

    place: int
    count: int
    make: Callable[[], tuple[list[Cut], Tally]]


def plan_clips(
    material: Material, sources: Sources, *, scale: int, seed: int, threads: Executor, say: Say
) -> list[Job]:
    """The jobs that make all clips of a material, those of images first; files are looked through, and told about.

    scale: that a network shall enlarge by, for what a clip is worth to it.
    Raises VidpercError where there are videos, or images, and none of them gives a clip.
    """
    of_images = sources.images_of(material)
    jobs: list[Job] = []
    if of_images:
        photos = open_photos(material, sources, threads, say)
        read = lru_cache(maxsize=_HELD)(read_still)
        for place in range(of_images):
            jobs.append(Job(place, 1, partial(_film_clip, material, photos, read, scale, (seed, 0, place))))
    place = of_images
    footage = open_footage(material, sources, threads, say) if place < material.count else []
    while place < material.count:
        one: Seed = seed, 1, place
        view = _view(material, footage, np.random.default_rng(one))
        count = min(view.room, material.count - place)
        jobs.append(Job(place, count, partial(_cut_clips, material, footage, scale, one, count)))
        place += count
    return jobs


def _film_clip(
    material: Material, photos: Sequence[Photo], read: Callable[..., Pixels], scale: int, seed: Seed
) -> tuple[list[Cut], Tally]:
    """A clip of a made-up camera; the best of a few where they are flat or soft."""
    chance, tally = np.random.default_rng(seed), Tally()
    made: list[_Faulty] = []
    for _ in range(_READ):
        layers = int(chance.binomial(_LAYERS, _LAYER_OFTEN))
        background, *passing = (read(photos[place].path) for place in _some(chance, photos, 1 + layers))
        size = float(chance.choice(material.sizes))
        filmed = film_over(background, passing, chance, frames=material.frames, side=material.side, size=size, often=1)
        found = worth(filmed.pixels, scale)
        if found.fault in ("", "still"):  # a camera may rest
            return [Cut(filmed.pixels, filmed)], tally
        tally.left_out[found.fault] += 1
        made.append((found.lost, found.fault, Cut(filmed.pixels, filmed)))
    _, fault, cut = max(made, key=_lost)
    tally.kept[fault] += 1
    return [cut], tally


def _cut_clips(
    material: Material, footage: Sequence[Footage], scale: int, seed: Seed, count: int
) -> tuple[list[Cut], Tally]:
    """Clips cut out of excerpts; the best there were, where a few excerpts do not give enough.

    Raises VidpercError where none can be read.
    """
    chance, tally = np.random.default_rng(seed), Tally()
    taken: list[Cut] = []
    others: list[_Faulty] = []
    read = 0
    for _ in range(_TRIED):
        view = _view(material, footage, chance)
        try:
            excerpt = read_excerpt(view.footage, view.start, material.frames, view.size)
        except VidpercError as error:
            excerpt, tally.unreadable = None, str(error)
        if excerpt is None:
            tally.damaged += 1
            continue
        read += 1
        of_this = min(view.room, count - len(taken))
        for crop in _crops(excerpt, material.side, of_this * _PLACES, chance):
            found = worth(crop, scale)
            if not found.fault:
                taken.append(Cut(crop.copy()))
                of_this -= 1
            else:
                tally.left_out[found.fault] += 1
                others.append((found.lost, found.fault, Cut(crop.copy())))
                others.sort(key=_lost, reverse=True)
                del others[count:]
            if not of_this:
                break
        if len(taken) == count:
            return taken, tally
        if read >= _READ and len(taken) + len(others) >= count:
            for _, fault, cut in others[: count - len(taken)]:
                tally.kept[fault] += 1
                taken.append(cut)
            return taken, tally
    names = ", ".join(one.path.name for one in footage[:3]) + (", ..." if len(footage) > 3 else "")
    raise VidpercError(
        f"{names}: {tally.damaged} of {_TRIED} excerpts of {material.frames} frames are damaged, wanted whole videos"
        f"{tally.told_unreadable}"
    )


def _lost(one: _Faulty) -> float:
    return one[0]


@dataclass(frozen=True)
class _View:
    """An excerpt that may be read. room: how many clips may be cut out of it."""

    footage: Footage
    start: int
    size: float
    room: int


def _view(material: Material, footage: Sequence[Footage], chance: Chance) -> _View:
    """Longer videos are chosen more often, as the square root of the places where a clip may begin."""
    weights = np.array([one.starts(material.frames) for one in footage], dtype=np.float64) ** 0.5
    chosen = footage[int(chance.choice(len(footage), p=weights / weights.sum()))]
    size = float(chance.choice(fitting_sizes(chosen, material)))
    start = chosen.start(int(chance.integers(chosen.starts(material.frames))), material.frames)
    # Four times as large for each, so that clips of one excerpt are seldom of the same thing.
    area = chosen.width * chosen.height * size**2 / (4 * material.side**2)
    return _View(chosen, start, size, min(max(int(area), 1), _MOST))


def _crops(excerpt: ClipPixels, side: int, places: int, chance: Chance) -> Iterator[ClipPixels]:
    """Crops at random places, none of which shows more than half of another that came before it."""
    before: list[tuple[int, int]] = []
    for _ in range(places):
        top, left = (a_place(chance, have, side) for have in excerpt.shape[1:3])
        shared = [max(0, side - abs(top - y)) * max(0, side - abs(left - x)) for y, x in before]
        if max(shared, default=0) <= side * side / 2:
            before.append((top, left))
            yield excerpt[:, top : top + side, left : left + side]


def _some(chance: Chance, photos: Sequence[Photo], count: int) -> list[int]:
    weights = np.array([photo.weight for photo in photos])
    return chance.choice(len(photos), count, p=weights / weights.sum()).tolist()
