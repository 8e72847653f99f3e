from __future__ import annotations

import math
from pathlib import Path

import pytest

from vidperc.config.yaml_lines import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_yaml, read_yaml, scalar
from vidperc.errors import VidpercError


def refusal(text: str) -> str:
    with pytest.raises(VidpercError) as caught:
        parse_yaml(text, name="a.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_data_are_plain() -> None:
    file = parse_yaml("name: a\nlist: [1, 2.5, true, null]\nmap: {key: 'x'}\n", name="a.yaml")
    assert file.data == {"name": "a", "list": [1, 2.5, True, None], "map": {"key": "x"}}


def test_every_key_and_item_has_its_line() -> None:
    file = parse_yaml("# comment\nname: a\nstages:\n  - kind: x\n    key:\n      1\n  - kind: y\n", name="a.yaml")
    assert file.lines == {
        (): 2,
        ("name",): 2,
        ("stages",): 3,
        ("stages", 0): 4,
        ("stages", 0, "kind"): 4,
        ("stages", 0, "key"): 5,
        ("stages", 1): 7,
        ("stages", 1, "kind"): 7,
    }


def test_a_path_that_is_not_in_the_file_has_the_line_of_its_parent() -> None:
    file = parse_yaml("a:\n  b: 1\n", name="a.yaml")
    assert file.where(("a", "c", 3)) == "a.yaml:1"


def test_an_empty_file_holds_nothing() -> None:
    file = parse_yaml("# only a comment\n", name="a.yaml")
    assert file.data is None
    assert file.where(("name",)) == "a.yaml:1"


@pytest.mark.parametrize("text", ["no", "on", "yes", "1:30", "2026-01-01", "<<", "1_000", "0b1", "x", "-", "1e", "."])
def test_what_yaml_1_1_would_convert_stays_text(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("2.", 2.0),
        ("-.inf", -math.inf),
        ("True", True),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize("spelled", ["'2'", '"2"', "|-\n  2"])
def test_a_quoted_or_block_scalar_is_text(spelled: str) -> None:
    assert parse_yaml(f"a: {spelled}\n", name="a.yaml").data == {"a": "2"}


def test_a_duplicate_key_is_refused_with_both_lines() -> None:
    assert refusal("a: 1\nb:\n  c: 1\n  c: 2\n") == "a.yaml:4: key 'c' twice, first on line 3, wanted once"


def test_a_key_that_is_not_text_is_refused() -> None:
    assert refusal("a: 1\n2: b\n").startswith("a.yaml:2: a key that is not text, got '2'")
    assert refusal("? [a, b]\n: 1\n").startswith("a.yaml:1: a key that is not text, got a collection")


def test_a_syntax_error_is_one_line_with_its_place() -> None:
    assert refusal("a: 1\nb: c: d\n") == "a.yaml:2: not YAML: mapping values are not allowed here"
    assert refusal("a: [1\n").startswith("a.yaml:2: not YAML, while parsing a flow sequence")


def test_a_control_character_is_refused_with_its_line() -> None:
    assert refusal("a: 1\nb: \x00\n") == "a.yaml:2: not YAML, got character U+0000, wanted text"


def test_half_a_character_is_refused() -> None:
    assert refusal('a: "\\ud800"\n').startswith("a.yaml:1: not text")


def test_a_second_document_is_refused() -> None:
    assert refusal("a: 1\n---\nb: 2\n").startswith("a.yaml:2: not YAML, expected a single document")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [ls]", "!!str 2", "!custom {a: 1}", "!!binary aGk="])
def test_tags_are_refused(tag: str) -> None:
    assert refusal(f"a: 1\nb: {tag}\n").startswith("a.yaml:2: tags are not read")


def test_a_few_aliases_are_followed() -> None:
    file = parse_yaml("a: &a {x: 1}\nb: *a\n", name="a.yaml")
    assert file.data == {"a": {"x": 1}, "b": {"x": 1}}
    assert file.lines[("b",)] == 2


def test_many_aliases_are_refused() -> None:
    assert "too many aliases" in refusal("a: &a 1\nb: [" + "*a," * (MAX_ALIASES + 1) + "]\n")


def test_few_aliases_cannot_multiply_a_file_without_bound() -> None:
    # Five levels of three aliases: 3**5 copies of 100 items from fifteen aliases.
    levels = "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}, *l{n - 1}]\n" for n in range(1, 6))
    assert "too many values" in refusal("l0: &l0 [" + "1," * 100 + "]\n" + levels)


def test_an_alias_to_a_value_that_holds_it_is_refused() -> None:
    assert refusal("a: &a\n  - *a\n").startswith("a.yaml:1: alias to a value that holds it")


def test_deep_nesting_is_refused_before_it_is_followed() -> None:
    assert "too many nested levels" in refusal("[" * 100_000)
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, name="a.yaml").data


def test_many_values_are_refused() -> None:
    assert "too many values" in refusal("[" + "1," * (MAX_VALUES + 1) + "]")


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(VidpercError, match="too large"):
        read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\n")
    assert read_yaml(path).data == {"name": "a"}


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: a\ndescription: caf\xe9\n")
    with pytest.raises(VidpercError, match=r"latin\.yaml:2: not text, got byte 0xe9, wanted UTF-8"):
        read_yaml(path)


def test_a_missing_file_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "absent.yaml")
