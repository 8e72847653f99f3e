"""Images as a video's frames: one, a folder of them, or those that a numbered name stands for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from PIL import Image

from vidperc.errors import VidpercError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

# By how a file begins: FFmpeg's demuxer for one image, and Pillow's names of what it holds. Their endings often lie.
_KINDS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png_pipe", ("PNG",)),
    (re.compile(rb"\xff\xd8\xff"), "jpeg_pipe", ("JPEG", "MPO")),
    (re.compile(rb"II\*\0|MM\0\*"), "tiff_pipe", ("TIFF",)),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp_pipe", ("WEBP",)),
    (re.compile(rb"BM"), "bmp_pipe", ("BMP",)),
)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})

# VideoInfo.container of a source that is images.
IMAGES = "images"

_NUMBER = re.compile(r"%(0\d+)?d")

_MANY = 3  # names that a message lists


def is_images(path: Path) -> bool:
    """Whether a path stands for images: a folder, a name with a number such as %05d in it, or an image."""
    if path.is_dir() or is_numbered(path):
        return True
    return path.suffix.lower() in IMAGE_SUFFIXES and not _is_animated_png(path)


def is_numbered(path: Path) -> bool:
    """Whether a name stands for many, as "%05d.png" does; not where there is a file of just that name."""
    return len(_NUMBER.findall(path.name)) == 1 and not path.exists()


def _is_animated_png(path: Path) -> bool:
    """One is a video, whatever its ending: a control chunk comes before its first picture."""
    if not path.is_file():  # opening a pipe waits for whoever writes to it
        return False
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except OSError:
        return False
    return start.startswith(b"\x89PNG") and b"acTL" in start.partition(b"IDAT")[0]


def has_images(folder: Path) -> bool:
    """Whether there is an image in a folder, by its name."""
    return any(path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") for path in folder.iterdir())


def image_paths(path: Path) -> tuple[Path, ...]:
    """The images that a path stands for, in order: by the numbers in their names, as people count.

    Raises VidpercError when there are none, or one is missing between two of a numbered name.
    """
    if is_numbered(path):
        return _numbered(path)
    if not path.is_dir():
        if not path.exists():
            raise VidpercError(f"{path}: no such file")
        return (path,)
    try:
        found = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    except PermissionError as error:
        raise VidpercError(f"{path}: may not be read (permission denied)") from error
    if not found:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise VidpercError(f"{path}: is a folder without images, wanted a video, or a folder with some ({endings})")
    return tuple(sorted(found, key=_as_counted))


def _as_counted(path: Path) -> tuple[list[tuple[int, str]], str]:
    """What sorts frame_2 before frame_10."""
    pieces = re.split(r"(\d+)", path.name.lower())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], path.name


def number_pattern(path: Path) -> re.Pattern[str]:
    """What matches the names that a numbered one stands for; its group is the number."""
    found = _NUMBER.search(path.name)
    assert found is not None
    width = int(found[1] or 0)
    digits = rf"(\d{{{width}}}|[1-9]\d{{{width},}})" if width else r"(0|[1-9]\d*)"
    return re.compile(re.escape(path.name[: found.start()]) + digits + re.escape(path.name[found.end() :]))


def _numbered(path: Path) -> tuple[Path, ...]:
    pattern = number_pattern(path)
    folder = path.parent
    if not folder.is_dir():
        raise VidpercError(f"{folder}: no such folder")
    found = {int(match[1]): p for p in folder.iterdir() if (match := pattern.fullmatch(p.name))}
    if not found:
        raise VidpercError(f"{path}: no file in {folder} has such a name, with a number for {_spelled_number(path)}")
    gaps = missing_numbers(tuple(found))
    if gaps:
        raise VidpercError(
            f"{path}: {_listed([path.name % number for number in gaps])} missing, between {path.name % min(found)} "
            f"and {path.name % max(found)}; name the folder instead to leave gaps out"
        )
    return tuple(found[number] for number in sorted(found))


def _spelled_number(path: Path) -> str:
    found = _NUMBER.search(path.name)
    return "" if found is None else found[0]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _MANY} more are" if len(names) > _MANY else " are" if len(names) > 1 else " is"
    return ", ".join(names[:_MANY]) + rest


def missing_numbers(numbers: Sequence[int]) -> list[int]:
    """The numbers between the first and the last that are not there, as far as they are few enough to be meant."""
    there = set(numbers)
    if max(there) - min(there) >= 2 * len(there) + 1000:
        return [min(there) + 1]
    return [number for number in range(min(there), max(there)) if number not in there]


def gaps_in_names(paths: Sequence[Path]) -> str:
    """A sentence about missing numbers, where names differ in one number and nothing else; else empty."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.name) for path in paths]
    matches = [match for match in parts if match is not None]
    if len(matches) < max(2, len(paths)) or len({(match[1], match[3]) for match in matches}) > 1:
        return ""
    gaps = missing_numbers([int(match[2]) for match in matches])
    if not gaps:
        return ""
    first = matches[0]
    names = [f"{first[1]}{number:0{len(first[2])}d}{first[3]}" for number in gaps]
    return f"{_listed(names)} missing in the folder; the others follow each other without a gap"


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image says. notes: what else is in the file, by Pillow's names."""

    kind: str
    width: int
    height: int
    notes: dict[str, object]


