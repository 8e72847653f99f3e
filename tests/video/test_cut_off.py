"""Files that end before the size that their containers state."""

import re
from fractions import Fraction

import av
import pytest

from tests.clips import make_clip, real_videos
from vidperc.errors import VidpercError
from vidperc.video.fates import Fate
from vidperc.video.index import index_frames

FRAMES = 50
MS = Fraction(1, 1000)
CLIPS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".avi": "mpeg4", ".flv": "flv", ".asf": "wmv2"}


def whole(suffix, folder, flags="+faststart"):
    """A clip with sound; an MP4 with its index in front, else no part of it could be read."""
    clip = make_clip(folder / f"clip{suffix}", frames=FRAMES, codec=CLIPS[suffix], time_base=MS, sound=True)
    path = folder / f"whole{suffix}"
    options = {"movflags": flags} if suffix in (".mp4", ".mov") else {}
    with av.open(str(clip)) as source, av.open(str(path), "w", options=options) as output:
        places = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = places[packet.stream.index]
                output.mux(packet)
    return path


def cut(path, share):
    content = path.read_bytes()
    shorter = path.with_stem(f"cut{share}")
    shorter.write_bytes(content[: int(len(content) * share)])
    return shorter


@pytest.mark.parametrize("suffix", CLIPS)
def test_a_cut_off_file_tells_how_much_of_what_it_announces_is_there(suffix, tmp_path):
    source = whole(suffix, tmp_path)
    assert index_frames(source).cut_off is None
    shorter = cut(source, 0.6)
    index = index_frames(shorter)
    assert 5 < len(index.pts) < FRAMES
    said = index.cut_off.sentence()
    missing = source.stat().st_size - shorter.stat().st_size
    stated = re.match(r"the source is cut off, (\d+) bytes before the end that it states; ", said)
    # An FLV states no more than where its last tag ends.
    assert 0 < int(stated[1]) <= missing if suffix == ".flv" else int(stated[1]) == missing
    if suffix in (".mp4", ".mov"):
        assert f"video 0: {len(index.pts)} of the {FRAMES} announced frames are there" in said
    else:
        assert re.search(r"video \d: [01]\.\d+ of the (1\.9|2\.)\d+ announced seconds are there", said)
    assert re.search(r"audio \d: \S+ of the \S+ announced (packets|seconds) are there", said)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("share", [0.3, 0.4, 0.5, 0.55, 0.65, 0.7, 0.8, 0.9, 0.95, 0.98])
def test_wherever_a_file_is_cut_it_is_told(suffix, share, tmp_path):
    index = index_frames(cut(whole(suffix, tmp_path), share))
    assert len(index.pts) < FRAMES or share > 0.9
    assert index.cut_off is not None


def test_a_cut_off_file_in_fragments_is_told(tmp_path):
    source = whole(".mp4", tmp_path, flags="frag_keyframe+empty_moov")
    assert index_frames(source).cut_off is None
    for share in (0.5, 0.6, 0.75):
        assert index_frames(cut(source, share)).cut_off is not None


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_bytes_behind_the_end_are_no_cut(suffix, tmp_path):
    """A tag for players of sound, say; as a box it would state a size beyond the file."""
    source = whole(suffix, tmp_path)
    with source.open("ab") as file:
        file.write(b"TAG and 124 bytes more".ljust(128))
    assert index_frames(source).cut_off is None


@pytest.mark.parametrize("path", real_videos("real", "awkward", "synthetic", max_bytes=5_000_000))
def test_whole_files_are_not_said_to_be_cut_off(path):
    try:
        index = index_frames(path)
    except VidpercError:
        assert path.name == "audio_only_dts.mkv"
        return
    assert (index.cut_off is not None) == path.name.startswith("truncated")


def test_what_is_shown_before_the_cut_is_not_touched(tmp_path):
    found = index_frames(cut(whole(".mkv", tmp_path), 0.6)).cut_off
    earliest = min(track.ends for track in found.tracks)
    assert not found.touches(earliest)
    assert found.touches(earliest + 1)


def test_streams_that_are_cut_off_are_not_said_to_be_kept_whole(tmp_path):
    found = index_frames(cut(whole(".mkv", tmp_path), 0.6)).cut_off
    name = found.tracks[1].name
    kept = Fate(subject=name, field="stream", outcome="kept")
    other = Fate(subject="2 chapters", field="stream", outcome="kept")
    told, same = found.told([kept, other])
    assert same == other
    assert str(told) == f"{name}: as far as it is there, for the source is cut off"
    assert [(fate.subject, fate.field, fate.outcome) for fate in found.fates([kept])] == [
        ("video", "length", "dropped"),
        (name, "length", "dropped"),
    ]
    dropped = Fate(subject=name, field="stream", outcome="dropped", asked=True)
    assert found.told([dropped]) == [dropped]
    assert [fate.subject for fate in found.fates([dropped])] == ["video"]
