import pytest
import torch

from vidperc.perception.gram import gram


def test_it_is_the_product_of_all_pairs_of_channels_over_their_size():
    features = torch.arange(8.0).view(1, 2, 2, 2)  # channels 0 1 2 3 and 4 5 6 7
    wanted = torch.tensor([[[14.0, 38.0], [38.0, 126.0]]]) / 8
    assert torch.allclose(gram(features), wanted)


def test_a_texture_repeated_has_the_same_matrix():
    features = torch.rand(2, 5, 6, 7)
    assert torch.allclose(gram(features.repeat(1, 1, 3, 2)), gram(features), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_it_is_that_of_piq_which_is_not_normalised():
    piq = pytest.importorskip("piq.perceptual")
    features = torch.rand(2, 5, 6, 7)
    theirs = piq.StyleLoss.gram_matrix(features)
    assert torch.allclose(gram(features), theirs[:, 0] / (5 * 6 * 7), rtol=1e-5)


def test_it_does_not_overflow_in_half_precision():
    features = torch.full((1, 4, 64, 64), 100.0, dtype=torch.float16)
    assert gram(features).dtype == torch.float32
    assert torch.allclose(gram(features), torch.full((1, 4, 4), 2500.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = torch.rand(1, 4, 16, 16, requires_grad=True)
        found = gram(features)
    assert found.dtype == torch.float32 and torch.equal(found, gram(features))
    found.sum().backward()
    assert features.grad.isfinite().all()


def test_the_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(gram, torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("features", [torch.rand(3, 4, 5), torch.ones(1, 3, 4, 5, dtype=torch.int64)])
def test_what_are_no_features_is_refused(features):
    with pytest.raises(ValueError, match=r"gram: got .*, wanted \(N,C,H,W\) floats"):
        gram(features)
