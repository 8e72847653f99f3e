"""Jobs: finished, resumed, refused, cut to an excerpt; one pool of workers for all of them."""

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import psutil
import pytest

from tests.clips import decoded_frames, ffprobe_packets, ffprobe_streams, ffprobe_times, ffprobe_video, make_clip
from vidperc.engine import plan as plan_module
from vidperc.engine import run as run_module
from vidperc.engine.estimate import estimate
from vidperc.engine.job import Job
from vidperc.engine.journal import Journal
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.run import Interrupted, run_job
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.upscale import Upscale
from vidperc.video.identity import read_identity

FRAMES = 75
TWICE = PipelineSpec("upscale", "", (Upscale(model="bicubic", scale=2),))
FAST = {"preset": "ultrafast", "workers": 1, "wishes": Wishes(device="cpu")}
AAC_PACKET = Fraction(1024, 44100)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as workers:
        yield workers


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """75 frames at irregular times, with sound."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    times = [512 * k + (k % 3) * 100 for k in range(FRAMES)]
    return make_clip(path, pts=times, sound=True)


@pytest.fixture
def three_segments(monkeypatch):
    """Plans of 25 frames a segment; the real limits would need a long video."""
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 25)


@pytest.fixture(scope="module")
def finished(source, pool, tmp_path_factory):
    """A job that is done: itself, its report."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path_factory.mktemp("finished") / "out.mp4", **FAST)
    return job, run_job(job, pool, Watcher())


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Listener(Watcher):
    """Remembers what it was told."""

    def __init__(self):
        self.planned_frames = None
        self.finished_before = None
        self.reached = 0

    def planned(self, plan, finished):
        self.planned_frames, self.finished_before = plan.frames, finished

    def progressed(self, frames, seconds):
        self.reached = max(self.reached, frames)


def interrupted(job, pool, monkeypatch, error=KeyboardInterrupt):
    """Run a job up to where its output would be written. Returns its journal's folder."""

    def stop(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deliver", stop)
        with pytest.raises((Interrupted, VidpercError)) as caught:
            run_job(job, pool, Watcher())
    assert not job.output.exists()
    (folder,) = job.output.parent.glob(f"{job.output.name}.vidperc-*")
    return folder, str(caught.value)


def test_the_report_tells_what_was_done(finished, source):
    job, report = finished
    assert (report.source, report.output) == (str(source), str(job.output))
    assert (report.frames_in, report.frames_out) == (FRAMES, FRAMES)
    assert (report.width, report.height) == (192, 128)
    assert report.time_error_seconds == 0
    assert report.streams.kept and not report.streams.dropped
    assert (report.encoder["codec"], report.encoder["pix_fmt"]) == ("libx264", "yuv420p")
    assert report.placement["device"] == "cpu"
    assert report.color["output"]["matrix"] == 6
    assert (report.workers, report.segments, report.resumed_segments, report.crashed_workers) == (1, 1, 0, 0)
    assert {name: n for name, n in report.damage.items() if n} == {"packets": FRAMES}
    assert report.output_bytes == job.output.stat().st_size
    assert {"vidperc", "av", "ffmpeg", "torch"} <= set(report.versions)
    assert report.seconds["wall"] >= report.seconds["render"] > 0
    assert report.bottleneck in ("decode", "process", "encode")
    assert report.peak_memory_bytes > 0
    assert not report.already_done


def test_the_output_has_every_frame_time_and_sound_packet(finished, source):
    job, _ = finished
    assert ffprobe_times(job.output) == ffprobe_times(source)
    assert ffprobe_packets(job.output) == ffprobe_packets(source)
    video = ffprobe_video(job.output)
    assert (video["width"], video["height"]) == (192, 128)
    assert len(decoded_frames(job.output)) == FRAMES
    assert listing(job.output.parent) == ["out.mp4"]


def test_a_finished_job_is_recognised_and_nothing_is_done(finished, pool):
    job, _ = finished
    before = job.output.read_bytes(), job.output.stat().st_mtime_ns
    report = run_job(job, pool, Watcher())
    assert report.already_done
    assert report.frames_out == FRAMES
    assert (job.output.read_bytes(), job.output.stat().st_mtime_ns) == before
    assert listing(job.output.parent) == ["out.mp4"]


def test_weights_are_found_from_the_folder_of_the_caller_and_known_by_what_they_hold(
    source, pool, tmp_path, monkeypatch
):
    """The pool's workers began elsewhere; and the same weights in another place make the same job."""
    pool.start(1)
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", **FAST)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    save_small_network(tmp_path / "net.safetensors")
    (tmp_path / "other" / "net.safetensors").write_bytes((tmp_path / "net.safetensors").read_bytes())
    run_job(replace(job, pipeline=weights_pipeline("net.safetensors")), pool, Watcher())
    for path in ("./net.safetensors", "other/net.safetensors", str(tmp_path / "net.safetensors")):
        assert run_job(replace(job, pipeline=weights_pipeline(path)), pool, Watcher()).already_done


def weights_pipeline(model):
    return PipelineSpec("upscale", "", (Upscale(model=model),))


def save_small_network(path):
    from safetensors.torch import save_file
    from spandrel.architectures.Compact import Compact

    save_file(Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2).state_dict(), path)


