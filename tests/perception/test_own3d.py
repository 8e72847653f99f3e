from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.perception.own3d import STRIDES, WIDTHS, Own3d, own3d_card, read_own3d


@pytest.fixture
def network() -> Own3d:
    torch.manual_seed(0)
    own = Own3d()
    for parameter in own.parameters():  # none at zero, as a new one has some
        nn.init.normal_(parameter, 0, 0.1)
    return own.eval().requires_grad_(False)


def clip_of(count: int, frames: int, height: int, width: int) -> Tensor:
    return torch.rand(count, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


def in_three_dimensions(network: Own3d, clip: Tensor) -> dict[str, Tensor]:
    """The same layers as plain 3D convolutions."""
    weights = network.state_dict()

    def space(x: Tensor, name: str, stride: int) -> Tensor:
        kernel = weights[f"{name}.weight"][:, :, None]  # (out, in, 1, k, k)
        half = kernel.shape[-1] // 2
        return F.conv3d(x, kernel, weights[f"{name}.bias"], stride=(1, stride, stride), padding=(0, half, half))

    def time(x: Tensor, name: str, every: int) -> Tensor:
        kernel = weights[f"{name}.weight"][..., None]  # (out, in, 3, 1, 1)
        return F.conv3d(x, kernel, weights[f"{name}.bias"], stride=(every, 1, 1), padding=(1, 0, 0))

    def both(x: Tensor, name: str, stride: int, every: int) -> Tensor:
        return time(space(x, f"{name}.space", stride).relu(), f"{name}.time", every)

    x = (clip.transpose(1, 2) - 0.45) / 0.225  # (N, 3, T, H, W)
    change = 4 * (x - torch.cat([x[:, :, :1], x[:, :, :-1]], dim=2))
    x = torch.cat([x, change], dim=1)
    found = {"stem": both(x, "stem", 2, 1).relu()}
    x = found["stem"]
    for name, every in (("layer1", 1), ("layer2", 2), ("layer3", 2)):
        inner = both(both(x, f"{name}.first", 2, every).relu(), f"{name}.second", 1, 1)
        x = (inner + space(x[:, :, ::every], f"{name}.around", 2)).relu()
        found[name] = x
    return found


@pytest.mark.parametrize("size", [(2, 16, 64, 48), (1, 5, 33, 41)])
def test_it_is_the_network_of_plain_3d_convolutions(network: Own3d, size: tuple[int, int, int, int]) -> None:
    clip = clip_of(*size)
    plain = in_three_dimensions(network, clip)
    for name, features in network(clip).items():
        # Sums of many terms that cancel: how far rounding goes depends on the largest of them, and on the processor.
        torch.testing.assert_close(features, plain[name], rtol=0, atol=1e-5 * float(plain[name].abs().max()))


def test_layers_have_the_widths_and_strides_that_are_announced(network: Own3d) -> None:
    for name, features in network(clip_of(1, 10, 50, 70)).items():
        every, stride = STRIDES[name]
        assert tuple(features.shape) == (
            1,
            WIDTHS[name],
            *(-(-n // s) for n, s in ((10, every), (50, stride), (70, stride))),
        )


def test_a_place_depends_on_26_frames_and_89_pixels_around_it(network: Own3d) -> None:
    clip = clip_of(1, 49, 193, 193).requires_grad_()
    place = network(clip)["layer3"][0, :, 6, 6, 6].sum()
    (gradient,) = torch.autograd.grad(place, clip)
    frames, rows, columns = (
        gradient.abs().sum(dim=[axis for axis in range(5) if axis != kept]).nonzero() for kept in (1, 3, 4)
    )
    assert int(frames.max() - frames.min()) + 1 == 26
    assert int(rows.max() - rows.min()) + 1 == 89
    assert int(columns.max() - columns.min()) + 1 == 89


def test_no_layer_is_run_that_nobody_waits_for(network: Own3d) -> None:
    network.layer2 = nn.Identity()  # would fail, called with two arguments
    assert next(name for name, _ in network.steps(clip_of(1, 4, 32, 32))) == "stem"
    steps = network.steps(clip_of(1, 4, 32, 32))
    assert [next(steps)[0], next(steps)[0]] == ["stem", "layer1"]
    with pytest.raises(TypeError):
        next(steps)


def test_a_file_gives_back_its_weights_in_float32(network: Own3d, tmp_path: Path) -> None:
    path = written(network, tmp_path)
    read = read_own3d(path)
    for name, value in read.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, network.state_dict()[name].half().float(), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in read.parameters())
    assert own3d_card(path).figures == "measured"


def test_files_of_other_networks_and_damaged_ones_are_refused(network: Own3d, tmp_path: Path) -> None:
    absent = tmp_path / "absent.safetensors"
    with pytest.raises(VidpercError, match="no such file, wanted the weights of own-3d"):
        read_own3d(absent)
    path = written(network, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VidpercError, match="cannot be read as weights"):
        read_own3d(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(VidpercError, match="holds no weights of own-3d"):
        read_own3d(path)
    path = written(network, tmp_path, leave_out="stem.space.bias")
    with pytest.raises(VidpercError, match=r"stem.space.bias has the shape None, wanted \(24,\)"):
        read_own3d(path)


def written(network: Own3d, folder: Path, *, leave_out: str = "") -> Path:
    path = folder / "net.safetensors"
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items() if name != leave_out}
    facts = ("name", "summary", "licence", "data", "command")
    save_file(
        weights,
        path,
        metadata={
            "architecture": "own-3d",
            "parameters": "1",
            "steps": "2",
            "seed": "3",
            "figures": "measured",
            **{fact: fact for fact in facts},
        },
    )
    return path
