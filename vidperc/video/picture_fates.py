"""What becomes of the picture itself: its container, depth, chroma, transparency and HDR metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from av.video.format import VideoFormat

from vidperc.errors import VidpercError
from vidperc.ops.layout import PixelLayout
from vidperc.ops.matrices import MATRIX_NAMES, STAND_INS
from vidperc.video.bare import FORMS
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.fates import Fate
from vidperc.video.hdr import lost_hdr
from vidperc.video.output import CONTAINERS
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo


def container_fate(source: VideoInfo, output: Path, *, asked: bool, codec: str) -> Iterator[Fate]:
    """Whether the output has the source's container. asked: the user named the output."""
    suffix, had = output.suffix.lower(), source.path.suffix.lower()
    made = CONTAINERS.get(suffix, suffix)
    kind = "animated PNG" if source.container == "apng" else had or source.container
    if CONTAINERS.get(had) == made:
        yield Fate(subject="file", field="container", outcome="kept")
    elif asked:
        reason = f"{kind} to {made}, as -o says"
        yield Fate(subject="file", field="container", outcome="converted", reason=reason, asked=True)
    elif had in CONTAINERS:
        yield _changed("file", "container", f"{CONTAINERS[had]} to {made}, for {CONTAINERS[had]} cannot hold {codec}")
    elif kind in FORMS:
        yield _changed("file", "container", f"{kind} to {made}, which holds most; -o with a name in {kind} keeps it")
    else:
        yield _changed("file", "container", f"{kind} to {made}, which holds most; {kind} is not written")


def time_fate(source: VideoInfo, origin: int, output: Path) -> Iterator[Fate]:
    """Whether all is shown at the source's times. origin: as of origin_of()."""
    made = CONTAINERS.get(output.suffix.lower())
    if origin and made is not None:
        later = f"{float(-origin * source.time_base):.3f} s"
        yield _changed("file", "start", f"the source begins before 0, where {made} shows nothing; all is {later} later")


def reading_fates(interlaced: bool, *, deinterlace: Deinterlace, turned: bool) -> Iterator[Fate]:
    """What becomes of fields and of a rotation that the pictures get. interlaced: frames say so, as far as is known.

    A rotation that is kept as a mark is found when the output is read again.
    """
    if interlaced:
        yield _field_fate(deinterlace)
    if turned:
        reason = "the pictures are turned and the mark is gone"
        yield Fate(subject="video", field="rotation", outcome="converted", reason=reason, asked=True)


def _field_fate(deinterlace: Deinterlace, count: str = "") -> Fate:
    """What becomes of fields. count: of how many of the pictures they are, where that is known and not all."""
    if deinterlace:
        made = f"a picture is made of every {deinterlace}{count}"
        return Fate(subject="video", field="interlacing", outcome="converted", reason=made, asked=True)
    reason = (
        f"both fields of a frame stay woven in one picture{count}, which says no more that it is interlaced; "
        f"--deinterlace makes whole pictures"
    )
    return _lost("interlacing", reason)


def change_fates(
    fates: Iterable[Fate],
    counts: Mapping[str, int],
    source: VideoInfo,
    encoder: EncoderSettings,
    *,
    deinterlace: Deinterlace,
    frames: int,
) -> Iterator[Fate]:
    """The fates of the picture once all of it was read: also what becomes of frames that are not like the first.

    fates: as they were known before. counts: those of Counts, summed up. frames: how many were read.
    """
    woven = counts.get("interlaced_frames", 0)
    if woven:
        part = f", for {woven} of {frames} pictures" if woven < frames else ""
        fates = [*(fate for fate in fates if fate.field != "interlacing"), _field_fate(deinterlace, part)]
    said = {
        "rescaled_frames": ("size", f"scaled to the first one's {source.width}x{source.height}"),
        "other_depth_frames": ("depth", f"brought to {encoder.pix_fmt} like the rest"),
        "other_chroma_frames": ("chroma", f"brought to {encoder.pix_fmt} like the rest"),
        "other_colour_frames": ("matrix or range", "converted to the first one's"),
        "other_light_frames": ("primaries or transfer", "not converted, and the output states the first one's"),
        "other_aspect_frames": ("shape of pixels", "not stretched, and the output states the first one's"),
    }
    changed = {field: (counts[name], what) for name, (field, what) in said.items() if counts.get(name)}
    yield from (fate for fate in fates if fate.field not in changed or fate.outcome != "kept")
    for field, (frames, what) in changed.items():
        apart = "split the file there to enlarge each part on its own"
        reason = f"it changes in mid-stream; {frames} frames were {what}; {apart}"
        if what.startswith("not"):
            yield _lost(field, reason)
        else:
            yield _changed("video", field, reason)


