from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clips import make_clip
from vidperc.video.services import service_names


def stream(path: Path, *options: str) -> Path:
    source = make_clip(path.with_suffix(".mkv"), frames=6)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-c", "copy", *options, "-f", "mpegts", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize(
    ("name", "provider", "told"),
    [
        ("Das Erste", "ARD", "Das Erste (ARD)"),
        ("Télé 1", "Société", "Télé 1 (Société)"),
        ("x" * 200, "", "x" * 200),  # longer than one packet
    ],
)
def test_the_name_of_a_programme_is_read(tmp_path: Path, name: str, provider: str, told: str) -> None:
    options = ("-metadata", f"service_name={name}", "-metadata", f"service_provider={provider}")
    found = service_names(stream(tmp_path / "a.ts", *options))
    assert [text.removesuffix(" (FFmpeg)") for text in found] == [told]


def test_the_name_that_ffmpeg_makes_up_is_none(tmp_path: Path) -> None:
    assert service_names(stream(tmp_path / "a.ts")) == []


def test_every_programme_is_named_and_damage_is_no_error(tmp_path: Path) -> None:
    two = ("-program", "title=One:st=0", "-program", "title=Two:st=0")
    path = stream(tmp_path / "a.ts", *two, "-map", "0:v")
    assert [name.split(" (")[0] for name in service_names(path)] == ["One", "Two"]
    whole = path.read_bytes()
    for cut in (0, 100, 188, 400, 600):
        path.write_bytes(whole[:cut])
        service_names(path)
    for at in range(0, 1200, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        service_names(path)


def test_other_files_have_no_programmes(tmp_path: Path) -> None:
    assert service_names(make_clip(tmp_path / "a.mp4", frames=2)) == []
