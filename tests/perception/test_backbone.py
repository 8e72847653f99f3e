"""Backbones: torchvision's own layers, gradients, what is refused; and the compressed encoder of VGG-19."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from tests.clips import NO_TEST_DATA, TEST_DATA
from tests.perception.made_up import random_weights, small_backbone, write_random_weights
from vidperc.errors import VidpercError
from vidperc.perception.backbone import BACKBONES, open_backbone
from vidperc.perception.networks import IMAGENET_MEAN, IMAGENET_SPREAD, NETWORKS
from vidperc.perception.weights import read_weights

needs_data = pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)

# Names of layers as papers have them, and what torchvision calls the same.
KNOWN = {
    "vgg11": {"relu1_1": "features.1", "relu3_2": "features.9", "pool5": "features.20"},
    "vgg13": {"relu2_2": "features.8", "conv5_2": "features.22"},
    "vgg16": {
        "relu1_2": "features.3",
        "relu2_2": "features.8",
        "conv3_3": "features.14",
        "relu3_3": "features.15",
        "relu4_3": "features.22",
        "pool4": "features.23",
        "relu5_3": "features.29",
    },
    "vgg19": {"relu1_1": "features.1", "relu4_1": "features.20", "conv5_4": "features.34", "relu5_4": "features.35"},
    "alexnet": {"conv1": "features.0", "relu2": "features.4", "pool2": "features.5", "relu5": "features.11"},
    "squeezenet1_1": {
        "relu1": "features.1",
        "fire3": "features.4",
        "pool3": "features.5",
        "fire5": "features.7",
        "fire9": "features.12",
    },
    "resnet18": {"conv1": "conv1", "relu": "relu", "layer1": "layer1", "layer2.0": "layer2.0", "layer4": "layer4"},
    "resnet34": {"layer2": "layer2", "layer3.4": "layer3.4"},
    "resnet50": {"bn1": "bn1", "layer1": "layer1", "layer3": "layer3"},
    "resnet101": {"layer3.21": "layer3.21", "layer3": "layer3"},
}


def picture(height: int = 64, width: int = 80, count: int = 2) -> torch.Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", KNOWN)
def test_every_layer_is_that_of_torchvision_on_the_same_weights(name, tmp_path):
    path = write_random_weights(name, tmp_path)
    backbone = open_backbone(name, layers=tuple(KNOWN[name]), weights=path)
    with torch.device("meta"):
        theirs = getattr(models, name)(weights=None).eval()
    theirs.load_state_dict(read_weights(path), strict=False, assign=True)
    if hasattr(theirs, "classifier"):
        theirs.avgpool, theirs.classifier = nn.Identity(), nn.Identity()  # unused, and without weights
    else:
        theirs.fc = nn.Identity()
    for layer in theirs.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # or it overwrites the layer before, which is taken too
    extract = create_feature_extractor(theirs, return_nodes={place: layer for layer, place in KNOWN[name].items()})
    rgb = picture()
    mean, spread = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_SPREAD))
    found, wanted = backbone(rgb), extract((rgb - mean) / spread)
    assert found.keys() == wanted.keys()
    for layer, features in wanted.items():
        assert features.std() > 0.01, layer  # or equality would mean nothing
        assert torch.allclose(found[layer], features, rtol=1e-5, atol=1e-5), layer


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_features_are_those_of_piq_on_the_same_weights(name, tmp_path, monkeypatch):
    piq = pytest.importorskip("piq.perceptual")
    path = write_random_weights(name, tmp_path)

    def made_up(**_: object) -> nn.Module:
        with torch.device("meta"):
            network = getattr(models, name)(weights=None)
        network.load_state_dict(read_weights(path), strict=False, assign=True)
        return network

    monkeypatch.setattr(piq, name, made_up)
    # After ReLU only: theirs overwrites what comes before it.
    layers = ("relu3_3", "relu4_3") if name == "vgg16" else ("relu3_4", "relu5_4")
    theirs = piq.ContentLoss(feature_extractor=name, layers=layers, weights=[1.0, 1.0]).get_features(picture())
    ours = open_backbone(name, layers=layers, weights=path)(picture())
    for layer, features in zip(layers, theirs, strict=True):
        assert torch.allclose(ours[layer], features, rtol=1e-5, atol=1e-5), layer


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("vgg19", {"relu1_1": 1, "relu2_1": 2, "conv3_4": 4, "relu4_1": 8, "relu5_1": 16}),
        ("alexnet", {"relu1": 4, "relu2": 8, "relu5": 16}),
        ("squeezenet1_1", {"relu1": 2, "fire3": 4, "fire5": 8, "fire9": 16}),
        ("resnet18", {"relu": 2, "layer1": 4, "layer2": 8, "layer4": 32}),
    ],
)
def test_strides_are_the_pixels_between_features(name, strides, tmp_path):
    backbone = open_backbone(name, layers=tuple(strides), weights=write_random_weights(name, tmp_path))
    assert backbone.strides == strides
    for layer, features in backbone(picture(256, 320, 1)).items():
        for pixels, size in zip((256, 320), features.shape[-2:], strict=True):
            assert abs(pixels / strides[layer] - size) <= 2, layer  # AlexNet and SqueezeNet lose what is at borders


@pytest.mark.parametrize("name", ["vgg16", "alexnet", "squeezenet1_1", "resnet18", "wct16x"])
def test_the_smallest_size_is_taken_and_less_is_refused(name, tmp_path):
    layer = {"vgg16": "pool5", "alexnet": "pool5", "squeezenet1_1": "fire9", "resnet18": "layer4"}.get(name, "relu5_1")
    backbone = open_backbone(name, layers=[layer], weights=write_random_weights(name, tmp_path))
    side = backbone.smallest
    assert backbone(picture(side, side))[layer].numel()
    with pytest.raises(
        ValueError, match=f"{name}: got {side}x{side - 1}, wanted sides of at least {side} px for {layer}"
    ):
        backbone(picture(side - 1, side))
    with pytest.raises(RuntimeError):
        backbone.body(picture(side - 1, side))


def test_layers_come_in_the_order_asked_for_and_deeper_ones_are_not_built(tmp_path):
    path = write_random_weights("vgg16", tmp_path)
    backbone = open_backbone("vgg16", layers=["relu2_1", "relu1_2"], weights=path)
    assert list(backbone(picture())) == ["relu2_1", "relu1_2"] == list(backbone.layers)
    assert sum(value.numel() for value in backbone.parameters()) == 1792 + 36928 + 73856


def test_a_file_needs_no_more_than_the_layers_that_are_run(tmp_path):
    weights = {key: value for key, value in random_weights("vgg16").items() if int(key.split(".")[1]) <= 2}
    torch.save(weights, tmp_path / "part.pth")
    assert open_backbone("vgg16", layers=["relu1_2"], weights=tmp_path / "part.pth")(picture())["relu1_2"].any()
    with pytest.raises(
        VidpercError, match=r"part.pth: holds no weights of vgg16: features\.5\.weight is absent, wanted"
    ):
        open_backbone("vgg16", layers=["relu2_1"], weights=tmp_path / "part.pth")


def test_no_weights_are_trained_and_gradients_reach_the_pictures():
    backbone = small_backbone(4, 5).train()
    assert not backbone.training and not any(value.requires_grad for value in backbone.parameters())
    rgb = picture().requires_grad_()
    sum(features.square().mean() for features in backbone(rgb).values()).backward()
    assert rgb.grad is not None and rgb.grad.any()
    double = small_backbone(4, 5).double()
    inputs = picture(17, 18, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(double(x).values()), inputs, fast_mode=True)


def test_a_layer_before_relu_is_not_overwritten(tmp_path):
    path = write_random_weights("vgg16", tmp_path)
    found = open_backbone("vgg16", layers=["conv1_1", "relu1_1"], weights=path)(picture())
    assert (found["conv1_1"] < 0).any() and torch.equal(found["conv1_1"].relu(), found["relu1_1"])


def test_autocast_lowers_the_layers_but_not_the_normalisation():
    backbone = small_backbone(4, 5)
    seen: list[torch.dtype] = []
    backbone.body.register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    rgb = picture().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = backbone(rgb)
    assert seen == [torch.float32] and {features.dtype for features in found.values()} == {torch.bfloat16}
    sum(features.float().square().mean() for features in found.values()).backward()
    assert rgb.grad is not None and rgb.grad.isfinite().all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.rand(1, 3, 32, 32) * 255, r"made-up: got values from .* wanted RGB in \[0,1\]"),
        (torch.rand(1, 3, 32, 32) * 2 - 1, r"made-up: got values from -"),
        (torch.full((1, 3, 32, 32), torch.nan), "made-up: got values from nan"),
        (torch.rand(3, 32, 32), r"made-up: got \(3, 32, 32\) torch.float32, wanted \(N,3,H,W\) floats"),
        (torch.rand(1, 1, 32, 32), r"made-up: got \(1, 1, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "made-up: .*uint8, wanted"),
    ],
)
def test_what_is_no_picture_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        small_backbone(4)(given)


def test_unknown_networks_and_layers_are_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(VidpercError, match=f"unknown backbone 'vgg', wanted one of {', '.join(BACKBONES)}"):
        open_backbone("vgg", layers=["relu1_1"])
    with pytest.raises(VidpercError, match=r"alexnet: no layer 'relu6', wanted some of conv1, relu1, pool1, conv2, .*"):
        open_backbone("alexnet", layers=["relu1", "relu6"])
    for layers in ([], ["relu1", "relu1"]):
        with pytest.raises(VidpercError, match=r"alexnet: got layers .*, wanted each once"):
            open_backbone("alexnet", layers=layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_weights_it_says_what_to_fetch_and_where_to_put_it(name, tmp_path):
    layer = "conv1_1" if name.startswith(("vgg", "wct")) else "conv1"
    url = re.escape(NETWORKS[name].weights.url)
    with pytest.raises(
        VidpercError, match=rf"{re.escape(str(tmp_path))}.*: not found, .*{name}.*; fetch {url} and put"
    ):
        open_backbone(name, layers=[layer], weights=tmp_path)


def test_weights_that_are_no_numbers_or_of_another_network_are_refused(tmp_path):
    weights = random_weights("alexnet")
    weights["features.0.bias"][0] = torch.nan
    torch.save(weights, tmp_path / "net.pth")
    with pytest.raises(VidpercError, match=r"net.pth: holds weights that are not numbers \(features\.0\.bias\)"):
        open_backbone("alexnet", layers=["relu1"], weights=tmp_path / "net.pth")
    with pytest.raises(
        VidpercError, match=r"holds no weights of vgg16: features\.0\.weight is \(64, 3, 11, 11\), wanted"
    ):
        open_backbone("vgg16", layers=["relu1_1"], weights=tmp_path / "net.pth")


# ---- the compressed encoder ----


@needs_data
def test_the_compressed_encoder_is_the_program_of_its_authors():
    """Written anew here, from their forward pass: mirrored borders, ReLU after every layer, 1x1 layers beside."""
    assert TEST_DATA is not None
    layers = tuple(f"relu{block}_1" for block in range(1, 6))
    backbone = open_backbone("wct16x", layers=layers, weights=TEST_DATA / "weights")
    weights = read_weights(TEST_DATA / "weights" / "wct16x" / "5SE.pth")

    def convolved(features: torch.Tensor, name: str) -> torch.Tensor:
        pad = weights[f"{name}.weight"].shape[-1] // 2
        features = nn.functional.pad(features, (pad,) * 4, mode="reflect") if pad else features
        return nn.functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"])

    rgb = picture(70, 82, 1)
    features, wanted = convolved(rgb, "conv0"), {}
    for block, places in enumerate((2, 2, 4, 4, 1), 1):
        for place in range(1, places + 1):
            features = convolved(features, f"conv{block}{place}").relu()
            if place == 1:
                wanted[f"relu{block}_1"] = convolved(features, f"conv{block}1_aux").relu()
        features = nn.functional.max_pool2d(features, 2)
    found = backbone(rgb)
    assert [found[layer].shape[1] for layer in layers] == [64, 128, 256, 512, 512]
    for layer in layers:
        assert wanted[layer].any() and torch.allclose(found[layer], wanted[layer], rtol=1e-5, atol=1e-5), layer


@needs_data
def test_the_compressed_encoder_tells_textures_apart():
    """A picture's features are nearer to those of itself under slight noise than to those of another picture."""
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    assert TEST_DATA is not None
    paths = sorted((TEST_DATA / "images" / "tid2013_pairs").glob("*_ref.png"))[:2]
    one, other = (pil_to_tensor(Image.open(path).convert("RGB"))[None, :, :256, :256] / 255 for path in paths)
    backbone = open_backbone("wct16x", layers=["relu4_1"], weights=TEST_DATA / "weights")
    noise = 0.02 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    features = [backbone(rgb)["relu4_1"] for rgb in (one, one + noise, other)]
    near, far = ((features[0] - theirs).square().mean() for theirs in features[1:])
    assert near < 0.2 * far


