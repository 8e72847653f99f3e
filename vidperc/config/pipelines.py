"""Pipelines read from YAML: the built-in ones by name, a user's own by path, both with settings laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vidperc.config.validation import did_you_mean, validated
from vidperc.config.yaml_lines import KeyPath, parse_yaml, read_yaml, scalar
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.stage import Stage
from vidperc.stages.table import STAGES

if TYPE_CHECKING:
    AnyStage: TypeAlias = Stage
else:
    AnyStage = Annotated[Union[tuple(STAGES.values())], Field(discriminator="kind")]  # noqa: UP007, built at run time

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_inf_nan="constants")


class PipelineFile(BaseModel):
    """What a pipeline's YAML holds; the stages inherit the strictness of this type.

    The name becomes part of the names of outputs, so it is made of letters, digits, blanks, dots and dashes.
    """

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\w[\w .-]*$")]
    description: str = ""
    stages: Annotated[list[AnyStage], Field(min_length=1)]


_FILE = TypeAdapter(PipelineFile)
_STAGE: TypeAdapter[Stage] = TypeAdapter(AnyStage, config=_STRICT)


def built_in_folder(name: Literal["pipelines", "configs"]) -> Path:
    """The folder of built-in YAML: inside the package in a wheel, beside it in an editable checkout."""
    package = Path(__file__).resolve().parents[1]
    if (package / name).is_dir():
        return package / name
    if (package.parent / "pyproject.toml").is_file():
        return package.parent / name
    raise FileNotFoundError(f"{package / name}: this installation of vidperc lacks its built-in files")


def builtin_pipelines() -> dict[str, Path]:
    """The file of every built-in pipeline under its name, in alphabetical order."""
    return {path.stem: path for path in sorted(built_in_folder("pipelines").glob("*.yaml"))}


def load_pipeline(name_or_path: str) -> PipelineSpec:
    """The pipeline of a built-in name, or of a path that ends in .yaml or .yml.

    Raises VidpercError for an unknown name, as `file:line: what, got, wanted` for a file that does not fit, and for
    stages in an order that cannot work.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return _read_pipeline(Path(name_or_path))
    built_in = builtin_pipelines()
    if name_or_path not in built_in:
        raise VidpercError(
            f"unknown pipeline {name_or_path!r}, wanted one of {', '.join(built_in)}, or a path that ends in .yaml"
            + did_you_mean(name_or_path, built_in)
        )
    return _read_pipeline(built_in[name_or_path])


def pipeline_schema() -> dict[str, Any]:
    """The JSON Schema of a pipeline's YAML, for editors that complete and check it."""
    schema = _FILE.json_schema()
    for definition in schema.get("$defs", {}).values():
        if "properties" in definition:
            definition["additionalProperties"] = False  # refused all the same, but pydantic 2.7 does not say so
        if "const" in definition.get("properties", {}).get("kind", {}):
            # The dataclasses give `kind` a default, so that Python need not repeat it; in YAML it selects the stage.
            definition["required"] = ["kind", *definition.get("required", [])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vidperc pipeline"}


def apply_settings(spec: PipelineSpec, settings: Sequence[str]) -> PipelineSpec:
    """The pipeline with `STAGE.key=value` settings laid over it, and all of it checked again.

    STAGE is a kind, or `kind#2` for the second stage of that kind; the value is spelled as in YAML. The last setting of
    a key holds. Settings of one stage are checked together, so that two of them may depend on each other.
    Raises VidpercError that begins with `--set` and the setting as given.
    """
    changed: dict[int, dict[str, str]] = {}  # index of a stage -> key -> the setting as given
    for setting in settings:
        index, key = _target(spec, setting)
        changed.setdefault(index, {})[key] = setting
    stages = list(spec.stages)
    for index, given in changed.items():
        stages[index] = _stage_with(stages[index], given)
    spec = PipelineSpec(spec.name, spec.description, tuple(stages))
    spec.check()
    return spec


def _read_pipeline(path: Path) -> PipelineSpec:
    source = read_yaml(path)
    if source.data is None:
        raise VidpercError(f"{source.where(())}: the file is empty, wanted a mapping with 'name' and 'stages'")
    file = validated(_FILE, source.data, where=source.where)
    spec = PipelineSpec(file.name, file.description, tuple(file.stages))
    spec.check()
    return spec


def _target(spec: PipelineSpec, setting: str) -> tuple[int, str]:
    """The index of the stage and the key that a setting speaks of."""
    name, equals, _ = setting.partition("=")
    stage, dot, key = name.partition(".")
    kind, hash_sign, position = stage.partition("#")
    if not (equals and dot and kind and key) or (hash_sign and not (position.isascii() and position.isdigit())):
        raise VidpercError(f"--set {setting}: not a setting, wanted STAGE.key=value, such as upscale.scale=2")
    indices = [index for index, stage in enumerate(spec.stages) if stage.kind == kind]
    if not indices:
        kinds = list(dict.fromkeys(stage.kind for stage in spec.stages))
        raise VidpercError(
            f"--set {setting}: pipeline {spec.name} has no stage {kind!r}, wanted one of {', '.join(kinds)}"
            + did_you_mean(kind, kinds)
        )
    if not hash_sign and len(indices) > 1:
        choices = " or ".join(f"{kind}#{number}" for number in range(1, len(indices) + 1))
        raise VidpercError(f"--set {setting}: pipeline {spec.name} has {len(indices)} such stages, wanted {choices}")
    number = int(position) if hash_sign else 1
    if not 1 <= number <= len(indices):
        raise VidpercError(
            f"--set {setting}: pipeline {spec.name} has {len(indices)} of {kind!r}, got number {number}, "
            f"wanted 1 to {len(indices)}"
        )
    if key == "kind":
        raise VidpercError(f"--set {setting}: the kind of a stage is fixed, wanted another key")
    return indices[number - 1], key


def _stage_with(stage: Stage, given: dict[str, str]) -> Stage:
    data: dict[str, Any] = _STAGE.dump_python(stage, mode="json")
    for key, setting in given.items():
        data[key] = setting_value(setting)

    def where(path: KeyPath) -> str:
        key = str(path[0]) if path else ""
        # A stage's own check speaks of no key: any of its settings may be the cause.
        return f"--set {given[key]}" if key in given else f"--set {' --set '.join(given.values())}"

    return validated(_STAGE, data, where=where)


def setting_value(setting: str) -> Any:
    """What stands after the = of a setting, as YAML has it."""
    text = setting.partition("=")[2].strip()
    if text.startswith(('"', "'", "[")):
        return parse_yaml(text, name=f"--set {setting}").data
    return scalar(text)
