"""The Berkeley Function Calling Leaderboard (Patil et al. 2025), its single-turn categories, in the official layout:
``BFCL_v*_CATEGORY.json`` and, of the same name, the right answers in ``possible_answer/``; both are JSON lines.

A right answer lists for each argument all values that are right; an empty string among them says that the argument may
be left out. Strings are compared as the leaderboard does, see ``CallsGold.has_loose_strings``; calls may come in any
order. Where it is stricter or milder than the official checker: numbers are right by value, also of another type
(``5.0`` for ``5``), and every answer must obey the whole schema, its enumerations included.

Not covered: Java and JavaScript (their arguments are code), several turns, memory, web search.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.call_rows import call_task
from data.reader import Reading, Split
from data.rows import UnusableRowError, as_text, require_rows
from data.source import directory_file, json_lines
from envs.errors import ConfigurationError
from envs.json.task import Call, CallsGold, JsonTask
from envs.options import choose

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "simple": ("simple_python", "simple"),
    "multiple": ("multiple",),
    "parallel": ("parallel",),
    "parallel_multiple": ("parallel_multiple",),
    "irrelevance": ("irrelevance",),
    "live_simple": ("live_simple",),
    "live_multiple": ("live_multiple",),
    "live_parallel": ("live_parallel",),
    "live_parallel_multiple": ("live_parallel_multiple",),
    "live_irrelevance": ("live_irrelevance",),
}
"""Category -> what its file is called, in newer versions and in older ones."""
ORIGIN = "get it from https://github.com/ShishirPatil/gorilla (berkeley-function-call-leaderboard/bfcl_eval/data)"
FILE = re.compile(r"BFCL_v\d+_")
WITHOUT_CALLS = frozenset({"irrelevance", "live_irrelevance"})
"""No function fits, so the right answer has no call; there is no file of answers."""
# The leaderboard's types are Python's; what JSON Schema calls them. None: any value.
TYPES: Mapping[str, str | None] = {
    "string": "string",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "array",
    "tuple": "array",
    "dict": "object",
    "object": "object",
    "null": "null",
    "any": None,
}
RIGHT_VALUES = 4_096
"""Right values of one argument, after those of its parts are combined; a row with more is skipped."""


@dataclass(frozen=True, kw_only=True)
class BfclReader:
    """Reads the leaderboard's questions, for measuring only: it has no split to train on.

    A row whose functions are no JSON Schema even with their types translated is skipped and counted.
    """

    path: str
    """The directory with the ``BFCL_v*`` files and ``possible_answer/`` (``bfcl_eval/data`` of the repository)."""
    categories: Sequence[str] = ("simple", "multiple", "parallel", "parallel_multiple")
    """Of simple, multiple, parallel, parallel_multiple, irrelevance, and the same with ``live_`` in front."""

    environment = "json"

    def __post_init__(self) -> None:
        if not self.categories:
            raise ConfigurationError(f"bfcl: categories is empty; known: {', '.join(sorted(CATEGORIES))}")
        for category in self.categories:
            choose("category of bfcl", category, CATEGORIES)

    def read(self, split: Split) -> Reading:
        """The rows of all categories, labelled with them.

        Raises:
            ConfigurationError: the train split is asked for, a file is missing, or no row is usable.
        """
        if split == "train":
            raise ConfigurationError(
                "bfcl: the leaderboard is for measuring and has no train split; train on function_calls or"
                " bundled_functions and measure it with eval/run.py"
            )
        tasks: list[JsonTask] = []
        skipped: Counter[str] = Counter()
        for category in self.categories:
            file = self._file(category)
            answers = {} if category in WITHOUT_CALLS else _answers(file)
            for row in json_lines(file):
                try:
                    tasks.append(_task(row, category, answers))
                except UnusableRowError as reason:
                    skipped[str(reason)] += 1
        require_rows(tasks, skipped, f"bfcl: '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _file(self, category: str) -> Path:
        root = Path(self.path).expanduser()
        for name in CATEGORIES[category]:
            if found := sorted(file for file in root.glob("BFCL_v*.json") if FILE.sub("", file.stem) == name):
                return found[-1]
        return directory_file(self.path, f"BFCL_v*_{CATEGORIES[category][0]}.json", "bfcl", ORIGIN)


def _answers(file: Path) -> dict[str, Any]:
    rows = json_lines(directory_file(str(file.parent / "possible_answer"), file.name, "bfcl", ORIGIN))
    return {row["id"]: row.get("ground_truth") for row in rows if isinstance(row, Mapping) and "id" in row}


def _task(row: Any, category: str, answers: Mapping[str, Any]) -> JsonTask:
    if not isinstance(row, Mapping) or not isinstance(row.get("function"), list):
        raise UnusableRowError("no functions")
    functions = [_function(function) for function in row["function"]]
    required = {function["name"]: function["parameters"].get("required") or () for function in functions}
    right = [] if category in WITHOUT_CALLS else answers.get(str(row.get("id")))
    if not isinstance(right, list) or not all(isinstance(call, Mapping) and len(call) == 1 for call in right):
        raise UnusableRowError("no possible answer")
    calls = [_call(name, values, required.get(name, ())) for call in right for name, values in call.items()]
    gold = CallsGold(calls=tuple(calls), has_loose_strings=True)
    return call_task(f"bfcl-{row.get('id')}", {"category": category}, _request(row.get("question")), functions, gold)


def _request(question: Any) -> str:
    """The messages of the only turn; who speaks is said where an assistant does."""
    if not isinstance(question, list) or len(question) != 1 or not isinstance(question[0], list):
        raise UnusableRowError("not one turn")
    messages = [message for message in question[0] if isinstance(message, Mapping) and message.get("content")]
    is_dialogue = any(message.get("role") == "assistant" for message in messages)
    return "\n\n".join(
        f"{message['role']}: {message['content']}" if is_dialogue else str(message["content"]) for message in messages
    )


def _function(function: Any) -> dict[str, Any]:
    if not isinstance(function, Mapping) or not isinstance(function.get("parameters"), Mapping):
        raise UnusableRowError("a function without parameters")
    return {**function, "parameters": _json_schema(function["parameters"])}


def _json_schema(schema: Any) -> Any:
    """The schema with JSON Schema's names of its types, without what only the leaderboard says (``optional``)."""
    if not isinstance(schema, Mapping):
        raise UnusableRowError("parameters are no JSON Schema")
    made = {key: part for key, part in schema.items() if key not in ("type", "optional", "properties", "items")}
    if "type" in schema:
        if schema["type"] not in TYPES:
            raise UnusableRowError("parameters are no JSON Schema")
        kind = TYPES[schema["type"]]
        made = {"type": kind, **made} if kind else made
    if "properties" in schema:
        made["properties"] = {name: _json_schema(member) for name, member in schema["properties"].items()}
    if "items" in schema:
        made["items"] = _json_schema(schema["items"])
    return made


