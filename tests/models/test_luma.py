from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tests.clips import TEST_DATA
from vidperc.models.folded import FoldedConv, convolve_relu
from vidperc.models.luma import LumaShape, RunningLuma, TrainableLuma
from vidperc.models.own_card import shipped_path
from vidperc.models.weights import LumaNetwork, read_network
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_weights_every_time() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(scale: int = 2, *, channels: int = 12, depth: int = 2, expand: int = 2) -> TrainableLuma:
    """One whose every weight counts; some branches begin at zero."""
    made = TrainableLuma(LumaShape(scale=scale, channels=channels, depth=depth), expand=expand)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return made


def added(made: TrainableLuma, luma: Tensor, *, precision: torch.dtype = torch.float32, tile: int = 0) -> Tensor:
    """What the running network adds to zeros, (1,1,h*s,w*s)."""
    running = RunningLuma(made.shape, made.folded(), precision=precision, device=CPU)
    out = torch.zeros(1, 1, *(made.shape.scale * side for side in luma.shape[2:]))
    running.add_to(out, luma, tile=tile)
    return out


def reference(made: TrainableLuma, luma: Tensor) -> Tensor:
    """The same by plain convolutions."""
    weights = made.folded()
    x = luma - 0.5
    last = len(weights) // 2 - 1
    for place in range(last + 1):
        x = F.conv2d(x, weights[f"{place}.weight"], weights[f"{place}.bias"], padding=1)
        x = x if place == last else F.relu(x)
    return F.pixel_shuffle(x, made.shape.scale)


def frame(height: int = 37, width: int = 50) -> Tensor:
    return torch.rand(1, 1, height, width)


@pytest.mark.parametrize("expand", [0, 2])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_shape_counts_parameters_and_reach_of_what_runs(scale: int, expand: int) -> None:
    made = network(scale, expand=expand)
    assert made.shape.parameters == sum(tensor.numel() for tensor in made.folded().values())
    luma = frame().requires_grad_()
    # In float64, where nothing is rounded to zero, and with every ReLU open, so that nothing is cut off.
    out = made.double()
    x = luma.double()
    for layer in out.convolutions():
        x = F.conv2d(x, layer.kernel(), layer.bias, padding=1)
    x[0, 0, 20, 25].backward()
    assert luma.grad is not None
    rows, columns = luma.grad[0, 0].nonzero().T
    reach = made.shape.reach
    assert (int(rows.min()), int(rows.max())) == (20 - reach, 20 + reach)
    assert (int(columns.min()), int(columns.max())) == (25 - reach, 25 + reach)


def test_the_folded_kernel_is_the_sum_of_its_branches() -> None:
    layer = FoldedConv(5, 7, 3).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    x = torch.randn(2, 5, 9, 11, dtype=torch.float64)
    branches = F.conv2d(x, layer.weight, padding=1)
    branches = branches + F.conv2d(F.conv2d(x, layer.wide, padding=1), layer.narrow[:, :, None, None])
    for mask, mix in zip(layer.masks, layer.edges, strict=True):
        edges = F.conv2d(x, mask.expand(5, 1, 3, 3), padding=1, groups=5)
        branches = branches + F.conv2d(edges, mix[:, :, None, None])
    folded = F.conv2d(x, layer.kernel(), padding=1)
    torch.testing.assert_close(folded, branches, atol=1e-12, rtol=1e-12)


def test_a_kernel_without_branches_is_its_weight() -> None:
    layer = FoldedConv(3, 4, 0)
    assert layer.kernel() is layer.weight
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_the_names_in_checkpoints_stay() -> None:
    """Trainings go on from files that hold them."""
    names = [name for name, _ in network(depth=0).named_parameters()]
    kinds = ("weight", "bias", "wide", "narrow", "edges")
    assert names == [f"layers.{place}.{kind}" for place in range(2) for kind in kinds]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_running_network_is_plain_convolutions_and_relu(scale: int) -> None:
    made, luma = network(scale), frame()
    torch.testing.assert_close(added(made, luma), reference(made, luma), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_running_network_adds_to_what_is_there(scale: int) -> None:
    made, luma = network(scale), frame()
    base = resize(luma, (scale * 37, scale * 50), "bicubic")
    out = base.clone()
    RunningLuma(made.shape, made.folded(), precision=torch.float32, device=CPU).add_to(out, luma, tile=0)
    assert torch.equal(out, base + added(made, luma))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [2, 4])
