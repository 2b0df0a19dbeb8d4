"""Every reader of files names all that it misses in a directory, and where to get it."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from data.registry import READERS
from envs.errors import ConfigurationError

MISSING: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "bfcl": ({}, ["BFCL_v*_simple_python.json"], "https://github.com/ShishirPatil/gorilla"),
    "bird": ({}, ["dev.json", "dev_databases"], "https://bird-bench.github.io"),
    "function_calls": ({}, ["heldout.jsonl"], "data/function_calls.py"),
    "gsm8k": ({}, ["test.jsonl"], "https://github.com/openai/grade-school-math"),
    "gsm8k_json": ({}, ["test.jsonl"], "https://github.com/openai/grade-school-math"),
    "jsonschemabench": (
        {"splits": ["Github_easy", "Snowplow"]},
        ["data/Github_easy", "data/Snowplow"],
        "https://github.com/guidance-ai/jsonschemabench",
    ),
    "math_problems": ({}, ["test.jsonl"], "https://huggingface.co/datasets/HuggingFaceH4/MATH-500"),
    "schema_instances": ({}, ["heldout.jsonl"], "data/schema_instances.py"),
    "spider": ({}, ["dev.json", "database"], "https://yale-lily.github.io/spider"),
    "spider_variants": (
        {"variant": "dk", "spider": "."},
        ["Spider-DK.json", "tables.json", "database"],
        "https://github.com/ygan/Spider-DK",
    ),
    "sql_questions": ({}, ["heldout.jsonl"], "data/sql_questions.py"),
    "wikisql": ({}, ["test.jsonl", "test.tables.jsonl", "test.db"], "https://github.com/salesforce/WikiSQL"),
}


def test_the_table_speaks_of_every_reader_of_files() -> None:
    of_files = {name for name, reader in READERS.items() if "path" in {one.name for one in dataclasses.fields(reader)}}  # type: ignore[arg-type]
    assert of_files == set(MISSING)


@pytest.mark.parametrize("name", sorted(MISSING))
def test_all_that_is_missing_is_named_with_where_to_get_it(tmp_path: Path, name: str) -> None:
    options, names, origin = MISSING[name]
    with pytest.raises(ConfigurationError) as caught:
        READERS[name](path=str(tmp_path), **options).read("heldout")
    quoted = ", ".join(f"'{one}'" for one in names)
    assert f"'{tmp_path}' lacks {quoted}; " in str(caught.value) and origin in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        READERS[name](path=str(tmp_path / "gone"), **options).read("heldout")
    message = str(caught.value)
    assert f"no directory '{tmp_path / 'gone'}" in message and origin in message and "\n" not in message
