"""The pairs of still pictures that a recipe asks for: shrunk by bicubic, or degraded as video is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.training.degrade import load_pairs, make_degraded_pairs, save_pairs
from vidperc.training.images import Pair, make_pairs, read_images
from vidperc.training.material import digest_of, images_in
from vidperc.training.recipe import Recipe

_MEASURED = 40  # degraded frames that are measured at every checkpoint


def recipe_pairs(
    recipe: Recipe, data: Path, folder: Path, *, scale: int, threads: int, say: Callable[[str], None]
) -> list[Pair]:
    """What the network learns from; degraded pairs are kept in the folder, for a restart."""
    folders = [data / name for name in recipe.images]
    degraded = recipe.degraded
    if degraded is None:
        return clean_pairs(folders, scale=scale, sizes=recipe.sizes, patch=recipe.schedule.patch, say=say)
    # Named for all that makes them, so that a changed recipe, or other images, do not take old ones.
    made_of = [digest_of(images_in(folders)), recipe.sizes, asdict(degraded), scale, recipe.schedule.seed]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:8]
    kept = folder / f"{recipe.name}.pairs-{digest}.safetensors"
    if kept.is_file():
        say(f"{kept.name}: its pairs are taken")
        return load_pairs(kept)
    say(f"{kept.name}: {degraded.count} degraded pairs are made, once")
    pairs = make_degraded_pairs(
        read_images(folders, say),
        scale=scale,
        count=degraded.count,
        seed=recipe.schedule.seed,
        side=degraded.side,
        sizes=recipe.sizes,
        workers=threads,
    )
    save_pairs(pairs, kept)
    return pairs


def clean_pairs(
    folders: Sequence[Path],
    *,
    scale: int,
    sizes: Sequence[float],
    patch: int,
    say: Callable[[str], None] | None = None,
) -> list[Pair]:
    """Pairs that bicubic makes. say: as `read_images` takes it.

    Raises VidpercError where no image is large enough for a crop, and as that does.
    """
    pairs = make_pairs(read_images(folders, say), scale=scale, sizes=sizes, patch=patch)
    if not pairs:
        told = ", ".join(str(folder) for folder in folders)
        raise VidpercError(f"{told}: every image is smaller than {patch * scale} pixels; choose larger ones")
    return pairs


def held_out_pairs(recipe: Recipe, data: Path, *, scale: int) -> dict[str, list[Pair]]:
    """What is measured at every checkpoint, by its name; nothing without a folder for it."""
    if recipe.validation is None:
        return {}
    folder = data / recipe.validation
    found = {recipe.validation: clean_pairs([folder], scale=scale, sizes=(1,), patch=16)}
    if recipe.degraded is not None:
        found[f"degraded {recipe.validation}"] = make_degraded_pairs(
            read_images([folder]), scale=scale, count=_MEASURED, seed=0, side=recipe.degraded.side
        )
    return found
