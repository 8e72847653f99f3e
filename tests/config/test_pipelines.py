from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidperc.config.pipelines import (
    apply_settings,
    built_in_folder,
    builtin_pipelines,
    load_pipeline,
    pipeline_schema,
)
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.stages.resize import Resize
from vidperc.stages.table import STAGES
from vidperc.stages.upscale import Upscale

ROOT = Path(__file__).parents[2]
TWO_STAGES = PipelineSpec("two", "", (Upscale(), Resize(resolution=720)))


@pytest.fixture
def refusal(tmp_path: Path):
    def refuse(text: str) -> str:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        with pytest.raises(VidpercError) as caught:
            load_pipeline(str(path))
        message = str(caught.value)
        assert message.startswith(f"{path}:")
        return message.removeprefix(f"{tmp_path}/")

    return refuse


def setting_refusal(*settings: str, spec: PipelineSpec = TWO_STAGES) -> str:
    with pytest.raises(VidpercError) as caught:
        apply_settings(spec, settings)
    return str(caught.value)


def test_a_checkout_reads_the_folders_at_its_root() -> None:
    assert built_in_folder("pipelines") == ROOT / "pipelines"
    assert built_in_folder("configs") == ROOT / "configs"


@pytest.mark.parametrize("name", builtin_pipelines())
def test_every_built_in_pipeline_loads_under_its_own_name(name: str) -> None:
    spec = load_pipeline(name)
    assert spec.name == name
    assert spec.description
    assert spec.stages


def test_the_upscale_pipeline_is_one_upscale_that_chooses_its_network() -> None:
    assert load_pipeline("upscale").stages == (Upscale(model="auto"),)


def test_stages_keep_their_order_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "my.yml"
    path.write_text("name: my\nstages:\n  - {kind: resize, resolution: 480}\n  - {kind: upscale, scale: 2}\n")
    assert load_pipeline(str(path)) == PipelineSpec("my", "", (Resize(resolution=480), Upscale(scale=2)))


def test_an_unknown_name_is_refused_with_the_names_and_a_close_one() -> None:
    with pytest.raises(VidpercError, match=r"unknown pipeline 'upscal', wanted one of .*upscale.* did you mean"):
        load_pipeline("upscal")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match="cannot be read"):
        load_pipeline(str(tmp_path / "absent.yaml"))


def test_an_unknown_key_is_refused_with_its_line_and_the_close_key(refusal: Any) -> None:
    message = refusal("name: a\nstages:\n  - kind: upscale\n    scael: 2\n")
    assert message.startswith("my.yaml:4: unknown key 'scael', wanted one of kind, ")
    assert message.endswith("did you mean 'scale'?")


def test_an_unknown_key_of_the_file_comes_before_the_missing_one(refusal: Any) -> None:
    assert refusal("nam: a\nstages:\n  - kind: upscale\n") == (
        "my.yaml:1: unknown key 'nam', wanted one of name, description, stages; did you mean 'name'?"
    )


def test_an_unknown_kind_is_refused_with_the_kinds(refusal: Any) -> None:
    message = refusal("name: a\nstages:\n  - kind: upscale\n  - kind: rezise\n")
    assert message == f"my.yaml:4: unknown kind 'rezise', wanted one of {', '.join(STAGES)}; did you mean 'resize'?"


def test_a_stage_without_a_kind_is_refused(refusal: Any) -> None:
    assert refusal("name: a\nstages:\n  - model: bicubic\n").startswith("my.yaml:3: missing key 'kind' in stages[0]")


def test_a_missing_key_has_the_line_of_its_stage(refusal: Any) -> None:
    assert refusal("name: a\nstages:\n  - kind: resize\n") == "my.yaml:3: missing key 'resolution'"


@pytest.mark.parametrize(
    ("spelled", "shown"), [("true", "true"), ("'2'", '"2"'), ("2.0", "2.0"), ("two", '"two"'), ("[2]", "a list")]
)
def test_a_value_of_another_type_is_refused(refusal: Any, spelled: str, shown: str) -> None:
    message = refusal(f"name: a\nstages:\n  - kind: upscale\n    scale: {spelled}\n")
    assert message == f"my.yaml:4: scale: got {shown}, wanted an integer"


def test_a_value_outside_a_choice_is_refused_with_the_choice(refusal: Any) -> None:
    message = refusal("name: a\nstages:\n  - kind: resize\n    resolution: 480\n    kernel: box\n")
    assert message == "my.yaml:5: kernel: got \"box\", wanted 'lanczos' or 'bicubic'"


