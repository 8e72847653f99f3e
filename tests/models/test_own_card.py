from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vidperc.errors import VidpercError
from vidperc.models import own_card as own_card_module
from vidperc.models.own_card import NAMES, own_card, shipped_card, shipped_path

FACTS = {
    "architecture": "luma",
    "name": "mine",
    "summary": "for a test",
    "scale": "2",
    "parameters": "1234",
    "channels": "8",
    "reach": "3",
    "licence": "CC0-1.0",
    "data": "nothing",
    "steps": "10",
    "seed": "7",
    "command": "vidperc train mine",
    "figures": "none",
}
RECURRENT = FACTS | {"architecture": "recurrent", "state": "4", "settle": "9"}


def saved(path: Path, facts: dict[str, str] | None) -> Path:
    save_file({"0.weight": torch.zeros(8, 1, 3, 3)}, path, metadata=facts)
    return path


def headed(path: Path, head: bytes, *, length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(head) if length is None else length) + head)
    return path


def test_a_card_says_what_the_head_of_the_file_says(tmp_path: Path) -> None:
    path = saved(tmp_path / "other-name.safetensors", FACTS)
    card = own_card(path)
    assert card is not None
    assert (card.name, card.architecture, card.scale, card.summary) == ("mine", "luma", 2, "for a test")
    assert (card.parameters, card.channels, card.reach, card.licence) == (1234, 8, 3, "CC0-1.0")
    assert (card.data, card.steps, card.seed) == ("nothing", 10, 7)
    assert (card.command, card.figures) == ("vidperc train mine", "none")
    assert card.luma
    assert card.source == "other-name.safetensors"


def test_the_sha256_is_of_the_whole_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors", FACTS)
    card = own_card(path)
    assert card is not None
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_card_is_read_without_importing_torch(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors", FACTS)
    code = (
        "import sys; from pathlib import Path; from vidperc.models.own_card import own_card; "
        f"print(own_card(Path({str(path)!r})).name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mine", "False"]


def test_the_card_of_a_recurrent_network_says_what_it_keeps_and_for_how_long(tmp_path: Path) -> None:
    card = own_card(saved(tmp_path / "net.safetensors", RECURRENT))
    assert card is not None
    assert (card.architecture, card.recurrent, card.state, card.settle, card.luma) == ("recurrent", True, 4, 9, True)
    image = own_card(saved(tmp_path / "image.safetensors", FACTS))
    assert image is not None
    assert (image.recurrent, image.state, image.settle) == (False, 0, 0)


def test_a_recurrent_network_holds_more_than_others(tmp_path: Path) -> None:
    """Two pictures of its output and its state, at the very least."""
    card, image = (own_card(saved(tmp_path / f"{f['architecture']}.safetensors", f)) for f in (RECURRENT, FACTS))
    assert card is not None and image is not None
    assert card.held_bytes(100, 50) >= 4 * 100 * 50 * (2 * 4 + 4)
    assert image.held_bytes(100, 50) == 0


@pytest.mark.parametrize("missing", RECURRENT)
def test_a_file_that_lacks_a_fact_has_no_card(missing: str, tmp_path: Path) -> None:
    facts = {name: text for name, text in RECURRENT.items() if name != missing}
    assert own_card(saved(tmp_path / "net.safetensors", facts)) is None


@pytest.mark.parametrize("facts", [None, {}, FACTS | {"architecture": "compact"}, FACTS | {"scale": "two"}])
def test_a_file_of_another_network_has_no_card(facts: dict[str, str] | None, tmp_path: Path) -> None:
    assert own_card(saved(tmp_path / "net.safetensors", facts)) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"__metadata__": []}',
        b'{"__metadata__": null}',
        json.dumps({"__metadata__": FACTS | {"scale": None}}).encode(),
        json.dumps({"__metadata__": FACTS | {"scale": float("inf")}}).encode(),
    ],
)
def test_a_damaged_head_gives_no_card(head: bytes, tmp_path: Path) -> None:
    assert own_card(headed(tmp_path / "net.safetensors", head)) is None


def test_a_head_of_another_length_than_it_says_gives_no_card(tmp_path: Path) -> None:
    head = json.dumps({"__metadata__": FACTS}).encode()
    assert own_card(headed(tmp_path / "net.safetensors", head)) is not None
    for length in (0, len(head) - 1, 1 << 21, 1 << 63):
        assert own_card(headed(tmp_path / "net.safetensors", head, length=length)) is None


def test_what_is_no_safetensors_file_gives_no_card(tmp_path: Path) -> None:
    (tmp_path / "short.safetensors").write_bytes(b"abc")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("short.safetensors", "folder.safetensors", "absent.safetensors"):
        assert own_card(tmp_path / name) is None
    assert own_card(saved(tmp_path / "net.pth", FACTS)) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_has_a_card_of_its_name(name: str) -> None:
    card = shipped_card(name)
    assert card.name == name
    assert card.scale == int(name.split("-")[1].removeprefix("x"))
    assert card.licence == "Apache-2.0"


def test_an_installation_that_lacks_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_card_module, "_FOLDER", tmp_path)
    shipped_card.cache_clear()
    with pytest.raises(VidpercError, match=r"fast-x2\.safetensors: missing or damaged; install vidperc again"):
        shipped_card("fast-x2")
    assert shipped_path("fast-x2") == tmp_path / "fast-x2.safetensors"
