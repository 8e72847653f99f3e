import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.clips import NO_TEST_DATA, TEST_DATA
from tests.perception.made_up import small_lpips, write_random_lpips, write_random_weights
from vidperc.errors import VidpercError
from vidperc.perception.lpips import TRUNKS, Lpips, load_lpips
from vidperc.perception.networks import NETWORKS
from vidperc.perception.weights import LPIPS_HEADS


@pytest.fixture(scope="module")
def small() -> Lpips:
    """LPIPS over a small made-up network."""
    return small_lpips(8, 12)


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
    lpips = small_lpips(4)
    nn.init.constant_(lpips.backbone.get_parameter("body.steps.0.bias"), -100)  # no feature is ever above zero
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


def test_what_is_computed_plane_by_plane_is_what_gradients_come_from(small):
    one, other = torch.rand(2, 2, 3, 40, 44)
    with_gradients = small(one.clone().requires_grad_(), other)
    assert with_gradients.requires_grad
    assert torch.allclose(small(one, other), with_gradients, rtol=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    lpips = small_lpips(4, 5).double()
    one, other = torch.rand(2, 1, 3, 32, 33, dtype=torch.float64)
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lpips(x, other), one, fast_mode=True)
    assert torch.autograd.gradcheck(lambda x: lpips.map(x, other), one, fast_mode=True)


def test_the_mean_of_the_map_is_near_lpips_and_is_where_the_change_is(small):
    one = torch.rand(1, 3, 64, 64)
    other = one.clone()
    other[..., :16] = 1 - other[..., :16]
    found = small.map(one, other)
    assert found.shape == (1, 1, 64, 64)
    assert found.mean() == pytest.approx(small(one, other).item(), rel=0.05)  # its borders are stretched
    assert found[..., :12].mean() > 0 and (found[..., 32:] == 0).all()


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


@pytest.mark.parametrize("trunk", ["squeeze", "alex", "vgg"])
def test_trunk_and_heads_are_read_from_the_folder(trunk, tmp_path):
    write_random_lpips(trunk, tmp_path)
    one, other = torch.rand(2, 1, 3, 32, 32)
    assert load_lpips(tmp_path, trunk)(one, other) > 0


def test_a_missing_file_is_named_in_one_line(tmp_path):
    with pytest.raises(
        VidpercError, match=r"squeezenet1_1-b8a52dc0\.pth: not found, and squeezenet1_1 needs it; fetch"
    ):
        load_lpips(tmp_path)
    write_random_weights("squeezenet1_1", tmp_path)
    with pytest.raises(VidpercError, match=r"squeeze\.pth: not found, and lpips squeeze needs it; fetch https://raw"):
        load_lpips(tmp_path)


def test_files_that_hold_something_else_are_refused(tmp_path):
    write_random_lpips("squeeze", tmp_path)
    heads, trunk = tmp_path / LPIPS_HEADS["squeeze"].name, tmp_path / "squeezenet1_1-b8a52dc0.pth"
    torch.save({f"lin{i}.model.1.weight": torch.ones(1, 8, 1, 1) for i in range(5)}, heads)
    with pytest.raises(VidpercError, match="got 5 LPIPS heads, wanted 7"):
        load_lpips(tmp_path)
    torch.save({f"lin{i}.model.1.weight": -torch.ones(1, 8, 1, 1) for i in range(7)}, heads)
    with pytest.raises(VidpercError, match="holds no LPIPS heads"):
        load_lpips(tmp_path)
    heads.write_bytes(b"not weights")
    with pytest.raises(VidpercError, match="cannot be read as weights"):
        load_lpips(tmp_path)
    torch.save(torch.zeros(1), trunk)
    with pytest.raises(VidpercError, match="got a Tensor, wanted a dictionary"):
        load_lpips(tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, trunk)
    with pytest.raises(VidpercError, match=r"holds no weights of squeezenet1_1: features\.0\.weight is \(1,\), wanted"):
        load_lpips(tmp_path)
    with pytest.raises(VidpercError, match="lpips needs two, its trunk and its heads"):
        load_lpips(trunk)
    with pytest.raises(VidpercError, match="unknown trunk 'resnet', wanted one of squeeze, alex, vgg"):
        load_lpips(tmp_path, "resnet")


# ---- against other implementations, on the same random trunk ----


def give_the_same_weights(theirs: nn.Module, trunk: str, folder: Path) -> None:
    """Theirs holds the layers of torchvision's `features` by their numbers, below slices."""
    name = TRUNKS[trunk].backbone
    weights = torch.load(folder / NETWORKS[name].weights.name, weights_only=True)
    layers = {key: weights[re.sub(r"^slices?\.?\d+\.", "features.", key)] for key in theirs.net.state_dict()}
    theirs.net.load_state_dict(layers)
    for place, head in enumerate(torch.load(folder / LPIPS_HEADS[trunk].name, weights_only=True).values()):
        theirs.lins[place].model[-1].weight = nn.Parameter(head)
    theirs.eval()


def random_pair() -> tuple[torch.Tensor, torch.Tensor]:
    one, noise = torch.rand((2, 2, 3, 96, 112), generator=torch.Generator().manual_seed(3))
    return one, (one + 0.2 * noise).clamp(0, 1)


@pytest.mark.parametrize("trunk", ["squeeze", "alex", "vgg"])
@pytest.mark.filterwarnings("ignore")  # theirs
def test_lpips_and_its_map_are_those_of_the_authors_program(trunk, tmp_path):
    lpips = pytest.importorskip("lpips")
    write_random_lpips(trunk, tmp_path)
    ours = load_lpips(tmp_path, trunk)
    one, other = random_pair()
    theirs = lpips.LPIPS(net=trunk, pnet_rand=True, pretrained=False, verbose=False)
    give_the_same_weights(theirs, trunk, tmp_path)
    wanted = theirs(one, other, normalize=True).flatten()
    assert wanted.min() > 0.01
    assert torch.allclose(ours(one, other), wanted, rtol=1e-5, atol=1e-5)
    theirs.spatial = True
    assert torch.allclose(ours.map(one, other), theirs(one, other, normalize=True), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trunk", ["squeeze", "alex", "vgg"])
@pytest.mark.filterwarnings("ignore")  # theirs
def test_lpips_is_that_of_torchmetrics(trunk, tmp_path):
    module = pytest.importorskip("torchmetrics.functional.image.lpips")
    write_random_lpips(trunk, tmp_path)
    theirs = module._LPIPS(net=trunk, pretrained=False, pnet_rand=True)
    give_the_same_weights(theirs, trunk, tmp_path)
    one, other = random_pair()
    wanted = theirs(one, other, normalize=True).flatten()
    assert torch.allclose(load_lpips(tmp_path, trunk)(one, other), wanted, rtol=1e-5, atol=1e-5)
