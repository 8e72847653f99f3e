"""A recipe makes one network: what it is, what it learns from and pays for, for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import normpath

from vidperc.losses.objective import ObjectiveSpec
from vidperc.models.luma import LumaShape
from vidperc.models.recurrent import RecurrentShape
from vidperc.training.material import Material
from vidperc.training.payment import Seen
from vidperc.training.schedule import Schedule

# A hundred times those of the largest that ships; more is a slip of the hand that would fill the memory.
_MOST_PARAMETERS = 100_000_000


def check_name(name: str) -> None:
    """Raises ValueError, beginning with `name`, for a name that files cannot have."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"name: got {name!r}, wanted letters, digits, dots and dashes; files are named so")


@dataclass(frozen=True, kw_only=True)
class Degraded:
    """Learning from what cameras and codecs leave of video (see `training.degrade`), not from what bicubic leaves.

    count: pairs, made once, before training. side: of their large frames in pixels, a multiple of twice the scale.
    """

    count: int = 3000
    side: int = 208

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: got {self.count}, wanted at least 1")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The shape of a network of our own, as `LumaShape` has it; a hidden state of some channels makes it recurrent."""

    scale: int
    channels: int
    depth: int
    state: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.scale <= 8:
            raise ValueError(f"scale: got {self.scale}, wanted 2 to 8")
        for name, least in {"channels": 1, "depth": 0, "state": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted at least {least}")
        if self.own.parameters > _MOST_PARAMETERS:
            raise ValueError(
                f"channels: got {self.channels}, which with a depth of {self.depth} makes {self.own.parameters} "
                f"parameters, wanted at most {_MOST_PARAMETERS}"
            )

    @property
    def own(self) -> LumaShape | RecurrentShape:
        """The shape as networks are built from it."""
        if self.state:
            return RecurrentShape(scale=self.scale, channels=self.channels, depth=self.depth, state=self.state)
        return LumaShape(scale=self.scale, channels=self.channels, depth=self.depth)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is made.

    name: of the network and its files. summary: what the card says it is for. data: what the card says it learnt from.
    network: its shape, of one of our own; a `state` makes it recurrent. None for the network that start_from names, of
    any kind. expand: width of the folded branch of each kernel of our own while it trains, 0 for none.
    images: folders of sharp images to learn from, inside the data folder. sizes: the factors by which they are made
    smaller first. degraded: how they are made worse; None for bicubic. clips: what is learnt from in their place, runs
    of frames with their motion. frames: of a clip that is drawn from those. ahead: a recurrent network first runs
    through up to so many frames before them, drawn anew for each step, so that it knows where long runs bring it.
    validation: a folder of images that are measured at every checkpoint and never learnt from; clips that are held out
    are measured as well.
    start_from: a trained network's file, in the folder of the checkpoint or else among the shipped ones: what the
    training begins with, where the layers fit. share_learnt: how far from there to what was learnt the weights lie that
    are written, 1 for all the way; nearer, a network keeps more of what it could before (M. Wortsman et al., "Robust
    fine-tuning of zero-shot models", 2022). objective: what is paid for; None for the Charbonnier distance of luma.
    seen: whether the objective sees the pictures in colour (rgb) or their luma alone (grey).
    """

    name: str
    summary: str
    data: str
    network: Shape | None = None
    expand: int = 2
    images: tuple[str, ...] = ()
    sizes: tuple[float, ...] = (1.0,)
    degraded: Degraded | None = None
    clips: Material | None = None
    frames: int = 7
    ahead: int = 0
    validation: str | None = None
    schedule: Schedule
    start_from: str | None = None
    share_learnt: float = 1.0
    objective: ObjectiveSpec | None = None
    seen: Seen = "rgb"
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.network is None and self.start_from is None:
            raise ValueError("network: got neither a shape nor start_from, wanted one of them")
        if not 0 < self.share_learnt <= 1:
            raise ValueError(f"share_learnt: got {self.share_learnt}, wanted a share above 0 and at most 1")
        if self.share_learnt < 1 and self.start_from is None:
            raise ValueError("share_learnt: is for a network that begins with another; give start_from")
        if self.expand < 0:
            raise ValueError(f"expand: got {self.expand}, wanted at least 0")
        if bool(self.images) == (self.clips is not None):
            got = "none" if self.clips is None else "both these and clips"
            raise ValueError(f"images: got {got}, wanted the names of folders, or clips")
        if self.clips is None and self.network is not None and self.network.state:
            raise ValueError("network: a recurrent one learns from clips, got images; give the recipe `clips`")
        if self.clips is None and self.ahead:
            raise ValueError(f"ahead: got {self.ahead}, and images to learn from; it is for `clips`")
        if self.clips is not None:
            self._check_clips(self.clips)
        if not self.sizes or not all(0 < size <= 1 for size in self.sizes):
            raise ValueError(f"sizes: got {list(self.sizes)}, wanted factors above 0 and at most 1")
        learnt = (*self.images, *(() if self.clips is None else self.clips.images))
        if self.validation is not None and normpath(self.validation) in map(normpath, learnt):
            raise ValueError(f"validation: {self.validation} is learnt from as well, wanted a folder that is not")
        if self.degraded is not None and self.network is not None:
            self._check_side(self.degraded.side, self.network.scale)

    @property
    def told(self) -> str:
        """What is made, in a few words."""
        if self.network is None:
            return f"as {self.start_from}"
        return f"x{self.network.scale}, {self.network.own.parameters} parameters"

    @property
    def folders(self) -> tuple[str, ...]:
        """What the data folder must hold."""
        clips = () if self.clips is None else (*self.clips.videos, *self.clips.images)
        return (*self.images, *clips, *((self.validation,) if self.validation else ()))

    def _check_clips(self, clips: Material) -> None:
        if self.degraded is not None:
            raise ValueError("degraded: is for images, got clips; set their `degradation`")
        if not 1 <= self.frames <= clips.frames:
            raise ValueError(f"frames: got {self.frames}, wanted 1 to the {clips.frames} of the clips")
        if not 0 <= self.ahead <= clips.frames - self.frames:
            raise ValueError(
                f"ahead: got {self.ahead}, wanted 0 to {clips.frames - self.frames}, as clips are no longer"
            )
        if self.network is not None:
            self.check_scale(self.network.scale)

    def check_scale(self, scale: int) -> None:
        """Raises ValueError where its clips do not suit networks of this scale."""
        clips, crop = self.clips, self.schedule.patch * scale
        if clips is not None:
            clips.check(scale)
            if crop > clips.side:
                raise ValueError(f"clips: got a side of {clips.side}, wanted one that holds a crop of {crop}")

    def _check_side(self, side: int, scale: int) -> None:
        patch = self.schedule.patch
        if side % (2 * scale) or side < patch * scale:
            raise ValueError(
                f"degraded: got a side of {side}, wanted a multiple of {2 * scale} that holds a crop of {patch * scale}"
            )