@pytest.mark.parametrize("how", ["quality", "pipeline", "source", "excerpt"])
def test_an_output_made_with_other_settings_is_refused(how, finished, source, pool, tmp_path):
    job, _ = finished
    other = {
        "quality": replace(job, quality="30"),
        "pipeline": replace(job, pipeline=PipelineSpec("upscale", "", (Upscale(model="lanczos", scale=2),))),
        "source": replace(job, source=make_clip(tmp_path / "other.mp4", frames=5)),
        "excerpt": replace(job, start=Fraction(1)),
    }[how]
    before = job.output.read_bytes()
    with pytest.raises(VidpercError, match=r"exists and was made with other settings; -y overwrites it"):
        run_job(other, pool, Watcher())
    assert job.output.read_bytes() == before
    assert listing(job.output.parent) == ["out.mp4"]


def test_workers_and_the_length_of_segments_do_not_make_it_another_job(finished, pool):
    job, _ = finished
    assert run_job(replace(job, workers=2), pool, Watcher()).already_done


def test_overwriting_replaces_what_is_there(source, pool, tmp_path):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"somebody's film")
    job = Job(source=source, pipeline=TWICE, output=output, end=Fraction(1), **FAST)
    with pytest.raises(VidpercError, match=r"exists and was not made by this job; -y overwrites it"):
        run_job(job, pool, Watcher())
    assert output.read_bytes() == b"somebody's film"
    report = run_job(replace(job, overwrite=True), pool, Watcher())
    assert report.frames_out == len(ffprobe_times(output)) == 25
    assert read_identity(output) == prepare_job(job, pool).key


def test_a_stopped_job_goes_on_where_it_was(three_segments, finished, source, pool, tmp_path, monkeypatch):
    """One finished segment is gone, another damaged: both are rendered again, the third is taken over."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", **FAST)
    folder, told = interrupted(job, pool, monkeypatch)
    assert told == f"75 of 75 frames are finished and kept in {folder.name}; the same command goes on from there"
    (folder / "segment-00000.mkv").unlink()
    damaged = folder / "segment-00001.mkv"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    kept = (folder / "segment-00002.mkv").stat().st_mtime_ns
    kept_frames = len(json.loads((folder / "segment-00002.json").read_text())["packet_pts"])
    rendered = []
    with monkeypatch.context() as patch:
        finish = Journal.finish
        patch.setattr(Journal, "finish", lambda self, s, *rest: (rendered.append(s.index), finish(self, s, *rest)))
        patch.setattr(Journal, "remove", lambda self: None)
        listener = Listener()
        report = run_job(job, pool, listener)
    assert sorted(rendered) == [0, 1]
    assert (folder / "segment-00002.mkv").stat().st_mtime_ns == kept
    assert (report.segments, report.resumed_segments, report.frames_out) == (3, 1, FRAMES)
    assert (listener.planned_frames, listener.finished_before, listener.reached) == (FRAMES, kept_frames, FRAMES)
    assert ffprobe_times(job.output) == ffprobe_times(source)


def test_a_resumed_job_gives_the_bytes_of_one_in_one_go(three_segments, source, pool, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    whole = Job(source=source, pipeline=TWICE, output=tmp_path / "a" / "out.mp4", **FAST)
    run_job(whole, pool, Watcher())
    job = replace(whole, output=tmp_path / "out.mp4")
    folder, _ = interrupted(job, pool, monkeypatch)
    (folder / "segment-00001.json").unlink()
    run_job(job, pool, Watcher())
    assert job.output.read_bytes() == whole.output.read_bytes()


def test_unfinished_jobs_with_other_settings_are_mentioned(source, pool, tmp_path, monkeypatch):
    """For the same output, or of the same input; not those of others, nor what somebody works on just now."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", end=Fraction(1), **FAST)
    other_source = make_clip(tmp_path / "unrelated.mp4", frames=5)
    interrupted(replace(job, source=other_source, output=tmp_path / "unrelated_x2.mp4"), pool, monkeypatch)
    same_output, _ = interrupted(replace(job, quality="30"), pool, monkeypatch)
    same_source, _ = interrupted(replace(job, output=tmp_path / "elsewhere.mkv"), pool, monkeypatch)
    in_work, _ = interrupted(replace(job, output=tmp_path / "in_work.mp4"), pool, monkeypatch)
    (tmp_path / "out.mp4.vidperc-0123456789").write_text("a file of somebody's")
    said = []

    class Reader(Watcher):
        def warned(self, text):
            said.append(text)

    with Journal(tmp_path / "in_work.mp4", "x" * 10):
        report = run_job(job, pool, Reader())
    (sentence,) = said
    assert sentence in report.remarks
    size = sum(path.stat().st_size for path in same_output.iterdir()) / 1e6
    assert f"{same_source.name} (" in sentence and f"{same_output.name} ({size:.1f} MB)" in sentence
    assert sentence.count(".vidperc-") == 2
    assert sentence.endswith("the command that began one goes on from there, else delete the folder")
    assert same_output.is_dir() and same_source.is_dir() and in_work.is_dir()