def _call(name: str, values: Any, required: Sequence[str]) -> Call:
    if not isinstance(values, Mapping) or not all(isinstance(right, list) for right in values.values()):
        raise UnusableRowError("no possible answer")
    optional = frozenset(argument for argument, right in values.items() if "" in right and argument not in required)
    arguments = {argument: _right_values(right) for argument, right in values.items()}
    if not all(right or argument in optional for argument, right in arguments.items()):
        raise UnusableRowError("no possible answer")
    return Call(function=name, arguments=arguments, optional=optional)


def _right_values(right: Sequence[Any]) -> tuple[str, ...]:
    """The right values of an argument as JSON text. The empty string comes last: it says that there may be none."""
    combined = itertools.chain.from_iterable(map(_combinations, sorted(right, key=lambda value: value == "")))
    texts = tuple(as_text(value, "no possible answer") for value in itertools.islice(combined, RIGHT_VALUES + 1))
    if len(texts) > RIGHT_VALUES:
        raise UnusableRowError("too many right values")
    return texts


def _combinations(value: Any) -> Iterator[Any]:
    """The values that one entry of a possible answer stands for: an object lists the right values of each of its keys,
    and a list of objects does so in each of them."""
    if isinstance(value, Mapping):
        choices = [
            [(key, part) for part in parts if part != ""] + ([None] if "" in parts else [])
            for key, parts in value.items()
            if isinstance(parts, list)
        ]
        for chosen in itertools.product(*choices):
            yield dict(entry for entry in chosen if entry is not None)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield from map(list, itertools.product(*(list(_combinations(item)) for item in value)))
    else:
        yield value