def test_a_stages_own_check_is_reported_on_the_line_it_names(refusal: Any) -> None:
    message = refusal("name: a\nstages:\n  - kind: resize\n    kernel: bicubic\n    resolution: 3\n")
    assert message.startswith("my.yaml:5: resolution: got 3, wanted ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.yaml:1: the file is empty, wanted a mapping with 'name' and 'stages'"),
        ("- a\n", "my.yaml:1: the file: got a list, wanted a mapping"),
        ("name: a\n", "my.yaml:1: missing key 'stages'"),
        ("name: a\nstages: []\n", "my.yaml:2: stages: got an empty list, wanted at least 1 item"),
        ("name: a\nstages: upscale\n", 'my.yaml:2: stages: got "upscale", wanted a list'),
        ("name: a\nstages:\n  - upscale\n", 'my.yaml:3: stages[0]: got "upscale", wanted a mapping'),
        ("name: 3\nstages: [{kind: upscale}]\n", "my.yaml:1: name: got 3, wanted text"),
    ],
)
def test_a_file_of_another_shape_is_refused(refusal: Any, text: str, message: str) -> None:
    assert refusal(text) == message


def test_a_setting_replaces_one_value_and_leaves_the_rest() -> None:
    spec = apply_settings(TWO_STAGES, ["resize.kernel=bicubic", "upscale.scale=3"])
    assert spec == PipelineSpec("two", "", (Upscale(scale=3), Resize(resolution=720, kernel="bicubic")))
    assert TWO_STAGES.stages[0] == Upscale()


def test_the_last_setting_of_a_key_holds() -> None:
    assert apply_settings(TWO_STAGES, ["upscale.scale=2", "upscale.scale=4"]).stages[0] == Upscale(scale=4)


@pytest.mark.parametrize(
    ("spelled", "model"), [("a=b.pth", "a=b.pth"), ("'2'", "2"), ("no", "no"), ("x: y #z", "x: y #z")]
)
def test_a_setting_is_a_yaml_scalar(spelled: str, model: str) -> None:
    assert apply_settings(TWO_STAGES, [f"upscale.model={spelled}"]).stages[0] == Upscale(model=model)


def test_a_number_selects_one_of_several_stages_of_a_kind() -> None:
    twice = PipelineSpec("twice", "", (Upscale(), Upscale()))
    assert apply_settings(twice, ["upscale#2.scale=2"]).stages == (Upscale(), Upscale(scale=2))
    assert setting_refusal("upscale.scale=2", spec=twice) == (
        "--set upscale.scale=2: pipeline twice has 2 such stages, wanted upscale#1 or upscale#2"
    )
    assert "wanted 1 to 2" in setting_refusal("upscale#3.scale=2", spec=twice)
    assert "wanted 1 to 2" in setting_refusal("upscale#0.scale=2", spec=twice)


def test_an_unknown_key_in_a_setting_is_refused_with_the_keys() -> None:
    message = setting_refusal("resize.kernel=bicubic", "upscale.scael=4")
    assert message.startswith("--set upscale.scael=4: unknown key 'scael', wanted one of kind, ")


def test_a_wrong_value_in_a_setting_is_refused_under_that_setting() -> None:
    assert setting_refusal("upscale.model=x", "upscale.scale=x") == (
        '--set upscale.scale=x: scale: got "x", wanted an integer'
    )
    assert setting_refusal("resize.kernel=bicubic", "resize.resolution=3").startswith(
        "--set resize.resolution=3: resolution: got 3, wanted "
    )


@pytest.mark.parametrize("setting", ["", "scale", "scale=2", "upscale.=2", ".scale=2", "upscale#x.scale=2", "a.b"])
def test_a_malformed_setting_is_refused_with_an_example(setting: str) -> None:
    assert setting_refusal(setting).startswith(f"--set {setting}: not a setting, wanted STAGE.key=value".strip())


def test_a_setting_for_a_stage_that_the_pipeline_lacks_is_refused() -> None:
    assert setting_refusal("steady.weight=1") == (
        "--set steady.weight=1: pipeline two has no stage 'steady', wanted one of upscale, resize"
    )


def test_the_kind_of_a_stage_cannot_be_set() -> None:
    assert "the kind of a stage is fixed" in setting_refusal("upscale.kind=resize")


def test_the_schema_forbids_other_keys_and_needs_a_kind() -> None:
    schema = pipeline_schema()
    assert schema["additionalProperties"] is False
    kinds = set[str]()
    for definition in schema["$defs"].values():
        assert definition["additionalProperties"] is False
        assert "kind" in definition["required"]
        kinds.add(definition["properties"]["kind"]["const"])
    assert kinds == set(STAGES)
    assert schema["properties"]["stages"]["items"]["discriminator"]["propertyName"] == "kind"


def test_every_kind_in_the_table_is_the_stages_own() -> None:
    for kind, stage in STAGES.items():
        assert stage.__dataclass_fields__["kind"].default == kind


def test_reading_a_pipeline_imports_no_torch() -> None:
    code = "import sys; from vidperc.config.pipelines import load_pipeline; load_pipeline('upscale'); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