@pytest.mark.parametrize("damage", ["truncated", "empty", "no plan at all", "other fields", "not text"])
def test_a_corrupt_plan_does_not_break_the_next_run(three_segments, damage, source, pool, tmp_path, monkeypatch):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", end=Fraction(2), **FAST)
    folder, _ = interrupted(job, pool, monkeypatch)
    plan = folder / "plan.json"
    content = plan.read_bytes()
    if damage == "no plan at all":
        plan.unlink()
    else:
        plan.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "other fields": json.dumps({"a": [1, 2]}).encode(),
                "not text": bytes(range(256)),
            }[damage]
        )
    report = run_job(job, pool, Watcher())
    assert report.frames_out == 50
    assert listing(tmp_path) == ["out.mp4"]


def test_segments_of_a_lost_plan_are_not_taken_for_those_of_the_next(source, pool, tmp_path, monkeypatch):
    """Another version, or other limits, may cut elsewhere: frames would be there twice, or not at all."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", **FAST)
    with monkeypatch.context() as patch:
        patch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 25)
        folder, _ = interrupted(job, pool, monkeypatch)
    (folder / "plan.json").unlink()
    monkeypatch.setattr(plan_module, "MAX_SEGMENT_FRAMES", 40)
    report = run_job(job, pool, Watcher())
    assert (report.segments, report.resumed_segments, report.frames_out) == (2, 0, FRAMES)
    assert ffprobe_times(job.output) == ffprobe_times(source)


@pytest.mark.parametrize("damage", ["truncated", "empty", "not text"])
def test_a_corrupt_sidecar_has_its_segment_rendered_again(three_segments, damage, source, pool, tmp_path, monkeypatch):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", end=Fraction(2), **FAST)
    folder, _ = interrupted(job, pool, monkeypatch)
    sidecar = folder / "segment-00000.json"
    content = sidecar.read_bytes()
    sidecar.write_bytes(
        {"truncated": content[: len(content) // 2], "empty": b"", "not text": bytes(range(256))}[damage]
    )
    report = run_job(job, pool, Watcher())
    assert (report.resumed_segments, report.frames_out) == (report.segments - 1, 50)


def test_a_full_disk_while_the_output_is_written_keeps_what_is_finished(source, pool, tmp_path, monkeypatch):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", **FAST)
    folder, told = interrupted(job, pool, monkeypatch, OSError(28, "No space left on device"))
    assert told.startswith("the disk is full; 75 of 75 frames are finished and kept in ")
    assert told.endswith("the same command goes on from there")
    assert not list(folder.glob("*.partial*"))
    report = run_job(job, pool, Watcher())
    assert report.resumed_segments == report.segments
    assert listing(tmp_path) == ["out.mp4"]


@pytest.fixture(scope="module")
def lossless(source, pool, tmp_path_factory):
    """The frames of the whole source, without loss: hash by time."""
    output = tmp_path_factory.mktemp("lossless") / "out.mkv"
    run_job(Job(source=source, pipeline=TWICE, output=output, codec="ffv1", workers=1), pool, Watcher())
    return [digest for _, digest in decoded_frames(output)]


@pytest.mark.parametrize(
    ("asked", "first", "count"),
    [
        ({"start": Fraction(1), "end": Fraction(2)}, 25, 25),
        ({"start": Fraction(21, 10)}, 53, 22),
        ({"end": Fraction(1, 25)}, 0, 1),
        ({"sample": Fraction(1, 2), "start": Fraction(1)}, 25, 13),
    ],
)
def test_an_excerpt_starts_at_zero_with_the_frames_that_were_asked_for(
    asked, first, count, lossless, source, pool, tmp_path
):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mkv", codec="ffv1", workers=1, **asked)
    report = run_job(job, pool, Watcher())
    times = ffprobe_times(source)
    assert [digest for _, digest in decoded_frames(job.output)] == lossless[first : first + count]
    found = ffprobe_times(job.output)
    wanted = [t - times[first] for t in times[first : first + count]]
    assert found[0] == 0
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= Fraction(1, 2000)
    assert (report.frames_in, report.frames_out) == (count, count)


def sound_times(path):
    with av.open(str(path)) as container:
        return [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]


def test_the_sound_of_an_excerpt_is_cut_within_a_packet(source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", start=Fraction(1), end=Fraction(2), **FAST)
    run_job(job, pool, Watcher())
    times = ffprobe_times(source)
    start, end = times[25], times[50]
    kept = [k for k, t in enumerate(sound_times(source)) if t + AAC_PACKET > start and t < end]
    assert ffprobe_packets(job.output) == [ffprobe_packets(source)[k] for k in kept]
    found = sound_times(job.output)
    assert -AAC_PACKET < found[0] <= 0
    assert end - start - AAC_PACKET <= found[-1] < end - start
    assert ffprobe_times(job.output) == [t - start for t in times[25:50]], "exact in MP4"


def test_a_sample_is_taken_from_the_middle(lossless, source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mkv", codec="ffv1", workers=1, sample=Fraction(1))
    run_job(job, pool, Watcher())
    found = [digest for _, digest in decoded_frames(job.output)]
    first = lossless.index(found[0])
    assert found == lossless[first : first + len(found)]
    assert 24 <= len(found) <= 26
    assert abs(first + len(found) / 2 - FRAMES / 2) <= 1.5


def test_a_sample_longer_than_the_video_is_all_of_it(source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", sample=Fraction(1000), **FAST)
    assert run_job(job, pool, Watcher()).frames_out == FRAMES


def test_the_sound_may_be_left_out(source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", keep_audio=False, end=Fraction(1), **FAST)
    report = run_job(job, pool, Watcher())
    assert [stream["codec_type"] for stream in ffprobe_streams(job.output)] == ["video"]
    assert ["--no-audio" in sentence for sentence in report.streams.dropped] == [True]


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_another_container_keeps_sound_and_times(suffix, source, pool, tmp_path):
    """In Matroska every frame came 23 ms late: sound that begins before 0 pushed all back."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path / f"out{suffix}", **FAST)
    report = run_job(job, pool, Watcher())
    assert ffprobe_packets(job.output) == ffprobe_packets(source)
    assert report.time_error_seconds <= (0.0005 if suffix == ".mkv" else 0)


