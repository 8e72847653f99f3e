from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import video

from vidperc.errors import VidpercError
from vidperc.perception import video_networks
from vidperc.perception.own3d import Own3d
from vidperc.perception.video_backbone import VideoBackbone, open_video_backbone
from vidperc.perception.video_networks import NETWORKS

KINETICS = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
GREY = (0.45,) * 3, (0.225,) * 3
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Their size, their normalisation (of the transforms that torchvision announces with the weights), and where in the
# network of torchvision two of their layers are.
TORCHVISION = {
    "r3d_18": (112, KINETICS, {"stem": "stem", "layer2": "layer2"}),
    "mc3_18": (112, KINETICS, {"layer1": "layer1", "layer4": "layer4"}),
    "r2plus1d_18": (112, KINETICS, {"layer1": "layer1", "layer2": "layer2"}),
    "s3d": (224, KINETICS, {"conv2c": "features.3", "mixed3b": "features.5"}),
    "mvit_v1_b": (224, GREY, {"block0": "blocks.0", "block1": "blocks.1"}),
    "mvit_v2_s": (224, GREY, {"block0": "blocks.0", "block1": "blocks.1"}),
    "swin3d_t": (224, IMAGENET, {"stage1": "features.0", "stage2": "features.2"}),
}


def clip_of(count: int, frames: int, height: int, width: int, seed: int = 1) -> Tensor:
    return torch.rand(count, frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def published(tmp_path: Path) -> Callable[[str], nn.Module]:
    """Writes random weights of a network of torchvision as the file that would be fetched; gives the network."""

    def write(name: str) -> nn.Module:
        torch.manual_seed(0)
        network = getattr(video, name)(weights=None)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):  # no network that was trained has ones and zeros
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        announced = video.__dict__[
            {
                "r3d_18": "R3D_18_Weights",
                "mc3_18": "MC3_18_Weights",
                "r2plus1d_18": "R2Plus1D_18_Weights",
                "s3d": "S3D_Weights",
                "mvit_v1_b": "MViT_V1_B_Weights",
                "mvit_v2_s": "MViT_V2_S_Weights",
                "swin3d_t": "Swin3D_T_Weights",
            }[name]
        ].DEFAULT
        torch.save(network.state_dict(), tmp_path / announced.url.rsplit("/", 1)[1])
        return network.eval()

    return write


class _Enough(Exception):
    """All layers that are compared have been run."""


@pytest.mark.parametrize("name", TORCHVISION)
def test_features_are_those_of_torchvision_with_the_same_weights(
    name: str, published: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    network = published(name)
    side, (mean, spread), places = TORCHVISION[name]
    theirs: dict[str, Tensor] = {}

    def keep(layer: str) -> Callable[[nn.Module, object, Tensor | tuple[Tensor, object]], None]:
        def hook(module: nn.Module, given: object, found: Tensor | tuple[Tensor, object]) -> None:
            theirs[layer] = (found if isinstance(found, Tensor) else found[0]).clone()
            if len(theirs) == len(places):
                raise _Enough

        return hook

    for layer, place in places.items():
        network.get_submodule(place).register_forward_hook(keep(layer))
    clip = clip_of(1, 16, 60, 80)
    frames = F.interpolate(clip[0], (side, side), mode="bilinear", align_corners=False, antialias=True)
    normalised = (frames - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(spread).view(3, 1, 1)
    backbone = open_video_backbone(name, layers=tuple(places), weights=tmp_path)
    with torch.no_grad():
        with suppress(_Enough):  # what is deeper takes seconds
            network(normalised.transpose(0, 1)[None])
        ours = backbone(clip)
    assert set(theirs) == set(places)
    for layer, wanted in theirs.items():
        if wanted.ndim == 3:  # tokens, the first of which stands for the whole clip
            wanted = wanted[:, 1:].transpose(1, 2).reshape(ours[layer].shape)
        elif name == "swin3d_t":
            wanted = wanted.permute(0, 4, 1, 2, 3)
        torch.testing.assert_close(ours[layer], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith(("mvit", "swin3d", "r2plus1d")) else ())
        for name in TORCHVISION
    ],
)
def test_every_layer_of_the_table_is_there_and_a_map(
    name: str, published: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    published(name)
    backbone = open_video_backbone(name, layers=NETWORKS[name].layers, weights=tmp_path)
    with torch.no_grad():
        found = backbone(clip_of(1, 16, 40, 40))
    assert tuple(found) == NETWORKS[name].layers
    assert all(features.ndim == 5 and features.shape[0] == 1 for features in found.values())
    # What is handed out is not written over by what comes after it.
    first = NETWORKS[name].layers[0]
    with torch.no_grad():
        alone = open_video_backbone(name, layers=[first], weights=tmp_path)(clip_of(1, 16, 40, 40))
    torch.testing.assert_close(found[first], alone[first], rtol=0, atol=0)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., VideoBackbone]:
    """Our own with random weights, none of them zero."""
    torch.manual_seed(0)
    network = Own3d()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    monkeypatch.setattr(video_networks, "read_own3d", lambda path: network)
    return lambda *layers: open_video_backbone("own", layers=layers)


