"""Measure the networks that come along, by `vidperc evaluate`, and write the page of what they cost and what they give.

    python scripts/model_page.py DATA --weights-dir FOLDER --write docs/models.md [--figures docs/models.json]
                                 [--only NAME ...] [--precision float32] [--repetitions 5]

DATA holds the folders images, which evaluate_images.yaml and evaluate_vid4.yaml of configs/ are about, and videos, of
evaluate_held_out.yaml. What the figures file has of the same weights, evaluation and precision is not measured again:
a new network costs its own time alone, and so does what a killed run had not come to. With --only no other network is
measured, and those of which the file has not all are left out of the page. Delete the file where a metric has changed.
Speed is measured anew each time, of all networks on the page, so that their figures are of one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import process_time
from typing import Any, cast

import torch

from vidperc.commands.evaluate import EvaluateOptions, evaluate_networks
from vidperc.config.evaluation import built_in_evaluations
from vidperc.config.yaml_lines import read_yaml
from vidperc.engine.prepare import TILE_SIDE
from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.load import load_model
from vidperc.models.own_card import NAMES, shipped_card
from vidperc.models.precision import fast_precision, instruction_set
from vidperc.models.weights import LumaNetwork, RecurrentNetwork, read_network
from vidperc.models.zoo import find_chain, weights_path
from vidperc.placement import Placement, Precision
from vidperc.report.whole_file import replace_text

RESAMPLING = ("bicubic", "lanczos")
EVALUATIONS = {"images": "images", "vid4": "images", "held_out": "videos"}  # of configs/, and their folder in DATA
OUTPUT = (1920, 1080)  # pixels that a frame has once it is enlarged


HEAD = """\
# What the networks cost and what they give

Made by `{command}`.

## Cost

GMAC: 10^9 multiplications of a network's convolutions for one frame of {size}. Speed: frames of luma that one core
brings to this size in a second, the bicubic beneath included, from the quickest of {repetitions}, whole or in tiles;
video is neither read nor written, and recurrent networks are given their motion. Seconds are those that the processor
spent on it, so that other programs take none of them but for the cache. Processor: {machine}.

{costs}

## Figures

Networks ran in {precision}. Every picture is shrunk, brought to 8 bits, enlarged, brought to 8 bits again and held
against what it was ([metrics.md](metrics.md)). PSNR and SSIM are of BT.601 luma, without a border as wide as the scale;
LPIPS is by SqueezeNet, which nothing is trained on. Warping error, tOF and tLP100 are about what happens from frame to
frame; lower is better, but a blur is steady, too: read them beside LPIPS. The best of the networks is bold.

No network here learnt from a picture or clip that is measured here: recipes that name a held-out clip hold it out
(`held_out` in `configs/train_*.yaml`)."""

OF_REAL = """\
The `-real` networks mend compressed video and pay for it on clean pictures such as these; [networks.md](networks.md)
has them on compressed clips."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric as the page has it: its name up to where conventions may differ, and how much of it is shown."""

    metric: str
    head: str
    best: Callable[[list[float]], float]
    form: str
    times: float = 1.0


