from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.reach import find_reach


def reach(network: nn.Module, *, scale: int = 1, multiple_of: int = 1, minimum: int = 1) -> int | None:
    network = network.double().eval()
    return find_reach(network, network, scale=scale, multiple_of=multiple_of, minimum=minimum)


def conv(size: int | tuple[int, int] = 3, *, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(3, 3, size, dilation=dilation, padding="same")


@pytest.mark.parametrize(
    ("layers", "scale", "wanted"),
    [
        ([conv(1), nn.PReLU()], 1, 0),
        ([conv(), nn.ReLU(), conv()], 1, 2),
        ([conv(5), nn.GELU(), conv(dilation=4)], 1, 6),
        ([conv((1, 7)), conv((3, 1))], 1, 3),
        ([conv(), nn.Upsample(scale_factor=2), conv()], 2, 2),
        ([nn.Upsample(scale_factor=4), conv(), conv()], 4, 1),
    ],
)
def test_reach_is_what_the_kernels_add_up_to(layers: list[nn.Module], scale: int, wanted: int) -> None:
    torch.manual_seed(0)
    assert reach(nn.Sequential(*layers), scale=scale) == wanted


@pytest.mark.parametrize("count", [16, 32, 50])
def test_deep_networks_are_followed_to_the_last_pixel(count: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*[layer for _ in range(count) for layer in (conv(), nn.ReLU())])
    assert reach(network) == count


def test_weights_of_zero_do_not_shorten_the_reach() -> None:
    network = nn.Sequential(conv(), nn.ReLU(), conv())
    for parameter in network.parameters():
        parameter.data.zero_()
    assert reach(network) == 2


def test_the_longer_axis_counts_for_both() -> None:
    assert reach(nn.Sequential(conv((9, 1)))) == 4
    assert reach(nn.Sequential(conv((1, 9)))) == 4


class Halving(nn.Sequential):
    """A convolution at half size, up again: its reach depends on where in a pair of pixels one stands."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.ReLU(), conv(), nn.Upsample(scale_factor=2))


def test_strides_are_followed_when_tiles_keep_to_their_multiple() -> None:
    torch.manual_seed(0)
    assert reach(Halving(), multiple_of=2) == 4


def test_strides_are_not_followed_when_tiles_may_start_anywhere() -> None:
    torch.manual_seed(0)
    assert reach(Halving()) is None


class WithMean(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input.mean(dim=(2, 3), keepdim=True)


class WithBlocks(nn.Conv2d):
    """Takes the mean of blocks of 8 pixels, as window attention does: it ends early but is not alike everywhere."""

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[-2:]
        padded = F.pad(input, (0, -width % 8, 0, -height % 8))
        blocks = F.interpolate(F.avg_pool2d(padded, 8), scale_factor=8, mode="nearest")
        return super().forward(input) + blocks[..., :height, :width]


class WithPlaces(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + torch.linspace(0, 1, input.shape[-1], dtype=input.dtype)


@pytest.mark.parametrize("kind", [WithMean, WithBlocks, WithPlaces])
def test_what_a_forward_function_does_beyond_its_layers_is_noticed(kind: type[nn.Conv2d]) -> None:
    torch.manual_seed(0)
    assert reach(kind(3, 3, 3, padding=1)) is None


def test_networks_with_other_layers_are_not_probed() -> None:
    assert reach(nn.Sequential(conv(), nn.InstanceNorm2d(3))) is None
    assert reach(nn.Sequential(conv(), nn.AdaptiveAvgPool2d(1))) is None


def test_a_reach_past_the_largest_strip_is_not_found() -> None:
    assert reach(nn.Sequential(*[conv(31) for _ in range(9)])) is None


def test_a_network_that_refuses_a_strip_is_not_found() -> None:
    assert reach(nn.Sequential(nn.ReflectionPad2d(9), nn.Conv2d(3, 3, 19))) is None
