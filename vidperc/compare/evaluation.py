"""What `vidperc evaluate` does: networks, the test sets they enlarge, and how they are measured there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vidperc.compare.degradations import Degradation
from vidperc.metrics.table import METRICS
from vidperc.models.ensemble import check_ensemble
from vidperc.models.zoo import LARGEST_SCALE, find_chain, list_families

# What a still picture has no figure of.
OF_ONE_FRAME = ("psnr", "ssim", "ms-ssim", "lpips", "dists")


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Pictures or videos as they should be, at full size.

    name: as tables have it. images: a folder of PNG and JPEG files. videos: a folder of clips, each a video file or a
    folder of its frames in the order of their names. One of both, inside the data folder.
    clips: of videos alone: the names of those that are taken, a file's without its suffix; left out, all.
    frames: of videos alone: how many of each clip are taken; left out, all. skip: how many before them are not.
    """

    name: str
    images: str | None = None
    videos: str | None = None
    clips: tuple[str, ...] | None = None
    frames: int | None = None
    skip: int = 0

    # pytest would take the class for a group of tests.
    __test__ = False

    def __post_init__(self) -> None:
        if (self.images is None) == (self.videos is None):
            raise ValueError(f"name: {self.name} wants one folder, of images or of videos")
        if self.images is not None and (self.clips is not None or self.frames is not None or self.skip):
            raise ValueError(f"images: {self.name} asks for clips, frames or skip, wanted videos for these")
        if self.clips is not None and (not self.clips or len(set(self.clips)) < len(self.clips)):
            raise ValueError(f"clips: got {list(self.clips)}, wanted at least 1 name, each once; left out, all")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames: got {self.frames}, wanted at least 1; left out, all")
        if self.skip < 0:
            raise ValueError(f"skip: got {self.skip}, wanted 0 or more frames")

    @property
    def folder(self) -> str:
        return self.images if self.images is not None else self.videos or ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that is measured.

    model: a name that `vidperc models list` shows, or the path of a weights file. steady: how firmly what it adds is
    held along the motion of a video, 0 to 1. detail: how far it is moved towards its perceptual twin, 0 to 1.
    ensemble: the mean over so many orientations of a frame, 1, 2, 4 or 8.
    label: its name in tables; left out, the model's.
    """

    model: str
    steady: float = 0.0
    detail: float = 0.0
    ensemble: int = 1
    label: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.steady <= 1:
            raise ValueError(f"steady: got {self.steady:g}, wanted 0 to 1")
        if not 0 <= self.detail <= 1:
            raise ValueError(f"detail: got {self.detail:g}, wanted 0 to 1")
        check_ensemble(self.ensemble)

    @property
    def shown(self) -> str:
        """Its name in tables."""
        asked = ("detail", self.detail, 0), ("ensemble", self.ensemble, 1), ("steady", self.steady, 0)
        added = (f", {name} {value:g}" for name, value, usual in asked if value != usual)
        return self.label or "".join((Path(self.model).name, *added))

    def has(self, scale: int) -> bool:
        """Whether it enlarges by this much. Raises VidpercError for a model that is none."""
        if self.model in list_families():
            return True
        card = find_chain(self.model).cards[0]
        return not card.sha256 or card.scale == scale


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Networks over test sets, each set made small and enlarged again.

    summary: what it is for. sets: of images and of videos. scales: by which they are made smaller, 2 to 8.
    degradations: how. networks: what enlarges them. metrics: short names, as `measure --metrics` takes them; of image
    sets those alone that one picture has. border: pixels that metrics of luma leave out at each side; left out, as
    many as the scale, as super-resolution papers do.
    """

    summary: str = ""
    sets: tuple[TestSet, ...]
    scales: tuple[int, ...]
    degradations: tuple[Degradation, ...] = (Degradation(),)
    networks: tuple[Candidate, ...]
    metrics: tuple[str, ...]
    border: int | None = None

    def __post_init__(self) -> None:
        for name in ("sets", "scales", "degradations", "networks", "metrics"):
            if not getattr(self, name):
                raise ValueError(f"{name}: got an empty list, wanted at least 1 item")
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            raise ValueError(f"metrics: got {unknown[0]!r}, wanted some of {', '.join(METRICS)}")
        if any(one.images is not None for one in self.sets) and not set(self.metrics) & set(OF_ONE_FRAME):
            raise ValueError(f"metrics: none that one picture has, wanted some of {', '.join(OF_ONE_FRAME)} for images")
        wrong = [scale for scale in self.scales if not 2 <= scale <= LARGEST_SCALE]
        if wrong:
            raise ValueError(f"scales: got {wrong[0]}, wanted whole numbers from 2 to {LARGEST_SCALE}")
        if self.border is not None and self.border < 0:
            raise ValueError(f"border: got {self.border}, wanted 0 or more pixels")
        shown = [one.shown for one in self.networks]
        twice = [name for name in shown if shown.count(name) > 1]
        if twice:
            raise ValueError(f"networks: {twice[0]} twice, wanted another label for one of them")
        for field, names in (
            ("sets", [one.name for one in self.sets]),
            ("scales", [str(scale) for scale in self.scales]),
        ):
            again = [name for name in names if names.count(name) > 1]
            if again:
                raise ValueError(f"{field}: {again[0]} twice, wanted each once; figures are kept under it")
        for one in self.sets:
            if not re.fullmatch(r"[\w .@-]+", one.name):
                raise ValueError(f"sets: got the name {one.name!r}, wanted letters, digits, blanks, dots and dashes")

    def crop(self, scale: int) -> int:
        """Pixels that metrics of luma leave out at each side."""
        return scale if self.border is None else self.border
