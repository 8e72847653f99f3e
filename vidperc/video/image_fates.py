"""What becomes of what is in image files beside their pictures: profiles, EXIF, text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidperc.video.bare import PNG, Bare
from vidperc.video.fates import Fate
from vidperc.video.images import image_paths, is_images, read_header
from vidperc.video.png import XMP_KEYWORD, is_plain_text, text_chunks, text_keyword

# By Pillow's names. PNGs get the first two; the second says when and how a picture was taken.
_CARRIED = {"icc_profile": "colour profile", "exif": "EXIF"}
_LOST = {"xmp": "XMP", "photoshop": "Photoshop's notes", "comment": "comment", "dpi": "dots per inch"}


def note_fates(source: Path, form: Bare | None) -> Iterator[Fate]:
    """The fates of such notes in the first of the source's images; none where it is a video. form: of the output."""
    if not is_images(source):
        return
    first = image_paths(source)[0]
    texts = text_chunks(first)
    # Strings among the notes are texts, which may have any name.
    notes = {key for key, value in read_header(first).notes.items() if value and not isinstance(value, str)}
    holder = "video" if form is None else form.name
    carried = [name for key, name in _CARRIED.items() if key in notes]
    carried += [f"text {text_keyword(text)}" for text in texts if is_plain_text(text)]
    for name in dict.fromkeys(carried):
        kept = form is PNG
        reason = "" if kept else f"{holder} has no place for it; PNG has"
        yield Fate(subject="images", field=name, outcome="kept" if kept else "dropped", reason=reason)
    lost = [name for key, name in _LOST.items() if key in notes]
    for keyword in (text_keyword(text) for text in texts if not is_plain_text(text)):
        lost.append("XMP" if keyword == XMP_KEYWORD else f"text {keyword}")
    for name in dict.fromkeys(lost):
        yield Fate(subject="images", field=name, outcome="dropped", reason="it is not carried over")
