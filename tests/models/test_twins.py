"""Networks between a network and its perceptual twin, and what is said where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.recurrent_files import save_recurrent
from tests.twin_files import SHAPE, save_luma, save_pair, weights_of
from vidperc.commands.models import show
from vidperc.errors import VidpercError
from vidperc.models import own_card as own_card_module
from vidperc.models import zoo
from vidperc.models.between import read_between
from vidperc.models.load import load_model
from vidperc.models.luma import LumaShape
from vidperc.models.own_card import TWIN, own_card, shipped_card, shipped_path, twin_path
from vidperc.models.twins import check_detail, told_detail
from vidperc.models.zoo import find_card, find_chain
from vidperc.placement import Placement, Precision
from vidperc.stages.upscale import Upscale

WITH_TWINS = ("standard-x2-perceptual", "standard-x4-perceptual")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program that comes with twins of the standard networks, made up, and with no others."""
    folder = tmp_path / "shipped"
    others = tuple(name for name in own_card_module.NAMES if not name.endswith(TWIN))
    folder.mkdir()
    for name in others:
        shutil.copy(shipped_path(name), folder)
    for name in WITH_TWINS:
        own = own_card(folder / f"{name.removesuffix(TWIN)}.safetensors")
        assert own is not None
        shape = LumaShape(scale=own.scale, channels=own.channels, depth=own.reach - 2)
        save_luma(folder / f"{name}.safetensors", shape, seed=3)
    for module in (own_card_module, zoo):
        monkeypatch.setattr(module, "NAMES", (*others, *WITH_TWINS))
    monkeypatch.setattr(own_card_module, "_FOLDER", folder)
    shipped_card.cache_clear()
    yield folder
    shipped_card.cache_clear()


def made(path: Path | str, detail: float = 0.0, precision: Precision = "float32", tile: int = 0) -> torch.Tensor:
    frames = torch.rand((2, 3, 37, 41), generator=torch.Generator().manual_seed(2))
    return load_model(str(path), None, Placement(precision=precision, tile=tile), detail=detail)(frames)


@pytest.mark.parametrize("half", [False, True])
def test_weights_are_mixed_one_by_one_in_float32(half: bool, tmp_path: Path) -> None:
    path = save_pair(tmp_path, half=half)
    one, other = weights_of(path), weights_of(twin_path(path))
    for detail in (0.1, 0.25, 0.5, 0.9):
        mixed = read_between(path, detail).weights
        assert mixed.keys() == one.keys()
        for name, tensor in mixed.items():
            wanted = one[name].double() * (1 - detail) + other[name].double() * detail
            assert tensor.dtype == torch.float32
            # Three roundings of float32, of numbers below 1.
            torch.testing.assert_close(tensor.double(), wanted, atol=4e-7, rtol=0)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_ends_have_the_bits_of_the_network_and_of_its_twin(
    precision: Precision, half: bool, tmp_path: Path
) -> None:
    path = save_pair(tmp_path, half=half)
    alone = save_luma(tmp_path / "alone.safetensors", half=half)
    assert torch.equal(made(path, 0, precision), made(alone, 0, precision)), "as if there were no twin"
    assert torch.equal(made(path, 1, precision), made(twin_path(path), 0, precision))
    assert not torch.equal(made(path, 0.5, precision), made(path, 0, precision))
    assert not torch.equal(made(path, 0.5, precision), made(path, 1, precision))
    for name, tensor in read_between(path, 0).weights.items():
        assert torch.equal(tensor, weights_of(path)[name])


def test_weights_that_are_equal_in_both_stay(tmp_path: Path) -> None:
    path = save_luma(tmp_path / "mine.safetensors")
    shutil.copy(path, twin_path(path))
    for detail in (0.3, 0.7):
        assert torch.equal(made(path, detail), made(path))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tiles_are_invisible_between_twins(precision: Precision, tmp_path: Path) -> None:
    path = save_pair(tmp_path)
    for tile in (16, 33):
        assert torch.equal(made(path, 0.3, precision, tile), made(path, 0.3, precision))


def test_a_mixture_is_one_network_with_a_card_that_names_both_files(tmp_path: Path) -> None:
    path = save_pair(tmp_path)
    (card,) = find_chain(str(path), None, 0.25).cards
    twin = own_card(twin_path(path))
    plain = own_card(path)
    assert twin is not None and plain is not None and plain.sha256 != twin.sha256
    assert (card.sha256, card.twin_sha256, card.twin, card.detail) == (
        *(plain.sha256, twin.sha256),
        *("mine-perceptual", 0.25),
    )
    assert (card.parameters, card.reach, card.scale) == (SHAPE.parameters, SHAPE.reach, 2)
    assert load_model(str(path), None, Placement(), detail=0.25).card == card
    assert told_detail([card]) == ["detail 0.25: mine is mixed with mine-perceptual"]


def test_without_detail_a_card_is_that_of_the_network(tmp_path: Path) -> None:
    path = save_pair(tmp_path)
    (card,) = find_chain(str(path)).cards
    assert card == find_card(str(path))
    assert (card.twin, card.twin_sha256, card.detail) == ("mine-perceptual", "", 0)
    assert told_detail([card]) == []
    alone = find_card(str(save_luma(tmp_path / "alone.safetensors")))
    assert alone.twin == ""


def test_a_network_that_comes_along_has_the_twin_that_does(shipped: Path) -> None:
    (card,) = find_chain("standard-x2", None, 0.5).cards
    assert (card.twin, card.detail) == ("standard-x2-perceptual", 0.5)
    assert torch.equal(made("standard-x2", 1), made("standard-x2-perceptual"))
    assert find_card("standard-x2-perceptual").scale == 2
    assert "standard-x4-perceptual" in [card.name for card in zoo.list_cards()]


