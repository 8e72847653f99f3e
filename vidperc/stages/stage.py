"""The protocol of a stage, and the two ways in which most stages map frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from vidperc.clip import Clip
from vidperc.placement import Placement

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.ops.resize import Kernel

Stream = Callable[[Iterator[Clip]], Iterator[Clip]]


class Stage(Protocol):
    """A frozen description of one step; a dataclass whose literal `kind` is what YAML spells.

    past, future: how many neighbours before and after a frame the stage reads.
    settle: how many frames its state needs to forget where it started.
    needs: what must accompany the clips ("motion"); a pipeline that cannot provide it is refused.
    provides: what accompanies the clips from here on.
    takes_luma: clips may come as YUV, of which the stage changes the luma and resamples the rest.
    """

    @property
    def kind(self) -> str: ...
    @property
    def past(self) -> int: ...
    @property
    def future(self) -> int: ...
    @property
    def settle(self) -> int: ...
    @property
    def needs(self) -> frozenset[str]: ...
    @property
    def provides(self) -> frozenset[str]: ...
    @property
    def takes_luma(self) -> bool: ...

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that come out for frames of this width and height.

        Raises VidpercError when the stage cannot take such frames.
        """
        ...

    def open(self, placement: Placement) -> Stream:
        """Load what the stage needs and return its stream; the stream may be run many times."""
        ...


class PerFrame:
    """What a stage declares whose frames do not depend on each other."""

    past = 0
    future = 0
    settle = 0
    needs: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()

    @property
    def takes_luma(self) -> bool:
        return False


def per_frame(function: Callable[[Tensor], Tensor], *, chroma_kernel: Kernel = "bicubic") -> Stream:
    """The stream that maps each clip's frames (T,C,H,W) through a function of frames alone.

    The chroma of clips in YUV is resampled to the size of what the function made, and stays where it sits.
    """

    def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
        for clip in clips:
            yield mapped(clip)

    def mapped(clip: Clip) -> Clip:
        frames = function(clip.frames)
        return clip.with_frames(frames, resampled_chroma(clip, frames.shape[-2], frames.shape[-1], chroma_kernel))

    return stream


def resampled_chroma(clip: Clip, height: int, width: int, kernel: Kernel = "bicubic") -> Tensor | None:
    """The chroma of a clip in YUV for luma of this height and width, where it sits; None for a clip that has none."""
    if clip.layout is None or clip.chroma is None:
        return None
    from vidperc.ops.color import chroma_site
    from vidperc.ops.resize import resize

    step = clip.frames.shape[-2] / height, clip.frames.shape[-1] / width
    size = clip.layout.plane_size(1, width, height)
    return resize(clip.chroma, size, kernel, step=step, site=chroma_site(clip.layout, clip.color.siting))


def windowed(function: Callable[[Tensor, int], Tensor], past: int, future: int) -> Stream:
    """The stream that gives a function each frame with its neighbours inside the shot.

    function(window, here): window is (n,3,H,W) with n <= past + 1 + future, cut short at the shot's ends;
    `here` is the frame's index in it. It returns the new frame, (1,3,H',W').
    Frames leave in the order they came, one clip each; nothing is read across a cut.
    """

    def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
        import torch

        window: deque[Clip] = deque()
        here = 0  # the place in the window of the frame that leaves next
        for single in (single for clip in clips for single in clip.singles()):
            if window and window[0].shot != single.shot:
                yield from finish(window, here)
                window.clear()
                here = 0
            window.append(single)
            if len(window) - here > future:
                yield window[here].with_frames(function(torch.cat([c.frames for c in window]), here))
                here += 1
            while here > past:
                window.popleft()
                here -= 1
        yield from finish(window, here)

    def finish(window: deque[Clip], here: int) -> Iterator[Clip]:
        import torch

        while here < len(window):
            yield window[here].with_frames(function(torch.cat([c.frames for c in window]), here))
            here += 1
            while here > past:
                window.popleft()
                here -= 1

    return stream
