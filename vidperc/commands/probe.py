"""`vidperc probe`: what a video holds, and where its cuts are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from vidperc.engine.cuts import AUTO_CUTS, cut_choice
from vidperc.engine.plan import usable_cores
from vidperc.errors import VidpercError
from vidperc.video.cuts import Cut
from vidperc.video.index import FrameIndex, cut_off_warnings, index_frames
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.scan import find_cuts
from vidperc.video.times import timecode


def show_videos(paths: Sequence[Path], *, as_json: bool) -> int:
    """What each file holds; one that cannot be read does not stop the rest."""

    def look(path: Path) -> tuple[dict[str, Any], list[str]]:
        info, index = probe(path), index_frames(path)
        return _facts(info, index), _lines(info, index)

    return _show(paths, look, as_json=as_json)


def show_cuts(paths: Sequence[Path], *, as_json: bool, cut: float | None, fade: float | None) -> int:
    """The cuts of each file, as a list that --cuts takes; one that cannot be read does not stop the rest.

    cut, fade: thresholds, None for the usual ones. Raises VidpercError for those that cannot be.
    """
    thresholds = cut_choice(AUTO_CUTS, cut, fade).thresholds

    def look(path: Path) -> tuple[dict[str, Any], list[str]]:
        info, index = probe(path), index_frames(path)
        found = find_cuts(info, index, thresholds, threads=usable_cores())
        facts = [_cut_facts(one, info, index) for one in found]
        lines = [
            f"# {path}: {len(found)} {'cut' if len(found) == 1 else 'cuts'} in {len(index.pts)} frames",
            *(f"{f['time']}  # {f['seconds']:.6f} s, pts {f['pts']}, {f['kind']}" for f in facts),
        ]
        return {"path": str(path), "frames": len(index.pts), "time_base": str(info.time_base), "cuts": facts}, lines

    return _show(paths, look, as_json=as_json)


def _cut_facts(cut: Cut, info: VideoInfo, index: FrameIndex) -> dict[str, Any]:
    seconds = (cut.pts - index.pts[0]) * info.time_base
    return {"time": timecode(seconds), "seconds": float(seconds), "pts": cut.pts, "kind": cut.kind}


def _show(paths: Sequence[Path], look: Callable[[Path], tuple[dict[str, Any], list[str]]], *, as_json: bool) -> int:
    failed = 0
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            facts, lines = look(path)
        except VidpercError as error:
            typer.echo(f"vidperc: {error}", err=True)
            failed += 1
            continue
        if as_json:
            found.append(facts)
        else:
            typer.echo("\n".join(lines))
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    return 1 if failed else 0


def _gaps(index: FrameIndex) -> set[int]:
    return {b - a for a, b in zip(index.pts, index.pts[1:], strict=False)}


def _cut_off(index: FrameIndex) -> list[str]:
    """What is missing of a file that ends before it should, a sentence each."""
    return [*([] if index.cut_off is None else [index.cut_off.sentence()]), *cut_off_warnings(index)]


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
        "cut_off": _cut_off(index),
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
    lines += [f"  cut off     {told}" for told in _cut_off(index)]
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