@pytest.mark.parametrize(
    ("suffix", "codec", "wanted"),
    [
        (".mp4", None, "clip_x2.mp4"),
        (".mp4", "prores_ks", "clip_x2.mkv"),
        (".mov", "libvpx-vp9", "clip_x2.mkv"),
        (".ts", None, "clip_x2.mkv"),
        (".webm", None, "clip_x2.webm"),
        (".webm", "libx264", "clip_x2.mkv"),
    ],
)
def test_an_output_without_a_name_is_called_after_the_source(suffix, codec, wanted, pool, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}", frames=5, codec="libvpx-vp9" if suffix == ".webm" else "libx264")
    ready = prepare_job(Job(source=clip, pipeline=TWICE, codec=codec), pool)
    assert ready.output == tmp_path / wanted


@pytest.mark.parametrize(
    ("name", "codec"),
    [("out.webm", "libx264"), ("out.mp4", "prores_ks"), ("out.mov", "ffv1"), ("out.mov", "libsvtav1")],
)
def test_a_container_that_cannot_hold_the_codec_is_refused_before_any_work(name, codec, source, pool, tmp_path):
    with pytest.raises(VidpercError, match=r"cannot hold video from .* ending in \.mkv"):
        prepare_job(Job(source=source, pipeline=TWICE, output=tmp_path / name, codec=codec), pool)
    assert listing(tmp_path) == []


