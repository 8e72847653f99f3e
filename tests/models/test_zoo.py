from __future__ import annotations

import json
import math
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.models.own_card import NAMES
from vidperc.models.zoo import find_card, find_chain, list_cards, list_families


def compact(*, channels: int = 3, scale: int = 2) -> dict[str, Tensor]:
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    return Compact(num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=2, upscale=scale).state_dict()


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_looking_up_a_built_in_name_does_not_import_torch() -> None:
    code = (
        "import sys; from vidperc.models.zoo import find_card; find_card('bicubic', 3); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["bicubic", "lanczos"])
def test_resampling_takes_any_whole_scale_and_doubles_when_none_is_asked(name: str) -> None:
    assert find_card(name, None).scale == 2
    for scale in range(1, 9):
        card = find_card(name, scale)
        assert (card.name, card.scale, card.parameters, card.reach, card.sha256) == (name, scale, 0, 0, "")


def test_the_list_holds_what_can_be_found_by_name() -> None:
    assert [card.name for card in list_cards()] == [*NAMES, "bicubic", "lanczos"]
    assert all(find_card(card.name) == card for card in list_cards())


@pytest.mark.parametrize("scale", [0, -1, 9])
def test_a_scale_out_of_range_is_refused(scale: int) -> None:
    with pytest.raises(VidpercError, match=f"got scale {scale}, wanted a whole number from 1 to 8"):
        find_card("bicubic", scale)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("bicubix", "did you mean bicubic?"),
        ("esrgan", "bicubic, lanczos, or the path of a .safetensors or .pth file"),
        ("", "bicubic, lanczos, or the path"),
        ("4x_foo.pth", "no such file of weights"),
        ("weights/4x_foo", "no such file of weights"),
        ("x" * 5000 + ".pth", "cannot be looked at"),
    ],
)
def test_what_is_neither_a_name_nor_a_file_is_refused(model: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    with pytest.raises(VidpercError) as refused:
        find_card(model)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match="got a folder"):
        find_card(str(tmp_path))
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    with pytest.raises(VidpercError, match=r"got a \.onnx, wanted weights as \.safetensors, \.pth, \.pt, \.ckpt"):
        find_card(str(tmp_path / "net.onnx"))


def test_the_card_of_a_file_tells_what_the_network_is(tmp_path: Path) -> None:
    weights = compact()
    file = tmp_path / "2x_small.safetensors"
    save_file(weights, file, metadata={"license": "CC-BY-4.0"})
    card = find_card(str(file))
    assert (card.name, card.source, card.architecture) == ("2x_small", "2x_small.safetensors", "RealESRGAN Compact")
    assert (card.scale, card.multiple_of, card.minimum, card.tileable, card.reach) == (2, 1, 1, True, 4)
    assert card.parameters == sum(tensor.numel() for tensor in weights.values())
    assert (card.half_safe, card.bfloat16_safe, card.licence, len(card.sha256)) == (True, True, "CC-BY-4.0", 64)


def test_a_scale_other_than_the_files_is_refused(tmp_path: Path) -> None:
    torch.save(compact(), tmp_path / "2x_small.pth")
    assert find_card(str(tmp_path / "2x_small.pth"), 2).scale == 2
    with pytest.raises(VidpercError) as refused:
        find_card(str(tmp_path / "2x_small.pth"), 4)
    assert str(refused.value) == (
        "2x_small.pth: the network upscales by 2, got scale 4; "
        "leave the scale out, or add --resolution to resize its result"
    )


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save(compact(scale=2), file)
    assert find_card(str(file)).scale == 2
    torch.save(compact(scale=4), file)
    assert find_card(str(file)).scale == 4


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", "model"])
def test_weights_are_found_in_their_usual_wrappers(wrapper: str, tmp_path: Path) -> None:
    torch.save({wrapper: compact(), "epoch": 3}, tmp_path / "net.ckpt")
    assert find_card(str(tmp_path / "net.ckpt")).scale == 2


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(zipped: bool, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    file = tmp_path / "evil.pth"
    torch.save({"params": compact(), "more": Trap(trap)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(VidpercError, match=r"evil\.pth: holds Python objects .* none was run"):
        find_card(str(file))
    assert not trap.exists()


def test_a_plain_pickle_that_would_run_code_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Trap(trap), protocol=2))
    with pytest.raises(VidpercError, match="none was run"):
        find_card(str(tmp_path / "evil.pt"))
    assert not trap.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 3, 3), tmp_path / "module.pth")
    with pytest.raises(VidpercError, match=r"holds Python objects \(torch\.nn\.modules\.conv\.Conv2d\)"):
        find_card(str(tmp_path / "module.pth"))


