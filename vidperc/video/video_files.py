"""Which files of a folder are taken for videos: by their names, for nobody opens everything in a folder to see."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".ps", ".vob", ".flv"),
    *(".wmv", ".asf", ".3gp", ".ogv", ".gif", ".mxf", ".dv", ".h264", ".hevc", ".y4m"),
)


def is_video_file(path: Path) -> bool:
    """Whether a file in a folder is one of its videos. Named on its own, any file is read, whatever its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
