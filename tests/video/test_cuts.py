"""Cuts and fades among drawn pictures, and in a film of real shots."""

import itertools
import random

import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA
from tests.video.drawn import flat, light, scene
from tests.video.film import SHOTS, make_film
from vidperc.errors import VidpercError
from vidperc.video.cuts import CONTEXT, FLASH_FRAMES, Cut, CutThresholds, detect_cuts
from vidperc.video.index import index_frames
from vidperc.video.novelty import HEIGHT, WIDTH, novelty, novelty_in_place, texture
from vidperc.video.probe import probe
from vidperc.video.scan import find_cuts


def cuts_of(pictures, *, pts=None, **thresholds):
    pts = pts if pts is not None else range(len(pictures))
    shown = [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in pictures]
    found = list(detect_cuts(zip(pts, shown, strict=True), CutThresholds(**thresholds)))
    return [(cut.pts, cut.kind) for cut in found]


def test_a_hard_cut_is_the_first_frame_of_the_new_shot():
    assert cuts_of(scene(1, 20) + scene(2, 20)) == [(20, "cut")]


def test_many_cuts_are_all_found():
    assert cuts_of([p for seed in range(12) for p in scene(seed, 9)]) == [(9 * k, "cut") for k in range(1, 12)]


@pytest.mark.parametrize("frames", [0, 1, 2, CONTEXT, 30])
@pytest.mark.parametrize("move", [0, 1, 3])
def test_one_shot_has_no_cut(frames, move):
    assert cuts_of(scene(3, frames, move=move)) == []


def test_what_stands_still_has_no_cut_and_noise_makes_none():
    noise = np.random.default_rng(0)
    assert cuts_of([scene(1, 1)[0] + noise.normal(0, 2, (HEIGHT, WIDTH)) for _ in range(40)]) == []


def test_pts_are_those_that_came_however_uneven():
    steps = random.Random(5)
    pts = list(itertools.accumulate((steps.choice([1501, 3003, 9009, 90_000]) for _ in range(39)), initial=-7_000))
    assert cuts_of(scene(1, 17) + scene(2, 23), pts=pts) == [(pts[17], "cut")]


@pytest.mark.parametrize("place", [1, 2, 3, 37, 38, 39])
def test_cuts_near_the_first_and_the_last_frame_are_found(place):
    assert cuts_of(scene(1, place) + scene(2, 40 - place)) == [(place, "cut")]


@pytest.mark.parametrize("length", [FLASH_FRAMES, 3, 5])
def test_very_short_shots_have_a_cut_on_either_side(length):
    pictures = scene(1, 12) + scene(2, length) + scene(3, 12)
    assert cuts_of(pictures) == [(12, "cut"), (12 + length, "cut")]


@pytest.mark.parametrize("frames", range(1, FLASH_FRAMES + 1))
@pytest.mark.parametrize("flash", ["white", "black", "other picture", "burnt out"])
def test_flashes_are_no_cuts(frames, flash):
    shot = scene(1, 30)
    during = {
        "white": flat(255, frames),
        "black": flat(0, frames),
        "other picture": scene(9, frames),
        "burnt out": [np.clip(p * 3 + 100, 0, 255) for p in shot[15 : 15 + frames]],
    }[flash]
    assert cuts_of(shot[:15] + during + shot[15 + frames :]) == []


def test_a_flash_that_dies_away_is_no_cut():
    shot = scene(1, 30)
    dying = [p + (255 - p) * share for p, share in zip(shot[15:19], (1, 0.8, 0.5, 0.2), strict=True)]
    assert cuts_of(shot[:15] + dying + shot[19:]) == []


def test_two_flashes_of_photographers_are_no_cuts_and_the_cut_after_them_is():
    shot = scene(1, 40)
    for place in (10, 13):
        shot[place] = np.full((HEIGHT, WIDTH), 255.0)
    assert cuts_of(shot + scene(2, 20)) == [(40, "cut")]


def test_what_stays_longer_than_a_flash_is_a_shot():
    shot = scene(1, 30)
    assert cuts_of(shot[:15] + scene(9, FLASH_FRAMES + 1) + shot[15:]) == [(15, "cut"), (18, "cut")]


def test_light_that_changes_at_once_is_no_cut():
    assert cuts_of(light(scene(1, 30), [1.0] * 15 + [0.5] * 15)) == []