COLUMNS = (
    Column(metric="psnr@y601", head="PSNR, dB", best=max, form=".2f"),
    Column(metric="ssim@y601", head="SSIM", best=max, form=".4f"),
    Column(metric="lpips@", head="LPIPS", best=min, form=".4f"),
    Column(metric="warping-error@", head="warping error, 1e-4", best=min, form=".2f", times=1e4),
    Column(metric="tof@", head="tOF, px", best=min, form=".3f"),
    Column(metric="tlp100@", head="tLP100", best=min, form=".3f"),
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What gets a row: resampling, or a network that comes along, at some scales."""

    model: str
    scales: tuple[int, ...]

    @property
    def card(self) -> ModelCard:
        return find_chain(self.model, self.scales[0]).cards[0]


@dataclass(frozen=True, kw_only=True)
class Task:
    """evaluations: files, and the folder that holds the sets of each. weights: of LPIPS."""

    evaluations: Mapping[Path, Path]
    weights: Path | None
    precision: str
    repetitions: int


def subjects(names: Sequence[str] = NAMES) -> list[Subject]:
    """Resampling, and the networks of these names."""
    found = [Subject(model=name, scales=(2, 4)) for name in RESAMPLING]
    for name in names:
        found.append(Subject(model=name, scales=(shipped_card(name).scale,)))
    return found


def asked_of(subject: Subject, path: Path) -> dict[str, Any] | None:
    """An evaluation of one subject alone, at its scales; None where the evaluation has none of them."""
    asked = {key: value for key, value in read_yaml(path).data.items() if key != "summary"}
    asked["scales"] = [scale for scale in asked["scales"] if scale in subject.scales]
    asked["networks"] = [{"model": subject.model}]
    return asked if asked["scales"] else None


def identity(subject: Subject, path: Path, precision: str) -> str:
    """A hash of all that decides a subject's figures in an evaluation, but for the program and the pictures."""
    card = subject.card
    facts = json.dumps([card.sha256, precision, asked_of(subject, path)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def measured(subject: Subject, path: Path, data: Path, task: Task) -> list[dict[str, Any]]:
    """What `vidperc evaluate` finds: one entry for each set of images and each clip, scale and degradation.

    Raises VidpercError as `vidperc evaluate` does.
    """
    asked = asked_of(subject, path)
    if asked is None:
        return []
    with tempfile.TemporaryDirectory(prefix="vidperc-page-") as name:
        evaluation, written = Path(name) / "asked.yaml", Path(name) / "found.json"
        evaluation.write_text(json.dumps(asked), encoding="utf-8")  # JSON is YAML
        evaluate_networks(
            EvaluateOptions(
                evaluation=str(evaluation),
                data=data,
                weights=task.weights,
                precision=task.precision,
                json=written,
            )
        )
        document = json.loads(written.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = []
    sets = {one["name"]: one for one in asked["sets"]}
    for table in document["tables"]:
        row, test_set = table["networks"][subject.model], sets[table["set"]]
        about = {"scale": table["scale"], "degradation": table["degradation"]}
        if "videos" not in test_set:
            found.append({**about, "item": table["set"], "holds": table["holds"], "figures": row["mean"]})
            continue
        for clip, figures in row["items"].items():
            item = f"{table['set']}, {clip}"
            found.append({**about, "item": item, "holds": frames_of(test_set), "figures": figures})
    return found


def frames_of(test_set: Mapping[str, Any]) -> str:
    """Which frames of its clips a set takes."""
    skip, count = test_set.get("skip", 0), test_set.get("frames")
    if count is not None:
        return f"frames {skip + 1} to {skip + count}"
    return f"frames from {skip + 1} on" if skip else "all frames"


def gigamacs(subject: Subject) -> float | None:
    """10^9 multiplications of the convolutions for a frame of OUTPUT; None for resampling."""
    path = weights_path(subject.model) if subject.card.sha256 else None
    network = None if path is None else read_network(path)
    if not isinstance(network, (LumaNetwork, RecurrentNetwork)):
        return None
    multiplications = sum(9 * inputs * outputs for inputs, outputs in network.shape.widths())
    return multiplications * OUTPUT[0] * OUTPUT[1] / network.shape.scale**2 / 1e9


@torch.inference_mode()
def frames_a_second(subject: Subject, scale: int, precision: Precision, repetitions: int) -> float:
    """How many frames of luma a core enlarges to OUTPUT in a second of its own: the quickest of so many, tiled or not.

    The base by bicubic is in it. A recurrent network follows a frame; its motion is not in it.
    """
    torch.set_num_threads(1)
    luma = torch.rand(1, 1, OUTPUT[1] // scale, OUTPUT[0] // scale, generator=torch.Generator().manual_seed(0))
    still, seen = torch.zeros(1, 2, *luma.shape[2:]), torch.ones_like(luma)
    taken: list[float] = []
    for tile in (0, TILE_SIDE):
        model = load_model(subject.model, scale, Placement(precision=precision, tile=tile))
        before = model.follow(luma, still, seen, None)[1] if model.card.recurrent else None
        for _ in range(repetitions):
            began = process_time()
            if before is None:
                model(luma)
            else:
                model.follow(luma, still, seen, before)
            taken.append(process_time() - began)
    return 1 / min(taken)


def machine() -> str:
    """The processor's name, and what torch's kernels were chosen for."""
    about = Path("/proc/cpuinfo")
    told = re.search(r"model name\s*: (.*)", about.read_text()) if about.is_file() else None
    return f"{told[1] if told else platform.processor() or platform.machine()}, {instruction_set()}"


def costs(shown: Sequence[Subject], repetitions: int) -> Iterator[str]:
    """The table of parameters, multiplications and speed, as Markdown."""
    precisions: list[Precision] = list(dict.fromkeys(("float32", fast_precision("cpu"))))
    yield "| | scale | parameters | GMAC | " + " | ".join(f"frames/s, {precision}" for precision in precisions) + " |"
    yield "|---|---|---|---|" + "---|" * len(precisions)
    for subject in shown:
        work = gigamacs(subject)
        size = [f"{subject.card.parameters:,}", f"{work:.1f}"] if work is not None else ["none", ""]
        for scale in subject.scales:
            speeds = [frames_a_second(subject, scale, precision, repetitions) for precision in precisions]
            cells = [subject.model, str(scale), *size, *(f"{speed:.2f}" for speed in speeds)]
            yield "| " + " | ".join(cells) + " |"


def table(rows: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    """Figures by the names of subjects, as Markdown; the best of the networks in each column is bold."""
    columns = [(column, _figures(column, rows)) for column in COLUMNS]
    columns = [(column, figures) for column, figures in columns if figures]
    yield "| | " + " | ".join(column.head for column, _ in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for name in rows:
        cells: list[str] = []
        for column, figures in columns:
            text = f"{figures[name] * column.times:{column.form}}" if name in figures else ""
            ours = [figure for other, figure in figures.items() if other not in RESAMPLING]
            best = name not in RESAMPLING and text and figures[name] == column.best(ours)
            cells.append(f"**{text}**" if best else text)
        yield "| " + " | ".join([name, *cells]) + " |"


def _figures(column: Column, rows: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    return {
        name: figure
        for name, figures in rows.items()
        for metric, figure in figures.items()
        if metric.startswith(column.metric) and figure is not None
    }


def page(shown: Sequence[Subject], kept: Mapping[str, Any], task: Task, command: str) -> str:
    """The page as Markdown. kept: the entries of every subject that is shown."""
    places: dict[tuple[int, str, str, str], dict[str, Any]] = {}
    for subject in shown:
        for entry in chain.from_iterable(kept[subject.model][path.stem]["found"] for path in task.evaluations):
            key = (entry["scale"], entry["item"], entry["degradation"], entry["holds"])
            places.setdefault(key, {})[subject.model] = entry["figures"]
    told = {
        "command": command,
        "size": f"{OUTPUT[0]}x{OUTPUT[1]}",
        "repetitions": task.repetitions,
        "machine": f"{machine()}, PyTorch {torch.__version__}",
        "costs": "\n".join(costs(shown, task.repetitions)),
        "precision": task.precision,
    }
    lines = [HEAD.format(**told)]
    if any(subject.model.endswith("-real") for subject in shown):
        lines.append(OF_REAL)
    for (scale, item, degradation, holds), rows in sorted(places.items(), key=lambda place: place[0][0]):
        lines += ["", f"### x{scale}, {degradation}: {item} ({holds})", "", *table(rows)]
    return "\n".join(lines) + "\n"


def read_figures(file: Path) -> dict[str, Any]:
    """What an earlier run kept. Raises VidpercError for another file."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VidpercError(f"--figures {file}: is no JSON ({error}); name another file, or delete it") from error
    if not isinstance(kept, dict):
        raise VidpercError(f"--figures {file}: holds no figures of this script; name another file, or delete it")
    return cast("dict[str, Any]", kept)


def make_page(candidates: Sequence[Subject], task: Task, file: Path | None, only: Sequence[str], command: str) -> str:
    """Measure what the figures file lacks, keep it there, and give the page. only: what may be measured; empty for all.

    Raises VidpercError for names that there are none of, for a file that is none of figures, and as `vidperc evaluate`.
    """
    names = [subject.model for subject in candidates]
    only = only or names
    unknown = [name for name in only if name not in names]
    if unknown:
        raise VidpercError(f"--only: got {unknown[0]}, wanted some of {', '.join(names)}")
    kept = read_figures(file) if file is not None and file.is_file() else {}
    for subject in candidates:
        parts = kept.setdefault(subject.model, {})
        for path, data in task.evaluations.items():
            of = identity(subject, path, task.precision)
            if parts.get(path.stem, {}).get("of") == of:
                continue
            parts.pop(path.stem, None)
            if subject.model in only:
                parts[path.stem] = {"of": of, "found": measured(subject, path, data, task)}
                if file is not None:
                    replace_text(file, json.dumps(kept, indent=1) + "\n")
    whole = {path.stem for path in task.evaluations}
    shown = [subject for subject in candidates if kept[subject.model].keys() >= whole]
    return page(shown, kept, task, command)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="of LPIPS's weights")
    parser.add_argument("--write", type=Path, required=True, metavar="FILE", help="the page, as Markdown")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="where figures are kept from run to run")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="measure these alone")
    parser.add_argument("--precision", default="float32", help="of the networks while they are measured")
    parser.add_argument("--repetitions", type=int, default=5, help="frames that are timed")
    asked = parser.parse_args(arguments)
    evaluations = {built_in_evaluations()[name]: asked.data / folder for name, folder in EVALUATIONS.items()}
    task = Task(
        evaluations=evaluations,
        weights=asked.weights_dir,
        precision=asked.precision,
        repetitions=asked.repetitions,
    )
    kept = "" if asked.figures is None else f" --figures {shlex.quote(str(asked.figures))}"
    command = f"python scripts/model_page.py DATA --weights-dir FOLDER --write {asked.write}{kept}"
    try:
        replace_text(asked.write, make_page(subjects(), task, asked.figures, asked.only, command))
    except VidpercError as error:
        print(f"model_page: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
