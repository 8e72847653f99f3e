"""Measure vidperc on a real clip: each part alone, the whole run, and the same job done the obvious way.

    python scripts/benchmark.py CLIP [-m MODEL|FILE] [-s N] [--preset NAME] [--frames N] [--repeat N] [--json FILE]

All on the CPU and in one go. Each part runs alone in one process, and then in one for every core at once: cores that
share caches, memory and clock are slower together, whatever they do. Parts and runs take turns, every other round in
reverse, so that a drift of the machine meets all alike; medians are printed, and the share of the machine that other
programs took meanwhile. Needs the installed vidperc. Where the system tells no proportional set size, memory is the
sum of the resident ones.
"""

# The obvious way and each part run in processes of their own, which import what they need and no more.
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.clip import Color
    from vidperc.pipeline import Pipeline, PipelineSpec
    from vidperc.placement import Placement
    from vidperc.video.encoder_settings import EncoderSettings
    from vidperc.video.probe import VideoInfo
    from vidperc.video.source import Decoded

HELD = 16  # pictures that a part has in memory: the network is fed these in turn, the encoder so many at a time
LOOK_EVERY = 0.2  # seconds between two looks at a run's memory
WANTED = (0.85, 0.9)  # of the cores' time is to be spent on what the parts take alone
OBVIOUS = "--the-obvious-way"  # how this script calls itself


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the parts do again, with one thread each: a job of the command line's.

    pts, stop: of the frames, and of the first one after them. report: what vidperc said when it was done.
    """

    source: VideoInfo
    pipeline: PipelineSpec
    pts: tuple[int, ...]
    stop: int | None
    folder: Path
    report: dict[str, Any]

    def settings(self) -> tuple[Placement, EncoderSettings, Color, Color]:
        from vidperc.clip import Color
        from vidperc.placement import Placement
        from vidperc.video.encoder_settings import EncoderSettings

        placement = replace(Placement(**self.report["placement"]), threads=1)
        encoder = replace(EncoderSettings(**self.report["encoder"]), threads=1)
        source, output = (Color(**self.report["color"][end]) for end in ("source", "output"))
        return placement, encoder, source, output


def decode_alone(work: Work) -> float:
    """CPU seconds to decode every frame."""
    from vidperc.video.source import read_frames

    began = process_time()
    for _ in read_frames(work.source.path, stop=work.stop, threads=1):
        pass
    return process_time() - began


def finished(work: Work, pipeline: Pipeline, pictures: Iterable[Decoded]) -> Iterator[list[Tensor]]:
    """The planes to encode for each decoded picture: colour, networks, colour."""
    import torch

    from vidperc.engine.clips import Pictures, clips_of, planes_of
    from vidperc.video.planes import layout_of

    torch.set_num_threads(1)
    placement, encoder, color, target = work.settings()
    result = layout_of(encoder.pix_fmt)
    how = Pictures(
        layout=work.report["layout"],
        color=color,
        time_base=work.source.time_base,
        chunk=placement.chunk,
        device="cpu",
    )
    timed = (replace(picture, pts=pts) for pts, picture in zip(work.pts, pictures, strict=True))
    for clip in pipeline(clips_of(timed, how, lambda _: 0)):
        for index in range(len(clip)):
            yield planes_of(clip, index, result, target)


def network_alone(work: Work) -> float:
    """CPU seconds from decoded to finished planes, with a few pictures in turn; loading networks is left out."""
    from vidperc.pipeline import Pipeline
    from vidperc.video.source import read_frames

    pipeline = Pipeline(work.pipeline, work.settings()[0])
    held = list(islice(read_frames(work.source.path, stop=work.stop, threads=1), HELD))
    began = process_time()
    for _ in finished(work, pipeline, islice(cycle(held), len(work.pts))):
        pass
    return process_time() - began


def encode_alone(work: Work) -> float:
    """CPU seconds to encode every finished picture; making them, a few at a time, is left out."""
    from vidperc.pipeline import Pipeline
    from vidperc.video.encoder import Encoder
    from vidperc.video.source import read_frames

    placement, encoder, _, color = work.settings()
    pictures = read_frames(work.source.path, stop=work.stop, threads=1)
    planes, times = finished(work, Pipeline(work.pipeline, placement), pictures), iter(work.pts)
    how: Any = {"width": work.report["width"], "height": work.report["height"], "color": color}
    how |= {"time_base": work.source.time_base, "rate": work.source.rate}
    spent = 0.0
    with Encoder(work.folder / "encode.mkv", encoder, **how) as target:
        while batch := [[plane.numpy() for plane in picture] for picture in islice(planes, HELD)]:
            began = process_time()
            for picture in batch:
                target.encode(picture, next(times))
            spent += process_time() - began
        began = process_time()
    return spent + process_time() - began


PARTS = {"decode": decode_alone, "network": network_alone, "encode": encode_alone}


def at_once(part: Callable[[Work], float], work: Work, count: int) -> float:
    """CPU seconds that a part takes in each of so many processes that do the same, each with a folder of its own."""
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as fresh:
        started: list[Future[float]] = []
        for number in range(count):
            folder = work.folder / f"{number}"
            folder.mkdir(exist_ok=True)
            started.append(fresh.submit(part, replace(work, folder=folder)))
        return sum(future.result() for future in started) / count


def the_obvious_way(clip: str, model: str, scale: int, frames: int, output: str, encoder: dict[str, Any]) -> None:
    """One process: decode, RGB, network on the whole frame, RGB, encode; one frame after the other. No sound."""
    import av
    import torch
    from av.video.frame import VideoFrame

    network = obvious_network(model, scale)
    options = {key: value for key, value in encoder["options"].items() if key in ("crf", "preset")}
    with av.open(clip) as source, av.open(output, "w") as target, torch.inference_mode():
        stream: Any = None
        rate = source.streams.video[0].average_rate
        for frame in islice(source.decode(video=0), frames):
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
            picture = network(pixels.permute(2, 0, 1)[None].float() / 255)
            large = (picture[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            if stream is None:
                stream = target.add_stream(encoder["codec"], rate, options)  # pyright: ignore[reportUnknownVariableType]
                stream.height, stream.width, stream.pix_fmt = *large.shape[:2], "yuv420p"
            target.mux(stream.encode(VideoFrame.from_ndarray(large, format="rgb24")))
        target.mux(stream.encode(None))


def obvious_network(model: str, scale: int) -> Any:
    """A network as torch runs it when nothing is done about speed: float32, RGB to RGB."""
    import torch

    if model == "bicubic":
        return torch.nn.Upsample(scale_factor=scale, mode="bicubic")
    from vidperc.models.weights import LumaNetwork, read_network
    from vidperc.models.zoo import weights_path
    from vidperc.ops.color import rgb_luma

    found = read_network(weights_path(model))
    if not isinstance(found, LumaNetwork):
        from spandrel import ModelLoader  # pyright: ignore[reportMissingTypeStubs]

        return ModelLoader().load_from_file(model)
    layers: list[torch.nn.Module] = []
    for place, (inputs, outputs) in enumerate(found.shape.widths()):
        layer = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        layer.weight.data, layer.bias.data = (found.weights[f"{place}.{name}"] for name in ("weight", "bias"))  # pyright: ignore
        layers += [layer, torch.nn.ReLU(inplace=True)]
    layers[-1] = torch.nn.PixelShuffle(scale)
    details, base = torch.nn.Sequential(*layers), torch.nn.Upsample(scale_factor=scale, mode="bicubic")

    def enlarge(picture: Tensor) -> Tensor:
        return base(picture) + details(rgb_luma(picture) - 0.5)

    return enlarge


def measured(command: Sequence[str], *, plain: bool = False) -> dict[str, float]:
    """Run a program to its end and watch its processes; others: the share of the machine that went elsewhere.

    plain: in the environment of somebody who has set nothing.
    """
    import psutil

    def clocks() -> tuple[float, float, float]:
        """CPU seconds of the whole machine, of the programs that this one ran, and its own."""
        times = psutil.cpu_times()
        return sum(times) - times.idle - getattr(times, "iowait", 0.0), sum(os.times()[2:4]), process_time()

    began, before, peak = perf_counter(), clocks(), 0
    ours = ("MALLOC_", "OMP_", "GLIBC_")
    environment = {name: value for name, value in os.environ.items() if not (plain and name.startswith(ours))}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        top = psutil.Process(process.pid)
        while process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY)
                break
            with suppress(psutil.Error):
                every = [one.memory_full_info() for one in (top, *top.children(recursive=True))]
                peak = max(peak, sum(getattr(memory, "pss", memory.rss) for memory in every))
    if process.returncode:
        sys.exit(f"benchmark: exit code {process.returncode} from {' '.join(command)[:500]}")
    wall, (machine, cpu, own) = perf_counter() - began, (b - a for a, b in zip(before, clocks(), strict=True))
    others = max(0.0, (machine - cpu - own) / (wall * (psutil.cpu_count() or 1)))
    return {"wall_seconds": wall, "cpu_seconds": cpu, "peak_bytes": peak, "others": others}


def benchmark(
    clip: Path, model: str, scale: int | None, preset: str | None, frames: int, obvious_frames: int, repeat: int
) -> dict[str, Any]:
    """Every measurement of one benchmark, and the figures drawn from them."""
    from vidperc.config.pipelines import apply_settings, load_pipeline
    from vidperc.engine.plan import usable_cores
    from vidperc.engine.pool import KEPT_HEAP
    from vidperc.video.index import index_frames
    from vidperc.video.probe import probe

    settings = [f"upscale.model={model}", *([] if scale is None else [f"upscale.scale={scale}"])]
    options = ["--device", "cpu", *(word for setting in settings for word in ("--set", setting))]
    options += [] if preset is None else ["--preset", preset]
    # The parts have what a worker has: comparing them with less would flatter the whole.
    os.environ.update({"OMP_WAIT_POLICY": "PASSIVE", **KEPT_HEAP})
    spec = apply_settings(load_pipeline("upscale"), settings)
    info, pts, stop = probe(clip), index_frames(clip).pts, None
    if frames < len(pts):
        stop = pts[frames]
        # Half a frame early, so that no rounding lets the next one in.
        options += ["--end", f"{float((Fraction(pts[frames - 1] + stop, 2) - pts[0]) * info.time_base):.6f}"]
        pts = pts[:frames]
    obvious = min(obvious_frames, len(pts))
    runs: dict[str, list[dict[str, float]]] = {"vidperc": [], "obvious": []}
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    crowded: dict[str, list[float]] = {name: [] for name in PARTS}
    cores = usable_cores()
    with tempfile.TemporaryDirectory(prefix="vidperc-benchmark-") as folder:
        output, written = Path(folder, "whole.mp4"), Path(folder, "report.json")
        command = [sys.executable, "-m", "vidperc", "upscale", str(clip), "-o", str(output), "-y", "--no-progress"]
        command += ["--report", str(written), *options]
        work = Work(source=info, pipeline=spec, pts=pts, stop=stop, folder=Path(folder), report={})
        for place in range(repeat):
            for name in ["vidperc", *PARTS, "obvious"][:: -1 if place % 2 else 1]:
                print(f"benchmark: {name}, round {place + 1} of {repeat}", file=sys.stderr)
                if name == "vidperc":
                    runs[name].append(measured(command))
                    work = replace(work, report=json.loads(written.read_text())["jobs"][0])
                elif name == "obvious":
                    factor, written_to = work.report["width"] // info.width, f"{folder}/obvious.mp4"
                    job = json.dumps([str(clip), model, factor, obvious, written_to, work.report["encoder"]])
                    runs[name].append(measured([sys.executable, __file__, OBVIOUS, job], plain=True))
                else:
                    parts[name].append(at_once(PARTS[name], work, 1))
                    crowded[name].append(at_once(PARTS[name], work, cores))
    wall = median(run["wall_seconds"] for run in runs["vidperc"])
    ratio, crowded_ratio = (
        wall / (sum(median(seconds) for seconds in taken.values()) / cores) for taken in (parts, crowded)
    )
    return {
        "clip": clip.name,
        "model": Path(model).name,
        "machine": f"{sys.platform}, {cores} cores, {work.report['placement']['instruction_set']}",
        "parts_cpu_seconds": parts,
        "parts_cpu_seconds_on_every_core": crowded,
        "runs": runs,
        "frames": {"vidperc": len(pts), "obvious": obvious},
        "wall_over_parts": ratio,
        "efficiency": 1 / ratio,
        "efficiency_of_what_others_left": 1 / ratio / (1 - median(run["others"] for run in runs["vidperc"])),
        "efficiency_on_every_core": 1 / crowded_ratio,
        "report": work.report,
    }


def table(found: dict[str, Any]) -> Iterator[str]:
    """The findings as lines of text."""
    report, encoder, frames = found["report"], found["report"]["encoder"], found["report"]["frames_out"]
    yield f"clip      {found['clip']}: {frames} frames to {report['width']}x{report['height']}, {found['model']}"
    yield f"encoder   {encoder['codec']} {encoder['pix_fmt']} {encoder['options']}"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield f"machine   {found['machine']}; {versions}"
    yield f"placement {report['workers']} workers, {report['segments']} segments, tile {report['placement']['tile']}"
    yield f"\n{'part alone, one thread':24}{'CPU s':>8}{'ms a frame':>12}{'on every core':>15}"
    parts, crowded = (
        {name: median(taken) for name, taken in found[key].items()}
        for key in ("parts_cpu_seconds", "parts_cpu_seconds_on_every_core")
    )
    for name, spent, among in (
        *((name, spent, crowded[name]) for name, spent in parts.items()),
        ("sum", sum(parts.values()), sum(crowded.values())),
    ):
        yield f"{name:24}{spent:8.2f}{1000 * spent / frames:12.2f}{among:15.2f}"
    yield f"\n{'run':24}{'wall s':>8}{'fps':>8}{'CPU s':>8}{'peak MiB':>10}{'others had':>12}"
    for name, taken in found["runs"].items():
        wall, cpu, peak, others = (median(run[key] for run in taken) for key in taken[0])
        made = found["frames"][name]
        label = name if made == frames else f"{name}, {made} frames"
        yield f"{label:24}{wall:8.2f}{made / wall:8.2f}{cpu:8.2f}{peak / 2**20:10.0f}{100 * others:10.0f} %"
    speeds = [
        found["frames"][name] / median(run["wall_seconds"] for run in taken) for name, taken in found["runs"].items()
    ]
    yield f"vidperc makes {speeds[0] / speeds[1]:.2f} times the frames per second of the obvious way"
    efficiency, left = found["efficiency"], found["efficiency_of_what_others_left"]
    yield f"\nwall / (sum / cores) = {found['wall_over_parts']:.2f}"
    yield f"efficiency {efficiency:.2f}, and {left:.2f} of what other programs left of the machine"
    yield f"efficiency {found['efficiency_on_every_core']:.2f} of what the parts take alone on every core at once"
    for wanted in WANTED:
        yield f"wall <= sum / cores / {wanted}: {'met' if efficiency >= wanted else 'not met'}"
    first = report["first_frame_seconds"]
    yield f"first frames after {first:.1f} s of {report['seconds']['wall']:.1f} s in the last run of vidperc"


def main() -> None:
    if sys.argv[1:2] == [OBVIOUS]:
        the_obvious_way(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("-m", "--model", default="bicubic", help="bicubic, a network of ours, or a weights file")
    parser.add_argument("--preset", help="of the encoder")
    parser.add_argument("-s", "--scale", type=int, help="else the network's own")
    parser.add_argument("--frames", type=int, default=1 << 30, help="only so many, from the start")
    parser.add_argument("--obvious-frames", type=int, default=1 << 30, help="fewer for the obvious way, if it is slow")
    parser.add_argument("--repeat", type=int, default=1, help="rounds of everything")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    asked = parser.parse_args()
    if not asked.clip.is_file():
        parser.error(f"got {asked.clip}, wanted a video")
    if min(asked.repeat, asked.frames, asked.obvious_frames) < 1:
        parser.error("--repeat, --frames, --obvious-frames: wanted at least 1")
    found = benchmark(
        asked.clip, asked.model, asked.scale, asked.preset, asked.frames, asked.obvious_frames, asked.repeat
    )
    print("\n".join(table(found)))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
