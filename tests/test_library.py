"""The face of the library: what `import vidperc` offers does what the command line does."""

import inspect
import shutil

import av
import numpy as np
import pytest
from PIL import Image

import vidperc
from tests.clips import ffprobe_times, ffprobe_video, make_clip, picture, turned_clip
from tests.rich_files import make_rich

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe, the independent reader, is not here")


def interlaced_clip(path, frames=6):
    """Two fields in each frame that are not of one time, marked so."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme", "b": "8M"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(frames):
            pixels = picture(2 * index, 96, 64)
            pixels[1::2] = picture(2 * index + 1, 96, 64)[1::2]
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("mode", "frames"), [("frame", 6), ("field", 12)])
def test_fields_become_pictures(mode, frames, tmp_path):
    clip = interlaced_clip(tmp_path / "in.ts")
    report = vidperc.upscale(clip, tmp_path / "out.mkv", model="bicubic", deinterlace=mode)
    assert report.frames_out == frames
    assert len(ffprobe_times(tmp_path / "out.mkv")) == frames


def test_a_mode_that_is_none_is_refused(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(vidperc.VidpercError, match="deinterlace both: wanted frame"):
        vidperc.upscale(clip, model="bicubic", deinterlace="both")
    with pytest.raises(vidperc.VidpercError, match="fps 0: wanted frames a second"):
        vidperc.upscale(clip, model="bicubic", fps=0)


def test_rotation_is_kept_or_baked(tmp_path):
    turned = turned_clip(make_clip(tmp_path / "in.mp4", frames=3), tmp_path / "turned.mp4", degrees=90)
    vidperc.run("upscale", turned, tmp_path / "kept.mp4", settings=["upscale.model=bicubic"])
    vidperc.run("upscale", turned, tmp_path / "baked.mp4", settings=["upscale.model=bicubic"], bake_rotation=True)
    kept, baked = ffprobe_video(tmp_path / "kept.mp4"), ffprobe_video(tmp_path / "baked.mp4")
    assert (kept["width"], kept["height"], "side_data_list" in kept) == (192, 128, True)
    assert (baked["width"], baked["height"], "side_data_list" in baked) == (128, 192, False)


def test_strict_refuses_before_any_work(tmp_path):
    rich = make_rich(tmp_path / "in.mkv", font=True)
    with pytest.raises(vidperc.VidpercError, match="--strict, and this would be dropped"):
        vidperc.upscale(rich, tmp_path / "out.mp4", model="bicubic", strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
    report = vidperc.upscale(rich, tmp_path / "out.mp4", model="bicubic")
    assert any("attachment" in told for told in report.streams.dropped)


def test_a_photo_and_a_folder_of_frames_are_sources_too(tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(4):
        Image.fromarray(picture(number, 96, 64)).save(tmp_path / "frames" / f"{number}.png")
    report = vidperc.upscale(tmp_path / "frames" / "0.png", tmp_path / "photo.png", model="bicubic")
    assert (report.frames_out, np.asarray(Image.open(tmp_path / "photo.png")).shape) == (1, (128, 192, 3))
    report = vidperc.upscale(str(tmp_path / "frames"), tmp_path / "out.mp4", model="bicubic", fps="24000/1001")
    assert ffprobe_video(tmp_path / "out.mp4")["r_frame_rate"] == "24000/1001"
    report = vidperc.upscale(tmp_path / "frames", model="bicubic")
    assert report.output == str(tmp_path / "frames_x2")
    assert sorted(path.name for path in (tmp_path / "frames_x2").iterdir()) == [f"{n}.png" for n in range(4)]


@pytest.mark.parametrize("name", ["upscale", "run", "steady"])
def test_every_parameter_is_told_of(name):
    function = getattr(vidperc, name)
    told = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        if parameter not in ("pipeline", "device"):
            assert parameter in told, parameter