def test_a_torchscript_archive_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "traced.pt", "w") as archive:
        for name in ("traced/data.pkl", "traced/constants.pkl", "traced/code/__torch__.py", "traced/version"):
            archive.writestr(name, b"3\n")
    with pytest.raises(VidpercError, match="a TorchScript program, which is not run; wanted plain weights"):
        find_card(str(tmp_path / "traced.pt"))


def broken_files() -> dict[str, bytes]:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return {
        "text.pth": b"this is no file of weights\n",
        "page.pth": b"<!DOCTYPE html><html>404</html>",
        "empty.pth": b"",
        "pickle.pth": b"\x80\x02}q\x00(X\x01\x00\x00\x00a",
        "zip.pth": b"PK\x03\x04" + bytes(60),
        "empty.safetensors": b"",
        "text.safetensors": b"this is no file of weights\n",
        "truncated.safetensors": struct.pack("<Q", len(header)) + header + bytes(7),
        "boastful.safetensors": struct.pack("<Q", 1 << 60) + header,
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_file_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(broken_files()[name])
    with pytest.raises(VidpercError) as refused:
        find_card(str(tmp_path / name))
    assert str(refused.value).startswith(f"{name}: ")
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("download it again, or name another file")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_anywhere_is_told_in_one_line(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        torch.save(compact(), file)
    else:
        save_file(compact(), file)
    content = file.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in range(0, len(content) - 1, len(content) // 40):
        cut.write_bytes(content[:length])
        with pytest.raises(VidpercError, match=f"cut{suffix}: "):
            find_card(str(cut))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (
            {"conv.weight": torch.zeros(3, 3, 3, 3)},
            r"no known architecture has these 1 weights \(conv\.weight, \.\.\.\)",
        ),
        ({"body.0.weight": torch.zeros(3), "body.1.weight": torch.zeros(3)}, "its weights do not fit together"),
        ({"body.99999999.weight": torch.zeros(3)}, "holds no network's weights"),
        ({1: torch.zeros(3)}, "holds no network's weights"),
        ({"a": 1, "b": "text"}, "got a dictionary with 0 tensors"),
        ([torch.zeros(3)], "got a list"),
        (torch.zeros(3), "got a Tensor"),
        ({"a": torch.eye(3).to_sparse(), "b": torch.zeros(3)}, "sparse or quantised"),
        ({"a": torch.full((3,), torch.nan), "b": torch.zeros(3)}, "not numbers"),
    ],
)
def test_weights_of_no_known_network_are_refused(weights: object, told: str, tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "net.pth")
    with pytest.raises(VidpercError, match=told):
        find_card(str(tmp_path / "net.pth"))


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_for_grey_and_for_alpha_are_refused(channels: int, tmp_path: Path) -> None:
    torch.save(compact(channels=channels), tmp_path / "net.pth")
    with pytest.raises(VidpercError, match=f"takes {channels} colour channels and gives {channels}, wanted 3 and 3"):
        find_card(str(tmp_path / "net.pth"))


@pytest.mark.parametrize("family", list_families())
@pytest.mark.parametrize("scale", range(1, 9))
def test_a_family_has_every_scale(family: str, scale: int) -> None:
    chain = find_chain(family, scale)
    assert chain.scale == scale and chain.models == tuple(card.name for card in chain.cards)
    made = math.prod(card.scale for card in chain.cards)
    assert made >= scale and (made == 2 or made < 2 * scale), "the next larger network, no more"


def test_a_family_doubles_when_no_scale_is_asked() -> None:
    assert find_chain("fast").models == ("fast-x2",) and find_chain("fast").scale == 2


def test_a_network_of_ours_has_its_own_scale_and_names_its_family() -> None:
    with pytest.raises(VidpercError, match=r"upscales by 2, got scale 3.*-m fast for every scale"):
        find_card("fast-x2", 3)
