"""`vidperc evaluate`: networks over test sets, into tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer

from vidperc.commands.counter import Counter
from vidperc.commands.json_file import check_json_file, write_json_file
from vidperc.commands.measure import DEFAULT_MOTION, MOTIONS
from vidperc.compare.evaluate import Figures, Table, evaluate
from vidperc.compare.evaluation import Candidate
from vidperc.compare.videos import Means
from vidperc.config.evaluation import load_evaluation
from vidperc.engine.plan import usable_cores
from vidperc.engine.prepare import choose_device, choose_precision
from vidperc.errors import VidpercError
from vidperc.metrics.metric import AnyMetric
from vidperc.metrics.networks import open_networks
from vidperc.models.zoo import find_chain
from vidperc.motion.estimator import open_estimator
from vidperc.placement import Placement
from vidperc.version import __version__

CSV_HEAD = ("set", "scale", "degradation", "network", "item", "metric", "unit", "figure")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What the command line says.

    evaluation: a name or a YAML file. data: holds the folders of its sets. weights, trunk, fvd: as for `measure`.
    precision: of the networks; float32, for a figure must not depend on what a machine is quick at.
    """

    evaluation: str
    data: Path
    weights: Path | None = None
    trunk: str = "squeeze"
    fvd: str = "own"
    device: str = "auto"
    precision: str = "float32"
    json: Path | None = None
    csv: Path | None = None


def evaluate_networks(options: EvaluateOptions) -> int:
    """Print a table for each set, degradation and scale, and write all figures if asked. Returns the exit code.

    Raises VidpercError for an evaluation, a folder, a network or weights that do not fit.
    """
    evaluation = load_evaluation(options.evaluation)
    _check(options)
    device = choose_device(options.device, [])
    chosen: dict[str, str] = {}

    def placement(network: Candidate, scale: int) -> Placement:
        cards = find_chain(network.model, scale).cards
        precision = choose_precision(options.precision, device, cards, [])
        chosen[network.shown] = precision
        return Placement(device=device, precision=precision, threads=usable_cores())

    name, preset = MOTIONS[DEFAULT_MOTION]
    torch.set_num_threads(usable_cores())
    with Counter(show=True) as counter:
        counter.begin("fetching weights", counted="bytes")
        networks = open_networks(
            evaluation.metrics, weights=options.weights, trunk=options.trunk, fvd=options.fvd, said=counter.said
        )
    means = Means(estimator=open_estimator(name, preset=preset), motion=DEFAULT_MOTION, networks=networks)
    tables: list[Table] = []
    for table in evaluate(evaluation, options.data, means, placement, said=_say):
        for line in (*[""] * bool(tables), *_lines(table)):
            typer.echo(line)
        tables.append(table)
    if options.csv is not None:
        _write_csv(options.csv, tables)
    if options.json is not None:
        document = {"vidperc": __version__, "evaluation": options.evaluation, "device": device, "precision": chosen}
        write_json_file(options.json, {**document, "tables": [_facts(table) for table in tables]}, option="--json")
    return 0


def _check(options: EvaluateOptions) -> None:
    if not options.data.is_dir():
        raise VidpercError(f"--data {options.data}: no such folder, wanted the one that holds the sets; check the path")
    if options.json is not None:
        check_json_file(options.json, option="--json", what="the figures")
    if options.csv is not None:
        check_json_file(options.csv, option="--csv", what="the figures", ending=".csv")


def _lines(table: Table) -> Iterator[str]:
    """The table as text; a metric's name stands above its column in two lines."""
    yield f"{table.test_set} x{table.scale}, {table.degradation}: {table.holds}"
    names = [metric.name.partition("@") for metric in table.metrics]
    wide = [max(len(base), len(rest) + 1, 8) + 2 for base, _, rest in names]
    first = max(len("network"), *(len(row.network) for row in table.rows))
    yield f"{'':{first}}" + "".join(f"{base:>{width}}" for (base, _, _), width in zip(names, wide, strict=True))
    head = "".join(f"{'@' + rest:>{width}}" for (_, _, rest), width in zip(names, wide, strict=True))
    yield f"{'network':{first}}{head}"
    for row in table.rows:
        figures = [_number(row.means, metric) for metric in table.metrics]
        yield f"{row.network:{first}}" + "".join(f"{f:>{width}}" for f, width in zip(figures, wide, strict=True))


def _number(figures: Figures, metric: AnyMetric) -> str:
    figure = figures.get(metric.name)
    return "-" if figure is None else f"{figure:{metric.form}}"


def _write_csv(path: Path, tables: Sequence[Table]) -> None:
    """A line for each figure; the item `mean` is that of the set."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(CSV_HEAD)
            for table in tables:
                for row in table.rows:
                    for item, figures in (*row.items.items(), ("mean", row.means)):
                        for metric in table.metrics:
                            about = table.test_set, table.scale, table.degradation, row.network, item
                            figure = figures.get(metric.name)
                            writer.writerow((*about, metric.name, metric.unit, "" if figure is None else figure))
    except OSError as error:
        raise VidpercError(f"--csv {path}: cannot be written ({error.strerror})") from error


def _facts(table: Table) -> dict[str, Any]:
    return {
        "set": table.test_set,
        "scale": table.scale,
        "degradation": table.degradation,
        "holds": table.holds,
        "metrics": {metric.name: {"unit": metric.unit, "better": metric.better} for metric in table.metrics},
        "networks": {row.network: {"mean": dict(row.means), "items": row.items} for row in table.rows},
    }


def _say(line: str) -> None:
    typer.echo(line, err=True)