# ---- transformers, an extra ----


@pytest.fixture
def vit_file(tmp_path):
    timm = pytest.importorskip("timm", reason="the extra backbones is not installed")
    from vidperc.perception.vit import VITS

    def write(name: str) -> tuple[Path, nn.Module]:
        torch.manual_seed(0)
        network = timm.create_model(VITS[name], pretrained=False, num_classes=0, dynamic_img_size=True).eval()
        torch.save(network.state_dict(), tmp_path / f"{VITS[name]}.pt")
        return tmp_path / f"{VITS[name]}.pt", network

    return write


@pytest.mark.parametrize(("name", "patch"), [("dino", 16), ("clip", 16), ("dinov2", 14)])
def test_blocks_are_those_of_timm_on_the_same_weights(name, patch, vit_file):
    path, theirs = vit_file(name)
    backbone = open_backbone(name, layers=["block12", "block3"], weights=path)
    rgb = picture(4 * patch, 6 * patch, 1)
    mean, spread = (torch.tensor(theirs.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    wanted = theirs.forward_intermediates((rgb - mean) / spread, indices=[2, 11], intermediates_only=True)
    found = backbone(rgb)
    assert list(found) == ["block12", "block3"] and backbone.strides == {"block12": patch, "block3": patch}
    assert torch.allclose(found["block3"], wanted[0], atol=1e-5)
    assert torch.allclose(found["block12"], wanted[1], atol=1e-5)
    assert backbone(picture(4 * patch + 3, 6 * patch - 5, 1))["block3"].shape == wanted[0].shape


def test_transformers_say_what_they_lack(vit_file, tmp_path, monkeypatch):
    path, _ = vit_file("dino")
    with pytest.raises(VidpercError, match="dino: no layer 'block13', wanted some of block1, block2"):
        open_backbone("dino", layers=["block13"], weights=path)
    with pytest.raises(
        VidpercError, match=r"\.safetensors: not found, and clip needs it; fetch https://huggingface\.co"
    ):
        open_backbone("clip", layers=["block1"], weights=tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(VidpercError, match="dino: wanted the package timm; pip install 'vidperc\\[backbones\\]'"):
        open_backbone("dino", layers=["block1"], weights=path)
