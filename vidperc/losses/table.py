"""Every term that YAML may name."""

from __future__ import annotations

from collections.abc import Mapping

from vidperc.losses.adversarial import Adversarial
from vidperc.losses.dists import Dists
from vidperc.losses.diversity import Diversity
from vidperc.losses.feature import Feature
from vidperc.losses.kl import Kl
from vidperc.losses.lattice import Lattice
from vidperc.losses.lpips import Lpips
from vidperc.losses.mix import Mix
from vidperc.losses.opponent import Opponent
from vidperc.losses.ping_pong import PingPong
from vidperc.losses.pixel import L1, Charbonnier, Mse
from vidperc.losses.structure import MsSsim, Ssim
from vidperc.losses.style import Style
from vidperc.losses.temporal_difference import TemporalDifference
from vidperc.losses.temporal_feature import TemporalFeature
from vidperc.losses.term import Term
from vidperc.losses.total_variation import TotalVariation
from vidperc.losses.video_feature import VideoFeature
from vidperc.losses.warp_loss import Warp

TERMS: Mapping[str, type[Term]] = {
    "l1": L1,
    "mse": Mse,
    "charbonnier": Charbonnier,
    "ssim": Ssim,
    "ms-ssim": MsSsim,
    "opponent": Opponent,
    "lattice": Lattice,
    "feature": Feature,
    "style": Style,
    "lpips": Lpips,
    "dists": Dists,
    "mix": Mix,
    "total-variation": TotalVariation,
    "adversarial": Adversarial,
    "kl": Kl,
    "diversity": Diversity,
    "warp": Warp,
    "temporal-feature": TemporalFeature,
    "temporal-difference": TemporalDifference,
    "ping-pong": PingPong,
    "video-feature": VideoFeature,
}
