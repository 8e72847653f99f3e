"""Time the metrics of `vidperc measure` beside the usual tools called frame by frame: lpips, piq, torchmetrics, OpenCV.

    python scripts/benchmark_metrics.py CLIP --weights-dir FOLDER [--seconds 10] [--threads N] [--repeat N]

A pair is made of the clip: 1280x720, so many seconds, played there and back until they are full, and the same halved,
enlarged by bicubic and encoded too. Both ways measure PSNR, SSIM, LPIPS (squeeze), tLP, tOF and warping error of
it, in processes of their own that take turns, from the same decoder, with the same motion and weights; the figures must
agree to a thousandth. Printed are seconds of the clock and of the processor without what is loaded at the start, the
share of the machine that other programs took meanwhile, and the memory (PSS) at a tenth of the frames, at half, at the
end, and at most. Needs the dev extra.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from time import perf_counter, process_time
from typing import Any

import av
import numpy as np
import psutil
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from vidperc.ops.resize import resize
from vidperc.video.rgb import read_rgb

WIDE, HIGH, RATE = 1280, 720, 25
NAMES = ("psnr", "ssim", "lpips", "warping-error", "tof", "tlp")
SHARED = {
    "psnr@rgb": "PSNR",
    "ssim@rgb": "SSIM",
    "lpips@squeeze": "LPIPS",
    "warping-error@dis-balanced": "warping error",
    "tof@farneback": "tOF",
    "tlp100@squeeze": "tLP100",
}
AGREE = 1e-3
# A figure that is next to nothing agrees if it differs by no more than this.
AGREE_ABSOLUTE = {"tlp100@squeeze": 2e-3}


def make_pair(clip: Path, folder: Path, seconds: float) -> tuple[Path, Path]:
    """The reference and what is measured, as H.264."""
    count = round(seconds * RATE)
    frames = [resize(frame[None], (HIGH, WIDE), "bicubic")[0].half() for frame in islice(read_rgb(clip), count)]
    there_and_back = [*frames, *frames[-2:0:-1]] if len(frames) > 1 else frames
    paths = folder / "reference.mp4", folder / "out.mp4"
    for path, coarse, crf in ((paths[0], False, 12), (paths[1], True, 23)):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(RATE), options={"crf": str(crf), "preset": "fast"})
            stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
            for place in range(count):
                shown = there_and_back[place % len(there_and_back)][None].float()
                if coarse:
                    shown = resize(resize(shown, (HIGH // 2, WIDE // 2), "bicubic"), (HIGH, WIDE), "bicubic")
                codes = shown[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
                container.mux(stream.encode(VideoFrame.from_ndarray(codes, format="rgb24")))
            container.mux(stream.encode(None))
    return paths


class Clock:
    """Seconds since it was made, and this process's memory now and then."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._process = psutil.Process()
        self._busy, self._cores = sum_busy(), psutil.cpu_count() or 1
        self._began = perf_counter(), process_time()
        self.memory: dict[int, int] = {}

    def said(self, done: int, _total: int = 0) -> None:
        if done % 5 == 0 or done == self._count - 1:
            full = self._process.memory_full_info()
            self.memory[done] = getattr(full, "pss", full.rss)

    def facts(self) -> dict[str, Any]:
        clock, processor = perf_counter() - self._began[0], process_time() - self._began[1]
        others = max(0.0, sum_busy() - self._busy - processor) / (clock * self._cores)
        return {"clock": clock, "processor": processor, "others": others, "frames": self._count, "memory": self.memory}


