"""What a network pays for a batch of clips: the distance of its luma, or an objective of any terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from torch import nn

from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial
from vidperc.losses.objective import Objective
from vidperc.losses.sample import Sample
from vidperc.ops.color import rgb_luma
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.loop import Paid
from vidperc.training.luma import charbonnier, missing_from_bicubic
from vidperc.training.students import enlarged, is_own, last_layer, luma_details

_SHIFTS, _SHIFTS_SEED = 8, 7  # pixels: three poolings by two

Pay = Callable[[nn.Module, ClipBatch], Paid]
Seen = Literal["rgb", "grey"]


def pay_for_luma(network: nn.Module, batch: ClipBatch) -> Paid:
    """The Charbonnier distance of what a network of our own adds from what bicubic lacks.

    Raises ValueError for a network of another kind.
    """
    if not is_own(network):
        raise ValueError(f"{type(network).__name__}: wanted a network of our own, which makes luma alone")
    made = luma_details(network, batch).flatten(0, 1)  # (N*T, s*s, h, w)
    batch = batch.learnt()
    small, large = (rgb_luma(frames.flatten(0, 1)) for frames in (batch.small, batch.large))
    return Paid(total=charbonnier(made, missing_from_bicubic(small, large)))


def pay_for(objective: Objective, *, seen: Seen = "rgb") -> Pay:
    """What an objective says of the clips that a network makes, held against the true ones.

    seen: the pictures as they are, or their luma alone, as grey pictures.
    """
    adaptive = any(isinstance(term, Adversarial) and term.adaptive for term in objective.terms)

    def pay(network: nn.Module, batch: ClipBatch) -> Paid:
        out = enlarged(network, batch)
        batch = batch.learnt()
        sample = Sample(out=out, true=batch.large, source=batch.small, motion=batch.motion())
        if batch.small.shape[1] == 1:
            rows, columns = _beginnings(batch)
            sample = Sample(out=out[:, 0, :, rows, columns], true=batch.large[:, 0, :, rows, columns])
        if seen == "grey":
            sample = _grey(sample)
        values = objective(sample, last_layer=last_layer(network) if adaptive else None)
        judged = replace(sample, out=sample.out.detach()) if len(objective.discriminators) else None
        return Paid(total=values.total, named=values.named, judged=judged)

    return pay


def check_payable(objective: Objective, *, frames: int) -> None:
    """Raises VidpercError that names the term for one that clips of so many frames do not suit."""
    given = {"true", "style"} if frames == 1 else {"true", "style", "clip", "motion"}
    for term in objective.terms:
        lacking = sorted(set(term.needs) - given)
        if lacking:
            told = "single pictures" if frames == 1 else f"clips of {frames} frames"
            hint = ", or give the recipe `clips`" if frames == 1 else ""
            raise VidpercError(f"objective: {term.called} needs {', '.join(lacking)}, got {told}; leave it out{hint}")
    try:
        objective.check_frames(frames)
    except ValueError as error:
        raise VidpercError(f"objective: {error}; change `frames`, or leave it out") from error


def _beginnings(batch: ClipBatch) -> tuple[slice, slice]:
    """The rows and columns of still pictures that are looked at: some at the top and the left are left out by chance.

    Networks that enlarge make pixels in cells, and backbones pool them in cells. Where both always lie alike, a network
    learns a grid that pooling does not see.
    """
    chance = np.random.default_rng((_SHIFTS_SEED, batch.number))
    most = min(_SHIFTS, batch.large.shape[-1] // 4)
    down, right = chance.integers(most, size=2).tolist() if most else (0, 0)
    return slice(down, None), slice(right, None)


def _grey(sample: Sample) -> Sample:
    assert sample.true is not None
    source = None if sample.source is None else rgb_luma(sample.source)
    return replace(sample, out=rgb_luma(sample.out), true=rgb_luma(sample.true), source=source, space="grey")
