"""The judge of JSON on real schemas: its labels, its speed, hostile answers, and the official test suite.

    python benchmarks/json_judge.py --schemas schemas.jsonl
    python benchmarks/json_judge.py --schemas schemas.jsonl --suite JSON-Schema-Test-Suite

``schemas.jsonl`` has one ``{id, schema, tests: [{valid, data}]}`` a line, as MaskBench's instances. Every instance is
judged alone, after its schema was compiled, with every fact of the verdict: with a gold (the row's first valid
instance) and without. A time is the best of ``--repeats`` in each of three passes, in wall-clock microseconds;
percentiles are over instances. Each hostile answer is judged in a process of its own with bounds on seconds and memory;
it is survived when the verdict is the one that ``benchmarks/json_bombs.py`` names. The suite's remote documents are
handed to the schema compiler as documents in memory; nothing is fetched, so that tests of references from one draft to
another fail.

The last line is one JSON object. ``agree`` is the share of labels that the judge reproduces; ``validate_us_p50`` is
jsonschema-rs alone, ``jsonschema_us_p50`` the package jsonschema (null: not installed); ``progress_*`` compares
``progress`` with llguidance's strict compiler on the invalid instances of the schemas that it takes.
"""

import argparse
import importlib.util
import json
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jsonschema_rs
import llguidance

from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.judge import JudgeSettings, judge_answers
from envs.json.schema import compile_schema
from envs.json.task import JsonTask
from envs.json.tokens import TOKEN
from envs.transcript import Transcript

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.json_bombs import BOMBS, Bomb  # noqa: E402

