"""Make a short sample video: two shots with fine detail, sound, subtitles, chapters and correct colour tags.

    python scripts/sample_clip.py OUT.mp4 [--frames 96] [--size 320x180] [--seed 0]

The same arguments give the same pictures. Only numpy and av are needed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shot = Callable[[int], Array]  # frame number -> (h, w, 3) in [0,1]

RATE = 24
SOUND_RATE = 48_000
FINE = 3  # pixels are drawn as FINE x FINE points: motion in thirds of a pixel, edges without stairs
BT709, LIMITED = 1, 1

ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Sans,16\n\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Text\n"
)

# Seven rows of five bits a letter, two hexadecimal digits a row.
LETTERS = " -.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROWS = """
00000000000000 0000001f000000 00000000000c0c 0e11131519110e 040c040404040e 0e11010204081f 1f02040201110e
02060a121f0202 1f101e0101110e 0608101e11110e 1f010204080808 0e11110e11110e 0e11110f01020c 0e11111f111111
1e11111e11111e 0e11101010110e 1c12111111121c 1f10101e10101f 1f10101e101010 0e11101713110f 1111111f111111
0e04040404040e 0702020202120c 11121418141211 1010101010101f 111b1515111111 11191513111111 0e11111111110e
1e11111e101010 0e11111115120d 1e11111e141211 0f10100e01011e 1f040404040404 1111111111110e 11111111110a04
11111115151b11 11110a040a1111 1111110a040404 1f01020408101f
"""
FONT = dict(zip(LETTERS, map(bytes.fromhex, ROWS.split()), strict=True))


def noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Array:
    """Smooth noise (height, width) in [0,1] whose features are about `cell` points wide."""
    rows, columns = int(height / cell) + 2, int(width / cell) + 2
    grid = rng.random((rows, columns), dtype=np.float32)
    y, x = np.arange(height) / cell, np.arange(width) / cell
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top)[:, None].astype(np.float32), (x - left)[None].astype(np.float32)
    down, right = (3 - 2 * down) * down**2, (3 - 2 * right) * right**2
    upper, lower = grid[top], grid[top + 1]
    upper = upper[:, left] * (1 - right) + upper[:, left + 1] * right
    lower = lower[:, left] * (1 - right) + lower[:, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def cloudy(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 5) -> Array:
    """Fractal noise (height, width) in [0,1], from `cell` points down to its 2**octaves-th part."""
    layers = [noise(rng, height, width, max(1.0, cell / 2**n)) * 0.55**n for n in range(octaves)]
    return np.asarray(sum(layers) / sum(0.55**n for n in range(octaves)), np.float32)


def color(code: str) -> Array:
    return np.array([*bytes.fromhex(code)], np.float32) / np.float32(255)


def mix(below: Array, above: Array, amount: Array | float) -> Array:
    """below and above (..., 3), amount (...) in [0,1]."""
    weight = np.asarray(amount, np.float32)[..., None]
    return np.asarray(below + (above - below) * weight, np.float32)


def lettering(text: str, unit: float) -> Array:
    """A mask (h, w) of the text, one font dot `unit` points wide, its corners rounded."""
    dots = np.zeros((9, 6 * len(text) + 1), np.float32)
    for index, letter in enumerate(text):
        for row, bits in enumerate(FONT[letter]):
            dots[row + 1, 6 * index + 1 : 6 * index + 6] = [(bits >> bit) & 1 for bit in (4, 3, 2, 1, 0)]
    y = np.clip((np.arange(round(9 * unit)) + 0.5) / unit - 0.5, 0, 7.999)
    x = np.clip((np.arange(round(dots.shape[1] * unit)) + 0.5) / unit - 0.5, 0, dots.shape[1] - 1.001)
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top)[:, None], x - left
    rows = dots[top] * (1 - down) + dots[top + 1] * down
    return ((rows[:, left] * (1 - right) + rows[:, left + 1] * right) > 0.5).astype(np.float32)


def stamp(picture: Array, ink: Array, mask: Array, y: float, x: float) -> None:
    """Paint ink, a colour (3) or a picture (h, w, 3), through a mask (h, w) with its top left corner at (y, x)."""
    top, left = round(y), round(x)
    rows = slice(max(0, -top), max(0, picture.shape[0] - top))
    columns = slice(max(0, -left), max(0, picture.shape[1] - left))
    part, ink = mask[rows, columns], ink[rows, columns] if ink.ndim == 3 else ink
    if part.size:
        target = picture[max(0, top) :, max(0, left) :][: part.shape[0], : part.shape[1]]
        target[:] = mix(target, ink, part)


def shrunk(points: Array) -> Array:
    """Points (h * FINE, w * FINE, 3) averaged to pixels (h, w, 3)."""
    height, width = points.shape[0] // FINE, points.shape[1] // FINE
    return points.reshape(height, FINE, width, FINE, 3).mean(axis=(1, 3))


def street(width: int, height: int, frames: int, seed: int) -> Shot:
    """A brick wall with a poster and a sign that pans by, and a wheel that rolls along the pavement."""
    rng = np.random.default_rng(seed)
    h, w, u = height * FINE, width * FINE, height * FINE / 180
    pan, roll = 2, 4  # points a frame
    wall_width = max(w + pan * frames, round(300 * u))
    y, x = np.mgrid[0:h, 0:wall_width].astype(np.float32)
    row = (y // (11 * u)).astype(int)
    column = ((x + (row % 2) * 13 * u) // (26 * u)).astype(int)
    mortar = (y % (11 * u) < 1.3 * u) | ((x + (row % 2) * 13 * u) % (26 * u) < 1.3 * u)
    tone = rng.random((64, 64), dtype=np.float32)[row % 64, column % 64]
    grain = cloudy(rng, h, wall_width, 6 * u, 4) - 0.5
    wall = mix(mix(color("8c4a36"), color("b9714f"), tone), color("c9bfb0"), mortar.astype(np.float32))
    wall += grain[..., None] * np.where(mortar, 0.25, 0.5)[..., None]

    poster, side = np.zeros((round(84 * u), round(84 * u), 3), np.float32), 84 * u
    py, px = np.mgrid[0 : poster.shape[0], 0 : poster.shape[1]] - side / 2
    rings = 0.5 + 0.5 * np.cos(np.pi * (px**2 + py**2) / (side * 1.4 * FINE))
    poster[:] = mix(color("f4ecd8"), color("1d2a44"), rings.astype(np.float32))
    poster[np.maximum(abs(py), abs(px)) > side / 2 - 3 * u] = color("e8e2d0")
    wall[round(22 * u) :, round(26 * u) :][: poster.shape[0], : poster.shape[1]] = poster

    sign = wall[round(20 * u) :, round(140 * u) :][: round(88 * u), : round(150 * u)]
    sign[:] = color("1f5a4c")
    sign[round(2 * u) : -round(2 * u), round(2 * u) : -round(2 * u)] = color("f2f0e6")
    lines = (("VIDPERC", 3.0, 8), ("SUPER-RESOLUTION", 1.4, 40), ("FINE PRINT 0123456789", 1.0, 59))
    for text, dot, top in (*lines, ("THE QUICK BROWN FOX JUMPS", 0.85, 72)):
        stamp(sign, color("1b1b22"), lettering(text, dot * u), top * u, 8 * u)

    ground = round(40 * u)
    gy, gx = np.mgrid[0:ground, 0 : w + roll * frames].astype(np.float32)
    seams = (gy % (13 * u) < u) | ((gx + gy * 0.8) % (34 * u) < u)
    pavement = mix(color("77797d"), color("9b9c9b"), cloudy(rng, ground, w + roll * frames, 5 * u, 4))
    pavement = mix(pavement, color("4c4d52"), seams.astype(np.float32) * 0.8)

    radius = 26 * u
    wy, wx = np.mgrid[0 : round(2 * radius), 0 : round(2 * radius)].astype(np.float32) - radius
    distance, angle = np.hypot(wy, wx), np.arctan2(wy, wx)
    disc = (distance < radius).astype(np.float32)
    shadow = 0.6 * np.exp(-((wy / (0.16 * radius)) ** 2)) * np.maximum(0, 1 - (wx / radius) ** 2)

    def frame(number: int) -> Array:
        points = wall[:, pan * number :][:, :w].copy()
        points[h - ground :] = pavement[:, roll * number :][:, :w]
        position = (w + 2 * radius) * (number + 0.5) / frames - 2 * radius
        wheel = mix(color("20242c"), color("d9a441"), (np.sin(9 * (angle - position / radius)) > 0).astype(np.float32))
        wheel[distance > radius * 0.82] = color("22252b")
        wheel[distance < radius * 0.2] = color("b23a2e")
        stamp(points, color("101014"), shadow, h - ground * 0.4 - radius, position)
        stamp(points, wheel, disc, h - ground * 0.4 - 2 * radius, position)
        return shrunk(points)

    return frame


def lake(width: int, height: int, frames: int, seed: int) -> Shot:
    """A lake at dusk: clouds, ridges and trees that pass at their own speeds, ripples, and a striped balloon."""
    rng = np.random.default_rng(seed + 1)
    h, w, u = height * FINE, width * FINE, height * FINE / 180
    shore = round(118 * u)
    clouds = cloudy(rng, shore, w + frames, 70 * u)
    rise = np.linspace(0, 1, shore, dtype=np.float32)[:, None]
    sky = mix(mix(color("2d4a7c"), color("f2b480"), rise), color("fff1dd"), np.clip(clouds * 2.4 - 1.1, 0, 0.8))
    stone = cloudy(rng, h, w + 2 * frames, 7 * u, 5)
    crests = np.abs(2 * cloudy(rng, 1, w + 2 * frames, 90 * u, 7)[0] - 1)
    ridge = (44 + 130 * crests).astype(np.float32) * np.float32(u)
    needle = np.abs((np.arange(w + 4 * frames) / (4.4 * u)) % 1 - 0.5) * 15 * u
    trees = 104 * u - cloudy(rng, 1, w + 4 * frames, 16 * u, 3)[0] * 18 * u + needle
    y = np.arange(h, dtype=np.float32)[:, None]

    by, bx = np.mgrid[0 : round(62 * u), 0 : round(46 * u)].astype(np.float32) / u
    envelope = np.hypot(bx - 23, (by - 23) * np.where(by > 23, 0.8, 1.0)) < 22
    stripes = (np.floor((bx - 23) / np.sqrt(np.maximum(1, 22.5**2 - (by - 23) ** 2)) * 5) % 2)[..., None]
    basket = (abs(bx - 23) < 4.5) & (by > 53) & (by < 60)
    ropes = (abs(abs(bx - 23) - 4 - (53 - by) * 0.5) < 0.45) & (by > 44) & (by < 54)
    cloth = np.where(stripes > 0, color("c8372d"), color("f6e7c1")) * (1.08 - 0.014 * bx[..., None])
    balloon = np.where(envelope[..., None], cloth, color("4a2f1c")).astype(np.float32)
    balloon_mask = (envelope | basket | ropes).astype(np.float32)
    caption = lettering("FRAME BY FRAME", 1.3 * u)

    def frame(number: int) -> Array:
        points = np.empty((h, w, 3), np.float32)
        points[:shore] = sky[:, number:][:, :w]
        far, grain = ridge[2 * number :][:w], stone[:, 2 * number :][:, :w]
        snow = np.clip((74 * u + (grain - 0.5) * 60 * u - y) / (2 * u), 0, 1)[:shore]
        rock = mix(mix(color("38405a"), color("6a6f86"), grain[:shore]), color("f0eef2"), snow)
        points[:shore] = np.where((y > far)[:shore, :, None], rock, points[:shore])
        wood = mix(color("10241f"), color("35523a"), grain[:shore] ** 2)
        points[:shore] = np.where((y > trees[4 * number :][:w])[:shore, :, None], wood, points[:shore])
        left, top = (200 - 110 * number / frames) * u, (14 + 8 * np.sin(4 * number / frames)) * u
        stamp(points, balloon, balloon_mask, top, left)

        depth = y[shore:] - shore
        ripple = np.sin(depth**0.8 * 2.2 / u**0.8 - number * 0.45 + 2.5 * grain[shore:]) * (0.6 + depth / (24 * u))
        mirrored = np.clip(shore - 1 - depth * 1.7 + ripple * 1.5 * u, 0, shore - 1).astype(int)
        water = np.take_along_axis(points[:shore], mirrored[..., None], axis=0)
        points[shore:] = mix(water, color("1d3a57"), 0.35) + ripple[..., None].astype(np.float32) * 0.03
        stamp(points, color("fff6e0"), caption, 8 * u, 8 * u)
        return shrunk(points)

    return frame


def sweep(seconds: float) -> Array:
    """Two sines (2, samples) that sweep against each other, faded in and out."""
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    up, down = (2 * np.pi * np.cumsum(hertz) / SOUND_RATE for hertz in (200 + 400 * time, 2000 - 300 * time))
    fade = np.clip(np.minimum(time, seconds - time) / 0.05, 0, 1) * 0.2
    return np.stack([np.sin(up), np.sin(down)]).astype(np.float32) * fade.astype(np.float32)


def write(path: Path, *, frames: int, width: int, height: int, seed: int) -> None:
    """Draw and encode the clip; the cut, the second chapter and the second subtitle are at half time."""
    cut = frames // 2
    shots = ("Street", 0, cut, street), ("Lake", cut, frames, lake)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata.update(title="vidperc sample clip")
        # One thread, and the same code path on every processor: the same pictures give the same bytes.
        options = {"crf": "16", "bf": "3", "x264-params": "cpu-independent=1:threads=1"}
        video = container.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.colorspace = video.codec_context.color_primaries = BT709
        video.codec_context.color_trc, video.codec_context.color_range = BT709, LIMITED
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        captions = container.add_stream("mov_text")
        captions.codec_context.subtitle_header = ASS_HEADER
        captions.codec_context.time_base = Fraction(1, 1000)
        captions.codec_context.open()
        container.set_chapters(
            [
                {"id": n, "start": start, "end": end, "time_base": Fraction(1, RATE), "metadata": {"title": title}}
                for n, (title, start, end, _) in enumerate(shots)
            ]
        )
        for n, (title, start, end, shot) in enumerate(shots):
            milliseconds = [1000 * frame // RATE for frame in (start, end)]
            text = f"{n},0,Default,,0,0,0,,{title}, frames {start} to {end - 1}".encode()
            packet = captions.codec_context.encode_subtitle(SubtitleSet.create(text, 0, 0))  # pyright: ignore[reportUnknownVariableType]
            packet.stream, packet.time_base = captions, Fraction(1, 1000)
            packet.pts = packet.dts = milliseconds[0]
            packet.duration = milliseconds[1] - milliseconds[0]
            container.mux(packet)
            picture = shot(width, height, end - start, seed)
            for number in range(end - start):
                rgb = np.rint(picture(number).clip(0, 1) * 255).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)
                frame.pts, frame.time_base = start + number, Fraction(1, RATE)
                container.mux(video.encode(frame))
        container.mux(video.encode(None))
        samples = av.AudioFrame.from_ndarray(sweep(frames / RATE), format="fltp", layout="stereo")
        samples.sample_rate, samples.pts, samples.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, metavar="OUT.mp4")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--size", default="320x180", metavar="WIDTHxHEIGHT")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    size = re.fullmatch(r"(\d+)x(\d+)", given.size)
    width, height = (int(number) for number in size.groups()) if size else (0, 0)
    if min(width, height) < 64 or width % 2 or height % 2:
        parser.error(f"--size: got {given.size}, wanted even numbers from 64, such as 320x180")
    if given.frames < 2:
        parser.error(f"--frames: got {given.frames}, wanted at least 2, one a shot")
    given.path.parent.mkdir(parents=True, exist_ok=True)
    write(given.path, frames=given.frames, width=width, height=height, seed=given.seed)
    print(f"{given.path}: {given.frames} frames, {width}x{height}, {RATE} frames a second")


if __name__ == "__main__":
    main()