def read_header(path: Path) -> ImageHeader:
    """The header of an image, by Pillow, which reads no further.

    Raises VidpercError for a file that is none, holds several pictures, or has colours that are not read.
    """
    kind, names = _kind(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            with Image.open(path, formats=names) as image:
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
                mode, (width, height), notes = image.mode, image.size, dict(image.info)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        told = " ".join(str(error).split())[:200]
        raise VidpercError(f"{path}: cannot be read as an image ({told}); mend it, or take it away") from error
    if frames > 1:
        raise VidpercError(f"{path}: holds {frames} pictures, of which one would be read; make files of them first")
    if mode in ("CMYK", "LAB"):
        raise VidpercError(f"{path}: its colours are {mode}, wanted RGB or grey; convert it first")
    return ImageHeader(kind, width, height, {str(key): value for key, value in notes.items()})


def sees_through(path: Path) -> bool:
    """Whether some colour of an image's palette is transparent. Raises VidpercError as read_header() does."""
    stated = read_header(path).notes.get("transparency")  # the number of the only one, or how opaque each is
    return isinstance(stated, int) or (isinstance(stated, bytes) and min(stated, default=255) < 255)


def must_be_regular(path: Path) -> None:
    """Refuse pipes and devices, which cannot be read more than once. Raises VidpercError."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise VidpercError(f"{path}: is no regular file, wanted one; `vidperc upscale - -o FILE` reads from a pipe")


def _kind(path: Path) -> tuple[str, tuple[str, ...]]:
    must_be_regular(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise VidpercError(f"{path}: cannot be read ({error.strerror})") from error
    for pattern, demuxer, names in _KINDS:
        if pattern.match(start):
            return demuxer, names
    got = "is empty (0 bytes)" if not start else "is no image"
    raise VidpercError(f"{path}: {got}, wanted PNG, JPEG, TIFF, WebP or BMP; mend it, or take it away")


def check_images(paths: Sequence[Path]) -> None:
    """Read every header. Raises VidpercError for the first image that cannot follow the first of all."""
    first: ImageHeader | None = None
    for path in paths:
        header = read_header(path)
        if first is None:
            first = header
        elif (header.width, header.height) != (first.width, first.height):
            raise VidpercError(
                f"{path}: has {header.width}x{header.height} pixels, {paths[0].name} has {first.width}x{first.height}; "
                f"wanted frames of one size; to enlarge pictures apart, name each, as with a * and -o FOLDER/"
            )
        elif header.kind != first.kind:
            here, there = (kind.removesuffix("_pipe").upper() for kind in (header.kind, first.kind))
            raise VidpercError(f"{path}: holds {here}, {paths[0].name} {there}; wanted one kind for all frames")


def verify_images(place: Path, images: Sequence[Path], *, size: tuple[int, int]) -> None:
    """Look at finished images: they are all there, of this size, and the first and the last decode.

    place: their folder, or the only one. Raises VidpercError naming the first difference.
    """
    there = set(place.iterdir()) if place.is_dir() else {place}
    if there != set(images):
        raise VidpercError(f"{place}: the output has {len(there)} images, wanted {len(images)}")
    for path in images:
        header = read_header(path)
        if (header.width, header.height) != size:
            raise VidpercError(f"{path}: has {header.width}x{header.height} pixels, wanted {size[0]}x{size[1]}")
    for path in (images[0], images[-1]):
        _decoded(path, size[0] * size[1])


def open_image(path: Path) -> InputContainer:
    """An image as a container of one frame; the caller closes it. Raises VidpercError when it cannot be opened."""
    demuxer, _ = _kind(path)
    try:
        return av.open(str(path.absolute()), format=demuxer, container_options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VidpercError(f"{path}: cannot be read as an image ({error}); mend it, or take it away") from error


def image_frames(
    paths: Sequence[Path], *, start: int | None, stop: int | None, max_pixels: int
) -> Iterator[tuple[int, VideoFrame]]:
    """The number and the picture of each image, start <= number < stop.

    Raises VidpercError for one that cannot be decoded whole, or is not as the first of all.
    """
    with open_image(paths[0]) as container:
        context = container.streams.video[0].codec_context
        wanted = context.width, context.height, context.pix_fmt
    for number in range(start or 0, len(paths) if stop is None else min(stop, len(paths))):
        frame = _decoded(paths[number], max_pixels)
        if (frame.width, frame.height, frame.format.name) != wanted:
            raise VidpercError(
                f"{paths[number]}: is {frame.width}x{frame.height} {frame.format.name}, {paths[0].name} is "
                f"{wanted[0]}x{wanted[1]} {wanted[2]}; wanted frames of one size and kind"
            )
        yield number, frame


def _decoded(path: Path, max_pixels: int) -> VideoFrame:
    with open_image(path) as container:
        stream = container.streams.video[0]
        # A picture that is half there is an error, and none that is half grey. The decoder of TIFF sees to that itself,
        # and told to it refuses whole ones.
        strict = {} if stream.codec_context.name == "tiff" else {"err_detect": "explode"}
        most = (
            max_pixels + 256 * (stream.codec_context.width + stream.codec_context.height) + 256**2
        )  # it adds a margin
        stream.codec_context.options = {**strict, "max_pixels": str(most)}
        try:
            frame = next(container.decode(stream), None)
        except (av.error.FFmpegError, MemoryError, EOFError, IndexError) as error:
            raise VidpercError(
                f"{path}: is damaged ({error.strerror if isinstance(error, OSError) else error})"
            ) from error
    if frame is None or frame.is_corrupt:
        raise VidpercError(f"{path}: is damaged, no whole picture comes out of it; mend it, or take it away")
    return frame