def test_gradients_reach_the_clip_and_nothing_else(own: Callable[..., VideoBackbone]) -> None:
    backbone = own("layer1", "layer3")
    clip = clip_of(1, 4, 32, 32).requires_grad_()
    sum(features.square().mean() for features in backbone(clip).values()).backward()
    assert clip.grad is not None
    assert bool(clip.grad.isfinite().all())
    assert float(clip.grad.abs().amax(dim=(0, 2, 3, 4)).min()) > 0  # every frame
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in backbone.parameters())


def test_gradients_go_through_the_resampling(published: Callable[[str], nn.Module], tmp_path: Path) -> None:
    published("mc3_18")
    clip = clip_of(1, 4, 33, 50).requires_grad_()
    open_video_backbone("mc3_18", layers=["stem"], weights=tmp_path)(clip)["stem"].square().mean().backward()
    assert clip.grad is not None
    assert float(clip.grad.abs().amax(dim=(0, 1, 2)).min()) > 0  # every pixel


def test_in_double_precision_gradients_are_those_of_differences(own: Callable[..., VideoBackbone]) -> None:
    backbone = own("layer2").double()
    chance = torch.Generator().manual_seed(2)
    clip = clip_of(1, 4, 32, 32).double()
    along = torch.randn(clip.shape, dtype=torch.float64, generator=chance)

    def measure(step: Tensor) -> Tensor:
        return backbone(clip + step * along)["layer2"].square().mean()

    assert torch.autograd.gradcheck(measure, torch.zeros((), dtype=torch.float64, requires_grad=True))


def test_it_stays_frozen_when_what_holds_it_is_trained(own: Callable[..., VideoBackbone]) -> None:
    holder = nn.Sequential(own("stem"))
    holder.train()
    assert not any(module.training for module in holder[0].modules())


def test_under_autocast_it_computes_in_bfloat16_and_stays_near(own: Callable[..., VideoBackbone]) -> None:
    backbone, clip = own("layer2"), clip_of(1, 8, 48, 48)
    exact = backbone(clip)["layer2"]
    with torch.autocast("cpu", torch.bfloat16):
        found = backbone(clip)["layer2"]
    assert found.dtype == torch.bfloat16
    # Eight bits of mantissa, through ten convolutions.
    assert float((found.float() - exact).norm() / exact.norm()) < 0.03


def test_our_own_takes_clips_as_they_are(own: Callable[..., VideoBackbone]) -> None:
    assert own("stem").size is None
    assert own("stem")(clip_of(1, 4, 50, 70))["stem"].shape[-2:] == (25, 35)


