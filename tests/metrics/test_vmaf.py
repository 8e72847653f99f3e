import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tests.clips import picture
from vidperc.errors import VidpercError
from vidperc.metrics.metric import Conditions, WholeMetric
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import choose_metrics
from vidperc.metrics.vmaf import VmafTally, find_vmaf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with an ffmpeg that has libvmaf."""
    try:
        return Path(find_vmaf()).parent
    except VidpercError:
        found = pytest.importorskip("imageio_ffmpeg", reason="comes with the dev extra").get_ffmpeg_exe()
    folder = tmp_path_factory.mktemp("program")
    (folder / "ffmpeg").symlink_to(found)
    return folder


@pytest.fixture
def program(folder: Path, monkeypatch) -> str:
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return find_vmaf()


def frame(index: int, width: int = 97, height: int = 65) -> torch.Tensor:
    return torch.from_numpy(picture(index, width, height)).permute(2, 0, 1).float() / 255


def blurred(image: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(image[None], 5, stride=1, padding=2, count_include_pad=False)[0]


def tallied(program: str, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> VmafTally:
    tally = VmafTally(program)
    for out, true in pairs:
        tally.add(Step(now=Moment(out=out, true=true)))
    return tally


def test_figures_are_those_of_ffmpeg_over_files(program, tmp_path: Path) -> None:
    true = [frame(k, 96, 64) for k in range(6)]
    pairs = [(blurred(one), one) for one in true]
    tally = tallied(program, pairs)
    whole = tally.figure()
    for name, place in (("out", 0), ("true", 1)):
        # Luma of BT.709 in limited range, by its definition; libvmaf looks at nothing else.
        weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)
        luma = [(16 + 219 * (pair[place] * weights).sum(dim=0)).round().byte().numpy() for pair in pairs]
        grey = bytes([128]) * (2 * 96 * 64)
        (tmp_path / name).write_bytes(b"".join(plane.tobytes() + grey for plane in luma))
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv444p", "-s", "96x64"]
    command = [program, "-loglevel", "error", *raw, "-i", "out", *raw, "-i", "true"]
    command += ["-lavfi", "libvmaf=log_fmt=json:log_path=log.json", "-f", "null", "-"]
    subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    log = json.loads((tmp_path / "log.json").read_text())
    wanted = [entry["metrics"]["vmaf"] for entry in log["frames"]]
    # A code may round the other way here and there.
    assert tally.of_frames() == pytest.approx(wanted, abs=0.05)
    assert whole == pytest.approx(log["pooled_metrics"]["vmaf"]["mean"], abs=0.05)
    tally.close()


def test_it_tells_equal_pictures_from_blurred_ones_of_odd_sides(program) -> None:
    same = tallied(program, [(frame(k), frame(k)) for k in range(4)])
    worse = tallied(program, [(blurred(frame(k)), frame(k)) for k in range(4)])
    assert same.figure() > 95 > worse.figure()
    assert len(same.of_frames()) == 4
    for tally in (same, worse):
        tally.close()


def test_the_table_has_it_with_its_model_in_its_name(program) -> None:
    (metric, *_) = choose_metrics(["vmaf"], Conditions())
    assert isinstance(metric, WholeMetric)
    assert metric.name == "vmaf@v0.6.1,y709"
    assert not metric.pooled


def test_nothing_is_left_of_a_tally_that_was_given_up(program) -> None:
    tally = tallied(program, [(frame(0), frame(0))])
    folder, process = Path(tally._folder.name), tally._process
    tally.close()
    assert not folder.exists()
    assert process is not None and process.poll() is not None


def test_an_ffmpeg_without_libvmaf_is_refused_in_one_line(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidpercError, match="vmaf: no ffmpeg on the PATH, wanted one with libvmaf"):
        choose_metrics(["vmaf"], Conditions())
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!{shutil.which('sh', path='/bin:/usr/bin')}\necho ' .. scale  V->V'\n")
    fake.chmod(0o755)
    with pytest.raises(VidpercError, match="ffmpeg has no libvmaf, wanted an ffmpeg that has; install one"):
        choose_metrics(["vmaf"], Conditions())


def test_an_ffmpeg_that_fails_is_told_in_one_line(monkeypatch, tmp_path: Path) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\ncat > /dev/null\necho 'no such model' >&2\nexit 3\n")
    fake.chmod(0o755)
    tally = tallied(str(fake), [(frame(0), frame(0))])
    with pytest.raises(VidpercError, match=r"vmaf: .*ffmpeg failed \(no such model\); leave vmaf out"):
        tally.figure()
    tally.close()
