from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vidperc.ops.tiles import cut, through_tiles


@settings(max_examples=200, deadline=None)
@given(
    blocks=st.integers(1, 60),
    multiple_of=st.integers(1, 9),
    tile=st.integers(1, 80),
    overlap=st.integers(0, 40),
    least=st.integers(1, 60),
)
def test_tiles_cover_an_axis_once_with_overlap_except_at_borders(
    blocks: int, multiple_of: int, tile: int, overlap: int, least: int
) -> None:
    length = blocks * multiple_of
    spans = cut(length, tile=tile, overlap=overlap, multiple_of=multiple_of, least=least)
    kept = [place for span in spans for place in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(length))
    for span in spans:
        assert span.read_start == 0 or span.read_start <= span.keep_start - overlap
        assert span.read_stop == length or span.read_stop >= span.keep_stop + overlap
        assert 0 <= span.read_start <= span.keep_start < span.keep_stop <= span.read_stop <= length
        assert span.read_stop - span.read_start >= min(least, length)
        assert span.read_start % multiple_of == span.read_stop % multiple_of == span.keep_start % multiple_of == 0


@pytest.mark.parametrize(("length", "tile", "overlap", "multiple_of"), [(0, 8, 1, 1), (8, 0, 1, 1), (9, 8, 1, 2)])
def test_sizes_that_cannot_be_cut_are_refused(length: int, tile: int, overlap: int, multiple_of: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        cut(length, tile=tile, overlap=overlap, multiple_of=multiple_of)


def whole_numbers(*shape: int, seed: int) -> Tensor:
    """Numbers whose sums float32 holds exactly, so that no order of sums can hide or fake a difference."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()


def network(*, channels: int = 3) -> nn.Sequential:
    """Three convolutions of 3x3 and doubling: reach 3."""
    layers = [nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 12, 3, padding=1)]
    for seed, layer in enumerate(layers):
        layer.weight.data = whole_numbers(*layer.weight.shape, seed=seed)
        layer.bias = nn.Parameter(whole_numbers(layer.out_channels, seed=seed + 10))
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.LeakyReLU(0.25), layers[2], nn.PixelShuffle(2)).eval()


@pytest.mark.parametrize("tile", [3, 8, 16, 37, 200])
@pytest.mark.parametrize("size", [(21, 34), (8, 40), (3, 3), (50, 1)])
@torch.no_grad()
def test_tiles_with_the_reach_as_overlap_give_the_whole_frame(tile: int, size: tuple[int, int]) -> None:
    frames = whole_numbers(2, 3, *size, seed=3)
    whole = network()(frames)
    out = torch.full_like(whole, torch.nan)
    through_tiles(frames, network(), out, scale=2, tile=tile, overlap=3)
    assert torch.equal(out, whole)


@torch.no_grad()
def test_an_overlap_below_the_reach_shows() -> None:
    frames = whole_numbers(1, 3, 21, 34, seed=3)
    whole = network()(frames)
    out = torch.empty_like(whole)
    through_tiles(frames, network(), out, scale=2, tile=8, overlap=2)
    assert not torch.equal(out, whole)


@pytest.mark.parametrize("tile", [3, 8, 13])
@torch.no_grad()
def test_pixel_unshuffling_stays_aligned(tile: int) -> None:
    half = nn.Sequential(nn.PixelUnshuffle(4), network(channels=48))  # gives half the frame's size
    frames = whole_numbers(1, 3, 36, 60, seed=4)

    def same_size(part: Tensor) -> Tensor:
        return half(part).repeat_interleave(2, -1).repeat_interleave(2, -2)

    out = torch.empty_like(frames)
    through_tiles(frames, same_size, out, scale=1, tile=tile, overlap=12, multiple_of=4)
    assert torch.equal(out, same_size(frames))


@torch.no_grad()
def test_what_padding_made_is_dropped() -> None:
    frames = whole_numbers(1, 3, 24, 32, seed=5)
    whole = network()(frames)
    out = torch.empty(1, 3, 41, 50)
    through_tiles(frames, network(), out, scale=2, tile=8, overlap=3)
    assert torch.equal(out, whole[..., :41, :50])


@pytest.mark.parametrize(("minimum", "pixels"), [(16, 1), (1, 600), (20, 500), (1, 10_000)])
def test_tiles_read_at_least_the_minimum_as_far_as_the_frame_has_it(minimum: int, pixels: int) -> None:
    frames = whole_numbers(1, 3, 24, 60, seed=6)
    sizes: list[tuple[int, int]] = []

    def same(part: Tensor) -> Tensor:
        sizes.append((part.shape[-2], part.shape[-1]))
        return part

    out = torch.empty_like(frames)
    through_tiles(frames, same, out, scale=1, tile=4, overlap=1, minimum=minimum, minimum_pixels=pixels)
    assert torch.equal(out, frames)
    assert all(min(size) >= min(minimum, 24) for size in sizes)
    assert all(size[0] * size[1] >= min(pixels, 24 * 60) for size in sizes)


def test_tiles_are_read_one_by_one_and_are_no_larger_than_asked() -> None:
    frames = whole_numbers(1, 3, 40, 40, seed=7)
    sizes: list[tuple[int, int]] = []

    def same(part: Tensor) -> Tensor:
        sizes.append((part.shape[-2], part.shape[-1]))
        return part

    through_tiles(frames, same, torch.empty_like(frames), scale=1, tile=10, overlap=3)
    assert len(sizes) == 16
    assert max(sizes) == (16, 16)
