"""Frechet video distance: how far the clips of two videos, or of two sets of them, lie apart as a whole.

With I3D it is the FVD of the papers, `fvd@i3d,224,16`; with another network its name says so, `fvd@own,224,16`, and the
two are not compared.
Source: T. Unterthiner et al., "Towards Accurate Generative Models of Video: A New Metric & Challenges", 2018.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.metrics.frechet import Moments, frechet_distance
from vidperc.metrics.metric import Conditions, WholeMetric
from vidperc.metrics.step import Step

if TYPE_CHECKING:
    from vidperc.perception.video_backbone import VideoBackbone

FRAMES = 16  # of a clip
SIDE = 224  # of its frames, in pixels, whatever their shape was
EVERY = 8  # frames after one clip of a video begins the next


def fvd_metrics(conditions: Conditions) -> tuple[WholeMetric, ...]:
    backbone = conditions.networks.video_backbone
    assert backbone is not None
    name = f"fvd@{backbone.name},{SIDE},{FRAMES}"
    return (
        WholeMetric(
            name=name, about="fidelity", begin=lambda: FvdTally(backbone), better="lower", form=".4g", smallest=32
        ),
    )


def frechet_video_distance(one: Iterable[Tensor], other: Iterable[Tensor], backbone: VideoBackbone) -> float:
    """The Frechet distance of two sets of clips; they come in batches (N,T,3,H,W) of RGB in [0,1].

    Frames are brought to 224x224 first. backbone: one layer of a 3D network, on the device of the clips; its places are
    averaged. Memory does not grow with the number of clips. With fewer clips than the layer has channels, the
    covariances are of low rank and the distance is too small to be compared with that of other numbers.
    Raises ValueError for a backbone of several layers, for fewer than two clips in a set, and as the backbone does.
    """
    return frechet_distance(*(_moments(clips, backbone) for clips in (one, other)))


def _moments(clips: Iterable[Tensor], backbone: VideoBackbone) -> Moments:
    found = Moments()
    for batch in clips:
        frames = fitted(batch.flatten(0, 1)).view(*batch.shape[:3], SIDE, SIDE)
        found.add(clip_features(frames, backbone))
    return found


@torch.no_grad()
def clip_features(clips: Tensor, backbone: VideoBackbone) -> Tensor:
    """One feature of each clip (N,T,3,H,W): the means over time and place of the backbone's layer, (N,D)."""
    if len(backbone.layers) != 1:
        raise ValueError(f"fvd: got the layers {', '.join(backbone.layers)}, wanted one")
    (features,) = backbone(clips).values()
    return features.float().mean(dim=(2, 3, 4))


def fitted(frames: Tensor) -> Tensor:
    """Frames (T,3,H,W) at 224x224, clamped to [0,1]; bilinear, antialiased. Wide ones are squeezed, as FVD has it."""
    frames = frames.clamp(0, 1)
    if tuple(frames.shape[2:]) == (SIDE, SIDE):
        return frames
    return F.interpolate(frames, size=[SIDE, SIDE], mode="bilinear", align_corners=False, antialias=True)


class FvdTally:
    """The distance of the clips of OUT from those of what it is held against, as their frames pass.

    A clip is 16 consecutive frames of one shot; every 8 frames begins the next. Two clips are held, no more.
    """

    def __init__(self, backbone: VideoBackbone) -> None:
        self._backbone = backbone
        self._out, self._true = Moments(), Moments()
        self._frames: deque[Tensor] = deque(maxlen=FRAMES)  # (2, 3, 224, 224), OUT and the other
        self._since = 0

    def add(self, step: Step) -> None:
        if step.before is None:
            self._frames.clear()
            self._since = 0
        self._frames.append(torch.cat([fitted(step.now.out[None]), fitted(step.now.true[None])]))
        self._since += 1
        if self._since >= FRAMES and (self._since - FRAMES) % EVERY == 0:
            found = clip_features(torch.stack(tuple(self._frames), dim=1), self._backbone)  # (2, D)
            self._out.add(found[:1])
            self._true.add(found[1:])

    @property
    def clips(self) -> int:
        """How many were compared."""
        return self._out.count

    def figure(self) -> float | None:
        """None where fewer than two clips came."""
        return None if self.clips < 2 else frechet_distance(self._out, self._true)

    def of_frames(self) -> Sequence[float | None]:
        return ()

    def close(self) -> None:
        self._frames.clear()
