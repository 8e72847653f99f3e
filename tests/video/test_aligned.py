import gc
import weakref
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest
import torch

from tests.clips import make_clip
from vidperc.errors import VidpercError
from vidperc.video.aligned import align, read_together
from vidperc.video.rgb import read_rgb, read_timed_rgb

UNEVEN = [700, 1212, 1500, 3000, 3001, 9000, 9513, 10000]
TICKS = Fraction(1, 12800)


def test_frames_come_beside_those_of_the_same_time(tmp_path):
    one = make_clip(tmp_path / "one.mp4", pts=UNEVEN, time_base=TICKS)
    other = make_clip(tmp_path / "other.mp4", pts=UNEVEN, time_base=TICKS, size=(192, 128))
    shown = list(read_together(align([one, other])))
    assert [together.pts for together in shown] == UNEVEN
    assert [together.seconds for together in shown] == [pts * TICKS for pts in UNEVEN]
    for place, path in enumerate((one, other)):
        assert all(torch.equal(together.frames[place], frame)
                   for together, frame in zip(shown, read_rgb(path), strict=True))  # fmt: skip


def test_times_that_a_container_rounds_are_the_same(tmp_path):
    pts = [0, 512, 1024, 1537, 2048]  # not all of them whole milliseconds, in which MKV counts
    one = make_clip(tmp_path / "one.mp4", pts=pts, time_base=TICKS)
    other = make_clip(tmp_path / "other.mkv", pts=pts, time_base=TICKS)
    for paths in ((one, other), (other, one)):
        assert len(list(read_together(align(paths)))) == 5


def test_a_tick_of_one_time_base_is_a_difference(tmp_path):
    one = make_clip(tmp_path / "one.mp4", pts=UNEVEN, time_base=TICKS)
    moved = [*UNEVEN[:3], UNEVEN[3] - 1, *UNEVEN[4:]]
    other = make_clip(tmp_path / "other.mp4", pts=moved, time_base=TICKS)
    with pytest.raises(VidpercError, match=r"other.mp4: shows frame 3 at 0.234297 s, wanted 0.234375 s"):
        align([one, other])


def test_another_length_is_told_with_both_counts(tmp_path):
    long, short = make_clip(tmp_path / "long.mp4", frames=30), make_clip(tmp_path / "short.mp4", frames=20)
    for paths in ((long, short), (short, long)):
        for in_order in (False, True):
            with pytest.raises(VidpercError, match=r"short.mp4: ends after 20 frames, 20 of 30, and .*long.mp4 "):
                align(paths, in_order=in_order)


def test_a_frame_missing_in_the_middle_is_named(tmp_path):
    one = make_clip(tmp_path / "one.mp4", pts=UNEVEN, time_base=TICKS)
    other = make_clip(tmp_path / "other.mp4", pts=UNEVEN[:2] + UNEVEN[3:], time_base=TICKS)
    with pytest.raises(VidpercError, match=r"shows frame 2 at .*; it has 7 frames and the other 8"):
        align([one, other])


def test_in_order_whatever_the_times(tmp_path):
    one = make_clip(tmp_path / "one.mp4", pts=UNEVEN, time_base=TICKS)
    other = make_clip(tmp_path / "other.mp4", pts=[pts + 5000 for pts in UNEVEN], time_base=TICKS)
    with pytest.raises(VidpercError, match=r"\(\+0.390625 s\); .* add --in-order"):
        align([one, other])
    shown = list(read_together(align([one, other], in_order=True), in_order=True))
    assert [together.pts for together in shown] == UNEVEN


def test_frames_that_are_announced_and_do_not_decode_are_not_waited_for(tmp_path):
    whole = make_clip(tmp_path / "whole.mkv", frames=8, codec="mjpeg", pix_fmt="yuvj420p")
    damaged = tmp_path / "damaged.mkv"
    with av.open(str(whole)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0) if packet.size][3]
    data = whole.read_bytes()
    assert data.count(packet) == 1
    damaged.write_bytes(data.replace(packet, bytes(len(packet))))
    seen = [pts for pts, _ in read_timed_rgb(damaged)]
    assert len(seen) == 7
    made = make_clip(tmp_path / "made.mkv", pts=seen, time_base=Fraction(1, 1000))
    assert [together.pts for together in read_together(align([damaged, made]))] == seen
    with pytest.raises(VidpercError, match=r"shows frame 3 at"):
        list(read_together(align([damaged, whole])))


def test_one_frame_of_each_is_held(tmp_path):
    one, other = make_clip(tmp_path / "one.mp4", frames=40), make_clip(tmp_path / "other.mkv", frames=40)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    for together in islice(read_together(align([one, other])), 30):
        alive += [weakref.ref(frame) for frame in together.frames]
        gc.collect()
        most = max(most, sum(seen() is not None for seen in alive))
    assert most <= 4  # of this time and, until it is replaced, of the one before


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    one = make_clip(tmp_path / "one.mp4", frames=3)
    with pytest.raises(VidpercError, match=r"missing.mp4: no such file"):
        align([one, Path(tmp_path / "missing.mp4")])
