"""Measure vidperc on a real clip: each part alone, the whole run, and the same job done the obvious way.

    python scripts/benchmark.py CLIP [-m bicubic|FILE] [-s N] [--frames N] [--repeat N] [--json FILE]

All on the CPU and in one go. Parts and runs take turns, every other round in reverse, so that a drift of the machine
meets all alike; medians are printed, and the share of the machine that other programs took meanwhile. Needs the
installed vidperc. Where the system tells no proportional set size, memory is the sum of the resident ones.
"""

# The obvious way and each part run in processes of their own, which import what they need and no more.
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.clip import Clip, Color
    from vidperc.pipeline import PipelineSpec
    from vidperc.placement import Placement
    from vidperc.video.encoder import EncoderSettings

HELD = 16  # frames that a part has in memory: the network is fed these in turn, the encoder in batches of them
LOOK_EVERY = 0.2  # seconds between two looks at a run's memory
WANTED = 0.85  # of the cores' time is to be spent on what the parts take alone
OBVIOUS = "--the-obvious-way"  # how this script calls itself


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the parts do again, each with one thread: a job that vidperc did, with the output that it made.

    pts, stop: of the frames, and of the first one after them. report: what vidperc said of the job.
    """

    clip: Path
    pipeline: PipelineSpec
    pts: tuple[int, ...]
    stop: int | None
    time_base: Fraction
    rate: Fraction
    finished: Path
    report: dict[str, Any]

    def settings(self) -> tuple[Placement, EncoderSettings, Color]:
        from vidperc.clip import Color
        from vidperc.placement import Placement
        from vidperc.video.encoder import EncoderSettings

        placement, encoder = Placement(**self.report["placement"]), EncoderSettings(**self.report["encoder"])
        return replace(placement, threads=1), replace(encoder, threads=1), Color(**self.report["color"])


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a program and all it started took: seconds, bytes, and the share of the machine that others had."""

    wall: float
    cpu: float
    peak_bytes: float
    others: float


def decode_alone(work: Work) -> float:
    """CPU seconds to decode every frame."""
    from vidperc.video.source import read_frames

    began = process_time()
    for _ in read_frames(work.clip, stop=work.stop, threads=1):
        pass
    return process_time() - began


def network_alone(work: Work) -> float:
    """CPU seconds from decoded planes to finished planes: colour, networks, colour. Loading networks is left out."""
    import torch
    from av.video.reformatter import VideoReformatter

    from vidperc.clip import Clip
    from vidperc.ops.color import planes_to_rgb, rgb_to_planes
    from vidperc.pipeline import Pipeline
    from vidperc.video.planes import frame_planes, layout_of
    from vidperc.video.source import read_frames

    torch.set_num_threads(1)
    placement, encoder, color = work.settings()
    pipeline, reformatter = Pipeline(work.pipeline, placement), VideoReformatter()
    held = [decoded.frame for decoded in islice(read_frames(work.clip, threads=1), HELD)]
    source, finished = layout_of(held[0].format.name), layout_of(encoder.pix_fmt)

    def rgb(place: int) -> Tensor:
        planes = [torch.from_numpy(p) for p in frame_planes(held[place % len(held)], source, reformatter)]
        return planes_to_rgb(planes, source, matrix=color.matrix, full_range=color.full_range)

    def clips() -> Iterator[Clip]:
        for first in range(0, len(work.pts), placement.chunk):
            pts = work.pts[first : first + placement.chunk]
            frames = torch.stack([rgb(first + place) for place in range(len(pts))])
            yield Clip(frames=frames, source=frames, pts=pts, time_base=work.time_base, color=color)

    began = process_time()
    for clip in pipeline(clips()):
        for frame in clip.frames:
            rgb_to_planes(frame, finished, matrix=color.matrix, full_range=color.full_range)
    return process_time() - began


