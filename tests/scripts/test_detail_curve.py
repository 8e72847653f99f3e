"""The script that walks along a slider, on small things and a made-up pair."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import picture
from tests.report.pages import Reader, assert_asks_for_nothing
from tests.twin_files import save_luma, save_pair

SCRIPT = Path(__file__).parents[2] / "scripts" / "detail_curve.py"


def run(*words):
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def save(path, index):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).normal(0, 8, (66, 98, 3))
    Image.fromarray((picture(index, 98, 66) + noise).clip(0, 255).astype(np.uint8)).save(path)


def test_it_writes_a_page_tables_and_every_figure(tmp_path):
    for index in range(2):
        save(tmp_path / "stills" / f"{index}.png", index)
        save(tmp_path / "clips" / "one" / f"{index:02d}.png", index)
    save(tmp_path / "clips" / "one" / "02.png", 2)
    model, out = save_pair(tmp_path), tmp_path / "out"
    sets = ["--images", tmp_path / "stills", "--clips", tmp_path / "clips"]
    done = run(out, "-m", model, *sets, "--details", "0,.5,1", "--metrics", "psnr,tof")
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "detail_curve.json").read_text())
    stills, clips = found["tables"]
    assert (stills["set"], stills["holds"], clips["set"], clips["holds"]) == ("stills", "2 images", "clips", "1 clip")
    names = ["bicubic", "detail 0", "detail 0.5", "detail 1"]
    assert list(stills["networks"]) == names
    figures = [stills["networks"][name]["mean"]["psnr@rgb"] for name in names]
    assert len(set(figures)) == 4
    lines = (out / "detail_curve.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("| 0.5 |")]) == 2
    assert f"{figures[2]:.2f}" in next(line for line in lines if line.startswith("| 0.5 |"))
    page = (out / "detail_curve.html").read_text()
    assert_asks_for_nothing(page.replace(str(SCRIPT), "").replace(str(tmp_path), ""))
    titles = [image["alt"].rpartition(", ")[0] for image in Reader(page).all("img")]
    assert {title: titles.count(title) for title in titles} == {"0": 5, "1": 5, "one": 5, "one, over time": 4}


@pytest.mark.parametrize("details", ["1,0", "0.5", "0,2", "nan,1", "much"])
def test_details_that_cannot_be_are_refused(details, tmp_path):
    done = run(tmp_path / "out", "--images", tmp_path, "--details", details)
    assert done.returncode == 2 and "argument --details" in done.stderr


def test_a_network_without_a_twin_is_refused_before_anything_is_measured(tmp_path):
    save(tmp_path / "stills" / "0.png", 0)
    done = run(tmp_path / "out", "-m", save_luma(tmp_path / "mine.safetensors"), "--images", tmp_path / "stills")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "mine has no perceptual twin" in done.stderr
    assert not (tmp_path / "out").exists()
