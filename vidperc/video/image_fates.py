"""What becomes of what is in image files beside their pictures: profiles, EXIF, text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidperc.video.bare import PNG, Bare
from vidperc.video.fates import Fate
from vidperc.video.images import image_paths, is_images, read_header

# By Pillow's names. PNGs get the first two; the second says when and how a picture was taken.
_CARRIED = {"icc_profile": "colour profile", "exif": "EXIF"}
_LOST = {"xmp": "XMP", "photoshop": "Photoshop's notes", "comment": "comment", "dpi": "dots per inch"}


def note_fates(source: Path, form: Bare | None) -> Iterator[Fate]:
    """The fates of such notes in the first of the source's images; none where it is a video. form: of the output."""
    if not is_images(source):
        return
    notes = read_header(image_paths(source)[0]).notes
    holder = "video" if form is None else form.name
    for key, name in _CARRIED.items():
        if notes.get(key):
            kept = form is PNG
            reason = "" if kept else f"{holder} has no place for it; PNG has"
            yield Fate(subject="images", field=name, outcome="kept" if kept else "dropped", reason=reason)
    for key, name in _LOST.items():
        if notes.get(key):
            yield Fate(subject="images", field=name, outcome="dropped", reason="it is not carried over")
