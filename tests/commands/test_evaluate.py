"""`vidperc evaluate`: what it prints and writes, and the line that each mistake gets."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import picture
from vidperc.cli import main

MINE = """\
sets:
  - {name: Mine, images: stills}
  - {name: Moving, videos: clips}
scales: [2]
networks:
  - {model: bicubic, label: cubic}
  - model: lanczos
metrics: [psnr, ssim, tof]
"""


@pytest.fixture
def vidperc(monkeypatch, capfd, tmp_path):
    """Runs `vidperc evaluate` beside two sets and an evaluation of them: exit code, lines on stdout, on stderr."""
    monkeypatch.chdir(tmp_path)
    for index in range(2):
        write(Path("data/stills", f"{index}.png"), picture(index, 64, 48))
    for index in range(3):
        write(Path("data/clips/walk", f"{index}.png"), picture(index, 64, 48))
    Path("mine.yaml").write_text(MINE)

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["vidperc", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code, out.splitlines(), err.splitlines()

    return run


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_tables_are_printed_and_written(vidperc) -> None:
    code, out, err = vidperc("mine.yaml", "--data", "data", "--csv", "f.csv", "--json", "f.json")
    assert code == 0
    assert out[0] == "Mine x2, bicubic: 2 images"
    assert out[1].split() == ["psnr", "psnr", "ssim", "ssim"]
    assert out[2].split() == ["network", "@rgb", "@y601,crop2", "@rgb", "@y601,crop2"]
    assert out[3].split()[0] == "cubic" and out[4].split()[0] == "lanczos"
    assert out[5] == "" and out[6] == "Moving x2, bicubic: 1 clip"
    assert "@farneback" in out[8]
    assert "Moving x2, bicubic: lanczos, walk" in err

    document = json.loads(Path("f.json").read_text())
    first, second = document["tables"]
    assert (first["set"], first["scale"], first["degradation"]) == ("Mine", 2, "bicubic")
    cubic = first["networks"]["cubic"]
    assert f"{cubic['mean']['psnr@y601,crop2']:.2f}" == out[3].split()[2]
    assert set(cubic["items"]) == {"0", "1"}
    assert document["precision"] == {"cubic": "float32", "lanczos": "float32"}
    assert second["networks"]["cubic"]["items"]["walk"]["tof@farneback"] >= 0

    with Path("f.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    mean = [row for row in rows if (row["network"], row["item"], row["metric"]) == ("cubic", "mean", "psnr@y601,crop2")]
    assert float(mean[0]["figure"]) == cubic["mean"]["psnr@y601,crop2"]
    assert mean[0]["unit"] == "dB" and mean[0]["set"] == "Mine"
    # Two networks; of each two images and their mean in four metrics, and a clip and its mean in seven.
    assert len(rows) == 2 * (3 * 4 + 2 * 7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("stills", "--data", "data"), "unknown evaluation 'stills', wanted one of held_out, images, vid4"),
        (("mine.yaml", "--data", "absent"), "--data absent: no such folder, wanted the one that holds the sets"),
        (("mine.yaml", "--data", "data", "--json", "f.txt"), "--json f.txt: got the ending .txt, wanted .json"),
        (("mine.yaml", "--data", "data", "--csv", "absent/f.csv"), "absent: no such folder, the figures cannot be"),
        (("mine.yaml", "--data", "data", "--csv", "data/stills/0.png"), "0.png: got the ending .png, wanted .csv"),
        (("mine.yaml", "--data", "data", "--device", "tpu"), "--device tpu: not a device"),
        (("mine.yaml", "--data", "data", "--precision", "float8"), "--precision float8: unknown"),
        (("bare.yaml", "--data", "data"), "data/set5: got no such folder, wanted a folder of"),
    ],
)
def test_mistakes_get_one_line(vidperc, arguments, told) -> None:
    Path("bare.yaml").write_text(MINE.replace("stills", "set5"))
    code, out, err = vidperc(*arguments)
    assert (code, out) == (1, [])
    assert len([line for line in err if line.startswith("vidperc: ")]) == 1
    assert told in err[-1]