def sum_busy() -> float:
    """Seconds that all cores together have worked."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def ours(reference: Path, out: Path, weights: Path | None) -> dict[str, Any]:
    from vidperc.compare.videos import Means, compare_videos, fitting_metrics
    from vidperc.metrics.networks import open_networks
    from vidperc.motion.estimator import open_estimator
    from vidperc.video.aligned import align

    estimator = open_estimator("dis", preset="balanced")
    means = Means(estimator=estimator, motion="dis-balanced", networks=open_networks(NAMES, weights=weights))
    videos = align([reference, out])
    metrics = fitting_metrics(videos, NAMES, means)
    clock = Clock(len(videos[0].pts))
    found = compare_videos(videos, metrics, means, said=clock.said)
    figures = {series.metric.name: series.mean() for series in found.series}
    return {"figures": {name: figures[name] for name in SHARED}, **clock.facts()}


@torch.inference_mode()
def usual(reference: Path, out: Path, weights: Path | None) -> dict[str, Any]:
    """One frame after the other, one library after the other, as their documentation shows them."""
    import cv2
    import lpips  # pyright: ignore[reportMissingTypeStubs]
    import piq  # pyright: ignore[reportMissingTypeStubs]
    from torchmetrics.functional import image

    from vidperc.motion.estimator import open_estimator
    from vidperc.motion.find import find_motion

    farneback: Any = cv2.calcOpticalFlowFarneback
    psnr: Any = image.peak_signal_noise_ratio
    ssim: Any = piq.ssim
    network = lpips_network(lpips, weights)
    estimator = open_estimator("dis", preset="balanced")

    def grey(frame: Tensor) -> Any:
        codes = (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        return cv2.cvtColor(codes, cv2.COLOR_RGB2GRAY)

    def flow(before: Tensor, now: Tensor) -> Any:
        start: Any = None
        return farneback(grey(before), grey(now), start, 0.5, 3, 15, 3, 5, 1.2, 0)

    def eight_bits(frame: Tensor) -> Tensor:
        return (frame * 255).round() / 255

    cv2.setNumThreads(torch.get_num_threads())
    with av.open(str(reference)) as container:
        count = container.streams.video[0].frames
    clock = Clock(count)
    found: dict[str, list[float]] = {name: [] for name in SHARED}
    before: tuple[Tensor, Tensor] | None = None
    source: Tensor | None = None
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(read_rgb(reference), read_rgb(out), strict=True)
    for place, shown in enumerate(pairs):
        clock.said(place)
        now = shown[0].clamp(0, 1), shown[1].clamp(0, 1)
        codes = [eight_bits(frame)[None] for frame in now]
        found["psnr@rgb"].append(float(psnr(codes[1], codes[0], data_range=1.0)))
        # torchmetrics means over mirrored borders, too; piq shrinks pictures unless it is told not to.
        found["ssim@rgb"].append(float(ssim(codes[1], codes[0], data_range=1.0, downsample=False)))
        found["lpips@squeeze"].append(float(network(now[1][None], now[0][None], normalize=True)))
        if before is not None and source is not None:
            steps = [float(network(b[None], n[None], normalize=True)) for b, n in zip(before, now, strict=True)]
            found["tlp100@squeeze"].append(100 * abs(steps[0] - steps[1]))
            flows = [flow(b, n) for b, n in zip(before, now, strict=True)]
            found["tof@farneback"].append(float(np.linalg.norm(flows[0] - flows[1], axis=-1).mean()))
            # The motion of the source is vidperc's own, for there is none in these libraries.
            motion = next(find_motion([(torch.stack([source, shown[0]]), 0)], estimator)).part(1, 2)
            moved = warped(before[1][None], motion.flow)
            change = (now[1][None] - moved).square().mean(dim=1, keepdim=True)
            error = float((change * motion.visible).sum() / motion.visible.sum())
            found["warping-error@dis-balanced"].append(error)
        before, source = now, shown[0]
    return {"figures": {name: fmean(values) for name, values in found.items()}, **clock.facts()}


def lpips_network(lpips: Any, weights: Path | None) -> Any:
    """The library's LPIPS, its trunk filled with the weights that vidperc takes."""
    from torchvision.models import squeezenet1_1  # pyright: ignore[reportMissingTypeStubs]

    from vidperc.models.fetch import weights_path
    from vidperc.perception.networks import NETWORKS
    from vidperc.perception.weights import read_weights

    trunk = squeezenet1_1(weights=None)
    trunk.load_state_dict(read_weights(weights_path(NETWORKS["squeezenet1_1"].weights, weights)), strict=False)
    network = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False).eval()
    for part in network.net.children():
        for place, layer in part.named_children():
            layer.load_state_dict(trunk.features[int(place)].state_dict())
    return network


def warped(frames: Tensor, flow: Tensor) -> Tensor:
    """By grid_sample, as most programs do it."""
    height, width = frames.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([2 * (x + flow[:, 0]) / (width - 1) - 1, 2 * (y + flow[:, 1]) / (height - 1) - 1], dim=-1)
    return torch.nn.functional.grid_sample(frames, grid, padding_mode="border", align_corners=True)


def apart(name: str, one: float, other: float) -> bool:
    return abs(one - other) > max(AGREE * abs(other), AGREE_ABSOLUTE.get(name, 0.0))


def run(way: str, pair: tuple[Path, Path], weights: Path | None, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--way", way, *map(str, pair), "--threads", str(threads)]
    command += [] if weights is None else ["--weights-dir", str(weights)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(found: dict[str, list[dict[str, Any]]]) -> bool:
    print(f"{'':16}{'vidperc':>12}{'usual':>12}")
    agree = True
    for name, short in SHARED.items():
        one, other = (found[way][0]["figures"][name] for way in ("ours", "usual"))
        differs = apart(name, one, other)
        agree = agree and not differs
        print(f"{short:16}{one:12.6g}{other:12.6g}{'  differ' if differs else ''}")
    for key, title in (("clock", "seconds"), ("processor", "processor s")):
        one, other = (median(each[key] for each in found[way]) for way in ("ours", "usual"))
        print(f"{title:16}{one:12.1f}{other:12.1f}  {other / one:.1f} times")
    others = [max(each["others"] for each in found[way]) for way in ("ours", "usual")]
    print(f"{'others took':16}" + "".join(f"{share:12.0%}" for share in others))
    frames = found["ours"][0]["frames"]
    for share, title in ((0.1, "a tenth"), (0.5, "half"), (1.0, "the end")):
        row = [at(each[0]["memory"], share * (frames - 1)) for each in (found["ours"], found["usual"])]
        print(f"{'MiB at ' + title:16}" + "".join(f"{bytes_ / 2**20:12.0f}" for bytes_ in row))
    row = [max(max(each["memory"].values()) for each in found[way]) for way in ("ours", "usual")]
    print(f"{'MiB at most':16}" + "".join(f"{bytes_ / 2**20:12.0f}" for bytes_ in row))
    return agree


def at(memory: dict[str, int], frame: float) -> int:
    """The memory at the sample that is nearest to a frame."""
    return memory[min(memory, key=lambda place: abs(int(place) - frame))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--weights-dir", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=("ours", "usual"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.way is not None:
        print(json.dumps((ours if asked.way == "ours" else usual)(asked.clips[0], asked.clips[1], asked.weights_dir)))
        return
    with tempfile.TemporaryDirectory(prefix="vidperc-benchmark-") as folder:
        pair = make_pair(asked.clips[0], Path(folder), asked.seconds)
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "usual": []}
        for turn in range(asked.repeat):
            for way in ("ours", "usual") if turn % 2 == 0 else ("usual", "ours"):
                found[way].append(run(way, pair, asked.weights_dir, asked.threads))
    frames = found["ours"][0]["frames"]
    print(f"{frames} frames of {WIDE}x{HIGH}, {torch.get_num_threads()} threads")
    agree = show(found)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    if not agree:
        sys.exit("the two ways differ")


if __name__ == "__main__":
    main()