def test_without_layers_it_gives_the_one_of_the_frechet_distance(own: Callable[..., VideoBackbone]) -> None:
    assert own().layers == ("layer3",)


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        (torch.zeros(1, 3, 8, 32, 32), r"own: got \(1, 3, 8, 32, 32\) torch.float32, wanted \(N,T,3,H,W\) floats"),
        (torch.zeros(0, 8, 3, 32, 32), r"wanted \(N,T,3,H,W\) floats"),
        (torch.zeros(8, 3, 32, 32), r"wanted \(N,T,3,H,W\) floats"),
        (torch.zeros(1, 8, 3, 32, 32, dtype=torch.uint8), "torch.uint8, wanted"),
        (torch.zeros(1, 1, 3, 32, 32), "own: got a clip of 1 frames, wanted at least 4"),
        (torch.zeros(1, 4, 3, 31, 40), "own: got frames of 40x31, wanted sides from 32 px"),
        (torch.full((1, 4, 3, 32, 32), 255.0), r"own: got values from 255 to 255, wanted RGB in \[0,1\]"),
        (torch.full((1, 4, 3, 32, 32), -1.0), r"wanted RGB in \[0,1\]"),
        (torch.full((1, 4, 3, 32, 32), float("nan")), r"got values from nan to nan, wanted RGB in \[0,1\]"),
    ],
)
def test_clips_that_do_not_fit_are_refused(own: Callable[..., VideoBackbone], clip: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        own("stem")(clip)


def test_a_network_that_knows_16_frames_takes_no_others(published: Callable[[str], nn.Module], tmp_path: Path) -> None:
    published("mvit_v2_s")
    backbone = open_video_backbone("mvit_v2_s", layers=["patches"], weights=tmp_path)
    for frames in (8, 17):
        with pytest.raises(ValueError, match=f"mvit_v2_s: got a clip of {frames} frames, wanted 16"):
            backbone(clip_of(1, frames, 32, 32))


def test_names_and_layers_that_there_are_not_are_told_with_those_that_there_are(
    own: Callable[..., VideoBackbone],
) -> None:
    with pytest.raises(VidpercError, match="unknown 3D backbone 'r3d', wanted one of own, r3d_18"):
        open_video_backbone("r3d")
    with pytest.raises(VidpercError, match="own: no layer 'layer9', wanted some of stem, layer1, layer2, layer3"):
        own("layer9")


def test_weights_that_are_nowhere_are_told_with_where_to_fetch_them_and_put_them(tmp_path: Path) -> None:
    with pytest.raises(
        VidpercError, match=r"r3d_18-b3b3357e.pth: not found.*fetch https://download.pytorch.org/models/"
    ):
        open_video_backbone("r3d_18", weights=tmp_path)


def test_weights_of_another_network_are_refused(published: Callable[[str], nn.Module], tmp_path: Path) -> None:
    published("mc3_18")
    (file,) = tmp_path.glob("mc3_18-*")
    with pytest.raises(VidpercError, match="holds no weights of r3d_18"):
        open_video_backbone("r3d_18", weights=file)


def test_videomae_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        VidpercError, match=r"videomae: wanted the package transformers; pip install 'vidperc\[backbones\]'"
    ):
        open_video_backbone("videomae")


def test_videomae_is_that_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="an optional extra")
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 12}
    model = transformers.VideoMAEModel(transformers.VideoMAEConfig(**shape, use_mean_pooling=False)).eval()
    model.save_pretrained(tmp_path / "videomae-base")
    clip = clip_of(1, 16, 224, 224)
    normalised = (clip - torch.tensor(IMAGENET[0]).view(3, 1, 1)) / torch.tensor(IMAGENET[1]).view(3, 1, 1)
    backbone = open_video_backbone("videomae", layers=["patches", "block11"], weights=tmp_path)
    with torch.no_grad():
        wanted = model(normalised, output_hidden_states=True).hidden_states
        found = backbone(clip)
    for layer, tokens in (("patches", wanted[0]), ("block11", wanted[12])):
        assert tuple(found[layer].shape) == (1, 24, 8, 14, 14)
        theirs = tokens.transpose(1, 2).reshape(1, 24, 8, 14, 14)
        torch.testing.assert_close(found[layer], theirs, rtol=1e-4, atol=1e-5)


def test_videomae_that_is_not_there_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="an optional extra")
    with pytest.raises(VidpercError, match="no weights of VideoMAE there; put https:"):
        open_video_backbone("videomae", weights=tmp_path)
