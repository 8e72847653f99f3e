"""What frames carry beside their pictures, read without harm."""

import subprocess
import sys
from fractions import Fraction

import av
import pytest
from PIL import Image, ImageCms

from tests.clips import picture
from vidperc.video.captions import frame_fates

# A fault of memory ends the process that it is in.
READ = """
import gc, sys
from fractions import Fraction
from pathlib import Path
import vidperc.video.captions as captions
from vidperc.video.deinterlace import deinterlaced
from vidperc.video.probe import probe
from vidperc.video.source import read_frames

path = Path(sys.argv[1])
print(probe(path).hdr.static)
frames = [item.frame for item in read_frames(path)]
frames += [frame for frame, _ in deinterlaced(iter([(frames[0], 0)]), Fraction(1, 25), "frame")]
frames.append(frames[0].reformat(format="yuv420p"))
print(*map(captions.has_captions, frames))
del frames
gc.collect()
print("alive")
"""


def with_profile(path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture(0, 64, 48)).save(path, icc_profile=profile)
    return path


def in_container(image, path):
    """The image's own bytes as three frames of a video."""
    with av.open(str(image), format="png_pipe") as one, av.open(str(path), "w") as output:
        place = output.add_stream_from_template(one.streams.video[0], opaque=True)
        content = bytes(next(one.demux(video=0)))
        for number in range(3):
            packet = av.Packet(content)
            packet.stream, packet.time_base, packet.is_keyframe = place, Fraction(1, 25), True
            packet.pts = packet.dts = number
            packet.duration = 1
            output.mux(packet)
    return path


@pytest.mark.parametrize("name", ["in.png", "in.nut", "in.mov", "in.avi"])
def test_a_frame_of_png_with_a_profile_does_no_harm(name, tmp_path):
    source = with_profile(tmp_path / "in.png")
    if name != "in.png":
        source = in_container(source, tmp_path / name)
    run = subprocess.run([sys.executable, "-c", READ, str(source)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "False"
    assert run.stdout.splitlines()[-1] == "alive"


@pytest.mark.parametrize("profile", [True, False])
def test_a_profile_in_the_frames_of_a_video_is_named_as_dropped(profile, tmp_path):
    image = tmp_path / "in.png"
    Image.fromarray(picture(0, 64, 48)).save(image)
    source = in_container(with_profile(image) if profile else image, tmp_path / "in.mov")
    assert [fate.field for fate in frame_fates(source, "ffv1")] == ["colour profile"] * profile
