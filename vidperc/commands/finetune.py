"""`vidperc finetune`: a network trained further on clips of one's own, and measured on those it never saw."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import typer

from vidperc.config.finetune import finetune_recipe, folder_of
from vidperc.engine.plan import usable_cores
from vidperc.errors import VidpercError
from vidperc.training.follow import follow


def finetune_network(
    model: str,
    clips: Path,
    *,
    output: Path | None,
    recipe: str | None = None,
    held_out: Sequence[str] = (),
    settings: Sequence[str] = (),
    threads: int | None = None,
    overwrite: bool = False,
) -> int:
    """Train a network further and write it to a file that `-m FILE` takes. Returns the exit code.

    output: None for MODEL-finetuned.safetensors here. What is needed to go on after an interruption lies in the folder
    OUTPUT.training, and so do the log and the page. The rest as `finetune_recipe` takes it.
    Raises VidpercError for what cannot be.
    """
    output = output or Path(f"{Path(model).stem}-finetuned.safetensors")
    if output.suffix.lower() != ".safetensors":
        raise VidpercError(f"-o {output}: networks are written as .safetensors, wanted a name that ends so")
    if output.is_dir():
        raise VidpercError(f"-o {output}: is a folder, wanted the name of a file")
    if output.exists() and not overwrite:
        raise VidpercError(f"{output}: is there already; name another with -o, or let it be replaced with -y")
    folder = output.with_suffix(".training")
    made_by = finetune_recipe(model, clips, name=output.stem, recipe=recipe, held_out=held_out, settings=settings)
    assert made_by.clips is not None  # the recipe was checked for it
    held = made_by.clips.held_out
    # As files are named, not as globs and places are; "./." is the folder itself.
    names = [clips.name if name == "./." else name.removeprefix("./") for name in held]
    told = re.sub(r"\[([*?[])\]", r"\1", ", ".join(names))
    _say(f"held out: {told}" if held else f"{clips}: nothing is held out, all that gives clips is learnt from")
    command = f"vidperc finetune -m {Path(model).name} --clips {clips.name}"
    try:
        made = follow(made_by, folder_of(clips), folder, threads=threads or usable_cores(), say=_say, command=command)
    except KeyboardInterrupt:
        _say(f"vidperc: stopped; the same command goes on from {folder}")
        return 130
    partial = output.with_suffix(".partial")
    try:
        shutil.copyfile(made.path, partial)
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise VidpercError(
            f"{output}: cannot be written ({error.strerror}); make room and ask again, or take {made.path}"
        ) from error
    for name, after in made.after.items():
        before = made.before[name]
        typer.echo(f"{name:20} {before:9.4f} -> {after:9.4f}  ({_change(before, after)})")
    typer.echo(f"{output}: for -m; {made_by.schedule.steps} steps, its log is {folder / (made_by.name + '.html')}")
    return 0


def _change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %" if before else "from nothing"


def _say(line: str) -> None:
    typer.echo(line, err=True)