@pytest.mark.parametrize("out", [1, 3, 8, 24, 60])
@pytest.mark.parametrize("into", [1, 3, 8, 24, 60])
@pytest.mark.parametrize("black", [0, 1, 2, 3, 50])
def test_a_fade_through_black_is_one_cut_inside_it(out, into, black):
    old, new = scene(1, 20 + out, move=0), scene(2, 20 + into, move=0)
    pictures = light(old, [1] * 20 + [1 - (k + 1) / (out + 1) for k in range(out)]) + flat(0, black)
    pictures += light(new, [(k + 1) / (into + 1) for k in range(into)] + [1] * 20)
    ((pts, _),) = cuts_of(pictures)
    assert 20 <= pts <= 20 + out + black + into


def test_a_fade_in_one_scene_that_stands_still_is_a_cut_too():
    shares = [1] * 10 + [0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75] + [1] * 10
    assert cuts_of(light(scene(1, 27, move=0), shares)) == [(14, "fade")]


def test_a_picture_that_is_faint_before_it_is_light_comes_once():
    """Its mean leaves black a frame before its contrast does."""
    bright = [(p - 128) / 4 + 160 for p in scene(2, 20, move=0)]
    shares = [k / 5 for k in range(1, 5)]
    assert cuts_of(
        light(scene(1, 14), [*[1] * 10, *shares[::-1]]) + flat(0, 1) + light(bright, [*shares, *[1] * 16])
    ) == [(15, "fade")]


def test_kinds_tell_a_fade_from_a_cut():
    old, new = scene(1, 20), scene(2, 20)
    going = light(old, [1] * 10 + [1 - k / 10 for k in range(10)])
    coming = light(new, [k / 10 for k in range(10)] + [1] * 10)
    assert [kind for _, kind in cuts_of(going + new)] == ["fade"]
    assert [kind for _, kind in cuts_of(old + coming)] == ["fade"]
    assert [kind for _, kind in cuts_of(going + flat(0, 9) + coming)] == ["fade"]
    assert [kind for _, kind in cuts_of(old + flat(0, 9) + new)] == ["cut"]


@pytest.mark.parametrize("level", [255, 128])
def test_a_fade_through_white_or_grey_is_one_cut(level):
    def mixed(pictures, shares):
        return [level + (p - level) * share for p, share in zip(pictures, shares, strict=True)]

    shares = [1] * 10 + [1 - k / 8 for k in range(1, 8)]
    pictures = mixed(scene(1, 17), shares) + flat(level, 4) + mixed(scene(2, 17), shares[::-1])
    ((pts, kind),) = cuts_of(pictures)
    assert 10 <= pts <= 29 and kind == "fade"


def test_a_video_that_begins_or_ends_in_black_has_no_cut_there():
    shot = scene(1, 40)
    share = [k / 12 for k in range(12)]
    assert cuts_of(flat(0, 20) + light(shot, [*share, *[1] * 16, *share[::-1]]) + flat(0, 20)) == []
    assert cuts_of(flat(0, 20) + shot) == []


def test_surfaces_of_one_colour_are_told_apart_by_their_level():
    assert cuts_of(flat(60, 10) + flat(180, 10)) == [(10, "cut")]
    assert cuts_of(flat(60, 10) + flat(255, 1) + flat(60, 10)) == []
    assert cuts_of([np.full((HEIGHT, WIDTH), 20.0 + 4 * k) for k in range(40)]) == []
    down = [np.full((HEIGHT, WIDTH), 200.0 - 20 * k) for k in range(11)]
    assert len(cuts_of(flat(200, 9) + down + flat(0, 5) + down[::-1] + flat(200, 9))) == 1


def test_bars_do_not_hide_a_cut():
    def barred(picture):
        with_bars = picture.copy()
        with_bars[:5] = with_bars[-5:] = 0
        return with_bars

    assert cuts_of([barred(p + 60) for p in scene(1, 20) + scene(2, 20)]) == [(20, "cut")]


def test_thresholds_shift_what_is_found():
    """The new shot keeps 5 of 8 columns of blocks."""
    old, new = scene(1, 20, move=0), scene(2, 20, move=0)
    half = [np.concatenate([o[:, :40], n[:, 40:]], axis=1) for o, n in zip(old, new, strict=True)]
    assert cuts_of(old + half) == []
    assert cuts_of(old + half, cut=0.2) == [(20, "cut")]
    faint = light(scene(1, 40, move=0), [1] * 10 + [0.1] * 20 + [1] * 10)
    assert cuts_of(faint) == []
    assert [pts for pts, _ in cuts_of(faint, blank=8)] == [30]