def test_a_dry_run_is_right_and_leaves_nothing(finished, source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", **FAST)
    figures = estimate(job, pool)
    assert (figures.width, figures.height, figures.frames) == (192, 128, FRAMES)
    assert (figures.segments, figures.workers, figures.probed_frames) == (1, 1, 24)
    assert figures.seconds > 0 and figures.memory_bytes > 0
    real = finished[0].output.stat().st_size
    assert real / 4 < figures.output_bytes < real * 4, "24 frames stand for all"
    assert figures.disk_bytes == 2 * figures.output_bytes
    assert "192x128" in "\n".join(figures.lines())
    assert listing(tmp_path) == []


# From here on through the command line, in processes of their own.


def vidperc(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "vidperc", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=120,
        check=False,
    )


def test_one_bad_input_does_not_stop_the_others(tmp_path):
    for name in ("a", "c"):
        make_clip(tmp_path / f"{name}.mp4", frames=10)
    (tmp_path / "b.mp4").write_text("no video")
    report = tmp_path / "report.json"
    done = vidperc(
        "upscale", "a.mp4", "b.mp4", "c.mp4", "-o", "out/", "--preset", "ultrafast", "--report", report, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("vidperc: ")]
    assert len(told) == 2
    assert told[0].startswith("vidperc: b.mp4: not a video")
    assert told[1] == "vidperc: 1 of 3 inputs failed"
    assert listing(tmp_path / "out") == ["a_x2.mp4", "c_x2.mp4"]
    assert all(len(ffprobe_times(path)) == 10 for path in (tmp_path / "out").iterdir())
    first, second, third = json.loads(report.read_text())["jobs"]
    assert (first["frames_out"], third["frames_out"]) == (10, 10)
    assert set(second) == {"source", "error"}
    assert first["bottleneck"] in ("decode", "process", "encode")


def test_the_log_tells_the_plan_and_what_becomes_of_each_segment(source, tmp_path):
    command = ["upscale", source, "-m", "bicubic", "--preset", "ultrafast", "--device", "cpu", "-y", "-o", "out.mp4"]
    said = vidperc(*command, "--no-progress", "--log-level", "debug", cwd=tmp_path).stderr.splitlines()
    told = [line.removeprefix("DEBUG vidperc.engine.") for line in said if line.startswith("DEBUG ")]
    assert told[0].startswith("run: clip.mp4: 1 segments, 1 workers, Placement(device='cpu', precision='float32'")
    assert told[1] == "run: clip.mp4: segment 0: 75 frames, pts 0 to 38088, 0 before and 0 after are read too"
    assert told[2] == "render: segment 0: begun, decoding from the start of the file"
    assert told[3].startswith("render: segment 0: done, 75 frames, ")
    assert len(told) == 4
    at_info = vidperc(*command, "--no-progress", "--log-level", "info", cwd=tmp_path).stderr
    assert "INFO vidperc: " in at_info and "DEBUG" not in at_info


@pytest.mark.parametrize("settings", [[], ["--crf", "30"]])
def test_a_second_run_for_an_output_in_progress_is_refused(settings, source, pool, tmp_path):
    """Be it the very job or one with other settings: both would write the output, the last to end wins."""
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", workers=1, preset="ultrafast")
    with Journal(job.output, prepare_job(job, pool).key):
        before = listing(tmp_path)
        done = vidperc(
            "upscale",
            source,
            "-m",
            "bicubic",
            "-o",
            job.output,
            "-s",
            "2",
            "--preset",
            "ultrafast",
            *settings,
            cwd=tmp_path,
        )
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"vidperc: {job.output}: another vidperc is working on this output; wait for it, or stop it"
        ]
        assert listing(tmp_path) == before
    assert listing(tmp_path) == []


