import cv2
import numpy as np
import pytest
import torch

from tests.clips import picture
from vidperc.metrics.tof import tof


def frame(index: float, size: tuple[int, int] = (128, 96)) -> torch.Tensor:
    return torch.from_numpy(picture(index, *size)).permute(2, 0, 1).float() / 255


def moved(image: torch.Tensor, across: int) -> torch.Tensor:
    return torch.roll(image, across, dims=2)


def test_equal_videos_move_alike() -> None:
    assert tof((frame(0), frame(0)), (frame(1), frame(1))) == 0


def test_the_order_of_the_videos_does_not_matter() -> None:
    one, other = (frame(0), frame(5)), (frame(1), frame(7))
    assert tof(one, other) == tof(one[::-1], other[::-1])


def test_jitter_is_seen_and_more_of_it_more() -> None:
    found = [tof((frame(0), frame(0)), (frame(1), moved(frame(1), jitter))) for jitter in (0, 1, 2)]
    assert found[0] == 0
    assert 0.2 < found[1] < found[2]


def texture(size: int) -> torch.Tensor:
    """(3,size,size): blurred noise, which is the same nowhere."""
    values = np.random.default_rng(0).random((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(values, (0, 0), 3)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy(smooth).expand(3, -1, -1)


def test_a_frozen_video_is_as_far_off_as_the_other_moves() -> None:
    then, now = texture(160)[:, :, :150], texture(160)[:, :, 2:152]
    # Farneback does not know what enters at a border; the middle, which papers take, is free of it.
    assert tof((then, then), (now, then), paper_crop=True) == pytest.approx(2, abs=0.05)


def test_the_paper_takes_the_middle_in_multiples_of_32() -> None:
    """Sides of 160 and 112 leave 128 and 96, with 16 and 8 before them."""
    then, now = texture(160)[:, :112], torch.roll(texture(160), 3, dims=2)[:, :112]
    one, other = ((255 * image[0]).round().byte().numpy() for image in (then, now))
    moved, still = (cv2.calcOpticalFlowFarneback(one, to, None, 0.5, 3, 15, 3, 5, 1.2, 0) for to in (other, one))
    apart = np.linalg.norm(moved - still, axis=-1)
    found = tof((then, then), (now, then), paper_crop=True)
    assert found == pytest.approx(float(apart[8:104, 16:144].mean()), rel=1e-5)
    assert tof((then, then), (now, then)) == pytest.approx(float(apart.mean()), rel=1e-5)


def test_frames_too_small_to_crop_are_refused() -> None:
    small = frame(0, (96, 47))
    with pytest.raises(ValueError, match="got 96x47, wanted sides of at least 48 px"):
        tof((small, small), (small, small), paper_crop=True)
    assert tof((small, small), (small, small)) == 0
