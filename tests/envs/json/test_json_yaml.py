"""YAML answers: the core schema and nothing more, and a category for every hostile text."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.json.parsing import Limits
from envs.json.yaml_answers import parse_yaml, require_libyaml, write_yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("+", "+"),
        (".", "."),
        ("-.inf.", "-.inf."),
        ("a", "a"),
        ("1e5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E-3", -0.0015),
        ("010", 10),
        ("+1", 1),
        ("0o17", 15),
        ("0x1F", 31),
        ("", None),
        ("~", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("'3'", "3"),
        ('"null"', "null"),
        ('"\\x41\\u00e9\\U0001F600\\/"', "Aé😀/"),
        ("|-\n  no", "no"),
        (">-\n  a\n  b", "a b"),
        ("one\n  two", "one two"),
        ("1 # comment", 1),
    ],
)
def test_plain_scalars_are_resolved_by_the_core_schema(text: str, value: Any) -> None:
    parsed = parse_yaml(f"a: {text}")
    assert (parsed.error, json.dumps(parsed.value)) == (None, json.dumps({"a": value}))
    assert json.dumps(parse_yaml(f"- {text}").value) == json.dumps([value])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb:\n- x\n-   - y\n    - z: 1", {"a": 1, "b": ["x", ["y", {"z": 1}]]}),
        ("# comment\n---\na: 1 # comment\n...\n# comment", {"a": 1}),
        ('{"a": [1, {"b": null}],\n\t"c": "d"}', {"a": [1, {"b": None}], "c": "d"}),
        ("[]", []),
        ("? a\n: 1\n? b", {"a": 1, "b": None}),
        ("no: 1\n<<: {x: 1}\n=: 2", {"no": 1, "<<": {"x": 1}, "=": 2}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: 1\rb: 2", {"a": 1, "b": 2}),
        ("\ufeffa: 1", {"a": 1}),
        ("3", 3),
        (" 2.5 # comment", 2.5),
        ("null", None),
        ("--- true", True),
        ("---", None),
        ("'a b'", "a b"),
        ('"a b"', "a b"),
        ("|\n a\n", "a"),
    ],
)
def test_a_whole_document_is_the_value(text: str, value: Any) -> None:
    parsed = parse_yaml(text)
    assert (parsed.error, parsed.is_found, parsed.has_extra_text) == (None, True, False)
    assert json.dumps(parsed.value) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no answer"),
        (" \n\t", "no answer"),
        ("# a comment", "not yaml"),
        ("I can not say", "not yaml"),
        ("5 apples", "not yaml"),
        ("one line\n\nand another", "not yaml"),
        ("<value>1</value>", "not yaml"),
        ("a: 1\n b: 2", "not yaml"),
        ("a: [1, 2", "not yaml"),
        ("- a\nb: 1", "not yaml"),
        ("a:\n\t\tb: 1", "not yaml"),
        ("a: `b`", "not yaml"),
        ("a: \x00", "not yaml"),
        ("a: \x1b", "not yaml"),
        ('"\\UFFFFFFFF"', "not yaml"),
        ('"\\ud83d\\ude00"', "not yaml"),
        ("200: ok", "not yaml"),
        ("null: 1", "not yaml"),
        ("true: 1", "not yaml"),
        ("? [a]\n: 1", "not yaml"),
        ("? {a: 1}\n: 1", "not yaml"),
        ("'a' and more", "not yaml"),
        ("3\n---\n4", "not yaml"),
        ("%YAML 1.1\n---\na: no", "not yaml"),
        ("%YAML 1." + "1" * 5_000 + "\n---\na: 1", "not yaml"),
        ("%TAG ! tag:example.com,2000:\n---\na: 1", "tag"),
        ("!!python/object/apply:os.system ['true']", "tag"),
        ("a: !!str 1", "tag"),
        ("a: ! 1", "tag"),
        ("- !<tag:yaml.org,2002:int> 1", "tag"),
        ("!!map {a: 1}", "tag"),
        ("a: &x 1", "entity"),
        ("a: &x [*x]", "entity"),
        ("a: *x", "entity"),
        ("a: &x {b: 1}\nc: {<<: *x}", "entity"),
        ("a: &a [x]\n" + "".join(f"k{n}: &b{n} [*a, *a]\n" for n in range(9)), "entity"),
        ("a: 1\na: 2", "duplicate key"),
        ('{a: {b: 1, "\\x62": 2}}', "duplicate key"),
        ("a: .nan", "not finite"),
        ("- -.Inf", "not finite"),
        ("1e999", "not finite"),
        ("1" * 5_000, "number too long"),
        ("0." + "1" * 5_000, "number too long"),
        ("0x" + "f" * 5_000, "number too long"),
        ("a: \ud800", "lone surrogate"),
        ("[" * 65 + "]" * 65, "too deep"),
        ("- " * 65 + "a", "too deep"),
        ("".join(" " * n + "a:\n" for n in range(65)), "too deep"),
        ("a: " + "b" * 2_000_000, "too long"),
    ],
)
def test_a_hostile_text_has_its_category(text: str, error: str) -> None:
    started = time.perf_counter()
    parsed = parse_yaml(text)
    assert (parsed.error, parsed.is_found, parsed.value) == (error, False, None)
    assert time.perf_counter() - started < 1
    (parsed.text or "").encode()


@pytest.mark.parametrize(
    ("text", "value", "own_text"),
    [
        ("Sure:\n\n```yaml\na: 1\n```\nDone.", {"a": 1}, "a: 1"),
        ("```\n- 1\n```", [1], "- 1"),
        ("```yml\r\na: é\r\n```\r\n", {"a": "é"}, "a: é"),
        ("Code:\n```python\nx = {}\n```\n```yaml\na: 1\n```", {"a": 1}, "a: 1"),
        ("A word:\n```\nx\n```\n```yaml\na: 1\n```", {"a": 1}, "a: 1"),
        ("[1] then\n```yaml\na: 1\n```", {"a": 1}, "a: 1"),
        ("```yaml\na: 1\n---\nb: 2\n```", {"a": 1}, "a: 1"),
        ("\ud800:\n```yaml\na: 1\n```", {"a": 1}, "a: 1"),
        ("a: 1\n---\nb: 2", {"a": 1}, "a: 1"),
        ("\ufeffa: é\n---\nb: 2", {"a": "é"}, "\ufeffa: é"),
        ("a: 1\n...\n}{", {"a": 1}, "a: 1\n..."),
        ('{"é": 1} is it', {"é": 1}, '{"é": 1}'),
        ("[1] [2]", [1], "[1]"),
        ("--- {a: 1}\n---", {"a": 1}, "--- {a: 1}"),
    ],
)
def test_text_around_a_value_is_an_error_and_the_value_is_still_found(text: str, value: Any, own_text: str) -> None:
    parsed = parse_yaml(text)
    assert (parsed.error, parsed.is_found, parsed.has_extra_text) == ("extra text", True, True)
    assert (parsed.value, parsed.text) == (value, own_text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Sure:\n```yaml\na: 1\n", "not yaml"),
        ("Sure:\n```yaml\n3\n```", "not yaml"),
        ("Sure:\n```yaml\n'a'\n```", "not yaml"),
        ("Sure:\n```json\n{}\n```", "not yaml"),
        ("Sure:\n```yaml\na: [\n```", "not yaml"),
        ("Sure:\n```yaml\na: !x 1\n```\n```yaml\na: 1\n```", "tag"),
        ("Sure:\n```yaml\na: \ud800\n```", "lone surrogate"),
        ("a: 1\na: 2\n```\nx\n```", "duplicate key"),
    ],
)
def test_a_block_that_holds_no_value_is_none(text: str, error: str) -> None:
    parsed = parse_yaml(text)
    assert (parsed.error, parsed.is_found) == (error, False)


def test_a_fence_inside_a_block_scalar_is_its_text() -> None:
    assert parse_yaml("a: |\n  ```yaml\n  b: 1\n  ```").value == {"a": "```yaml\nb: 1\n```"}


def test_depth_counts_arrays_and_objects() -> None:
    assert parse_yaml("a: [1]", Limits(depth=2)).value == {"a": [1]}
    assert parse_yaml("a: [1]", Limits(depth=1)).error == "too deep"
    assert parse_yaml("[[], [], []]", Limits(depth=2)).error is None
    deepest = json.loads("[" * 64 + "]" * 64)
    assert parse_yaml(write_yaml(deepest)).value == deepest


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65_000,
        "{" * 65_000,
        "[" * 32_000 + "]" * 32_000,
        "- " * 32_000,
        "? " * 32_000,
        "? a\n" * 16_000,
        "- a\n" * 16_000,
        "[" + "{}," * 20_000 + "]",
        "a " * 32_000,
        "a\n" * 32_000,
        "#" * 65_000,
        "#\n" * 32_000,
        "a:" + "\n" * 65_000 + "b",
        "'" * 65_000,
        '"' + "\n" * 65_000 + '"',
        "|9\n" + " " * 65_000,
        "&a " * 20_000,
        "!" * 65_000,
        ":" * 65_000,
        "---\n" * 16_000,
        "%A\n" * 20_000,
        "```\n" * 16_000,
        "x: `\n" + "```yaml\na: [\n```\n" * 3_500,
        "\t" * 65_000 + "a",
        "\u2028" * 65_000,
        "\r" * 65_000 + "a",
    ],
)
def test_no_text_makes_the_reading_slow(text: str) -> None:
    started = time.perf_counter()
    parsed = parse_yaml(text)
    assert parsed.is_found == (parsed.error is None)
    assert time.perf_counter() - started < 2


def test_strings_are_quoted_where_a_reader_of_yaml_could_take_them_for_something_else() -> None:
    plain = ["Ann Lee", "Zürich", "https://example.com/a", "it's", "v1.2.3", "a, b; c (d)"]
    quoted = [
        "",
        "no",
        "y",
        "Null",
        "12:30",
        "2024-01-01",
        "1_000",
        "1e5",
        "~",
        "=",
        "<<",
        "a: b",
        "a #b",
        "- a",
        "a\n",
        "x ",
    ]
    assert write_yaml(plain) == "\n".join(f"- {text}" for text in plain)
    assert write_yaml(quoted) == "\n".join(f"- {json.dumps(text)}" for text in quoted)
    assert write_yaml({"y": "n", "12:30": 1, "3": 2}) == '"y": "n"\n"12:30": 1\n"3": 2'


def test_values_are_written_in_block_style() -> None:
    value = {"b": [1, 2.0, 1e30, None, True, [], {}, [[1]]], "a": {"c": {"d": "e"}}}
    assert write_yaml(value) == ("b:\n- 1\n- 2.0\n- 1.0e+30\n- null\n- true\n- []\n- {}\n- - - 1\na:\n  c:\n    d: e")
    assert [write_yaml(scalar) for scalar in ("a", 1.5, None, [])] == ['"a"', "1.5", "null", "[]"]


def test_what_is_no_json_value_cannot_be_written() -> None:
    for value in (float("nan"), [float("inf")]):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_yaml(value)


def test_a_parser_without_libyaml_is_refused() -> None:
    require_libyaml()
    script = (
        "import sys; sys.modules['yaml._yaml'] = None\n"
        "from envs.json.yaml_answers import require_libyaml\n"
        "from envs.errors import ConfigurationError\n"
        "try: require_libyaml()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "built without libyaml" in result.stdout


def test_every_real_instance_comes_back(dataset_directory: Callable[[str, str], Path]) -> None:
    lines = (dataset_directory("jsonschemabench-sample", "schemas.jsonl") / "schemas.jsonl").read_text().splitlines()
    count = 0
    for row in map(json.loads, lines):
        for value in (test["data"] for test in row["tests"] if test["valid"]):
            parsed = parse_yaml(write_yaml(value))
            assert (row["id"], parsed.error, json.dumps(parsed.value)) == (row["id"], None, json.dumps(value))
            count += 1
    assert count > 900
