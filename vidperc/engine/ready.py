"""A job that can begin: what was found out about its input, its output and the machine, and the plan that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av

from vidperc.clip import Color
from vidperc.engine.guide import Guide
from vidperc.engine.job import Job
from vidperc.engine.place import Place, asked_form
from vidperc.engine.plan import Plan, Prepared, Segment, plan_segments
from vidperc.ops.turn import Turn
from vidperc.pipeline import PipelineSpec
from vidperc.version import __version__
from vidperc.video.bare import PNG, Bare
from vidperc.video.cut_off import CutOff
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.fates import Fate
from vidperc.video.images import gaps_in_names, image_paths, is_images
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex, cut_off_warnings
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo
from vidperc.video.rehearsal import Rehearsal

HDR_TRANSFERS = frozenset({16, 18})  # H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A job that was checked against its input and the machine.

    pipeline: the job's, with the networks that `auto` stands for. chosen: why those, and which are mixed with their
        twins, a sentence each.
    identities: what tells the input, and the guide, from other files.
    info, index: of the source as it is read. stored: as it is stored; another when it is deinterlaced or turned.
    origin: the time of the source that is 0 in an output of the whole.
    woven: what the pictures of a source tell that is not marked as interlaced, as field_warnings() has it.
    cut_off: what is missing of the frames, or of what goes with them, because the source ends before it should.
    cuts: pts of those that the user gave; None when they are to be found.
    bare: the form of an output that is no container; None for one.
    output, place: what will appear, and what it is. names: of the images in a folder, by their frames' pts.
    rehearsal: what the output takes of the source. picture_fates: what becomes of the picture itself.
    """

    output: Path
    pipeline: PipelineSpec
    chosen: tuple[str, ...]
    identities: dict[Path, dict[str, Any]]
    info: VideoInfo
    index: FrameIndex
    stored: tuple[VideoInfo, FrameIndex]
    turn: Turn
    guide: Guide | None
    pts: tuple[int, ...]
    window: tuple[int, int] | None
    origin: int
    woven: tuple[str, ...]
    cut_off: CutOff | None
    cuts: tuple[int, ...] | None
    prepared: Prepared
    encoder: EncoderSettings
    color: Color
    bare: Bare | None
    place: Place
    names: dict[int, str]
    rehearsal: Rehearsal
    picture_fates: tuple[Fate, ...]
    workers: int
    key: str

    def with_guide(self, segment: Segment) -> Segment:
        """The segment with what it reads of the guide, if there is one."""
        return segment if self.guide is None else replace(segment, guide=self.guide.span(segment, self.index))


def versions(prepared: Prepared) -> dict[str, str]:
    """The versions that decide frames: ours, PyAV's, its FFmpeg's, torch's."""
    return {"vidperc": __version__, "av": av.__version__, "ffmpeg": av.ffmpeg_version_info, **prepared.versions}


def warnings(job: Job, ready: Ready) -> list[str]:
    """What of a source is not handled as its owner may expect."""
    info, encoder = ready.info, ready.encoder
    found = [*ready.woven]
    if ready.cut_off is not None:
        found.append(ready.cut_off.sentence())
    if ready.pts[-1] == ready.index.pts[-1]:
        found.extend(cut_off_warnings(ready.stored[1]))
    if is_images(job.source):
        gaps = gaps_in_names(image_paths(job.source))
        if gaps:
            found.append(gaps)
        if job.rate is None and asked_form(job) is not PNG:
            found.append(f"images have no times, so they are shown at {info.rate} a second; --fps says otherwise")
    if info.interlaced:
        found.append(
            "the source is interlaced; its fields are enlarged as they are woven, which shows as combs where something "
            "moves; --deinterlace frame, or field, makes whole pictures of them"
        )
    if info.color.transfer in HDR_TRANSFERS and layout_of(encoder.pix_fmt).bits < 10:
        found.append(f"the source is HDR and {encoder.pix_fmt} has 8 bits, so it will show bands; libx265 takes 10")
    return found


def luma_layout(info: VideoInfo, encoder: EncoderSettings, color: Color, prepared: Prepared, turn: Turn) -> str:
    """The layout in which frames can stay YUV all the way; empty when they must become RGB. color: of the output."""
    source, output = layout_of(info.pix_fmt), layout_of(encoder.pix_fmt)
    if not prepared.takes_luma or source.rgb or output.rgb or info.color.matrix != color.matrix:
        return ""
    if turn:  # chroma would sit elsewhere
        return ""
    same = (source.planes, source.shift_x, source.shift_y) == (output.planes, output.shift_x, output.shift_y)
    return source.name if same else ""


def make_plan(job: Job, ready: Ready, cuts: tuple[int, ...] = ()) -> Plan:
    """The plan of a run that starts now; cuts are the pts of the frames that start a shot."""
    prepared = ready.prepared
    segments = plan_segments(
        ready.index,
        ready.pts,
        cuts=cuts,
        lead=prepared.lead,
        tail=prepared.tail,
        frame_work=prepared.frame_work,
        exact_seek=ready.info.container.startswith(EXACT_SEEK_FORMATS),
    )
    return Plan(
        source=job.source.name,
        width=prepared.width,
        height=prepared.height,
        source_width=ready.info.width,
        source_height=ready.info.height,
        time_base=ready.info.time_base,
        rate=ready.info.rate,
        color=ready.info.color,
        output_color=ready.color,
        sample_aspect=ready.info.sample_aspect,
        # Of an excerpt's last frame: until the frame that is not in it any more.
        last_duration=ready.window[1] - ready.pts[-1] if ready.window else ready.index.last_duration,
        window=ready.window,
        timed=not ready.index.sequential,
        layout=luma_layout(ready.info, ready.encoder, ready.color, prepared, ready.turn),
        placement=prepared.placement,
        encoder=ready.encoder,
        segments=tuple(ready.with_guide(segment) for segment in segments),
        versions=versions(prepared),
        cuts=cuts,
        guide=None if ready.guide is None else ready.guide.video(),
        source_format=ready.info.pix_fmt,
        coded_aspect=ready.info.coded_aspect,
        alpha=ready.info.alpha and layout_of(ready.encoder.pix_fmt).alpha,
        deinterlace=job.deinterlace,
        turn=ready.turn,
    )