@pytest.mark.parametrize(
    ("thresholds", "option"),
    [({"cut": 0}, "--cut-threshold 0"), ({"cut": 1}, "--cut-threshold 1"), ({"blank": -1}, "--fade-threshold -1")],
)
def test_thresholds_that_cannot_be_are_refused(thresholds, option):
    with pytest.raises(VidpercError, match=option):
        CutThresholds(**thresholds)


def test_a_cut_is_known_as_soon_as_its_context_has_come():
    """Fed one by one, as a pipe would: no more than CONTEXT pictures after it."""
    read = 0

    def pictures():
        nonlocal read
        for pts, picture in enumerate(scene(1, 50) + scene(2, 50)):
            read += 1
            yield pts, picture.astype(np.uint8)

    assert next(detect_cuts(pictures(), CutThresholds())) == Cut(50, "cut")
    assert read == 51 + CONTEXT


def test_only_a_few_pictures_are_held():
    import tracemalloc

    picture = scene(1, 1)[0].astype(np.uint8)
    peaks = []
    for frames in (100, 1000):
        tracemalloc.start()
        list(detect_cuts(((k, picture.copy()) for k in range(frames)), CutThresholds()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]  # the allocator's own tables grow a little; ten times the frames would be 10


def test_novelty_is_0_for_itself_1_for_nothing_alike_and_small_for_what_moved():
    shot, other = scene(1, 4, move=2), scene(2, 1)[0]
    here, moved, new = (texture(p.astype(np.uint8)) for p in (shot[0], shot[1], other))
    assert novelty(here, here) == pytest.approx(0, abs=1e-5)
    assert novelty(here, moved) < 0.15 < novelty_in_place(here, moved)
    assert novelty(here, new) > 0.5
    assert novelty(here, new) == pytest.approx(novelty(new, here))
    assert novelty(here, texture((shot[0] * 0.5).astype(np.uint8))) < 0.05, "half the light is the same picture"


@pytest.mark.parametrize("seeds", [(1, 2), (3, 3), (4, 9)])
def test_novelty_is_never_more_than_in_place(seeds):
    one, other = (texture(scene(seed, 5, move=3)[k].astype(np.uint8)) for k, seed in zip((0, 4), seeds, strict=True))
    assert novelty(one, other) <= novelty_in_place(one, other) + 1e-6


@pytest.mark.slow
@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
def test_the_cuts_of_forty_real_shots(tmp_path):
    """F1 of at least 0.95 at exact pts; a fade is found where its cut lies inside it."""
    film = tmp_path / "film.mp4"
    places = make_film(TEST_DATA / "videos" / "real", film)
    assert len(places) == len(SHOTS) - 1 == 39
    index = index_frames(film)
    found = [cut.pts for cut in find_cuts(probe(film), index, CutThresholds(), threads=2)]
    assert set(found) <= set(index.pts)
    right = sum(any(first <= pts <= last for pts in found) for first, last in places)
    f1 = 2 * right / (len(found) + len(places))  # every cut that is not the only one of its place counts as wrong
    assert f1 >= 0.95, (found, places)


# Every cut of these clips, seen by eye: the numbers of the frames that start a shot.
SEEN = {
    "bbb_480p_30s.mp4": [285, 378, 553],
    "bikes_272p_scenecuts.mp4": [30, 76, 137, 187, 242],
    "rooftop_pan_360p_17s.mp4": [18, 276],
    "bbb_720p_5s.mp4": [],
    "friday_480p_bw_cc0.mp4": [],
    "intel_car-detection.mp4": [],
    "sam2_bedroom_540p.mp4": [],
    "sam2_03_blocks.mp4": [],
}


@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
@pytest.mark.parametrize("name", SEEN)
def test_the_cuts_of_real_clips_are_those_that_are_seen(name):
    path = TEST_DATA / "videos" / "real" / name
    index = index_frames(path)
    found = find_cuts(probe(path), index, CutThresholds(), threads=2)
    assert [index.pts.index(cut.pts) for cut in found] == SEEN[name]
