"""A wheel, installed where the checkout cannot be imported, finds its built-in files and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.clips import make_clip
from vidperc.models.own_card import NAMES
from vidperc.version import __version__

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, which borrows everything else from this one."""
    for package in ("build", "hatchling"):
        pytest.importorskip(package, reason="comes with the dev extra")
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 10_000_000, "small enough to download anywhere, networks and all"
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    # Folders named in a .pth file are not searched for .pth files of their own, so an editable install stays behind.
    paths = sysconfig.get_paths()
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=folder).strip()
    (Path(own) / "borrowed.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
    return environment


@pytest.fixture
def bin_folder(installed: Path) -> Path:
    return installed / ("Scripts" if os.name == "nt" else "bin")


def test_the_checkout_cannot_be_imported_from_the_wheels_environment(bin_folder: Path, tmp_path: Path) -> None:
    path = run(bin_folder / "python", "-c", "import sys; print('\\n'.join(sys.path))", cwd=tmp_path)
    assert str(ROOT) not in path.splitlines()


@pytest.mark.parametrize("name", ["pipelines", "configs"])
def test_built_in_files_come_from_the_wheel(installed: Path, bin_folder: Path, tmp_path: Path, name: str) -> None:
    code = f"from vidperc.config.pipelines import built_in_folder; print(built_in_folder({name!r}))"
    folder = Path(run(bin_folder / "python", "-c", code, cwd=tmp_path).strip())
    assert folder.is_relative_to(installed.resolve())
    assert folder.parts[-2:] == ("vidperc", name)
    assert {path.name for path in folder.iterdir()} == {path.name for path in (ROOT / name).iterdir()}


def test_every_built_in_pipeline_loads_from_the_wheel(bin_folder: Path, tmp_path: Path) -> None:
    code = "from vidperc.config.pipelines import builtin_pipelines, load_pipeline\n"
    code += "for name in builtin_pipelines(): print(load_pipeline(name).name)"
    names = run(bin_folder / "python", "-c", code, cwd=tmp_path).split()
    assert names == sorted(path.stem for path in (ROOT / "pipelines").glob("*.yaml"))


def test_the_installed_command_says_its_version(bin_folder: Path, tmp_path: Path) -> None:
    assert __version__ in run(bin_folder / "vidperc", "--version", cwd=tmp_path)


def test_the_installed_command_lists_the_built_in_pipelines(bin_folder: Path, tmp_path: Path) -> None:
    assert "upscale" in run(bin_folder / "vidperc", "pipelines", "list", cwd=tmp_path)


def test_the_3d_network_that_comes_along_opens_from_the_wheel(bin_folder: Path, tmp_path: Path) -> None:
    code = "from vidperc.perception.video_backbone import open_video_backbone as o; print(o('own').layers)"
    assert run(bin_folder / "python", "-c", code, cwd=tmp_path).strip() == "('layer3',)"


def test_the_installed_command_enlarges_with_the_networks_that_come_along(bin_folder: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=5)
    told = run(bin_folder / "vidperc", "upscale", "clip.mp4", "--no-progress", cwd=tmp_path)
    assert "clip_x2.mp4: 5 frames, 192x128" in told
    for name in NAMES:
        card = run(bin_folder / "vidperc", "models", "show", name, cwd=tmp_path)
        for fact in ("data", "steps", "seed", "command", "figures", "licence", "sha256"):
            (line,) = [line for line in card.splitlines() if line.startswith(f"{fact} ")]
            assert line.split(maxsplit=1)[1] not in ("-", "unknown"), (name, fact)
