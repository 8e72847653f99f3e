import pytest
import torch
from torch import nn

from tests.perception.made_up import random_weights, write_random_weights
from vidperc.errors import VidpercError
from vidperc.perception.backbone import Backbone, Trunk
from vidperc.perception.dists import LAYERS, WIDTHS, Dists, L2Pool, load_dists
from vidperc.perception.networks import IMAGENET_MEAN, IMAGENET_SPREAD


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights of VGG-16 and of DISTS."""
    path = tmp_path_factory.mktemp("weights")
    write_random_weights("vgg16", path)
    alpha, beta = torch.rand((2, 1, sum(WIDTHS), 1, 1), generator=torch.Generator().manual_seed(1))
    torch.save({"alpha": alpha, "beta": beta}, path / "weights.pt")
    return path


@pytest.fixture(scope="module")
def dists(folder) -> Dists:
    return load_dists(folder)


@pytest.fixture
def narrow() -> Dists:
    """DISTS over a network so small that its gradient can be checked."""
    torch.manual_seed(0)
    steps: dict[str, nn.Module] = {}
    for place, layer in enumerate(LAYERS):
        steps[f"pool{place}"] = L2Pool() if place else nn.Identity()
        steps[f"conv{place}"], steps[layer] = nn.Conv2d(3, 3, 3, padding=1), nn.Softplus()
    strides = {layer: 2**place for place, layer in enumerate(LAYERS)}
    backbone = Backbone(
        "made-up", Trunk(steps, {}, LAYERS), strides=strides, smallest=16, mean=IMAGENET_MEAN, spread=IMAGENET_SPREAD
    )
    return Dists(backbone, torch.rand(18), torch.rand(18))


def random_pair(side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    one, noise = torch.rand((2, 2, 3, side, side + 16), generator=torch.Generator().manual_seed(3))
    return one, (one + 0.3 * noise).clamp(0, 1)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_it_is_that_of_torchmetrics_on_the_same_weights(dists, folder, monkeypatch):
    module = pytest.importorskip("torchmetrics.functional.image.dists")
    monkeypatch.setattr(module, "vgg16", lambda weights: Holder())
    theirs = module.DISTSNetwork(load_weights=False)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    theirs.alpha.data, theirs.beta.data = weights["alpha"], weights["beta"]
    one, other = random_pair()
    wanted = theirs(one, other)
    assert wanted.min() > 0.001
    assert torch.allclose(dists(one, other), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_it_is_that_of_piq_on_the_same_weights(dists, folder, monkeypatch):
    module = pytest.importorskip("piq.perceptual")
    weights = torch.load(folder / "weights.pt", weights_only=True)
    total = weights["alpha"].sum() + weights["beta"].sum()
    monkeypatch.setattr(module, "vgg16", lambda **_: Holder())
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: weights)
    one, other = random_pair()
    wanted = module.DISTS(reduction="none")(one, other)
    # Its weights are taken as they are, and sum up to 1 in its own file.
    ours = Dists(dists.backbone, weights["alpha"].flatten(), weights["beta"].flatten())(one, other)
    assert torch.allclose(1 - (1 - ours) * total, wanted, rtol=1e-5, atol=1e-5 * total.item())


class Holder(nn.Module):
    """Torchvision's VGG-16 as others use it, with the made-up weights."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        with torch.device("meta"):
            self.features = vgg16(weights=None).features
        weights = {key.removeprefix("features."): value for key, value in random_weights("vgg16").items()}
        self.features.load_state_dict(weights, assign=True)


def test_equal_pictures_are_at_zero_and_the_order_does_not_matter(dists):
    one, other = random_pair()
    assert dists(one, one).abs().max() < 1e-6
    assert (dists(one, other) > 0).all()
    assert torch.allclose(dists(one, other), dists(other, one), atol=1e-6)


@pytest.mark.parametrize("picture", [torch.zeros(1, 3, 32, 32), torch.rand(1, 3, 32, 40)])
def test_the_gradient_is_finite_at_identity_under_autocast_too(dists, picture):
    for autocast in (False, True):
        changed = picture.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            found = dists(changed, picture)
        assert found.dtype == torch.float32
        found.sum().backward()
        assert changed.grad.isfinite().all()


def test_the_gradient_is_that_of_finite_differences(narrow, monkeypatch):
    monkeypatch.setattr("vidperc.perception.dists.WIDTHS", (3,) * 6)
    narrow.double()
    one, other = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: narrow(x, other), one.requires_grad_(), fast_mode=True)


def test_what_is_no_pair_of_pictures_is_refused(dists):
    fine = torch.rand(1, 3, 40, 40)
    for picture, said in (
        (fine * 255, r"dists: got values from .* wanted RGB in \[0,1\]"),
        (fine * torch.nan, "dists: got values from nan"),
        (torch.rand(1, 3, 40, 20), "dists: .* sides from 32 px"),
        (torch.rand(2, 3, 40, 40), "dists: .* wanted equal shapes"),
    ):
        with pytest.raises(ValueError, match=said):
            dists(fine, picture)


def test_files_that_are_absent_or_hold_something_else_are_refused(folder, tmp_path):
    with pytest.raises(VidpercError, match=r"vgg16-397923af\.pth: not found, and vgg16 needs it; fetch https://"):
        load_dists(tmp_path)
    (tmp_path / "vgg16-397923af.pth").symlink_to(folder / "vgg16-397923af.pth")
    with pytest.raises(VidpercError, match=r"weights\.pt: not found, and dists needs it; fetch https://"):
        load_dists(tmp_path)
    torch.save({"alpha": torch.zeros(1475)}, tmp_path / "weights.pt")
    with pytest.raises(VidpercError, match="holds no weights of dists, wanted alpha and beta of 1475 each"):
        load_dists(tmp_path)
    with pytest.raises(VidpercError, match="dists needs two, of VGG-16 and its own"):
        load_dists(folder / "weights.pt")
