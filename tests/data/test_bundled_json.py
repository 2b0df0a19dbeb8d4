"""The bundled JSON tasks: valid, stated in their texts, disjoint between the splits, and what the builder writes."""

import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from data.bundled.counts import table
from data.bundled.json import build
from data.bundled.json.draw import Draw
from data.bundled.json.families_public import MONTHS
from data.bundled.json.family import Family, spoken

FOLDER = Path(build.__file__).parent
FIELDS = ["id", "schema_name", "schema", "text", "gold", "difficulty", "is_new_schema"]


def read(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


TRAIN, HELDOUT = read("train"), read("heldout")
ROWS = TRAIN + HELDOUT
SCHEMAS = {row["schema_name"]: row["schema"] for row in ROWS}
VALIDATORS = {
    name: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for name, schema in SCHEMAS.items()
}


def leaves(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(schema["properties"][key], part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(schema["items"], part)
    else:
        yield schema, value


def normal_forms(schema: dict[str, Any], value: Any) -> list[str]:
    """The spellings under which a text may state a value: as in JSON; dates and times also as people write them."""
    forms = [str(value)]
    if schema.get("format") == "date":
        year, month, day = value.split("-")
        forms.append(f"{int(day)} {MONTHS[int(month) - 1]} {year}")
    elif isinstance(value, str) and re.fullmatch("[0-2][0-9]:[0-5][0-9]", value):
        hour = int(value[:2])
        forms.append(f"{hour % 12 or 12}:{value[3:]} {'pm' if hour >= 12 else 'am'}")
    return forms


def is_stated(form: str, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(form)}(?![\w]|[.:][0-9])", text) is not None


def test_rows_have_the_fields_and_unique_ids() -> None:
    assert all(list(row) == FIELDS for row in ROWS)
    assert max(Counter(row["id"] for row in ROWS).values()) == 1
    assert {row["difficulty"] for row in TRAIN} == {row["difficulty"] for row in HELDOUT} == {"easy", "medium", "hard"}


def test_both_splits_are_large_enough_and_new_schemas_are_new() -> None:
    known = {row["schema_name"] for row in TRAIN}
    new = {row["schema_name"] for row in HELDOUT} - known
    assert len(known) >= 24 and len(new) == 4
    assert len(TRAIN) >= 320 and len(HELDOUT) >= 160
    assert min(Counter(row["schema_name"] for row in ROWS).values()) >= 20
    assert all(row["is_new_schema"] == (row["schema_name"] in new) for row in ROWS)
    assert sum(row["is_new_schema"] for row in HELDOUT) < len(HELDOUT) / 2


def test_schemas_are_closed_short_and_require_every_key() -> None:
    def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if schema.get("type") == "object":
            yield schema
        for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            yield from objects(part)

    assert all(row["schema"] == SCHEMAS[row["schema_name"]] for row in ROWS)
    for schema in SCHEMAS.values():
        assert schema["type"] == "object"
        assert len(json.dumps(schema, separators=(",", ":"))) <= 600
        for part in objects(schema):
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


def test_every_gold_validates_and_follows_the_schemas_order() -> None:
    for row in ROWS:
        VALIDATORS[row["schema_name"]].validate(row["gold"])
        assert list(row["gold"]) == list(row["schema"]["properties"])


def test_an_empty_object_and_an_extra_key_are_invalid_everywhere() -> None:
    for row in ROWS:
        validator = VALIDATORS[row["schema_name"]]
        assert not validator.is_valid({})
        assert not validator.is_valid({**row["gold"], "unknown": 1})


def test_every_gold_is_short() -> None:
    assert all(30 <= len(json.dumps(row["gold"], separators=(",", ":"))) <= 140 for row in ROWS)


def test_every_open_string_and_number_of_a_gold_is_in_its_text() -> None:
    for row in ROWS:
        for schema, value in leaves(row["schema"], row["gold"]):
            if "enum" in schema or isinstance(value, bool) or value is None:
                continue
            assert any(is_stated(form, row["text"]) for form in normal_forms(schema, value)), (value, row["text"])


def named_parts(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        if isinstance(part, dict):
            yield from named_parts(part, f"{path}{key}_")
        else:
            yield f"{path}{key}", part


@pytest.mark.parametrize("family", build.FAMILIES, ids=lambda family: family.name)
def test_equal_wordings_mean_equal_values(family: Family) -> None:
    """Booleans, nulls and enumerations are worded, not copied: a wording that fits two values would be ambiguous."""
    meanings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for seed in range(60):
        gold, wordings = family.facts(Draw(str(seed), "train"))
        phrases = {**spoken(gold), **wordings}
        for name, value in named_parts(gold):
            meanings[name, phrases[name]].add(json.dumps(value))
    assert all(len(values) == 1 for values in meanings.values())


@pytest.mark.parametrize("family", build.FAMILIES, ids=lambda family: family.name)
def test_each_of_a_familys_sentences_states_all_facts(family: Family) -> None:
    assert len(set(family.sentences)) >= 6
    for sentence in family.sentences:
        dataclasses.replace(family, sentences=(sentence,)).task(Draw("0", "train"))


def test_the_splits_share_no_text_gold_or_open_string() -> None:
    def open_strings(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
        return {
            (row["schema_name"], value)
            for row in rows
            for schema, value in leaves(row["schema"], row["gold"])
            if isinstance(value, str) and not schema.keys() & {"enum", "pattern", "format"}
        }

    assert not {row["text"] for row in TRAIN} & {row["text"] for row in HELDOUT}
    golds = [
        {(row["schema_name"], json.dumps(row["gold"], sort_keys=True)) for row in rows} for rows in (TRAIN, HELDOUT)
    ]
    assert len(golds[0]) == len(TRAIN) and len(golds[1]) == len(HELDOUT)
    assert not golds[0] & golds[1]
    assert not open_strings(TRAIN) & open_strings(HELDOUT)


def test_building_again_writes_the_same_files(tmp_path: Path) -> None:
    build.write(tmp_path)
    for split in ("train", "heldout"):
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (FOLDER / f"{split}.jsonl").read_bytes()


def test_a_sentence_that_leaves_out_a_fact_is_refused() -> None:
    careless = dataclasses.replace(build.FAMILIES[0], sentences=("Flight {flight} to {destination}.",))
    with pytest.raises(ValueError, match="the sentence names"):
        careless.task(Draw("0", "train"))


def test_the_readme_counts_what_is_there() -> None:
    assert table(FOLDER, "schema_name") in (FOLDER / "README.md").read_text(encoding="utf-8")
