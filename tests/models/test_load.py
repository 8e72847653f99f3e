from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.load import load_model
from vidperc.ops.resize import Kernel, resize
from vidperc.placement import Placement, Precision

DATA = os.environ.get("VIDPERC_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="VIDPERC_TEST_DATA does not name the folder of test weights")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
# Elsewhere torch convolves with other libraries, which may choose their kernel by the size of the frame.
needs_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="not an x86 processor")

CPU = Placement()


def compact() -> nn.Module:
    from spandrel.architectures.Compact import Compact

    return Compact(num_feat=8, num_conv=3, upscale=2)


def esrgan(*, shuffle_factor: int | None = None) -> nn.Module:
    from spandrel.architectures.ESRGAN import ESRGAN

    channels = 3 * (shuffle_factor or 1) ** 2
    return ESRGAN(in_nc=channels, num_filters=8, num_blocks=1, scale=4, shuffle_factor=shuffle_factor)


def span() -> nn.Module:
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)


def swinir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        img_size=16,
        window_size=8,
        depths=(2,),
        embed_dim=12,
        num_heads=(2,),
        mlp_ratio=2,
        upsampler="pixelshuffledirect",
        upscale=2,
    )


def saved(network: nn.Module, folder: Path) -> str:
    """The path of the network's weights, made up at random but always the same."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.01 * torch.randn(parameter.shape, generator=generator)
    file = folder / "net.pth"
    torch.save(network.state_dict(), file)
    return str(file)


def frames(height: int, width: int, count: int = 1) -> Tensor:
    """Noise over a gradient, so that places differ from one another by more than chance."""
    noise = torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(2))
    return 0.6 * noise + 0.4 * torch.linspace(0, 1, width)


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_weights_every_time() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # test workers share the cores, and waiting threads take time from one another
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
def test_resampling_is_the_resize_of_the_house(kernel: Kernel) -> None:
    model = load_model(kernel, 3, CPU)
    assert model.card.scale == 3
    assert torch.equal(model(frames(20, 31, count=2)), resize(frames(20, 31, count=2), (60, 93), kernel))


def test_scale_one_resampling_changes_nothing() -> None:
    assert torch.equal(load_model("lanczos", 1, CPU)(frames(9, 7)), frames(9, 7))


@pytest.mark.parametrize("build", [compact, esrgan, span])
def test_a_network_gives_what_its_layers_give(build: type[nn.Module], tmp_path: Path) -> None:
    network = build().eval()
    model = load_model(saved(network, tmp_path), None, CPU)
    made = model(frames(20, 31, count=2))
    with torch.no_grad():
        wanted = network(frames(20, 31, count=2))
    assert made.dtype == torch.float32
    assert made.is_contiguous()
    assert not made.requires_grad
    # The order in memory chooses other kernels, whose sums round differently.
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-4)


def test_the_picture_is_not_clamped(tmp_path: Path) -> None:
    made = load_model(saved(compact(), tmp_path), None, CPU)(2 * frames(20, 31) - 0.5)
    assert float(made.min()) < 0
    assert float(made.max()) > 1


def test_the_same_weights_give_equal_frames_from_every_kind_of_file(tmp_path: Path) -> None:
    weights = compact().half().state_dict()
    torch.save({"params_ema": weights}, tmp_path / "a.pth")
    save_file(weights, tmp_path / "b.safetensors")
    torch.save({name: tensor.float() for name, tensor in weights.items()}, tmp_path / "c.pt")
    first, second, third = (load_model(str(file), None, CPU)(frames(24, 18)) for file in sorted(tmp_path.iterdir()))
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_a_frame_does_not_depend_on_the_frames_beside_it(tmp_path: Path) -> None:
    model = load_model(saved(span(), tmp_path), None, CPU)
    together = model(frames(24, 18, count=4))
    for index in range(4):
        assert torch.equal(together[index], model(frames(24, 18, count=4)[index : index + 1])[0])
    assert model(frames(24, 18)[:0]).shape == (0, 3, 48, 36)


@pytest.mark.parametrize("size", [(13, 21), (1, 1), (2, 40), (16, 17)])
def test_any_size_goes_through_a_network_that_wants_certain_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    for network in (swinir(), esrgan(shuffle_factor=2)):
        model = load_model(saved(network, tmp_path), None, CPU)
        made = model(frames(*size))
        assert made.shape == (1, 3, 2 * size[0], 2 * size[1])
        assert bool(made.isfinite().all())


def test_padding_continues_the_frame_by_its_mirror_image(tmp_path: Path) -> None:
    network = esrgan(shuffle_factor=2).eval()
    made = load_model(saved(network, tmp_path), None, CPU)(frames(22, 33))
    with torch.no_grad():
        wanted = network(F.pad(frames(22, 33), (0, 3, 0, 2), mode="reflect"))
    torch.testing.assert_close(made, wanted[..., :44, :66], atol=1e-4, rtol=1e-4)  # another order in memory


@needs_x86
@pytest.mark.parametrize("tile", [16, 37, 64])
@pytest.mark.parametrize("shuffle_factor", [None, 2])
def test_tiles_give_the_bits_of_the_whole_frame(tile: int, shuffle_factor: int | None, tmp_path: Path) -> None:
    file = saved(esrgan(shuffle_factor=shuffle_factor), tmp_path)
    whole = load_model(file, None, CPU)(frames(83, 91))
    tiled = load_model(file, None, Placement(tile=tile))
    assert tiled.card.reach is not None
    assert torch.equal(tiled(frames(83, 91)), whole)


@needs_x86
def test_tiles_give_the_bits_of_the_whole_frame_in_bfloat16_too(tmp_path: Path) -> None:
    file = saved(compact(), tmp_path)
    whole = load_model(file, None, Placement(precision="bfloat16"))(frames(83, 91))
    assert torch.equal(load_model(file, None, Placement(precision="bfloat16", tile=37))(frames(83, 91)), whole)


@pytest.mark.parametrize("tile", [16, 64])
def test_tiles_through_smooth_activations_differ_by_rounding_only(tile: int, tmp_path: Path) -> None:
    file = saved(span(), tmp_path)
    whole = load_model(file, None, CPU)(frames(83, 91))
    # torch computes a SiLU's last few numbers by another exponential, so places in memory round differently.
    torch.testing.assert_close(load_model(file, None, Placement(tile=tile))(frames(83, 91)), whole, atol=1e-5, rtol=0)


def test_a_network_that_looks_everywhere_is_not_cut_into_tiles(tmp_path: Path) -> None:
    file = saved(swinir(), tmp_path)
    tiled = load_model(file, None, Placement(tile=32))
    assert not tiled.card.tileable
    assert torch.equal(tiled(frames(83, 91)), load_model(file, None, CPU)(frames(83, 91)))


@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 0.02), ("float16", 0.002)])
def test_lower_precision_gives_nearly_the_same_picture(precision: Precision, bound: float, tmp_path: Path) -> None:
    file = saved(compact(), tmp_path)
    exact = load_model(file, None, CPU)(frames(24, 18))
    made = load_model(file, None, Placement(precision=precision))(frames(24, 18))
    assert made.dtype == torch.float32
    # A few roundings to 8 or 11 bits of mantissa in a network of 4 layers.
    torch.testing.assert_close(made, exact, atol=bound, rtol=0)


def test_the_picture_keeps_its_bits_when_the_network_computes_in_bfloat16(tmp_path: Path) -> None:
    network = compact()
    for parameter in network.parameters():
        parameter.data.zero_()  # it adds nothing to the frame, which it repeats at double size
    torch.save(network.state_dict(), tmp_path / "nothing.pth")
    made = load_model(str(tmp_path / "nothing.pth"), None, Placement(precision="bfloat16"))(frames(24, 18))
    assert torch.equal(made, F.interpolate(frames(24, 18), scale_factor=2, mode="nearest"))


def test_precision_of_one_model_leaves_the_next_one_alone(tmp_path: Path) -> None:
    file = saved(compact(), tmp_path)
    before = load_model(file, None, CPU)(frames(24, 18))
    load_model(file, None, Placement(precision="bfloat16"))(frames(24, 18))
    assert torch.equal(load_model(file, None, CPU)(frames(24, 18)), before)


def test_an_unsafe_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VidpercError) as refused:
        load_model(saved(swinir(), tmp_path), None, Placement(precision="float16"))
    assert str(refused.value) == (
        "net: SwinIR networks do not work in float16, wanted float32 or bfloat16; use --precision float32"
    )


@pytest.mark.parametrize("wrong", [frames(8, 8)[0], frames(8, 8)[:, :2], frames(8, 8).double()])
def test_what_is_no_frames_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="wanted"):
        load_model("bicubic", 2, CPU)(wrong)


@needs_data
@needs_x86
@pytest.mark.parametrize(
    ("name", "reach"),
    [("4xLSDIRCompactC3", 18), ("realesr-animevideov3-x4", 18), ("RealESRGAN_General_x4_v3", 34)],
)
def test_tiles_of_real_weights_give_the_bits_of_the_whole_frame(name: str, reach: int) -> None:
    file = f"{DATA}/weights/srvgg/{name}.fp16.pth"
    whole = load_model(file, 4, CPU)
    assert (whole.card.scale, whole.card.reach) == (4, reach)
    wanted = whole(frames(79, 93))
    for tile in (16, 37, 64):
        assert torch.equal(load_model(file, 4, Placement(tile=tile))(frames(79, 93)), wanted)


@needs_data
def test_real_weights_enlarge_a_smooth_picture_faithfully() -> None:
    model = load_model(f"{DATA}/weights/srvgg/RealESRGAN_General_x4_v3.fp16.pth", None, CPU)
    ramp = torch.linspace(0.1, 0.9, 48)
    red, green, blue = ramp.expand(48, 48), ramp[:, None].expand(48, 48), torch.full((48, 48), 0.3)
    picture = torch.stack([red, green, blue])[None]  # (1,3,48,48)
    wanted = resize(picture, (192, 192), "bicubic")
    made = model(picture)[..., 8:-8, 8:-8]
    assert float((made - wanted[..., 8:-8, 8:-8]).abs().max()) < 0.05  # far from a mistake in range or channel order


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("tile", [0, 48])
def test_a_gpu_gives_nearly_the_picture_of_the_cpu(precision: Precision, tile: int, tmp_path: Path) -> None:
    file = saved(compact(), tmp_path)
    made = load_model(file, None, Placement(device="cuda:0", precision=precision, tile=tile))(frames(87, 121, count=2))
    assert made.device.type == "cuda"
    assert made.dtype == torch.float32
    wanted = load_model(file, None, CPU)(frames(87, 121, count=2))
    # TF32 in float32 and the 8 bits of bfloat16 set the bound.
    torch.testing.assert_close(made.cpu(), wanted, atol=0.02, rtol=0)
