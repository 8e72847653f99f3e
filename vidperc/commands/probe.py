"""`vidperc probe`: what a video holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from vidperc.errors import VidpercError
from vidperc.video.index import FrameIndex, index_frames
from vidperc.video.probe import VideoInfo, probe


def show_videos(paths: Sequence[Path], *, as_json: bool) -> int:
    """What each file holds; one that cannot be read does not stop the rest."""
    failed = 0
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            info, index = probe(path), index_frames(path)
        except VidpercError as error:
            typer.echo(f"vidperc: {error}", err=True)
            failed += 1
            continue
        if as_json:
            found.append(_facts(info, index))
        else:
            typer.echo("\n".join(_lines(info, index)))
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    return 1 if failed else 0


def _gaps(index: FrameIndex) -> set[int]:
    return {b - a for a, b in zip(index.pts, index.pts[1:], strict=False)}


def _facts(info: VideoInfo, index: FrameIndex) -> dict[str, Any]:
    gaps = _gaps(index)
    return {
        **asdict(info),
        "frames": len(index.pts),
        "first_pts": index.pts[0],
        "last_pts": index.pts[-1],
        "smallest_gap": min(gaps, default=None),
        "largest_gap": max(gaps, default=None),
        "keyframes": len(index.keyframes),
        "timed": not index.sequential,
    }


def _lines(info: VideoInfo, index: FrameIndex) -> list[str]:
    ticks = info.time_base
    gaps = _gaps(index)
    even = "constant" if max(gaps, default=0) - min(gaps, default=0) <= 1 else "variable"
    color = info.color
    lines = [
        f"{info.path}",
        f"  container   {info.container}, {float((index.pts[-1] - index.pts[0] + index.last_duration) * ticks):.3f} s",
        f"  video       {info.codec}, {info.width}x{info.height}, {info.pix_fmt}, {info.bits} bit",
        f"  frames      {len(index.pts)}, {float(info.rate):.3f} per second, {even} rate, time base {ticks}, "
        f"first at {float(index.pts[0] * ticks):.6f} s",
        f"  colour      matrix {color.matrix}, {'full' if color.full_range else 'limited'} range, "
        f"primaries {color.primaries}, transfer {color.transfer}"
        + (f" (not stated: {'; '.join(color.guessed)})" if color.guessed else ""),
    ]
    if index.sequential:
        lines.append("  times       none in the packets; frames are counted at the stated rate")
    if info.rotation:
        lines.append(f"  rotation    {info.rotation} degrees")
    if info.sample_aspect is not None and info.sample_aspect != 1:
        lines.append(f"  pixels      {info.sample_aspect} wide")
    if info.interlaced:
        lines.append("  interlaced  yes")
    lines += [
        f"  stream {s.index:<4} {s.type}, {s.codec}" + "".join(f", {x}" for x in (s.language, s.title) if x)
        for s in info.streams
        if s.index != info.stream
    ]
    if info.chapters:
        lines.append(f"  chapters    {info.chapters}")
    return lines
