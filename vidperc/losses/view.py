"""View: what all terms of an objective look at, each thing found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vidperc.clip import Motion
from vidperc.losses.along import Steps, chained, check_numbers, steps_of
from vidperc.losses.checks import OVERSHOOT
from vidperc.losses.sample import Sample, to_unit_rgb
from vidperc.losses.term import Wanted

Which = Literal["out", "true", "style"]
Networks = Mapping[tuple[str, bool], nn.Module]
FindMotion = Callable[[Tensor], Sequence[Motion]]


class View:
    """A sample as RGB in [0,1], float32 (float64 if it is so), with what terms share: features and motion.

    What is asked for the first time is found; then it is there. What a term needs is in the sample: `Objective` has
    looked, so that nothing is missing here.
    """

    def __init__(self, sample: Sample, networks: Networks, find: FindMotion | None) -> None:
        """networks: backbones by name and whether they are 3D. find: the motion of clips (N,T,3,h,w)."""
        self.reader = "objective"  # the term that looks, for messages
        self._sample, self._networks, self._find = sample, networks, find
        self._pictures: dict[str, Tensor] = {}
        self._features: dict[tuple[str, bool, Which], dict[str, Tensor]] = {}
        self._steps: dict[str, Steps] = {}
        self._motions: tuple[Motion, ...] | None = None

    @property
    def out(self) -> Tensor:
        """(N,T,3,H,W)."""
        return self._picture("out")

    @property
    def true(self) -> Tensor:
        """(N,T,3,H,W), as `out`."""
        return self._picture("true")

    @property
    def back(self) -> Tensor:
        """(N,T or T-1,3,H,W)."""
        return self._picture("back")

    @property
    def latent(self) -> tuple[Tensor, Tensor]:
        assert self._sample.latent is not None
        return self._sample.latent

    def bounded(self, which: Which) -> Tensor:
        """The pictures within what a picture in [0,1] may have: what is further out counts as being at that bound.

        For networks and statistics, which take nothing else; the few wild pixels there are get no gradient from them.
        """
        picture = self._picture(which)
        key = f"{which} bounded"
        if key not in self._pictures:
            low, high = (float(bound) for bound in picture.detach().aminmax())
            fits = low >= -OVERSHOOT and high <= 1 + OVERSHOOT
            self._pictures[key] = picture if fits else picture.clamp(-OVERSHOOT, 1 + OVERSHOOT)
        return self._pictures[key]

    def frames(self, which: Which) -> Tensor:
        """`bounded`, as single pictures (N*T,3,H,W)."""
        picture = self.bounded(which)
        return picture.flatten(0, 1) if picture.ndim == 5 else picture

    def features(self, wanted: Wanted, which: Which = "out") -> dict[str, Tensor]:
        """Of every layer that any term wants of this backbone: (N*T,C,h,w), or (N,C,t,h,w) of a 3D one.

        Gradients reach `out` alone. Without a style of its own, that of a sample is true's.
        """
        if which == "style" and self._sample.style is None:
            which = "true"
        key = wanted.backbone, wanted.video, which
        if key not in self._features:
            pictures = self.bounded(which) if wanted.video else self.frames(which)
            with torch.set_grad_enabled(torch.is_grad_enabled() and which == "out"):
                self._features[key] = self._networks[wanted.backbone, wanted.video](pictures)
        return self._features[key]

    def strides(self, wanted: Wanted) -> Mapping[str, int]:
        """The pixels from feature to feature, by layer, of a backbone for pictures."""
        strides: object = self._networks[wanted.backbone, wanted.video].strides
        assert isinstance(strides, Mapping)
        return strides  # pyright: ignore[reportUnknownVariableType]

    def steps(self, reach: Literal["short", "long"]) -> Steps:
        """How each frame but the first of its clip got there from the one before, or from the first (long).

        Of the size of `out`, on its device.
        """
        if reach not in self._steps:
            if reach == "short":
                motions = self._motion()
            elif self._sample.to_first is not None:
                motions = self._checked(self._sample.to_first)
            else:
                motions = tuple(chained(motion) for motion in self._motion())
            found = steps_of(motions)
            there = Steps(flow=found.flow.to(self.out.device), visible=found.visible.to(self.out.device))
            self._steps[reach] = there.at((self.out.shape[-2], self.out.shape[-1]))
        return self._steps[reach]

    def _motion(self) -> tuple[Motion, ...]:
        if self._motions is None:
            if self._sample.motion is not None:
                self._motions = self._checked(self._sample.motion)
            else:
                assert self._find is not None
                with torch.no_grad():
                    source = self._picture("source" if self._sample.source is not None else "true")
                    self._motions = self._checked(self._find(source.float()))
        return self._motions

    def _checked(self, motions: Sequence[Motion]) -> tuple[Motion, ...]:
        for motion in motions:
            check_numbers(self.reader, motion.flow, motion.visible)
        return tuple(motions)

    def _picture(self, which: str) -> Tensor:
        if which not in self._pictures:
            given: Tensor | None = getattr(self._sample, which)
            assert given is not None, which
            if which in ("out", "true") and given.ndim == 4:
                given = given.unsqueeze(1)  # (N, 1, C, H, W)
            if which not in ("out", "back"):
                given = given.detach()
            sample = self._sample
            self._pictures[which] = to_unit_rgb(given, sample.range, sample.space, term=self.reader, what=which)
        return self._pictures[which]