PASSES = 3
BOMB_SECONDS = 2.0
BOMB_BYTES = 2 * 2**30
REMOTES = "http://localhost:1234/"
DRAFTS = {
    "draft4": (jsonschema_rs.Draft4, "http://json-schema.org/draft-04/schema#"),
    "draft6": (jsonschema_rs.Draft6, "http://json-schema.org/draft-06/schema#"),
    "draft7": (jsonschema_rs.Draft7, "http://json-schema.org/draft-07/schema#"),
    "draft2019-09": (jsonschema_rs.Draft201909, "https://json-schema.org/draft/2019-09/schema"),
    "draft2020-12": (jsonschema_rs.Draft202012, "https://json-schema.org/draft/2020-12/schema"),
}
OTHER_DRAFTS = ("draft3", "v1")
REQUIRED_OF = "draft2020-12"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One labelled value and its schema."""

    schema: str
    text: str
    value: Any
    is_valid: bool
    gold: str
    """A valid instance of the same schema."""


def read_instances(path: Path) -> tuple[int, list[Instance]]:
    """The number of schemas in a file, and the labelled instances of those that have a valid one.

    Raises:
        ConfigurationError: there is no such file, or nothing to judge in it.
    """
    if not path.is_file():
        raise ConfigurationError(f"--schemas {path} is no file; expected JSON lines with id, schema and tests")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    instances = []
    for row in rows:
        schema = json.dumps(row["schema"])
        gold = next((json.dumps(test["data"]) for test in row["tests"] if test["valid"]), None)
        instances += [
            Instance(
                schema=schema, text=json.dumps(test["data"]), value=test["data"], is_valid=test["valid"], gold=gold
            )
            for test in row["tests"]
            if gold is not None
        ]
    if not instances:
        raise ConfigurationError(f"{path} has no schema with a valid instance")
    return len(rows), instances


def microseconds(repeats: int, job: Callable[..., object], *arguments: Any) -> float:
    """The best time of several calls, after one that is not counted."""
    job(*arguments)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        job(*arguments)
        best = min(best, time.perf_counter() - started)
    return best * 1e6


def percentile(values: Sequence[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 1)


def measure_judge(instances: Sequence[Instance], repeats: int) -> dict[str, Any]:
    """Labels reproduced, and the times with and without a gold."""
    settings = JudgeSettings()
    times: dict[bool, list[float]] = {}
    for has_gold in (True, False):
        episodes = [
            [(JsonTask(id="instance", schema=i.schema, gold=i.gold if has_gold else None), Transcript.of(i.text))]
            for i in instances
        ]
        # In passes, so that what else the machine does for a second spoils one pass only.
        passes = [
            [microseconds(repeats, judge_answers, episode, settings) for episode in episodes] for _ in range(PASSES)
        ]
        times[has_gold] = [min(of_instance) for of_instance in zip(*passes, strict=True)]
    verdicts = [verdict for episode in episodes for verdict in judge_answers(episode, settings)]
    agreed = [verdict.is_valid == instance.is_valid for verdict, instance in zip(verdicts, instances, strict=True)]
    return {
        "agree": sum(agreed) / len(agreed),
        "judge_us_p50": percentile(times[True], 0.5),
        "judge_us_p99": percentile(times[True], 0.99),
        "no_gold_us_p50": percentile(times[False], 0.5),
        "no_gold_us_p99": percentile(times[False], 0.99),
        "errors_listed": dict(Counter(verdict.listing for verdict in verdicts if not verdict.is_valid)),
    }


def measure_validators(instances: Sequence[Instance], repeats: int) -> dict[str, Any]:
    """The times of validation alone, and of compiling a schema."""
    schemas = dict.fromkeys(instance.schema for instance in instances)
    compiling = [microseconds(1, compile_schema.__wrapped__, schema) for schema in schemas]
    ours = [microseconds(repeats, compile_schema(i.schema).validator.is_valid, i.value) for i in instances]
    return {
        "compile_us_p50": percentile(compiling, 0.5),
        "validate_us_p50": percentile(ours, 0.5),
        "jsonschema_us_p50": _jsonschema_time(instances, repeats),
    }


def _jsonschema_time(instances: Sequence[Instance], repeats: int) -> float | None:
    if importlib.util.find_spec("jsonschema") is None:
        return None
    import jsonschema  # type: ignore[import-untyped,import-not-found,unused-ignore]

    validators: dict[str, Any] = {}
    for instance in instances:
        if instance.schema not in validators:
            schema = json.loads(instance.schema)
            kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
            validators[instance.schema] = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return percentile([microseconds(repeats, validators[i.schema].is_valid, i.value) for i in instances], 0.5)


def compare_progress(instances: Sequence[Instance]) -> dict[str, Any]:
    """The place of the first wrong token by us and by llguidance, whose prefixes are prefixes of valid answers."""
    tokenizer = llguidance.LLTokenizer("byte")
    matchers: dict[str, Any] = {}
    schemas = dict.fromkeys(instance.schema for instance in instances)
    for schema in schemas:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        if not llguidance.LLMatcher.validate_grammar(grammar, tokenizer):
            matchers[schema] = llguidance.LLMatcher(tokenizer, grammar)
    outcomes: Counter[str] = Counter()
    for instance in instances:
        if instance.is_valid or instance.schema not in matchers:
            continue
        matcher = matchers[instance.schema].deep_copy()
        accepted_bytes = matcher.try_consume_tokens(tokenizer.tokenize_bytes(instance.text.encode()))
        characters = len(instance.text.encode()[:accepted_bytes].decode(errors="ignore"))
        ends = [match.end() for match in TOKEN.finditer(instance.text)]
        theirs = sum(end < characters for end in ends)
        task = JsonTask(id="instance", schema=instance.schema)
        (verdict,) = judge_answers([(task, Transcript.of(instance.text))], JudgeSettings())
        ours = round(verdict.progress * (len(ends) + 1))
        outcomes["same" if ours == theirs else "further" if ours > theirs else "less"] += 1
    return {
        "progress_schemas": len(matchers),
        "progress_schemas_all": len(schemas),
        "progress_same": outcomes["same"],
        "progress_further": outcomes["further"],
        "progress_less": outcomes["less"],
    }


def judge_bomb(bomb: Bomb, answers: Connection) -> None:
    """Runs in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (BOMB_BYTES, BOMB_BYTES))
    environment = JsonEnvironment(answer_format=bomb.answer_format, tags=bomb.tags)
    started = time.perf_counter()
    (verdict,) = environment.judge([(bomb.task, Transcript.of(bomb.answer))])
    answers.send((verdict.unjudged or verdict.error, time.perf_counter() - started))


