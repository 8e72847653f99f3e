"""Walk a network along the slider to its perceptual twin, and draw what that gives and what it takes.

    python scripts/detail_curve.py OUT -m standard -s 2 --images FOLDER ... --clips FOLDER ... --weights-dir FOLDER
                                   [--details 0,.25,.5,.75,1] [--metrics psnr,lpips,warping-error,tof] [--pictures N]

Every detail is measured by `vidperc evaluate`: pictures and clips are shrunk by bicubic, enlarged, and held against
what they were, in float32; LPIPS is by SqueezeNet, which nothing is trained on. OUT gets detail_curve.html, a page
of its own with the curves and sample strips, detail_curve.md with the tables, and detail_curve.json with every figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidperc.compare.degradations import Degradation
from vidperc.compare.enlarging import find_clips, pipeline_of, read_picture, show_enlarged
from vidperc.compare.evaluation import Candidate
from vidperc.errors import VidpercError
from vidperc.models.zoo import find_chain
from vidperc.pipeline import Pipeline
from vidperc.placement import Placement
from vidperc.report.detail_page import DetailPage, DetailSet, Measured, detail_markdown, detail_page
from vidperc.report.pictures import Pixels, Shown, Walk, png_uri, walk
from vidperc.report.whole_file import replace_text
from vidperc.version import __version__
from vidperc.video.stills import still_paths

SIDE = 128  # pixels of a picture in a strip
MIDDLE = 512  # pixels of a clip's frames that strips are made of
SHOWN_FRAMES = 32  # of a clip
# As tables of evaluations have them; others as numbers usually are.
FORMS = {"psnr": ".2f", "ssim": ".4f", "lpips": ".4f", "dists": ".4f", "warping-error": ".2e", "tof": ".3f"}


def evaluated(
    model: str, scale: int, details: Sequence[float], sets: Sequence[dict[str, str]], metrics: str, weights: Path | None
) -> dict[str, Any]:
    """What `vidperc evaluate` finds at every detail, and of bicubic. Raises VidpercError where it fails."""
    networks: list[dict[str, Any]] = [{"model": "bicubic"}]
    networks += [{"model": model, "detail": detail, "label": f"detail {detail:g}"} for detail in details]
    asked = {"sets": sets, "scales": [scale], "networks": networks, "metrics": metrics.split(",")}
    with tempfile.TemporaryDirectory(prefix="vidperc-detail-") as name:
        evaluation, found = Path(name) / "evaluation.yaml", Path(name) / "found.json"
        evaluation.write_text(json.dumps(asked), encoding="utf-8")  # JSON is YAML
        command = [sys.executable, "-m", "vidperc", "evaluate", evaluation, "--data", name, "--json", found]
        command += [] if weights is None else ["--weights-dir", weights]
        if subprocess.run([str(word) for word in command], check=False).returncode:
            raise VidpercError("vidperc evaluate failed, and said why above")
        return json.loads(found.read_text(encoding="utf-8"))


def set_of(table: dict[str, Any], details: Sequence[float]) -> DetailSet:
    """A table of `vidperc evaluate` as the page has it; what only describes is left out."""
    means = {name: found["mean"] for name, found in table["networks"].items()}
    metrics = [
        Measured(
            name=name,
            unit=facts["unit"],
            better=facts["better"],
            form=FORMS.get(name.partition("@")[0], ".4g"),
            along=[means[f"detail {detail:g}"][name] for detail in details],
            bicubic=means["bicubic"][name],
        )
        for name, facts in table["metrics"].items()
        if facts["better"]
    ]
    return DetailSet(
        name=f"{table['set']}, x{table['scale']}, {table['degradation']}", holds=table["holds"], metrics=metrics
    )


def walks_of(
    images: Sequence[Path], clips: Sequence[Path], most: int, pipelines: dict[str, Pipeline], scale: int
) -> Iterator[Walk]:
    """Strips of so many pictures of each folder; of clips one of a frame, and one of a row of pixels over time."""
    for folder in images:
        paths = still_paths(folder)
        count = min(most, len(paths))
        for place in range(count):
            path = paths[place * len(paths) // count]
            yield frame_strip(path.stem, read_picture(path), pipelines, scale)
    for folder in clips:
        for clip in find_clips(folder)[:most]:
            frames = [middle(frame) for frame, _ in islice(clip.frames(), SHOWN_FRAMES)]
            yield frame_strip(clip.name, frames[len(frames) // 2], pipelines, scale)
            yield time_strip(f"{clip.name}, over time", frames, pipelines, scale)


def middle(frame: Tensor) -> Tensor:
    """At most MIDDLE x MIDDLE pixels of a frame (3,H,W)."""
    top, left = (max(0, side - MIDDLE) // 2 for side in frame.shape[-2:])
    return frame[:, top : top + MIDDLE, left : left + MIDDLE].clone()


@torch.inference_mode()
def frame_strip(title: str, frame: Tensor, pipelines: dict[str, Pipeline], scale: int) -> Walk:
    """The frame shrunk and enlarged again at every detail."""
    made: dict[str, Pixels] = {}
    small = true = frame
    for name, pipeline in pipelines.items():
        (shown,) = show_enlarged(iter([(frame, 0)]), pipeline, Degradation(), scale, set())
        small, out, true = shown.frames
        made[name] = pixels(out)
    return walk(title, pixels(small), made, pixels(true), side=SIDE)


@torch.inference_mode()
def time_strip(title: str, frames: Sequence[Tensor], pipelines: dict[str, Pipeline], scale: int) -> Walk:
    """The middle row of pixels of frames, one instant below the other, at every detail and as it truly is."""
    shown: dict[str, Shown] = {}
    lines = max(1, SIDE // len(frames))
    rows: dict[str, list[Tensor]] = {}
    for name, pipeline in pipelines.items():
        rows["truth"] = []
        for step in show_enlarged(((frame, 0) for frame in frames), pipeline, Degradation(), scale, set()):
            _, out, true = step.frames
            for way, whole in ((name, out), ("truth", true)):
                left = max(0, whole.shape[2] - SIDE) // 2
                rows.setdefault(way, []).append(whole[:, whole.shape[1] // 2, left : left + SIDE])
    for name in (*pipelines, "truth"):
        picture = torch.stack(rows[name], dim=1).repeat_interleave(lines, dim=1)  # (3, T*lines, SIDE)
        shown[name] = Shown(png_uri(pixels(picture)), "original" if name == "truth" else "")
    return Walk(title, SIDE, shown)


def pixels(frame: Tensor) -> Pixels:
    return frame.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


def detail_curve(asked: argparse.Namespace) -> None:
    """Raises VidpercError for what cannot be measured."""
    details: list[float] = asked.details
    chain = find_chain(asked.model, asked.scale, 1.0)  # says which networks have a twin, before anything is measured
    of_images = [{"name": path.name, "images": str(path.absolute())} for path in asked.images]
    of_clips = [{"name": path.name, "videos": str(path.absolute())} for path in asked.clips]
    asked.out.mkdir(parents=True, exist_ok=True)
    found = evaluated(asked.model, chain.scale, details, of_images + of_clips, asked.metrics, asked.weights_dir)
    placement = Placement(threads=torch.get_num_threads())
    pipelines = {
        f"detail {detail:g}": pipeline_of(Candidate(model=asked.model, detail=detail), chain.scale, placement)
        for detail in details
    }
    mixed = " and ".join(f"{card.name} with {card.twin}" for card in chain.cards if card.detail)
    shas = {card.name: f"sha256 {card.sha256}\ntwin {card.twin_sha256}" for card in chain.cards if card.detail}
    told = DetailPage(
        model=Path(asked.model).stem,
        summary=f"Detail 0 is for fidelity, 1 for the eye; between them the weights of {mixed} are mixed.",
        details=details,
        sets=[set_of(table, details) for table in found["tables"]],
        walks=list(walks_of(asked.images, asked.clips, asked.pictures, pipelines, chain.scale)),
        facts={
            "program": f"vidperc {__version__}, evaluate, on {found['device']} in float32",
            **shas,
            "command": " ".join(["python", *sys.argv]),
        },
    )
    replace_text(asked.out / "detail_curve.html", detail_page(told))
    replace_text(asked.out / "detail_curve.md", detail_markdown(told))
    replace_text(asked.out / "detail_curve.json", json.dumps(found, indent=1) + "\n")
    print(detail_markdown(told), end="")


def details_of(text: str) -> list[float]:
    details = [float(part) for part in text.split(",")]
    if details != sorted(set(details)) or len(details) < 2 or not 0 <= details[0] < details[-1] <= 1:
        raise ValueError(text)
    return details


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a folder")
    parser.add_argument("-m", "--model", default="standard", help="a network that has a twin, or a family")
    parser.add_argument("-s", "--scale", type=int, default=None)
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="folders of images")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="folders of clips")
    parser.add_argument("--details", type=details_of, default=[0, 0.25, 0.5, 0.75, 1], help="upwards, from 0 to 1")
    parser.add_argument("--metrics", default="psnr,lpips,warping-error,tof", help="as `vidperc measure` takes them")
    parser.add_argument("--weights-dir", type=Path, help="the folder of LPIPS's weights")
    parser.add_argument("--pictures", type=int, default=3, help="strips of each folder")
    asked = parser.parse_args()
    if not asked.images and not asked.clips:
        parser.error("wanted --images or --clips")
    try:
        detail_curve(asked)
    except VidpercError as error:
        sys.exit(f"detail_curve: {error}")


if __name__ == "__main__":
    main()