@pytest.mark.parametrize(
    ("scale", "details"),
    [(2, {"standard-x2": 0.5}), (3, {"standard-x4": 0.5}), (8, {"standard-x4": 0.5, "fast-x2": 0.0})],
)
def test_of_a_family_every_network_that_has_a_twin_is_mixed(
    scale: int, details: dict[str, float], shipped: Path
) -> None:
    chain = find_chain("standard", scale, 0.5)
    assert {card.name: card.detail for card in chain.cards} == details
    assert chain.models == find_chain("standard", scale).models
    told = told_detail(chain.cards)
    assert told[0] == f"detail 0.5: {chain.models[0]} is mixed with {chain.models[0]}-perceptual"
    assert told[1:] == ["fast-x2 has no perceptual twin and stays as it is"] * (scale == 8)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("fast", "fast: got detail 0.5, and fast-x2 has no perceptual twin; standard-x2, standard-x4 have one: "),
        ("auto", "auto: got detail 0.5, and fast-x2 has no perceptual twin; standard-x2, standard-x4 have one: "),
        ("fast-x4", "fast-x4: got detail 0.5, and fast-x4 has no perceptual twin; standard-x2, standard-x4 have one: "),
        ("bicubic", "bicubic: got detail 0.5, and bicubic has no perceptual twin; standard-x2, standard-x4 have one: "),
    ],
)
def test_what_has_no_twin_is_refused_and_what_has_one_is_named(model: str, told: str, shipped: Path) -> None:
    with pytest.raises(VidpercError) as refused:
        find_chain(model, None, 0.5)
    assert str(refused.value) == f"{told}use -m standard, or leave detail out"


def test_a_scale_at_which_the_family_has_no_twin_names_the_network_that_has(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (own_card_module, zoo):
        monkeypatch.setattr(module, "NAMES", own_card_module.NAMES[:-1])
    (shipped / "standard-x4-perceptual.safetensors").unlink()
    shipped_card.cache_clear()
    with pytest.raises(
        VidpercError, match=r"standard-x4 has no perceptual twin; standard-x2 has one: use -m standard-x2"
    ):
        find_chain("standard", 4, 0.5)


def test_a_twin_has_no_twin(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match=r"is a perceptual twin itself; use -m standard-x2 --detail 1$"):
        find_chain("standard-x2-perceptual", None, 0.5)
    path = save_pair(tmp_path)
    with pytest.raises(VidpercError, match=rf"is a perceptual twin itself; use -m {path} --detail 1$"):
        find_chain(str(twin_path(path)), None, 0.5)


def test_another_scale_of_a_twin_is_asked_of_its_family(shipped: Path) -> None:
    with pytest.raises(VidpercError, match=r"upscales by 2, got scale 3; .*use -m standard --detail 1 for every scale"):
        find_card("standard-x2-perceptual", 3)


def test_a_file_alone_is_told_what_would_have_to_lie_beside_it(tmp_path: Path) -> None:
    path = save_luma(tmp_path / "mine.safetensors")
    with pytest.raises(VidpercError, match=r"mine has no perceptual twin, mine-perceptual\.safetensors beside it; "):
        find_chain(str(path), None, 0.5)


def test_recurrent_networks_are_not_mixed(tmp_path: Path) -> None:
    path = save_recurrent(tmp_path / "mine.safetensors", settle=4)
    save_recurrent(tmp_path / "mine-perceptual.safetensors", settle=4)
    with pytest.raises(VidpercError, match=r"mine has no perceptual twin; "):
        find_chain(str(path), None, 0.5)


def test_a_twin_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = save_luma(tmp_path / "mine.safetensors")
    save_luma(twin_path(path), LumaShape(scale=2, channels=8, depth=3))
    with pytest.raises(VidpercError, match=r"^mine-perceptual\.safetensors: has another layout than mine\.safetensors"):
        find_chain(str(path), None, 0.5)
    save_recurrent(twin_path(path), settle=4)
    with pytest.raises(VidpercError, match="has another layout"):
        find_chain(str(path), None, 0.5)
    twin_path(path).write_bytes(b"no network")
    with pytest.raises(VidpercError, match=r"mine-perceptual\.safetensors: missing or damaged"):
        find_chain(str(path), None, 0.5)


def test_a_head_that_hides_another_layout_is_found_when_the_weights_are_read(tmp_path: Path) -> None:
    path = save_luma(tmp_path / "mine.safetensors")
    save_luma(twin_path(path), LumaShape(scale=2, channels=12, depth=2))
    with pytest.raises(VidpercError, match="has not the layers of"):
        read_between(path, 0.5)


@pytest.mark.parametrize("detail", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_detail_that_cannot_be_is_refused(detail: float) -> None:
    with pytest.raises(VidpercError, match=rf"^--detail {detail:g}: wanted 0, .* to 1, "):
        check_detail("--detail", detail)
    with pytest.raises(VidpercError, match="standard-x2: detail"):
        find_chain("standard-x2", None, detail)
    with pytest.raises(ValueError, match=r"^detail: got .*, wanted 0 to 1$"):
        Upscale(model="standard-x2", detail=detail)


def test_what_a_network_is_names_its_twin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(str(save_pair(tmp_path))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{'twin':16} mine-perceptual" in lines
    assert not [line for line in lines if line.startswith(("detail", "twin sha256"))]


def test_a_card_of_a_mixture_is_found_without_torch(tmp_path: Path) -> None:
    path = save_pair(tmp_path)
    code = (
        "import sys; from vidperc.models.zoo import find_chain; "
        f"print(find_chain({str(path)!r}, None, 0.5).cards[0].detail, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.5", "False"]