def encode_alone(work: Work) -> float:
    """CPU seconds to encode every frame, the pictures being those of the finished output; decoding them is left out."""
    from av.video.reformatter import VideoReformatter

    from vidperc.video.encoder import Encoder
    from vidperc.video.planes import frame_planes, layout_of
    from vidperc.video.source import read_frames

    _, settings, color = work.settings()
    size = {"width": work.report["width"], "height": work.report["height"]}
    layout, reformatter = layout_of(settings.pix_fmt), VideoReformatter()
    pictures, times, spent = read_frames(work.finished, threads=1), iter(work.pts), 0.0
    path = work.finished.with_name("encode_alone.mkv")
    with Encoder(path, settings, **size, time_base=work.time_base, rate=work.rate, color=color) as encoder:
        while batch := [decoded.frame for decoded in islice(pictures, HELD)]:
            planes = [frame_planes(frame, layout, reformatter) for frame in batch]
            began = process_time()
            for picture in planes:
                encoder.encode(picture, next(times))
            spent += process_time() - began
        began = process_time()
    return spent + process_time() - began


PARTS = {"decode": decode_alone, "network": network_alone, "encode": encode_alone}


def part_seconds(name: str, work: Work) -> float:
    """CPU seconds of one part, in a fresh process."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the child, which reads it when it loads torch
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(PARTS[name], work).result()
    finally:
        del os.environ["OMP_NUM_THREADS"]


def the_obvious_way(
    clip: str, model: str, scale: int, frames: int, output: str, codec: str, options: dict[str, str]
) -> None:
    """One process: decode, RGB, network on the whole frame, RGB, encode; one frame after the other. No sound."""
    import av
    import torch
    from av.video.frame import VideoFrame

    network: Any = None
    if model != "bicubic":
        from spandrel import ModelLoader  # pyright: ignore[reportMissingTypeStubs]

        network = ModelLoader().load_from_file(model)
    with av.open(clip) as source, av.open(output, "w") as target, torch.inference_mode():
        stream: Any = None
        for frame in islice(source.decode(video=0), frames):
            picture = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None].float() / 255
            if network is None:
                picture = torch.nn.functional.interpolate(picture, scale_factor=scale, mode="bicubic")
            else:
                picture = network(picture)
            large = (picture[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            if stream is None:
                stream = target.add_stream(codec, rate=source.streams.video[0].average_rate, options=options)
                stream.height, stream.width = large.shape[:2]
                stream.pix_fmt = "yuv420p"
            target.mux(stream.encode(VideoFrame.from_ndarray(large, format="rgb24")))
        target.mux(stream.encode(None))


def measured(command: Sequence[str]) -> Run:
    """Run a program to its end, looking at the memory of all its processes from outside."""
    import psutil

    def busy() -> float:
        times = psutil.cpu_times()
        return sum(times) - times.idle - getattr(times, "iowait", 0.0)

    def children() -> float:
        return os.times().children_user + os.times().children_system

    began, busy_before, cpu_before, own_before, peak = perf_counter(), busy(), children(), process_time(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
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
    wall, cpu = perf_counter() - began, children() - cpu_before
    others = busy() - busy_before - cpu - (process_time() - own_before)
    return Run(wall=wall, cpu=cpu, peak_bytes=peak, others=max(0.0, others / (wall * (psutil.cpu_count() or 1))))


def benchmark(clip: Path, model: str, scale: int | None, frames: int | None, repeat: int) -> dict[str, Any]:
    """Every measurement of one benchmark, and the figures drawn from them."""
    from vidperc.config.pipelines import apply_settings, load_pipeline
    from vidperc.engine.plan import usable_cores
    from vidperc.video.index import index_frames
    from vidperc.video.probe import probe

    settings = [f"upscale.model={model}"] + ([] if scale is None else [f"upscale.scale={scale}"])
    options = ["-m", model, "--device", "cpu"] + ([] if scale is None else ["-s", str(scale)])
    info, pts, stop = probe(clip), index_frames(clip).pts, None
    if frames is not None and frames < len(pts):
        stop = pts[frames]
        # Half a frame early, so that no rounding lets the next one in.
        options += ["--end", f"{float((Fraction(pts[frames - 1] + stop, 2) - pts[0]) * info.time_base):.6f}"]
        pts = pts[:frames]
    runs: dict[str, list[Run]] = {"vidperc": [], "obvious": []}
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    with tempfile.TemporaryDirectory(prefix="vidperc-benchmark-") as folder:
        output, written = Path(folder, "whole.mp4"), Path(folder, "report.json")
        command = [sys.executable, "-m", "vidperc", "upscale", str(clip), *options, "-o", str(output), "-y"]
        command += ["--no-progress", "--report", str(written)]
        work = Work(
            clip=clip,
            pipeline=apply_settings(load_pipeline("upscale"), settings),
            pts=pts,
            stop=stop,
            time_base=info.time_base,
            rate=info.rate,
            finished=output,
            report={},
        )
        for place in range(repeat):
            for name in ["vidperc", *PARTS, "obvious"][:: -1 if place % 2 else 1]:
                print(f"benchmark: {name}, round {place + 1} of {repeat}", file=sys.stderr)
                if name == "vidperc":
                    runs[name].append(measured(command))
                    work = replace(work, report=json.loads(written.read_text())["jobs"][0])
                elif name == "obvious":
                    encoder = work.report["encoder"]
                    kept = {key: value for key, value in encoder["options"].items() if key in ("crf", "preset")}
                    job = [str(clip), model, work.report["width"] // info.width, len(pts)]
                    job += [str(Path(folder, "obvious.mp4")), encoder["codec"], kept]
                    runs[name].append(measured([sys.executable, __file__, OBVIOUS, json.dumps(job)]))
                else:
                    parts[name].append(part_seconds(name, work))
    cores, total = usable_cores(), sum(median(seconds) for seconds in parts.values())
    ratio = median(run.wall for run in runs["vidperc"]) / (total / cores)
    return {
        "clip": clip.name,
        "model": Path(model).name,
        "machine": f"{platform.system()} {platform.machine()}, {cores} cores",
        "parts_cpu_seconds": parts,
        "runs": {name: [asdict(run) for run in taken] for name, taken in runs.items()},
        "wall_over_parts": ratio,
        "efficiency": 1 / ratio,
        "met": ratio <= 1 / WANTED,
        "report": work.report,
    }


def table(found: dict[str, Any]) -> Iterator[str]:
    """The findings as lines of text."""
    report, encoder, placement = found["report"], found["report"]["encoder"], found["report"]["placement"]
    frames = report["frames_out"]
    yield f"clip      {found['clip']}: {frames} frames to {report['width']}x{report['height']}, {found['model']}"
    yield f"encoder   {encoder['codec']} {encoder['pix_fmt']} {encoder['options']}"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield f"machine   {found['machine']}, {placement['instruction_set']}; {versions}"
    yield f"placement {report['workers']} workers, {report['segments']} segments, tile {placement['tile']}"
    yield f"\n{'part alone, one thread':24}{'CPU s':>8}{'ms a frame':>12}"
    parts = {name: median(taken) for name, taken in found["parts_cpu_seconds"].items()}
    for name, spent in (*parts.items(), ("sum", sum(parts.values()))):
        yield f"{name:24}{spent:8.2f}{1000 * spent / frames:12.2f}"
    yield f"\n{'run':24}{'wall s':>8}{'fps':>8}{'CPU s':>8}{'peak MiB':>10}{'others had':>12}"
    for name, taken in found["runs"].items():
        wall, cpu, peak, others = (median(r[key] for r in taken) for key in ("wall", "cpu", "peak_bytes", "others"))
        yield f"{name:24}{wall:8.2f}{frames / wall:8.2f}{cpu:8.2f}{peak / 2**20:10.0f}{100 * others:10.0f} %"
    yield f"\nwall / (sum / cores) = {found['wall_over_parts']:.2f}, efficiency {found['efficiency']:.2f}"
    yield f"wall <= sum / cores / {WANTED}: {'met' if found['met'] else 'not met'}"
    first, wall = report["first_frame_seconds"] or 0.0, report["seconds"]["wall"]
    yield f"first frames after {first:.1f} s, {100 * first / wall:.0f} % of the last run of vidperc"


def main() -> None:
    if sys.argv[1:2] == [OBVIOUS]:
        the_obvious_way(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("-m", "--model", default="bicubic", help="bicubic, or a weights file")
    parser.add_argument("-s", "--scale", type=int, help="else the network's own")
    parser.add_argument("--frames", type=int, help="only so many, from the start")
    parser.add_argument("--repeat", type=int, default=1, help="rounds of everything")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    asked = parser.parse_args()
    if asked.model != "bicubic" and not Path(asked.model).is_file():
        parser.error(f"-m: got {asked.model}, wanted bicubic or a weights file")
    if asked.repeat < 1 or (asked.frames is not None and asked.frames < 2):
        parser.error("wanted --repeat of at least 1, --frames of at least 2")
    found = benchmark(asked.clip, asked.model, asked.scale, asked.frames, asked.repeat)
    print("\n".join(table(found)))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
