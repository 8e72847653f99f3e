from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.perception.i3d import LAYERS, I3d, _same, read_i3d
from vidperc.perception.video_backbone import open_video_backbone


@pytest.fixture(scope="module")
def network() -> I3d:
    torch.manual_seed(0)
    return I3d().eval()


@pytest.fixture(scope="module")
def file(network: I3d, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("i3d") / "rgb_imagenet.pt"
    torch.save(network.state_dict(), path)
    return path


def test_its_parts_are_named_as_the_files_of_weights_name_them(network: I3d) -> None:
    names = set(network.state_dict())
    assert {"Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.bn.running_var", "Mixed_4e.b2b.conv3d.weight"} <= names
    assert {"Mixed_5c.b3b.bn.bias", "logits.conv3d.weight", "logits.conv3d.bias"} <= names
    assert tuple(name for name, _ in network.named_children()) == LAYERS
    # Of Inception v1 with cubes for squares and 400 classes: 27 * (sum of in * out of its 3x3x3) and so on.
    assert tuple(network.state_dict()["Mixed_5b.b1b.conv3d.weight"].shape) == (320, 160, 3, 3, 3)


@pytest.mark.parametrize("extent", [(16, 224, 224), (9, 113, 57), (2, 7, 7)])
@pytest.mark.parametrize(("side", "stride"), [((7, 7, 7), (2, 2, 2)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (2, 2, 2))])
def test_padding_is_that_of_tensorflows_same(
    extent: tuple[int, int, int], side: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    """As many outputs as inputs over the stride, rounded up; what is missing, half before, the odd one behind."""
    padded = _same(torch.ones(1, 1, *extent), side, stride)
    for axis in range(3):
        wanted = -(-extent[axis] // stride[axis])
        lacks = max((wanted - 1) * stride[axis] + side[axis] - extent[axis], 0)
        assert padded.shape[2 + axis] == extent[axis] + lacks
        kept = np.flatnonzero(padded.amax(dim=[d for d in range(5) if d != 2 + axis]).numpy())
        assert kept[0] == lacks // 2


def test_a_file_of_weights_gives_logits_averaged_over_time(network: I3d, file: Path) -> None:
    clip = torch.rand(1, 16, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    backbone = open_video_backbone("i3d", layers=["Mixed_5c", "logits"], weights=file)
    with torch.no_grad():
        found = backbone(clip)
        features = (2 * clip - 1).transpose(1, 2)
        for name in LAYERS[:-1]:
            features = network.get_submodule(name)(features)
    torch.testing.assert_close(found["Mixed_5c"], features, rtol=1e-4, atol=1e-5)
    assert tuple(features.shape) == (1, 1024, 2, 7, 7)
    wanted = network.logits.conv3d(features.mean(dim=(2, 3, 4), keepdim=True))
    torch.testing.assert_close(found["logits"], wanted, rtol=1e-4, atol=1e-5)


def test_it_is_found_in_a_folder_and_where_the_variable_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_video_backbone("i3d", weights=file.parent).layers == ("logits",)
    monkeypatch.setenv("VIDPERC_WEIGHTS", str(file.parent))
    assert open_video_backbone("i3d").layers == ("logits",)


class _Detector(nn.Module):
    """What the programs do that measurers of FVD exchange, as far as the call goes."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert not rescale and not resize and return_features
        return x.mean(dim=(2, 3, 4)) * torch.arange(1, 4)


def test_a_program_is_asked_for_raw_features_of_clips_in_minus_one_to_one(tmp_path: Path) -> None:
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(_Detector()).save(path)
    backbone = open_video_backbone("i3d", weights=path)
    found = backbone(torch.full((2, 16, 3, 40, 60), 0.75))["logits"]
    torch.testing.assert_close(found, torch.tensor([0.5, 1.0, 1.5]).expand(2, 3)[:, :, None, None, None])


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDPERC_WEIGHTS", raising=False)
    with pytest.raises(VidpercError, match="i3d: its weights are nowhere to be fetched from, wanted rgb"):
        open_video_backbone("i3d")
    with pytest.raises(VidpercError, match=r"got none of rgb_imagenet.pt, i3d_torchscript.pt"):
        open_video_backbone("i3d", weights=tmp_path)
    with pytest.raises(VidpercError, match="no such file, wanted the weights of I3D"):
        read_i3d(tmp_path / "absent.pt")
    path = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(VidpercError, match=r"holds no weights of i3d: Conv3d_1a_7x7.conv3d.weight is absent"):
        read_i3d(path)
    torch.jit.script(nn.Conv2d(3, 3, 1)).save(path)
    with pytest.raises(VidpercError, match="does not take clips as I3D files for FVD do"):
        read_i3d(path)
