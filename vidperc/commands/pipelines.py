"""`vidperc pipelines`: the built-in ones, their text, their schema."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from vidperc.config.pipelines import builtin_pipelines, load_pipeline, pipeline_schema


def list_builtin() -> int:
    """A line for each built-in pipeline: name, stages, description."""
    for name in builtin_pipelines():
        spec = load_pipeline(name)
        stages = " > ".join(stage.kind for stage in spec.stages)
        typer.echo(f"{name:16} {stages:20} {spec.description}")
    return 0


def show(name: str) -> int:
    """The YAML of a pipeline that was checked first."""
    load_pipeline(name)
    path = builtin_pipelines().get(name) or Path(name)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)
    return 0


def show_schema() -> int:
    """The JSON Schema of pipeline files."""
    typer.echo(json.dumps(pipeline_schema(), indent=2))
    return 0
