"""The readers that a configuration can name, and the one way in which tasks are loaded."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.bfcl import BfclReader
from data.bird import BirdReader
from data.bundled_tasks import BundledFunctionsReader, BundledJsonReader, BundledMathReader, BundledSqlReader
from data.function_calls import FunctionCallsReader
from data.gsm8k import Gsm8kReader
from data.gsm8k_json import Gsm8kJsonReader
from data.jsonschemabench import JsonSchemaBenchReader
from data.math_problems import MathProblemsReader
from data.reader import Reader, Reading, Split
from data.schema_instances import SchemaInstancesReader
from data.spider import SpiderReader
from data.spider_variants import SpiderVariantsReader
from data.sql_questions import SqlQuestionsReader
from data.wikisql import WikiSqlReader
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.options import construct
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.spider_suite import require_suites
from envs.sql.task import SqlTask
from envs.task import Task
from envs.transcript import Transcript

READERS: dict[str, Callable[..., Reader]] = {
    "bfcl": BfclReader,
    "bird": BirdReader,
    "bundled_functions": BundledFunctionsReader,
    "bundled_json": BundledJsonReader,
    "bundled_math": BundledMathReader,
    "bundled_sql": BundledSqlReader,
    "function_calls": FunctionCallsReader,
    "gsm8k": Gsm8kReader,
    "gsm8k_json": Gsm8kJsonReader,
    "jsonschemabench": JsonSchemaBenchReader,
    "math_problems": MathProblemsReader,
    "schema_instances": SchemaInstancesReader,
    "spider": SpiderReader,
    "spider_variants": SpiderVariantsReader,
    "sql_questions": SqlQuestionsReader,
    "wikisql": WikiSqlReader,
}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which dataset."""

    reader: str
    """bfcl, bird, bundled_functions, bundled_json, bundled_math, bundled_sql, function_calls, gsm8k, gsm8k_json,
    jsonschemabench, math_problems, schema_instances, spider, spider_variants, sql_questions or wikisql."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The reader's own options; those of public datasets need ``path``: a directory or hub://owner/name."""


def make_reader(config: DataConfig, environment: Environment[Any]) -> Reader:
    """The configured reader.

    Raises:
        ConfigurationError: an unknown reader or option, or tasks that are for another environment.
    """
    reader = construct("reader", config.reader, READERS, config.options)
    if reader.environment != environment.name:
        raise ConfigurationError(
            f"reader '{config.reader}' reads tasks for environment '{reader.environment}', not '{environment.name}'"
        )
    return reader


def load_tasks(reader: Reader, environment: Environment[Any], split: Split) -> Reading:
    """Reads a split and leaves out every task whose own gold answer the environment does not judge correct.

    A wrong or unjudgeable gold would punish right answers; such a task is skipped and counted. So is a task whose id
    has occurred before: records and comparisons are joined on it.

    Raises:
        ConfigurationError: a file is missing, or no task is left; or the environment asks for Spider's official test
            suite, which lacks a task's database.
    """
    reading = reader.read(split)
    _require_suites(reading.tasks, environment)
    skipped = Counter(reading.skipped)
    unique = list({task.id: task for task in reversed(reading.tasks)}.values())[::-1]
    if len(unique) < len(reading.tasks):
        skipped["repeated id"] += len(reading.tasks) - len(unique)
    references = [environment.reference(task) for task in unique]
    with_gold = [
        (task, Transcript.of(reference))
        for task, reference in zip(unique, references, strict=True)
        if reference is not None
    ]
    verdicts = iter(environment.judge(with_gold))
    tasks = []
    for task, reference in zip(unique, references, strict=True):
        verdict = next(verdicts) if reference is not None else None
        if verdict is None or verdict.is_correct:
            tasks.append(task)
        else:
            skipped[verdict.unjudged or f"gold answer judged wrong: {verdict.error}"] += 1
    if not tasks:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(3)) or "the split is empty"
        raise ConfigurationError(f"split '{split}' has no usable task: {reasons}")
    return Reading(tasks=tasks, skipped=skipped)


def _require_suites(tasks: Sequence[Task], environment: Environment[Any]) -> None:
    """
    Raises:
        ConfigurationError: Spider's official test suite is asked for, and lacks the database of a task.
    """
    directory = environment.executor.spider_test_suite if isinstance(environment, SqlEnvironment) else None
    if directory is not None:
        require_suites(directory, (task.database for task in tasks if isinstance(task, SqlTask)))