def test_the_lock_of_a_killed_run_hinders_nobody(source, pool, tmp_path):
    job = Job(source=source, pipeline=TWICE, output=tmp_path / "out.mp4", end=Fraction(1), **FAST)
    (tmp_path / "out.mp4.vidperc-lock").touch()
    run_job(job, pool, Watcher())
    assert listing(tmp_path) == ["out.mp4"]


STOPPED = """
import signal
from time import sleep
from vidperc import cli
from vidperc.engine import journal, plan

plan.MAX_SEGMENT_FRAMES = 25
finish = journal.Journal.finish

def finish_and_wait(*arguments):
    finish(*arguments)
    print("one is finished", flush=True)
    while True:  # signal.pause() never sees a signal that came just before it
        sleep(0.1)

journal.Journal.finish = finish_and_wait
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background are told to ignore it
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for a single process")
@pytest.mark.parametrize(("sent", "code"), [([signal.SIGINT], 130), ([signal.SIGTERM, signal.SIGTERM], 143)])
def test_a_stopped_run_says_how_far_it_got_and_the_same_command_goes_on(sent, code, source, tmp_path):
    command = ["upscale", str(source), "-m", "bicubic", "-o", "out.mp4", "--preset", "ultrafast", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout.readline() == "one is finished\n"
    workers = psutil.Process(process.pid).children()
    assert workers
    for number in sent:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert not any(worker.is_running() for worker in workers)
    assert "Traceback" not in said
    (folder,) = tmp_path.iterdir()
    frames = len(json.loads(next(folder.glob("segment-*.json")).read_text())["packet_pts"])
    assert said.splitlines()[-1] == (
        f"vidperc: stopped; {frames} of 75 frames are finished and kept in {folder.name}; "
        f"the same command goes on from there"
    )
    assert not (tmp_path / "out.mp4").exists()
    done = vidperc(*command, "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 0
    assert f"{frames} of them finished by an earlier run" in done.stderr
    (report,) = json.loads((tmp_path / "report.json").read_text())["jobs"]
    assert (report["segments"], report["resumed_segments"], report["frames_out"]) == (3, 1, FRAMES)
    assert ffprobe_times(tmp_path / "out.mp4") == ffprobe_times(source)
    assert listing(tmp_path) == ["out.mp4", "report.json"]


def test_damage_over_a_whole_segment_costs_that_segment_only(tmp_path, pool):
    source = make_clip(tmp_path / "clip.mp4", frames=480, size=(64, 48))
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    for start, stop in itertools.pairwise(places[240:]):
        data[start:stop] = bytes(stop - start)
    source.write_bytes(data)
    output = tmp_path / "out.mp4"
    report = run_job(Job(source=source, output=output, pipeline=TWICE, preset="ultrafast"), pool, Watcher())
    assert report.segments > 2
    assert 230 <= report.frames_out < 480
    assert len(decoded_frames(output)) == report.frames_out


def test_an_input_that_changes_during_the_run_is_noticed(tmp_path, pool):
    source = make_clip(tmp_path / "clip.mp4", frames=30)
    output = tmp_path / "out.mp4"

    class Meddler(Watcher):
        def joining(self):
            make_clip(source, frames=30, cuts=(3,))

    with pytest.raises(VidpercError, match="was changed while it was read"):
        run_job(Job(source=source, output=output, pipeline=TWICE), pool, Meddler())
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_output_that_appears_during_the_run_is_not_overwritten(tmp_path, pool):
    source = make_clip(tmp_path / "clip.mp4", frames=30)
    output = tmp_path / "out.mp4"

    class Other(Watcher):
        def joining(self):
            output.write_text("somebody else's")

    with pytest.raises(VidpercError, match="appeared while this job ran"):
        run_job(Job(source=source, output=output, pipeline=TWICE), pool, Other())
    assert output.read_text() == "somebody else's"


def test_a_name_with_a_colon_is_a_name(tmp_path, pool, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip.mp4", frames=12).rename(tmp_path / "12:30 talk.mp4")
    report = run_job(Job(source=Path("12:30 talk.mp4"), pipeline=TWICE), pool, Watcher())
    assert Path(report.output).name == "12:30 talk_x2.mp4"
