"""Train designs of small networks alike and time them: which one to ship.

    python scripts/compare_networks.py DATA FOLDER [--scale 2] [--steps 4000] [--only NAME ...]

DATA holds train_photos, gb82_cc0, set5 and kodak24. Every design is trained on the same crops for the same steps, then
timed on one core, planes to planes, and one line of figures is printed and added to FOLDER/results.jsonl. What was
interrupted goes on from its checkpoint in FOLDER.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.folded import FoldedConv, TrainableConvs, begin_near_identity, convolve, convolve_relu
from vidperc.models.luma import LumaShape, TrainableLuma
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training.images import draw, make_pairs, read_images
from vidperc.training.loop import Paid, train
from vidperc.training.luma import luma_loss, luma_psnr
from vidperc.training.schedule import Schedule

WIDE, HIGH, STRIP = 640, 360, 60


class PlainRgb(TrainableConvs):
    """RGB (N,3,h,w) in, what bicubic lacks of RGB out, (N,3*s*s,h,w)."""

    def __init__(self, scale: int, channels: int, depth: int) -> None:
        super().__init__([(3, channels), *[(channels, channels)] * depth, (channels, 3 * scale * scale)], expand=0)
        begin_near_identity(self.convolutions())

    def forward(self, rgb: Tensor) -> Tensor:
        x = (rgb - 0.5).to(torch.bfloat16)
        *body, last = self.kernels()
        for kernel, bias in body:
            x = convolve_relu(x, kernel, bias)
        return convolve(x, *last)


class SpanLuma(nn.Module):
    """Blocks of two convolutions on luma, (N,1,h,w) to (N,s*s,h,w), with attention that has no parameters.

    Source: C. Wan et al., "Swift Parameter-free Attention Network", 2024: the block's result weighs itself and what
    came in by its own sigmoid.
    """

    def __init__(self, scale: int, channels: int, blocks: int) -> None:
        super().__init__()
        widths = [(1, channels), *[(channels, channels)] * (2 * blocks), (channels, scale * scale)]
        self.first, *self._body, self.last = (FoldedConv(inputs, outputs, 0) for inputs, outputs in widths)
        self.body = nn.ModuleList(self._body)
        with torch.no_grad():
            self.last.weight.mul_(0.1)  # what is added is small at first

    def forward(self, luma: Tensor) -> Tensor:
        x = convolve((luma - 0.5).to(torch.bfloat16), self.first.kernel(), self.first.bias).to(torch.bfloat16)
        for one, two in zip(self._body[::2], self._body[1::2], strict=True):
            inner = convolve_relu(x, one.kernel(), one.bias)
            made = convolve(inner, two.kernel(), two.bias).to(torch.bfloat16)
            x = (made + x) * (made.sigmoid() - 0.5)
        return convolve(x, self.last.kernel(), self.last.bias)


def rgb_loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
    """As `training.luma.luma_loss`, over all three channels."""
    base = F.interpolate(small, size=large.shape[-2:], mode="bicubic", align_corners=False, antialias=True)
    wanted = F.pixel_unshuffle(large - base, large.shape[-1] // small.shape[-1])
    return ((network(small) - wanted).square() + 1e-6).sqrt().mean()


def seconds_of_a_frame(network: nn.Module, scale: int, *, rgb: bool) -> float:
    """CPU seconds of one 640x360 frame on one core, best of five: strips of luma, with what colour costs beside it.

    An RGB network pays for RGB enlarged and made of planes and back; a luma network for its own base and two chroma
    planes of half the size.
    """
    torch.set_num_threads(1)
    frame = torch.rand(1, 3 if rgb else 1, HIGH, WIDE)
    chroma = torch.rand(1, 2, HIGH // 2, WIDE // 2)
    best = 1e9
    with torch.inference_mode():
        for _ in range(5):
            began = perf_counter()
            for top in range(0, HIGH, STRIP):
                part = frame[..., top : top + STRIP, :]
                base = resize(part, (scale * STRIP, scale * WIDE), "bicubic")
                made = base + F.pixel_shuffle(network(part), scale)
                for picture in (part, part, part, made, made, made) if rgb else ():
                    rgb_luma(picture)  # from YUV and back: three planes of weighted sums each way
            if not rgb:
                resize(chroma, (scale * HIGH // 2, scale * WIDE // 2), "bicubic")
            best = min(best, perf_counter() - began)
    return best


Design = tuple[Callable[[], nn.Module], bool]


def designs(scale: int) -> dict[str, Design]:
    """What makes each design, and whether it is for RGB."""

    def luma(channels: int, depth: int, expand: int) -> nn.Module:
        return TrainableLuma(LumaShape(scale=scale, channels=channels, depth=depth), expand=expand)

    return {
        "plain RGB 32x6": (lambda: PlainRgb(scale, 32, 6), True),
        "plain luma 32x6": (lambda: luma(32, 6, 0), False),
        "folded luma 32x6": (lambda: luma(32, 6, 2), False),
        "attention luma 32x3 blocks": (lambda: SpanLuma(scale, 32, 3), False),
        "attention luma 32x2 blocks": (lambda: SpanLuma(scale, 32, 2), False),
        "folded luma 16x24": (lambda: luma(16, 24, 2), False),
        "folded luma 16x12": (lambda: luma(16, 12, 2), False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--only", nargs="*", help="these designs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    schedule = Schedule(steps=asked.steps)
    pairs = make_pairs(
        read_images([asked.data / "train_photos", asked.data / "gb82_cc0"]),
        scale=asked.scale,
        sizes=(1, 0.6),
        patch=schedule.patch,
    )
    measures = {
        name: luma_psnr(make_pairs(read_images([asked.data / name]), scale=asked.scale, sizes=(1,), patch=16))
        for name in ("set5", "kodak24")
    }
    for name, (build, rgb) in designs(asked.scale).items():
        if asked.only and name not in asked.only:
            continue
        torch.manual_seed(0)
        network = build()

        def validate(network: nn.Module, rgb: bool = rgb) -> dict[str, float]:
            def lacking(picture: Tensor) -> Tensor:
                if not rgb:
                    return network(rgb_luma(picture))
                made = F.pixel_shuffle(network(picture), asked.scale)
                return F.pixel_unshuffle(rgb_luma(made), asked.scale)

            return {name: measure(lacking) for name, measure in measures.items()}

        def crops(numbers: range) -> tuple[Tensor, Tensor]:
            return draw(pairs, numbers, scale=asked.scale, patch=schedule.patch, seed=schedule.seed)

        def pay(network: nn.Module, crops: tuple[Tensor, Tensor], rgb: bool = rgb) -> Paid:
            return Paid(total=(rgb_loss if rgb else luma_loss)(network, *crops))

        began = perf_counter()
        train(
            network,
            pay,
            crops,
            schedule,
            asked.folder / f"{name.replace(' ', '-')}-x{asked.scale}.safetensors",
            recipe={"design": name},
            validate=validate,
            every=1000,
            say=print,
        )
        found = {
            "design": name,
            "scale": asked.scale,
            "steps": asked.steps,
            "training seconds": round(perf_counter() - began),
            **validate(network),
            "ms a frame": 1000 * seconds_of_a_frame(network, asked.scale, rgb=rgb),
        }
        print(found, flush=True)
        with (asked.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
