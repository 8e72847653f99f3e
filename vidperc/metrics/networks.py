"""The networks that metrics look with, loaded once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError

if TYPE_CHECKING:
    from vidperc.models.fetch import Said
    from vidperc.perception.dists import Dists
    from vidperc.perception.lpips import Lpips
    from vidperc.perception.video_backbone import VideoBackbone

# The metrics of the table that need one, and the field of `Networks` that has it.
LOOKS_WITH: Mapping[str, str] = {
    "lpips": "lpips",
    "flolpips": "lpips",
    "tlp": "lpips",
    "dists": "dists",
    "fvd": "video_backbone",
}
# Of LPIPS.
TRUNKS = ("squeeze", "alex", "vgg")


@dataclass(frozen=True, kw_only=True)
class Networks:
    """lpips, trunk: that of lpips, tlp and flolpips, and its name. dists, video_backbone: of dists and fvd."""

    lpips: Lpips | None = None
    trunk: str = "squeeze"
    dists: Dists | None = None
    video_backbone: VideoBackbone | None = None


NO_NETWORKS = Networks()


def open_networks(
    names: Sequence[str],
    *,
    weights: Path | None = None,
    trunk: str = "squeeze",
    fvd: str = "own",
    said: Said | None = None,
) -> Networks:
    """What the metrics of these short names look with, on the CPU.

    weights: the folder where weights lie; None for the places where vidperc looks for them. trunk: of LPIPS.
    fvd: the 3D network of fvd: a name, or the path of the I3D file. said: is told the bytes that are here, and of how
    many, while weights are fetched.
    Raises VidpercError for an unknown name, and for weights that cannot be had, cannot be read or do not fit.
    """
    if trunk not in TRUNKS:
        raise VidpercError(f"--lpips: got {trunk!r}, wanted one of {', '.join(TRUNKS)}")
    wanted = {LOOKS_WITH[name] for name in names if name in LOOKS_WITH}
    lpips = dists = video_backbone = None
    if "lpips" in wanted:
        from vidperc.perception.lpips import load_lpips

        lpips = load_lpips(weights, trunk, said=said)
    if "dists" in wanted:
        from vidperc.perception.dists import load_dists

        dists = load_dists(weights, said=said)
    if "video_backbone" in wanted:
        from vidperc.perception.video_backbone import open_video_backbone

        file = Path(fvd) if Path(fvd).suffix else None
        # Our own comes along, and lies in no folder of others' weights.
        found = None if fvd == "own" else file or weights
        video_backbone = open_video_backbone("i3d" if file else fvd, weights=found, said=said)
    return Networks(lpips=lpips, trunk=trunk, dists=dists, video_backbone=video_backbone)
