"""Run the first seconds of every video of folders and check what came out with ffprobe; writes the table of outcomes.

    python scripts/outcomes.py FOLDER... [--end 2] [--write docs/outcomes.md]

Every file passes `vidperc upscale FILE -m bicubic --end 2`, in a process of its own. What comes must be a video whose
report is true, or a refusal in one line: a traceback, a hang or a report that ffprobe contradicts is a failure, and the
script then ends with 1. Needs ffprobe and the installed vidperc. Large videos keep their size, because the picture is
not what is looked at here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

MOST_PIXELS = 1300 * 800  # of a source that is enlarged
TIMEOUT = 300.0  # seconds

TICK = Fraction(1, 1000)  # Matroska's, to which times are rounded


@dataclass(kw_only=True)
class Outcome:
    """What came of one file; `wrong` is what it must not have been."""

    name: str
    holds: str
    told: list[str] = field(default_factory=list[str])
    result: str = ""
    wrong: list[str] = field(default_factory=list[str])


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when anything was not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--end", default="2", help="seconds of each")
    parser.add_argument("--write", type=Path, help="the table, as Markdown")
    options = parser.parse_args(arguments)
    found: list[Outcome] = []
    files = [
        path for folder in options.folders for path in ([folder] if folder.is_file() else sorted(folder.iterdir()))
    ]
    for path in files:
        found.append(outcome_of(path, options.end))
        last = found[-1]
        print(f"{last.name}: {last.result}" + "".join(f"\n  WRONG: {wrong}" for wrong in last.wrong), flush=True)
    if options.write is not None:
        options.write.write_text(table(found, options.end))
    wrong = sum(bool(outcome.wrong) for outcome in found)
    print(f"{len(found)} files, {wrong} of them wrong")
    return 1 if wrong else 0


def outcome_of(path: Path, end: str) -> Outcome:
    """Run one file and look at what came of it."""
    with tempfile.TemporaryDirectory(prefix="vidperc-") as name:
        return _outcome(path, end, Path(name))


def _outcome(path: Path, end: str, folder: Path) -> Outcome:
    source = ffprobe(path, "-show_streams")
    videos = [s for s in source.get("streams", []) if s["codec_type"] == "video" and not is_cover(s)]
    pixels = max((s.get("width", 0) * s.get("height", 0) for s in videos), default=0)
    outcome = Outcome(name=path.name, holds=", ".join(_kind(s) for s in source.get("streams", [])) or "nothing")
    report_path = folder / "report.json"
    command = [sys.executable, "-m", "vidperc", "upscale", str(path), "-m", "bicubic", "--end", end]
    command += (
        [] if path.suffix == ".webm" else ["--preset", "ultrafast"]
    )  # transparency chooses an encoder without any
    command += ["-o", f"{folder}/out/", "--report", str(report_path), "--no-progress", "--device", "cpu"]
    command += ["-s", "1" if pixels > MOST_PIXELS else "2"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        outcome.result, outcome.wrong = "hangs", [f"no end after {TIMEOUT:.0f} s"]
        return outcome
    said = [line.replace(str(path), path.name).replace(f"{folder}/out/", "") for line in run.stderr.splitlines()]
    outcome.told = [line.removeprefix("vidperc: ").removeprefix(f"{path.name}: ") for line in said]
    if "Traceback" in run.stderr or run.returncode not in (0, 1):
        outcome.result, outcome.wrong = "breaks", [f"exit {run.returncode}", *outcome.told[-3:]]
    elif run.returncode == 1:
        outcome.result = "refused"
        if len(said) != 1 or any((folder / "out").glob("*")):
            outcome.wrong = [f"{len(said)} lines, wanted one, and nothing left behind"]
    else:
        (report,) = json.loads(report_path.read_text())["jobs"]
        check(path, report, outcome)
    return outcome


def check(path: Path, report: dict[str, Any], outcome: Outcome) -> None:
    """Hold a report against what ffprobe says of the output, and of the source."""
    output = Path(report["output"])
    streams = ffprobe(output, "-show_streams")["streams"]
    video = next(s for s in streams if s["codec_type"] == "video")
    times, was = packet_times(output), packet_times(path)
    outcome.result = f"{report['frames_out']} of {report['frames_in']} frames, {output.suffix[1:]}"
    if len(times) != report["frames_out"]:
        outcome.wrong.append(f"{len(times)} frames, the report says {report['frames_out']}")
    if (video["width"], video["height"]) != (report["width"], report["height"]):
        outcome.wrong.append(f"{video['width']}x{video['height']}, the report says otherwise")
    fates = [f for f in report["fidelity"] if f["field"] == "stream" and f["subject"].split(" ")[1][:1].isdigit()]
    named = len([f for f in fates if not f["subject"].split(" ")[0].isdigit()])
    there = len(ffprobe(path, "-show_streams").get("streams", []))
    if named < there - 1 - _own_of_mov(path):
        outcome.wrong.append(f"{named} of {there - 1} other streams have a fate")
    kept = sum(f["outcome"] != "dropped" and "nothing of it" not in f["reason"] for f in fates)
    chapters_track = sum(s["codec_name"] == "bin_data" for s in streams)
    if kept != len(streams) - 1 - chapters_track:
        outcome.wrong.append(f"{len(streams) - 1} other streams, the report says {kept}")
    if was and times:
        moved = [time - times[0] for time in times]
        allowed = {round((time - was[0]) / TICK) for time in was}
        strange = sum(not allowed & {round(time / TICK) + k for k in (-1, 0, 1)} for time in moved)
        outcome.result += f", {len(times) - strange} at a time of the source"
        if strange and not any(report["damage"][name] for name in ("untimed_frames", "corrupt_frames")):
            outcome.wrong.append(f"{strange} frames at times that the source does not have")
        lasts, should = last_duration(output, times), wanted_last(path, was, times)
        if lasts is not None and should is not None and abs(lasts - should) > 2 * TICK:
            outcome.wrong.append(f"its last frame lasts {float(lasts):.4f} s, in the source {float(should):.4f} s")


def wanted_last(path: Path, was: list[Fraction], times: list[Fraction]) -> Fraction | None:
    """How long the source shows the frame that is the output's last; None where ffprobe does not tell."""
    last = was[0] + times[-1] - times[0]
    after = next((time for time in was if time > last + TICK), None)
    return last_duration(path, was) if after is None else after - last