def test_tiles_give_the_bits_of_the_whole_frame(scale: int, precision: torch.dtype) -> None:
    made, luma = network(scale), frame()
    whole = added(made, luma, precision=precision)
    for tile in (8, 16, 40, 100):
        assert torch.equal(added(made, luma, precision=precision, tile=tile), whole)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_without_fused_kernels_the_network_gives_the_same(
    precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, luma = network(), frame()
    fused = added(made, luma, precision=precision)
    monkeypatch.setattr("vidperc.models.luma.fuses", lambda _: False)
    # One rounding to 8 bits more where the ReLU is a step of its own; none in float32 but for the order of sums.
    bound = 2e-6 if precision == torch.float32 else 0.02 * float(fused.abs().max())
    torch.testing.assert_close(added(made, luma, precision=precision), fused, atol=bound, rtol=0)


def test_the_trainable_network_gives_what_the_running_one_gives() -> None:
    made, luma = network(), frame()
    with torch.no_grad():
        trained = F.pixel_shuffle(made(luma), 2)
    assert trained.dtype == torch.float32
    running = added(made, luma, precision=torch.bfloat16)
    # Equal where both use the same kernels; elsewhere the last of three layers may round its 8 bits the other way.
    torch.testing.assert_close(trained, running, atol=0.01 * float(running.abs().max()), rtol=0)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"avx512_f": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "amx_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_training_is_in_bfloat16_only_where_the_processor_has_it(
    found: dict[str, bool], wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    computed: list[torch.dtype] = []
    made = network()
    monkeypatch.setattr(
        "vidperc.models.folded.convolve_relu", lambda x, *rest: computed.append(x.dtype) or convolve_relu(x, *rest)
    )
    details = made(frame())
    assert set(computed) == {wanted} and details.dtype == torch.float32


@pytest.mark.parametrize("fused", [True, False])
def test_the_gradients_of_the_fused_layer_are_those_of_its_parts(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fused:
        monkeypatch.setattr("vidperc.models.folded.fuses", lambda _: False)
    x, weight, bias = torch.randn(2, 5, 9, 11), torch.randn(7, 5, 3, 3), torch.randn(7)
    weighting = torch.randn(2, 7, 9, 11)

    def gradients(layer: str) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
        y = convolve_relu(*leaves) if layer == "fused" else F.relu(F.conv2d(*leaves, padding=1))
        (weighting * y).sum().backward()
        return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    for ours, plain in zip(gradients("fused"), gradients("plain"), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-5)


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """An RGB photograph that no network of ours learnt from, (1,3,H,W) in [0,1], sides multiples of 4."""
    if TEST_DATA is None:
        pytest.skip("VIDPERC_TEST_DATA is not set; it names the folder of test images")
    with Image.open(TEST_DATA / "images" / "kodak24" / "kodim05.png") as image:
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", ["fast-x2", "fast-x4"])
def test_bfloat16_gives_the_codes_of_float32_or_their_neighbours(name: str, photograph: Tensor) -> None:
    shipped = read_network(shipped_path(name))
    assert isinstance(shipped, LumaNetwork)
    large = rgb_luma(photograph)
    height, width = large.shape[2:]
    scale = shipped.shape.scale
    small = resize(large, (height // scale, width // scale), "bicubic").mul(255).round().div(255).clamp(0, 1)
    codes: list[Tensor] = []
    for precision in (torch.float32, torch.bfloat16):
        out = resize(small, (height, width), "bicubic")
        RunningLuma(shipped.shape, shipped.weights, precision=precision, device=CPU).add_to(out, small, tile=0)
        codes.append(out.mul(255).round().clamp(0, 255))
    exact, short = codes
    assert float(((exact - short).abs() <= 1).double().mean()) >= 0.995
    psnr = [20 * torch.log10(255 / (made - 255 * large).double().square().mean().sqrt()) for made in codes]
    assert abs(float(psnr[0] - psnr[1])) < 0.02
