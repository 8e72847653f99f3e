"""What becomes of everything in a file beside its picture, in every container, read back by ffprobe."""

import json
import shutil
import subprocess
from fractions import Fraction

import pytest

from tests.clips import TEST_DATA, ffprobe_packets, ffprobe_streams, ffprobe_times, make_clip
from tests.rich_files import CUES, FONT, make_rich
from vidperc.config.pipelines import apply_settings, load_pipeline
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.run import run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.video.read_back import same_value

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture
def carried(pool, tmp_path):
    """Runs a job that keeps the picture as it is; returns its report."""

    def run(source, output, **options):
        pipeline = apply_settings(load_pipeline("upscale"), ["upscale.model=bicubic", "upscale.scale=1"])
        job = Job(
            source=source,
            pipeline=pipeline,
            output=tmp_path / output,
            workers=1,
            wishes=Wishes(device="cpu"),
            **{"preset": "ultrafast", **options},
        )
        return run_job(job, pool, Watcher())

    return run


WEBM = {"codec": "libvpx-vp9", "preset": None, "encoder_options": {"cpu-used": "8"}}


def probed(path, *entries):
    command = ["ffprobe", "-v", "error", "-of", "json", *entries, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def kinds(path):
    return [(stream["codec_type"], stream.get("codec_name")) for stream in ffprobe_streams(path)]


def shown(path, stream="s:0"):
    """(start, end, text) in milliseconds of every subtitle, as FFmpeg's own program converts them."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:{stream}", "-f", "srt", "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = []
    for block in text.strip().split("\n\n"):
        _, times, *lines = block.split("\n")
        start, end = (milliseconds(side) for side in times.split(" --> "))
        found.append((start, end, "\n".join(lines)))
    return found


def milliseconds(clock):
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def outcomes(report, subject):
    return {(fate.field, fate.outcome) for fate in report.fidelity if fate.subject.startswith(subject)}


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg, the independent reader, is not here")


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["subrip", "ass", "webvtt"])
def test_text_becomes_timed_text_in_mp4_and_each_moment_shows_all_that_is_due(suffix, codec, carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=(codec,))
    report = carried(source, f"out{suffix}")
    assert kinds(report.output)[:4] == [("video", "h264"), ("audio", "aac"), ("audio", "aac"), ("subtitle", "mov_text")]
    found = [(start, end, text.replace("<i>", "").replace("</i>", "")) for start, end, text in shown(report.output)]
    assert found == [
        (200, 600, "first"),
        (600, 900, "first\nsecond, over it"),
        (900, 1100, "second, over it"),
        (1500, 1900, "third"),
    ]
    assert ("stream", "converted") in outcomes(report, "subtitle 3")
    assert any("mov_text" in sentence for sentence in report.streams.converted)
    assert report.streams.dropped == []


@needs_ffmpeg
def test_timed_text_of_an_mp4_becomes_subrip_in_matroska(carried, tmp_path):
    source = make_rich(tmp_path / "in.mp4", subtitles=("mov_text",), cover=True)
    assert kinds(source)[-1] == ("video", "mjpeg")
    report = carried(source, "out.mkv")
    found = kinds(report.output)
    assert ("subtitle", "subrip") in found
    assert ("video", "mjpeg") in found  # how FFmpeg shows a picture among the attachments
    texts = {text for _, _, text in shown(report.output)}
    assert {"first", "third"} <= texts
    assert report.streams.dropped == []


def test_text_becomes_webvtt_in_webm_and_what_it_cannot_hold_is_named(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", font=True)
    report = carried(source, "out.webm", codec="libvpx-vp9", preset=None, encoder_options={"cpu-used": "8"})
    assert kinds(report.output) == [("video", "vp9"), ("subtitle", "webvtt")]
    assert [fate.subject for fate in report.fidelity if (fate.field, fate.outcome) == ("stream", "dropped")] == [
        "audio 1 (aac, eng)",
        "audio 2 (aac, fra)",
        "attachment 4 (font.ttf)",
    ]
    assert len(report.streams.dropped) == 3


def test_sounds_fonts_covers_chapters_languages_and_titles_stay_in_matroska(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=("ass", "subrip"), font=True, cover=True, tags={"MOOD": "fine"})
    report = carried(source, "out.mkv", strict=True)
    entries = ["-show_streams", "-show_chapters", "-show_format"]
    was, now = probed(source, *entries), probed(report.output, *entries)
    for before, after in zip(was["streams"], now["streams"], strict=True):
        assert before["codec_name"] == after["codec_name"]
        assert before["disposition"] == after["disposition"]
        for tag in ("language", "title", "filename", "mimetype"):
            assert before.get("tags", {}).get(tag) == after.get("tags", {}).get(tag)
    for before, after in zip(was["chapters"], now["chapters"], strict=True):
        assert before["tags"] == after["tags"]
        assert Fraction(before["start_time"]) == Fraction(after["start_time"])
    assert now["format"]["tags"]["MOOD"] == "fine"
    assert ffprobe_packets(report.output, "s") == ffprobe_packets(source, "s")
    assert FONT in (tmp_path / "out.mkv").read_bytes()
    assert report.streams.dropped == report.streams.converted == []


def test_a_cover_stays_a_cover_in_mp4(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=(), cover=True)
    report = carried(source, "out.mp4")
    (cover,) = [s for s in ffprobe_streams(report.output) if s["disposition"]["attached_pic"]]
    assert (cover["codec_name"], cover["width"]) == ("mjpeg", 64)
    assert outcomes(report, "video 3 (mjpeg, cover)") >= {("stream", "kept")}


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("2016-05-31 17:01:35", "2016-05-31T17:01:35.000000Z", True),
        ("+48.1+011.5/", "+48.1000+011.5000/", True),
        ("2/3", "2/3", True),
        ("3/12", "3", False),
        ("abc", "0", False),
        ("yes", "0", False),
        ("2016-05-31 17:01:35", "2016-05-31", False),
    ],
)
def test_two_spellings_of_a_tag_may_say_the_same(wanted, got, same):
    assert same_value(wanted, got) == same


def test_a_tag_that_comes_back_as_another_is_no_kept_one(carried, tmp_path):
    said = {
        "compilation": "yes",
        "episode_sort": "abc",
        "disc": "2/3",
        "date": "2020-05-06",
        "location": "+48.1+011.5/",
    }
    report = carried(make_rich(tmp_path / "in.mkv", subtitles=(), sounds=0, tags=said), "out.mp4")
    told = {fate.field.removeprefix("tag ").lower(): fate.outcome for fate in report.fidelity if fate.subject == "file"}
    there = probed(report.output, "-show_format")["format"]["tags"]
    changed = {"compilation", "episode_sort"}
    assert {tag for tag in said if told[tag] == "dropped"} == changed
    assert {tag for tag in said if told[tag] == "kept"} == said.keys() - changed
    assert (there["compilation"], there["episode_sort"]) == ("0", "0")
    assert (there["disc"], there["date"], there["location"]) == ("2/3", "2020-05-06", "+48.1000+011.5000/")
    assert any("'abc'" in sentence for sentence in report.streams.dropped)


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm", "out.mkv"])
def test_a_cover_that_is_called_kept_is_there(name, carried, tmp_path):
    # MOV takes a cover and writes nothing of it.
    source = make_rich(tmp_path / "in.mp4", subtitles=(), sounds=0, cover=True)
    report = carried(source, name, **WEBM if name == "out.webm" else {})
    (told,) = [fate for fate in report.fidelity if "cover" in fate.subject and fate.field == "stream"]
    there = [s["codec_name"] for s in ffprobe_streams(report.output) if s["disposition"]["attached_pic"]]
    assert (told.outcome, there) == (("kept", ["mjpeg"]) if name in ("out.mp4", "out.mkv") else ("dropped", []))


def test_a_second_video_is_copied_packet_by_packet(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=(), second_video=True)
    report = carried(source, "out.mp4")
    assert [s.get("width") for s in ffprobe_streams(report.output) if s["codec_type"] == "video"] == [96, 64]
    wanted = probed(source, "-select_streams", "v:1", "-count_packets", "-show_entries", "stream=nb_read_packets")
    found = probed(report.output, "-select_streams", "v:1", "-count_packets", "-show_entries", "stream=nb_read_packets")
    assert wanted["streams"] == found["streams"] == [{"nb_read_packets": "50"}]
    assert ffprobe_times(report.output) == ffprobe_times(source)


def test_tags_that_mp4_does_not_hold_are_named_each(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=(), tags={"MOOD": "fine", "comment": "kept"})
    report = carried(source, "out.mp4")
    assert outcomes(report, "file") >= {("tag MOOD", "dropped"), ("tag COMMENT", "kept"), ("tag title", "kept")}
    tags = probed(report.output, "-show_format")["format"]["tags"]
    assert (tags["comment"], tags.get("MOOD")) == ("kept", None)


@pytest.mark.skipif(TEST_DATA is None, reason="VIDPERC_TEST_DATA is not set; it names the folder of real videos")
@pytest.mark.parametrize("output", ["out.mp4", "out.mov"])
def test_the_tags_of_a_phone_stay_and_its_track_of_data_is_named(output, carried):
    source = TEST_DATA / "videos" / "awkward" / "rot_minus90_metadata_track.mp4"
    report = carried(source, output)
    assert probed(report.output, "-show_format")["format"]["tags"]["com.android.capture.fps"] == "30.000000"
    assert kinds(report.output) == [("video", "h264"), ("audio", "aac")]
    (dropped,) = report.streams.dropped
    assert dropped == f"data 0 (unknown, eng): tracks of data are not written to {output[4:]}"


@pytest.mark.parametrize(("output", "lost"), [("out.mp4", "attachment"), ("out.webm", "audio 1 (aac, eng)")])
def test_strict_refuses_before_any_work_and_names_what_would_be_lost(output, lost, carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", font=True)
    options = {"codec": "libvpx-vp9", "preset": None} if output.endswith("webm") else {}
    with pytest.raises(VidpercError, match="--strict, and this would be dropped") as refused:
        carried(source, output, strict=True, **options)
    assert lost in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_every_part_has_a_fate_and_what_is_told_before_is_what_happens(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv", subtitles=("ass", "subrip"), font=True, cover=True, tags={"MOOD": "fine"})
    report = carried(source, "out.mp4")
    told = {fate.subject for fate in report.fidelity if fate.field == "stream"}
    assert len([subject for subject in told if subject.split()[1].isdigit()]) == len(ffprobe_streams(source)) - 1
    with pytest.raises(VidpercError) as refused:
        carried(source, "other.mp4", strict=True)
    for sentence in report.streams.dropped[:3]:
        assert sentence in str(refused.value)


def test_an_excerpt_cuts_the_text_that_lasts_into_it(carried, tmp_path):
    source = make_rich(tmp_path / "in.mkv")
    report = carried(source, "out.mkv", start=Fraction(1), end=Fraction(2))
    packets = probed(report.output, "-select_streams", "s:0", "-show_packets")["packets"]
    found = [(round(1000 * float(p["pts_time"])), round(1000 * float(p["duration_time"]))) for p in packets]
    assert found == [(0, CUES[1][1] - 1000), (500, 400)]


def test_strict_does_not_mind_what_was_asked_for(carried, tmp_path):
    report = carried(make_rich(tmp_path / "in.mkv", subtitles=(), sounds=1), "out.mp4", strict=True, keep_audio=False)
    assert report.streams.dropped == ["audio 1 (aac, eng): --no-audio"]
    assert [s["codec_type"] for s in ffprobe_streams(report.output) if s["codec_type"] != "data"] == ["video"]


def captions(path):
    """The captions inside the frames as text, and the times of the frames that have some."""
    entries = ["-select_streams", "v:0", "-show_entries", "frame=pts_time:frame_side_data=side_data_type"]
    frames = probed(path, *entries)["frames"]
    there = [f for f in frames if any("Closed Captions" in d["side_data_type"] for d in f.get("side_data_list", []))]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"movie={path}[out0+subcc]",
        "-map",
        "0:s",
        "-f",
        "srt",
        "-",
    ]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    start = float(frames[0]["pts_time"])
    return [round(float(f["pts_time"]) - start, 2) for f in there], [
        line for line in text.splitlines() if "-->" not in line
    ]


@pytest.mark.skipif(TEST_DATA is None, reason="VIDPERC_TEST_DATA is not set; it names the folder of real videos")
@needs_ffmpeg
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_captions_inside_frames_stay_in_their_frames(codec, carried):
    source = TEST_DATA / "videos" / "awkward" / "hls_cea608_vfr.ts"
    report = carried(source, "out.mkv", codec=codec, strict=True)
    assert captions(source)[0]
    assert captions(report.output) == captions(source)
    assert ("captions", "kept") in outcomes(report, "video")


@pytest.mark.skipif(TEST_DATA is None, reason="VIDPERC_TEST_DATA is not set; it names the folder of real videos")
@pytest.mark.parametrize(
    ("name", "lost"),
    [("hls_cea608_vfr.ts", "video, captions: libvpx-vp9"), ("mvhevc_stereo.mov", "video, second view")],
)
def test_what_frames_hold_and_the_output_cannot_is_named(name, lost, carried):
    options = {"codec": "libvpx-vp9", "preset": None, "end": Fraction(1, 5)} if name.startswith("hls") else {}
    with pytest.raises(VidpercError, match=f"--strict, and this would be dropped: .*{lost}"):
        carried(TEST_DATA / "videos" / "awkward" / name, "out.mkv", strict=True, **options)


@pytest.mark.skipif(TEST_DATA is None, reason="VIDPERC_TEST_DATA is not set; it names the folder of real videos")
@needs_ffmpeg
@pytest.mark.parametrize(("encoder", "suffix"), [("libx264", ".mp4"), ("libx264", ".ts"), ("mpeg2video", ".ts")])
def test_captions_that_begin_late_are_found_and_stay(encoder, suffix, carried, tmp_path):
    """Three seconds of another film come first, longer than the part of the video that is looked at."""
    captioned = TEST_DATA / "videos" / "awkward" / "hls_cea608_vfr.ts"
    before = "color=c=gray:s=640x360:r=24:d=3[a];[1:v]fps=24,setsar=1[b];[a][b]concat=n=2"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "nullsrc", "-i", str(captioned), "-filter_complex", before]
    source = tmp_path / f"in{suffix}"
    subprocess.run([*command, "-c:v", encoder, "-a53cc", "1", "-b:v", "2M", "-g", "24", str(source)], check=True)
    wanted, text = captions(source)
    assert wanted and wanted[0] >= 3
    report = carried(source, "out.mkv", strict=True)
    found, found_text = captions(report.output)
    assert found_text == text
    assert found == pytest.approx(wanted, abs=0.011)  # milliseconds of Matroska, then hundredths
    assert ("captions", "kept") in outcomes(report, "video")
    with pytest.raises(VidpercError, match=r"--strict, and this would be dropped: .*video, captions: ffv1"):
        carried(source, "other.mkv", strict=True, codec="ffv1", preset=None)


def test_the_name_of_a_programme_is_told_as_lost(carried, tmp_path):
    make_clip(tmp_path / "plain.mkv", frames=6)
    named = ["-c", "copy", "-metadata", "service_name=Das Erste", "-metadata", "service_provider=ARD"]
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "plain.mkv"), *named, str(tmp_path / "tv.ts")]
    subprocess.run(command, check=True)
    report = carried(tmp_path / "tv.ts", "out.mkv")
    assert "programme, name 'Das Erste (ARD)': matroska has no programmes" in report.streams.dropped
    with pytest.raises(VidpercError, match="programme, name 'Das Erste"):
        carried(tmp_path / "tv.ts", "strict.mkv", strict=True)


def test_a_mark_that_mp4_adds_to_subtitles_is_told(carried, tmp_path):
    make_clip(tmp_path / "plain.mkv", frames=30)
    (tmp_path / "text.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
    inputs = ["-i", str(tmp_path / "plain.mkv"), "-i", str(tmp_path / "text.srt")]
    command = ["ffmpeg", "-v", "error", *inputs, "-c", "copy", "-disposition:s:0", "0", str(tmp_path / "in.mkv")]
    subprocess.run(command, check=True)
    assert "default" not in marks(tmp_path / "in.mkv", "s:0")
    for output, gained in (("out.mp4", True), ("out.mkv", False)):
        report = carried(tmp_path / "in.mkv", output)
        assert ("default" in marks(tmp_path / output, "s:0")) == gained
        assert (
            any("mark default: mp" in told or "mark default: mov" in told for told in report.streams.converted)
            == gained
        )


def marks(path, stream):
    (found,) = probed(path, "-show_streams", "-select_streams", stream)["streams"]
    return {name for name, is_set in found["disposition"].items() if is_set}


needs_mkvpropedit = pytest.mark.skipif(shutil.which("mkvpropedit") is None, reason="mkvpropedit marks the sources")

VIEWS = {
    "360 degree projection": ("projection-type=1", "projection-pose-yaw=30"),
    "stereo 3D": ("stereo-mode=1",),
    "cropping": ("pixel-crop-top=10", "pixel-crop-left=20"),
}


@needs_ffmpeg
@needs_mkvpropedit
@pytest.mark.parametrize("what", VIEWS)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_how_pictures_are_to_be_viewed_is_told_and_strict_refuses_to_lose_it(suffix, what, carried, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=3)
    marks = [part for mark in VIEWS[what] for part in ("-s", mark)]
    subprocess.run(["mkvpropedit", str(source), "-e", "track:v1", *marks], check=True, capture_output=True)
    report = carried(source, f"out{suffix}")
    kept = (what, suffix) == ("stereo 3D", ".mkv")  # Matroska's own tag makes its own mark
    assert (what, "kept" if kept else "dropped") in outcomes(report, "video")
    if not kept:
        with pytest.raises(VidpercError, match=f"--strict, .*video, {what}"):
            carried(source, f"strict{suffix}", strict=True)


@needs_ffmpeg
@needs_mkvpropedit
def test_bare_pictures_tell_of_the_view_that_they_lose(carried, tmp_path):
    source = make_clip(tmp_path / "in.mkv", frames=3)
    mark = ["-e", "track:v1", "-s", "projection-type=1"]
    subprocess.run(["mkvpropedit", str(source), *mark], check=True, capture_output=True)
    report = carried(source, "out.y4m", preset=None)
    assert ("360 degree projection", "dropped") in outcomes(report, "video")


CHAPTERS = """;FFMETADATA1
BPS_NOTE=a note
DURATION_NOTE=another
[CHAPTER]
TIMEBASE=1/1000
START=0
END=300
title=first
ARTIST=someone
[CHAPTER]
TIMEBASE=1/1000
START=600
END=1200
title=second
"""


@needs_ffmpeg
def test_what_chapters_and_tags_like_statistics_lose_is_told(carried, tmp_path):
    plain, notes, source = make_clip(tmp_path / "plain.mkv"), tmp_path / "notes.txt", tmp_path / "in.mkv"
    notes.write_text(CHAPTERS)
    command = ["ffmpeg", "-v", "error", "-i", str(plain), "-i", str(notes), "-map_metadata", "1", "-c", "copy"]
    subprocess.run([*command, str(source)], check=True)
    dropped = carried(source, "out.mp4").streams.dropped
    for start in (
        "chapter 1, tag ARTIST: ",
        "chapter 1, end: ",
        "file, tag BPS_NOTE: ",
        "file, tag DURATION_NOTE: ",
    ):
        assert [sentence for sentence in dropped if sentence.startswith(start)], (start, dropped)
    assert not [sentence for sentence in dropped if "chapter 2" in sentence or "title" in sentence]
    assert carried(source, "out2.mkv").streams.dropped == []


@needs_ffmpeg
def test_the_reel_name_of_a_timecode_is_told(carried, tmp_path):
    plain, source = make_clip(tmp_path / "plain.mkv"), tmp_path / "in.mov"
    marks = ["-timecode", "01:00:00:00", "-metadata:s:v", "reel_name=A001"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(plain), "-c", "copy", *marks, str(source)], check=True)
    assert "A001" in [stream["tags"].get("reel_name") for stream in ffprobe_streams(source)]
    report = carried(source, "out.mov")
    there = "A001" in [stream["tags"].get("reel_name") for stream in ffprobe_streams(report.output)]
    assert there != any("reel_name" in sentence for sentence in report.streams.dropped)


@pytest.fixture
def captions_of_a_moment(tmp_path):
    """A MOV with a track of CEA-608 that was taken from the frames; its last packet lasts no time."""
    if TEST_DATA is None or shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg, and the broadcast of VIDPERC_TEST_DATA")
    (tmp_path / "c.ts").write_bytes((TEST_DATA / "videos" / "awkward" / "hls_cea608_vfr.ts").read_bytes())
    reading = ["-f", "lavfi", "-i", "movie=c.ts[out+subcc]", "-i", "c.ts", "-map", "1:v", "-map", "0:s", "-t", "3"]
    command = ["ffmpeg", "-v", "error", *reading, "-c", "copy", "in.mov"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    return tmp_path / "in.mov"


def test_the_last_caption_of_a_track_is_kept_where_it_lasts_no_time(captions_of_a_moment, carried):
    """The edit list of a MOV ended at it, so that readers left it out, and the whole job failed at its end."""
    source = captions_of_a_moment
    assert [kind for kind in kinds(source) if kind[0] == "subtitle"] == [("subtitle", "eia_608")]
    assert lasts_of_text(source)[-1] in (None, 0)
    report = carried(source, "out.mov")
    assert ffprobe_packets(report.output, "s") == ffprobe_packets(source, "s")
    assert outcomes(report, "subtitle") >= {("stream", "kept")}
    assert report.streams.dropped == []


def lasts_of_text(path):
    answer = probed(path, "-select_streams", "s", "-show_entries", "packet=duration")
    return [packet.get("duration") for packet in answer["packets"]]


@pytest.mark.parametrize(("output", "hint"), [("out.mp4", "ending in .mov keeps it as it is"), ("out.mkv", ".mov")])
def test_a_stream_is_said_to_be_kept_only_by_containers_that_take_it(output, hint, captions_of_a_moment, carried):
    """Matroska holds no CEA-608, and was recommended for it."""
    report = carried(captions_of_a_moment, output, end=Fraction(1, 5))
    (told,) = [sentence for sentence in report.streams.dropped if "eia_608" in sentence]
    assert hint in told and ".mkv" not in told