def picture_fates(source: VideoInfo, encoder: EncoderSettings, output: Path) -> Iterator[Fate]:
    """What becomes of depth, chroma, transparency and HDR metadata."""
    was, made = layout_of(source.pix_fmt), layout_of(encoder.pix_fmt)
    another = "--pix-fmt, or another --codec, may keep it"
    if made.bits < source.bits:
        yield _lost("depth", f"{source.bits} bits become {made.bits}, as {encoder.pix_fmt} holds; {another}")
    else:
        yield _kept("depth")
    if was.rgb and not made.rgb and not _grey(source.pix_fmt):
        yield _changed("video", "chroma", f"RGB becomes {encoder.pix_fmt}, which {encoder.codec} encodes; {another}")
    elif not was.rgb and not made.rgb and (made.planes < was.planes or _coarser(made, was)):
        yield _lost("chroma", f"{source.pix_fmt} becomes {encoder.pix_fmt}, of fewer samples; {another}")
    else:
        yield _kept("chroma")
    if source.alpha and made.alpha:
        yield _kept("transparency")
    elif source.alpha:
        yield _lost(
            "transparency",
            f"{encoder.pix_fmt} does not hold it; an output name ending in .webm or .mov does, or -c ffv1 in .mkv",
        )
    lost = lost_hdr(source.hdr, made.bits)
    light = "mastering display and light level"
    if source.hdr.static and output.suffix.lower() not in CONTAINERS:
        lost[light] = f"{output.suffix} holds pictures alone"
    for what, why in lost.items():
        yield _lost(what, why)
    if source.hdr.static and light not in lost:
        yield _kept(light)


def _grey(pix_fmt: str) -> bool:
    """Whether frames have no colours; grey with transparency is read by way of RGB."""
    form = VideoFormat(pix_fmt)
    return not form.is_rgb and not form.has_palette and not any(part.is_chroma for part in form.components)


def matrix_fate(source: VideoInfo, encoder: EncoderSettings, *, through_rgb: bool) -> Iterator[Fate]:
    """What becomes of a matrix that is not converted to RGB and back by its own equations.

    through_rgb: frames do not stay YUV all the way.
    Raises VidpercError where the output would be RGB, for its colours would be wrong.
    """
    stand_in = STAND_INS.get(source.color.matrix)
    if stand_in is None:
        return
    name = MATRIX_NAMES[source.color.matrix]
    if layout_of(encoder.pix_fmt).rgb:
        raise VidpercError(
            f"{source.path}: its matrix is {name}, which is not converted to the RGB of {encoder.pix_fmt}; wanted an "
            f"output of YUV, which keeps it: another --pix-fmt, or -o with a name in .mkv"
        )
    if through_rgb:
        yield _changed(
            "video",
            "matrix",
            f"networks saw {name} as if it were {MATRIX_NAMES[stand_in]}; it went back by the same equations, and the "
            f"output states {name}; -m bicubic takes it as it is",
        )
    else:
        yield _kept("matrix")


def _coarser(made: PixelLayout, was: PixelLayout) -> bool:
    return was.planes > 1 and (made.shift_x > was.shift_x or made.shift_y > was.shift_y)


def _kept(field: str) -> Fate:
    return Fate(subject="video", field=field, outcome="kept")


def _changed(subject: str, field: str, reason: str) -> Fate:
    return Fate(subject=subject, field=field, outcome="converted", reason=reason)


def _lost(field: str, reason: str) -> Fate:
    return Fate(subject="video", field=field, outcome="dropped", reason=reason)