def measure_bombs() -> dict[str, Any]:
    """Each hostile answer in a process that is killed when it takes too long."""
    context = multiprocessing.get_context("fork")
    failed: dict[str, str] = {}
    seconds = []
    for bomb in BOMBS:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=judge_bomb, args=(bomb, theirs))
        process.start()
        theirs.close()
        try:
            category, taken = ours.recv() if ours.poll(BOMB_SECONDS) else ("no answer in time", BOMB_SECONDS)
        except EOFError:
            category, taken = "the process died", BOMB_SECONDS
        process.kill()
        process.join()
        seconds.append(taken)
        if category != bomb.category:
            failed[bomb.name] = f"{category} instead of {bomb.category}"
    return {
        "bombs": len(BOMBS),
        "bombs_survived": len(BOMBS) - len(failed),
        "bombs_failed": failed,
        "slowest_bomb_s": round(max(seconds), 3),
    }


def run_suite(directory: Path) -> dict[str, Any]:
    """The official test suite: the required tests of 2020-12, and beside them those of each draft.

    Raises:
        ConfigurationError: the directory does not hold the suite.
    """
    if not (directory / "tests" / REQUIRED_OF).is_dir():
        raise ConfigurationError(f"--suite {directory} has no tests/{REQUIRED_OF}; expected JSON-Schema-Test-Suite")
    by_draft: dict[str, dict[str, str]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for draft, (default, dialect) in DRAFTS.items():
        documents = jsonschema_rs.Registry(_remotes(directory / "remotes", draft), draft=default)
        by_draft[draft] = {}
        for kind, pattern in (
            ("required", "*.json"),
            ("optional", "optional/*.json"),
            ("format", "optional/format/*.json"),
        ):
            files = sorted((directory / "tests" / draft).glob(pattern))
            results = [
                result for file in files for result in _suite_results(file, dialect, documents, kind == "format")
            ]
            by_draft[draft][kind] = f"{sum(results)}/{len(results)}"
            if kind == "required":
                counts[draft] = sum(results), len(results)
    passed, total = counts[REQUIRED_OF]
    return {"suite_passed": passed, "suite_total": total, "suite_by_draft": by_draft}


def _suite_results(path: Path, dialect: str, documents: Any, should_check_formats: bool) -> list[bool]:
    results = []
    for case in json.loads(path.read_text()):
        schema = case["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": dialect, **schema}
        compiled = compile_schema(json.dumps(schema), should_check_formats=should_check_formats, documents=documents)
        for test in case["tests"]:
            if compiled.defect is not None:
                results.append(False)
                continue
            validation = compiled.validate(test["data"])
            results.append(not validation.has_given_up and validation.is_valid == test["valid"])
    return results


def _remotes(directory: Path, draft: str) -> list[tuple[str, Any]]:
    """The documents that the suite's schemas refer to: those of one draft, and those of no draft."""
    paths = {path.relative_to(directory): path for path in sorted(directory.rglob("*.json"))}
    return [
        (REMOTES + name.as_posix(), json.loads(path.read_text()))
        for name, path in paths.items()
        if name.parts[0] == draft or name.parts[0] not in (*DRAFTS, *OTHER_DRAFTS)
    ]


def main() -> None:
    """Prints each part as it is done, then the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=Path, required=True, help="labelled instances, one schema a line")
    parser.add_argument("--suite", type=Path, help="the official JSON-Schema-Test-Suite")
    parser.add_argument("--repeats", type=int, default=5, help="times of which the best counts (default 5)")
    arguments = parser.parse_args()
    try:
        schemas, instances = read_instances(arguments.schemas)
        summary: dict[str, Any] = {"schemas": schemas, "instances": len(instances)}
        parts: list[Callable[[], dict[str, Any]]] = [
            lambda: measure_judge(instances, arguments.repeats),
            lambda: measure_validators(instances, arguments.repeats),
            lambda: compare_progress(instances),
            measure_bombs,
        ]
        if arguments.suite is not None:
            parts.append(lambda: run_suite(arguments.suite))
        for part in parts:
            found = part()
            print(json.dumps(found))
            summary |= found
    except ConfigurationError as error:
        exit_with(error)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