def last_duration(path: Path, times: list[Fraction]) -> Fraction | None:
    """How long the last frame is shown: until the track ends in MP4 and MOV, else as its packet says."""
    stream = main_video(path)
    if path.suffix in (".mp4", ".mov", ".3gp") and "duration_ts" in stream:
        begun = stream.get("start_pts", 0) + stream["duration_ts"]
        return begun * Fraction(stream["time_base"]) - times[-1]
    packets = ffprobe(path, "-select_streams", str(stream["index"]), "-show_entries", "packet=pts,duration")["packets"]
    last = max((p for p in packets if "pts" in p), key=lambda p: p["pts"])
    return last["duration"] * Fraction(stream["time_base"]) if "duration" in last else None


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    """What ffprobe prints of a file; empty where it cannot read it."""
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return json.loads(said or "{}")


def packet_times(path: Path) -> list[Fraction]:
    """The times of display of the main video's packets in seconds, in order; those without one are left out."""
    main = main_video(path)
    if not main:
        return []
    entries = ["-select_streams", str(main["index"]), "-show_entries", "packet=pts,flags:stream=time_base"]
    found = ffprobe(path, *entries)
    base = Fraction(found["streams"][0]["time_base"])
    return sorted(p["pts"] * base for p in found["packets"] if "pts" in p and "D" not in p["flags"])


def main_video(path: Path) -> dict[str, Any]:
    """The stream that is enlarged, or was; empty where there is none."""
    videos = [s for s in ffprobe(path, "-show_streams").get("streams", []) if s["codec_type"] == "video"]
    videos = [s for s in videos if not is_cover(s)]
    if not videos or "vidperc" in str(path):
        return videos[0] if videos else {}
    return max(videos, key=lambda s: s.get("width", 0) * int(s.get("nb_frames", 1)))


def is_cover(stream: dict[str, Any]) -> bool:
    """Whether a stream is a picture beside the film."""
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _own_of_mov(path: Path) -> int:
    """Tracks that hold an MP4's chapters as text, or its timecode; they are not streams of their own."""
    streams = ffprobe(path, "-show_streams").get("streams", [])
    return sum(s.get("codec_name") == "bin_data" or s.get("codec_tag_string") == "tmcd" for s in streams)


def _kind(stream: dict[str, Any]) -> str:
    size = f" {stream['width']}x{stream['height']}" if stream["codec_type"] == "video" else ""
    return f"{stream.get('codec_name', stream['codec_type'])}{size}"


def table(outcomes: list[Outcome], end: str) -> str:
    """The outcomes as Markdown."""
    lines = [
        "# What becomes of awkward files",
        "",
        f"Made by `scripts/outcomes.py`: every file through `vidperc upscale FILE -m bicubic --end {end}`, each output",
        "read by ffprobe and held against its report. What is no result true to its report is a refusal in one line.",
        "Times, and how long the last frame lasts, are compared where ffprobe finds them in the source.",
        "",
        "| file | holds | result | told |",
        "|---|---|---|---|",
    ]
    for outcome in outcomes:
        result = outcome.result + "".join(f" **WRONG: {wrong}**" for wrong in outcome.wrong)
        cells = (f"`{outcome.name}`", outcome.holds, result, "<br>".join(outcome.told))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
