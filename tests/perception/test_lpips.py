import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.errors import VidpercError
from vidperc.perception.lpips import TRUNKS, Lpips, load_lpips


@pytest.fixture(scope="module")
def small() -> Lpips:
    """LPIPS over a small made-up network."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 12, 3, 2), nn.ReLU())
    return Lpips(layers, (1, 3), [torch.rand(1, 8, 1, 1), torch.rand(1, 12, 1, 1)])


@pytest.fixture(scope="module")
def real() -> Lpips:
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    return load_lpips(TEST_DATA / "weights")


def read(name: str) -> torch.Tensor:
    assert TEST_DATA is not None
    image = np.array(Image.open(TEST_DATA / "images" / "metric" / name).convert("RGB"))
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(("name", "published"), [("ex_p0.png", 0.711), ("ex_p1.png", 0.148)])
def test_squeeze_gives_the_published_example(real, name, published):
    # The published figures have three digits.
    assert real(read("ex_ref.png"), read(name)).item() == pytest.approx(published, abs=0.0006)


def test_half_of_the_pictures_gives_half_of_the_values(real):
    reference, changed = read("ex_ref.png"), torch.cat([read("ex_p0.png"), read("ex_p1.png")])
    both = real(reference.expand(2, -1, -1, -1), changed)
    assert both.shape == (2,)
    each = torch.cat([real(reference, one[None]) for one in changed])
    assert torch.allclose(both, each, atol=1e-5)  # a batch is convolved in another order


def test_equal_pictures_are_at_zero_and_the_order_does_not_matter(small):
    one, other = torch.rand(2, 2, 3, 40, 48)
    assert (small(one, one) == 0).all()
    assert (small(one, other) > 0).all()
    assert torch.allclose(small(one, other), small(other, one), rtol=1e-5)


@pytest.mark.parametrize("picture", [torch.zeros(1, 3, 32, 32), torch.rand(1, 3, 32, 32)])
def test_the_gradient_is_finite_and_zero_at_identity(small, picture):
    changed = picture.clone().requires_grad_()
    small(changed, picture).sum().backward()
    assert (changed.grad == 0).all()


def test_the_gradient_is_finite_where_all_features_are_zero():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    nn.init.constant_(layers[0].bias, -100)  # no feature is ever above zero
    lpips = Lpips(layers, (1,), [torch.ones(1, 4, 1, 1)])
    changed = torch.rand(1, 3, 32, 32).requires_grad_()
    lpips(changed, torch.rand(1, 3, 32, 32)).sum().backward()
    assert changed.grad.isfinite().all()


def test_the_gradient_points_away_from_the_other_picture(small):
    picture = torch.rand(1, 3, 40, 40)
    changed = (picture + 0.1 * torch.rand_like(picture)).requires_grad_()
    before = small(changed, picture)
    before.sum().backward()
    nearer = changed.detach() - 1e-2 * changed.grad / changed.grad.abs().max()
    assert small(nearer, picture) < before
    assert all(not weight.requires_grad for weight in small.parameters())


def test_autocast_changes_nothing(small):
    one, other = torch.rand(2, 1, 3, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = small(one, other)
    assert inside.dtype == torch.float32
    assert (inside == small(one, other)).all()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.rand(1, 3, 40, 40) * 255, "wanted RGB in \\[0,1\\]"),
        (torch.rand(1, 3, 40, 40) * 2 - 1, "wanted RGB in \\[0,1\\]"),
        (torch.full((1, 3, 40, 40), torch.nan), "wanted RGB in \\[0,1\\]"),
        (torch.rand(3, 40, 40), "wanted \\(N,3,H,W\\)"),
        (torch.rand(1, 1, 40, 40), "wanted \\(N,3,H,W\\)"),
        (torch.rand(1, 3, 40, 20), "sides from 32 px"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "floats"),
        (torch.rand(1, 3, 41, 40), "wanted equal shapes"),
    ],
)
def test_what_is_no_pair_of_pictures_is_refused(small, picture, said):
    for pair in ((picture, torch.rand(1, 3, 40, 40)), (torch.rand(1, 3, 40, 40), picture)):
        with pytest.raises(ValueError, match=said):
            small(*pair)


def test_an_overshoot_is_no_mistake(small):
    assert small(torch.rand(1, 3, 40, 40) * 1.4 - 0.2, torch.rand(1, 3, 40, 40)).isfinite().all()


def made_up_weights(folder, *, heads: int = 7) -> None:
    for file in (TRUNKS["squeeze"].weights, TRUNKS["squeeze"].heads):
        (folder / file).parent.mkdir(parents=True)
    torch.save(TRUNKS["squeeze"].build().state_dict(), folder / TRUNKS["squeeze"].weights)
    widths = (64, 128, 256, 384, 384, 512, 512)[:heads]
    torch.save({f"lin{i}.model.1.weight": torch.ones(1, c, 1, 1) for i, c in enumerate(widths)},
               folder / TRUNKS["squeeze"].heads)  # fmt: skip


def test_weights_are_read_from_the_folder(tmp_path):
    made_up_weights(tmp_path)
    one, other = torch.rand(2, 1, 3, 32, 32)
    assert load_lpips(tmp_path)(one, other) > 0


def test_a_missing_file_is_named_in_one_line(tmp_path):
    with pytest.raises(VidpercError, match=r"squeezenet1_1\.fp16\.pth: not found; LPIPS needs this file"):
        load_lpips(tmp_path)
    made_up_weights(tmp_path)
    (tmp_path / TRUNKS["squeeze"].heads).unlink()
    with pytest.raises(VidpercError, match=r"lpips_lin_v0\.1.squeeze\.pth: not found"):
        load_lpips(tmp_path)


def test_files_that_hold_something_else_are_refused(tmp_path):
    made_up_weights(tmp_path, heads=5)
    with pytest.raises(VidpercError, match="got 5 LPIPS heads, wanted 7"):
        load_lpips(tmp_path)
    (tmp_path / TRUNKS["squeeze"].heads).write_bytes(b"not weights")
    with pytest.raises(VidpercError, match="cannot be read as weights"):
        load_lpips(tmp_path)
    torch.save(torch.zeros(1), tmp_path / TRUNKS["squeeze"].weights)
    with pytest.raises(VidpercError, match="got a Tensor, wanted a dictionary"):
        load_lpips(tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / TRUNKS["squeeze"].weights)
    with pytest.raises(VidpercError, match="holds no weights of the squeeze trunk"):
        load_lpips(tmp_path)
