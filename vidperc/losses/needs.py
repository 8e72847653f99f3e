"""What the terms of an objective need, looked for in the sample before anything is worked out."""

from __future__ import annotations

from torch import Tensor

from vidperc.losses.sample import Sample
from vidperc.losses.term import Term


def check_needs(term: Term, sample: Sample, *, also_true: bool = False) -> None:
    """Raises ValueError, beginning with the name of the term, for what it needs and the sample lacks."""
    name, out, needs = term.called, sample.out, term.needs
    frames = out.shape[1] if out.ndim == 5 else 1
    if "clip" in needs and frames < 2:
        raise ValueError(f"{name}: got a clip of {frames} frame, wanted at least 2 frames")
    if ("true" in needs or also_true) and sample.true is None:
        raise ValueError(f"{name}: got no `true`, wanted what out should be")
    if sample.true is not None and sample.true.shape != out.shape:
        raise ValueError(f"{name}: got {tuple(out.shape)} and {tuple(sample.true.shape)}, wanted equal shapes")
    if "style" in needs and sample.style is None and sample.true is None:
        raise ValueError(f"{name}: got neither `style` nor `true`, wanted a picture whose style is wanted")
    if "style" in needs and sample.style is not None and _not_one_for_each(sample.style, out):
        raise ValueError(
            f"{name}: got a style of {tuple(sample.style.shape)}, wanted (1,C,h,w) for all clips, or "
            f"({len(out)},C,h,w), one for each"
        )
    if "back" in needs and sample.back is None:
        raise ValueError(f"{name}: got no `back`, wanted the frames of a pass in reverse")
    if "latent" in needs and sample.latent is None:
        raise ValueError(f"{name}: got no `latent`, wanted a mean and a log-variance")
    if "motion" in needs:
        _check_motion(name, sample, (out.shape[0], frames))


def _not_one_for_each(style: Tensor, out: Tensor) -> bool:
    return style.ndim != 4 or len(style) not in (1, len(out))


def _check_motion(name: str, sample: Sample, wanted: tuple[int, int]) -> None:
    if sample.motion is None and sample.source is None and sample.true is None:
        raise ValueError(f"{name}: got no `motion`, wanted it, or `source` or `true` to find it in")
    for motions in (sample.motion, sample.to_first):
        if motions is not None and [len(motion) for motion in motions] != [wanted[1]] * wanted[0]:
            told = [len(motion) for motion in motions]
            raise ValueError(f"{name}: got the motion of {told} frames, wanted that of {wanted[0]} times {wanted[1]}")
        sizes = {tuple(motion.flow.shape[-2:]) for motion in motions or ()}
        if len(sizes) > 1:
            told = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
            raise ValueError(f"{name}: got the motion of clips of {told}, wanted one size; resize them (`Motion.at`)")
    source = sample.source
    if sample.motion is None and source is not None and (source.ndim != 5 or tuple(source.shape[:2]) != wanted):
        raise ValueError(
            f"{name}: got a source of {tuple(source.shape)}, wanted {wanted[0]} clips of {wanted[1]} frames (N,T,C,h,w)"
        )
