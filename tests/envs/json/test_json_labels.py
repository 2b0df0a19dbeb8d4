"""Real schemas of MaskBench with labelled instances: the labels, the grammar, and what progress and structure say."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.schema import compile_schema
from envs.json.structure import structure
from envs.json.task import JsonTask
from envs.json.tokens import TOKEN
from envs.transcript import Transcript

TOKENIZER = LLTokenizer("byte")


@pytest.fixture(scope="module")
def rows(dataset_directory: Callable[[str, str], Path]) -> list[dict[str, Any]]:
    path = dataset_directory("jsonschemabench-sample", "schemas.jsonl") / "schemas.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def judged(episodes: list[tuple[JsonTask, str]]) -> list[JsonVerdict]:
    verdicts = JsonEnvironment().judge([(task, Transcript.of(text)) for task, text in episodes])
    return [verdict for verdict in verdicts if isinstance(verdict, JsonVerdict)]


def strict_matchers(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], JsonTask, LLMatcher]]:
    """The rows whose schema llguidance supports in full."""
    for row in rows:
        task = JsonTask(id=row["id"], schema=json.dumps(row["schema"]))
        grammar = JsonEnvironment().grammar(task)
        assert grammar is not None
        source = LLMatcher.grammar_from_json_schema(grammar.source)
        if not LLMatcher.validate_grammar(source, TOKENIZER):
            yield row, task, LLMatcher(TOKENIZER, source)


def test_every_label_is_reproduced(rows: list[dict[str, Any]]) -> None:
    episodes, labels = [], []
    for row in rows:
        task = JsonTask(id=row["id"], schema=json.dumps(row["schema"]))
        episodes += [(task, json.dumps(test["data"])) for test in row["tests"]]
        labels += [test["valid"] for test in row["tests"]]
    verdicts = judged(episodes)
    assert len(labels) > 2_000
    assert [verdict.unjudged for verdict in verdicts if verdict.unjudged] == []
    assert [verdict.is_correct for verdict in verdicts] == labels
    assert [verdict.progress == 1.0 for verdict in verdicts] == labels
    assert all(0 <= verdict.progress <= 1 for verdict in verdicts)
    assert sum(bool(verdict.schema_errors) for verdict in verdicts) > 0.9 * labels.count(False)


def test_every_valid_instance_has_all_of_the_structure(rows: list[dict[str, Any]]) -> None:
    shares = [
        structure(test["data"], compile_schema(json.dumps(row["schema"])))
        for row in rows
        for test in row["tests"]
        if test["valid"]
    ]
    assert len(shares) > 800
    assert set(shares) == {1.0}


def test_a_longer_prefix_of_a_valid_instance_never_has_less_progress(rows: list[dict[str, Any]]) -> None:
    compared = 0
    for row in rows[::4]:
        task = JsonTask(id=row["id"], schema=json.dumps(row["schema"]))
        texts = [json.dumps(test["data"]) for test in row["tests"] if test["valid"] and len(str(test["data"])) < 2_000]
        for text in texts[:1]:
            prefixes = [text[:end] for end in range(1, len(text), max(1, len(text) // 25))]
            shares = [verdict.progress for verdict in judged([(task, prefix) for prefix in [*prefixes, text]])]
            assert shares == sorted(shares)
            assert shares[-1] == 1.0
            for prefix, share in zip(prefixes, shares, strict=False):
                tokens = len(TOKEN.findall(prefix))
                assert share >= (tokens - 1) / (tokens + 1) or prefix[0] not in "[{"
            compared += len(prefixes)
    assert compared > 1_000


def test_no_token_is_refused_that_llguidance_accepts(rows: list[dict[str, Any]]) -> None:
    compared = 0
    for row, task, matcher in strict_matchers(rows[::3]):
        for test in row["tests"]:
            if test["valid"]:
                continue
            text = json.dumps(test["data"])
            (verdict,) = judged([(task, text)])
            accepted_bytes = matcher.deep_copy().try_consume_tokens(TOKENIZER.tokenize_bytes(text.encode()))
            characters = len(text.encode()[:accepted_bytes].decode(errors="ignore"))
            ends = [match.end() for match in TOKEN.finditer(text)]
            # That a number ends where it does is only accepted with what follows it.
            accepted = sum(end < characters for end in ends)
            assert round(verdict.progress * (len(ends) + 1)) >= accepted
            compared += 1
    assert compared > 300


def test_real_references_are_accepted_by_the_grammar(rows: list[dict[str, Any]]) -> None:
    accepted = compiled = 0
    for row, task, matcher in strict_matchers(rows[::10]):
        gold = next((json.dumps(test["data"]) for test in row["tests"] if test["valid"]), None)
        if gold is None:
            continue
        compiled += 1
        reference = JsonEnvironment().reference(JsonTask(id=task.id, schema=task.schema, gold=gold)) or ""
        tokens = TOKENIZER.tokenize_bytes(reference.encode())
        accepted += matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
    assert compiled > 40
    assert accepted >= 0.97 * compiled
