"""Short clips as training material: a camera that moves over still images, and runs of frames from real videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from vidperc.ops.resize import resize
from vidperc.training.images import Pixels, shrink
from vidperc.video.index import index_frames
from vidperc.video.rgb import read_rgb

ClipPixels = NDArray[np.uint8]  # (T,H,W,3)

# How often a camera does not move at all, and how often one that may zooms and turns.
_STILL, _FREE = 0.2, 0.6


@dataclass(frozen=True)
class Layer:
    """Something that passes before the camera. mask: (h,w) uint8, 255 where it hides all. places: (T,2) of its left
    upper corner in each picture, across and down, whole pixels."""

    mask: NDArray[np.uint8]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Filmed:
    """A made-up clip and how it was made, from which its motion is known.

    pixels: (T,S,S,3) uint8 RGB. taken: side of the pictures before they were shrunk to S, in pixels; views and layers
    are theirs. views: (T,2,3), from a place in the picture to one in the image, where pixel (0,0) covers 0 to 1.
    layers: from the hindmost to the foremost.
    """

    pixels: ClipPixels
    taken: int
    views: NDArray[np.float64]
    layers: tuple[Layer, ...]


def film(images: Sequence[Pixels], chance: np.random.Generator, *, frames: int, side: int, size: float) -> ClipPixels:
    """A clip of a camera that looks at one of the images, (frames,side,side,3); sometimes something passes before it.

    images: each at least side x side; larger ones are chosen more often, as the square root of their area.
    size: as for `film_over`.
    """
    areas = np.array([image.shape[0] * image.shape[1] for image in images], dtype=np.float64) ** 0.5
    chosen: list[int] = chance.choice(len(images), 2, p=areas / areas.sum()).tolist()
    background, passing = (images[place] for place in chosen)
    return film_over(background, [passing], chance, frames=frames, side=side, size=size).pixels


def film_over(
    background: Pixels,
    passing: Sequence[Pixels],
    chance: np.random.Generator,
    *,
    frames: int,
    side: int,
    size: float,
    often: float = 0.2,
) -> Filmed:
    """A clip of a camera that looks at an image, before which pieces of others may pass, each as often as said.

    background: at least side x side. passing: images of any size. often: 0 to 1.
    size: at most 1: the picture is taken side/size pixels large and shrunk, which makes it sharper; where an image is
    too small for that, it is taken as it is.
    No resampling softens what a network shall learn to make: pans go by whole pixels of the image, and a camera zooms
    and turns only where the picture is shrunk afterwards.
    """
    taken = round(side / size)
    if min(background.shape[:2]) < taken:
        taken = side
    pictures, views = _through_a_camera(background, chance, frames, taken, free=taken > side)
    layers = tuple(_pass_before(pictures, image, chance) for image in passing if chance.random() < often)
    made = [np.array(picture) for picture in pictures]
    pixels = np.stack([frame if taken == side else shrink(frame, side, side) for frame in made])
    return Filmed(pixels, taken, views, layers)


def _through_a_camera(
    image: Pixels, chance: np.random.Generator, frames: int, side: int, *, free: bool
) -> tuple[list[Image.Image], NDArray[np.float64]]:
    path = _camera_path(chance, frames, free=free)
    while True:
        if not path[:, 2:].any():
            path = path.round()
        views = [_view(x, y, zoom, turn, side) for x, y, zoom, turn in path.tolist()]
        corners = np.concatenate([view[:, :2] @ _corners(side) + view[:, 2:] for view in views], axis=1)  # (2, 4*T)
        low, high = corners.min(axis=1), corners.max(axis=1)
        least, most = np.ceil(-low).astype(int), np.floor(np.array(image.shape[1::-1]) - high).astype(int)
        if (least <= most).all():
            break
        path = path / 2  # the image is too small for this journey
    # The better of two places: much of a photograph is sky and blur, from which there is little to learn.
    origins = chance.integers(least, most + 1, (2, 2))
    origin = max(origins, key=lambda place: detail(image[place[1] : place[1] + side, place[0] : place[0] + side]))
    left, top = np.floor(origin + low).astype(int)
    right, bottom = np.ceil(origin + high).astype(int)
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    pictures: list[Image.Image] = []
    for view in views:
        affine = view.copy()
        affine[:, 2] += origin - (left, top)
        how: tuple[float, ...] = tuple(affine.ravel().tolist())
        pictures.append(part.transform((side, side), Image.Transform.AFFINE, how, Image.Resampling.BICUBIC))
    return pictures, np.stack(views)


def _camera_path(chance: np.random.Generator, frames: int, *, free: bool) -> NDArray[np.float64]:
    """Where the camera is at each frame, (frames,4): x and y in pixels, logarithm of the zoom, turn in radians."""
    path = np.zeros((frames, 4))
    if chance.random() < _STILL:
        return path
    time = np.arange(frames) - (frames - 1) / 2
    speed, direction = min(chance.exponential(3.0), 16.0), chance.uniform(0, 2 * np.pi)
    path[:, 0], path[:, 1] = time * speed * np.cos(direction), time * speed * np.sin(direction)
    path[:, :2] += chance.normal(0, chance.exponential(0.4), (frames, 2))  # the hand that holds it
    if free and chance.random() < _FREE:
        path[:, 2], path[:, 3] = time * chance.normal(0, 0.006), time * chance.normal(0, 0.005)
    return path


def _view(x: float, y: float, zoom: float, turn: float, side: int) -> NDArray[np.float64]:
    """From a point of the picture to one of the image, (2,3); the camera's place is the image's corner at rest."""
    scale = np.exp(-zoom)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([side / 2, side / 2])
    return np.column_stack([linear, np.array([x, y]) + middle - linear @ middle])


def detail(image: Pixels) -> float:
    """How much neighbouring pixels differ, in 8-bit codes."""
    grey = image.mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def _corners(side: int) -> NDArray[np.float64]:
    return np.array([[0, side, 0, side], [0, 0, side, side]], dtype=np.float64)


def _pass_before(pictures: list[Image.Image], image: Pixels, chance: np.random.Generator) -> Layer:
    """Draw an ellipse cut out of the image into each picture, on its way along a line."""
    side = pictures[0].width
    width, height = (min(int(side * chance.uniform(0.2, 0.5)), have) for have in image.shape[1::-1])
    left, top = a_place(chance, image.shape[1], width), a_place(chance, image.shape[0], height)
    cut = Image.fromarray(np.ascontiguousarray(image[top : top + height, left : left + width]))
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse((3, 3, width - 4, height - 4), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.8))
    place, velocity = chance.uniform(0, side, 2) - (width / 2, height / 2), chance.normal(0, 4, 2)
    times = np.arange(len(pictures))[:, None] - len(pictures) / 2
    places = (place + times * velocity).round().astype(np.int64)  # (T, 2)
    for picture, (x, y) in zip(pictures, places.tolist(), strict=True):
        picture.paste(cut, (x, y), mask)
    return Layer(np.array(mask), places)


def read_runs(path: Path, *, runs: int, frames: int, smaller: float = 2) -> list[ClipPixels]:
    """Runs of consecutive frames out of a video, evenly spread, each (frames,h,w,3) uint8 RGB.

    smaller: the frames are shrunk by this factor, antialiased, so that what compression did to them is gone.
    Fewer runs come from a video that has not so many; none from one shorter than a run.
    Raises VidpercError for a file that cannot be read.
    """
    count = len(index_frames(path).pts)
    most = min(runs, count // frames)
    starts = np.linspace(0, count - frames, most).astype(int).tolist()
    found: list[ClipPixels] = []
    pictures = read_rgb(path, threads=1)
    at = 0
    for start in starts:
        run = [_smaller(picture, smaller) for picture in islice(pictures, start - at, start - at + frames)]
        at = start + frames
        if len(run) == frames:
            found.append(np.stack(run))
    return found


def _smaller(picture: Tensor, factor: float) -> Pixels:
    height, width = (int(side / factor) for side in picture.shape[1:])
    return to_pixels(resize(picture[None], (height, width), "bicubic"))[0]


def a_place(chance: np.random.Generator, have: int, want: int) -> int:
    """Where so much of what there is may begin."""
    return int(chance.integers(have - want + 1))


def to_pixels(frames: Tensor) -> ClipPixels:
    """Frames (T,3,H,W) of RGB in [0,1], clamped and rounded to 8 bits, (T,H,W,3)."""
    whole = frames.clamp(0, 1).mul_(255).add_(0.5).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).contiguous().numpy()
