"""Mathematics problems with a final answer: MATH-500, AIME, AMC and whatever else has a question and an answer a row.

    {"problem": "What is 1 + 1?", "answer": "2", "subject": "Algebra", "level": 1, "unique_id": "test/algebra/1.json"}

The answer is a number, or LaTeX without a box; dollar signs around it are left out. Not covered: answers of several
parts that belong together, proofs, and MATH's own files, whose answer stands inside the solution.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.reader import Reading, Split
from data.rows import UnusableRowError, require_rows
from data.source import directory_file, hub_rows, is_hub, json_file, json_lines
from envs.errors import ConfigurationError
from envs.math.task import MathTask

DATASET = "math_problems"
ORIGIN = (
    "get MATH-500 from https://huggingface.co/datasets/HuggingFaceH4/MATH-500, AIME 2024 from"
    " https://huggingface.co/datasets/HuggingFaceH4/aime_2024, or give hub://owner/name"
)
QUESTION_KEYS = ("problem", "question", "Problem", "Question")
ANSWER_KEYS = ("answer", "Answer", "final_answer", "expected_answer")
ID_KEYS = ("unique_id", "id", "ID")


@dataclass(frozen=True, kw_only=True)
class MathProblemsReader:
    """Reads rows with a question and a final answer. A row without one of them is skipped and counted."""

    path: str
    """A .jsonl or .json file, a directory, or ``hub://owner/name``."""
    questions: str = "test"
    """The held-out split: of a directory the file (``.jsonl`` where it says no other ending), of the hub the split."""
    train_questions: str | None = None
    """The same for the train split; null where there is nothing to train on."""
    subset: str | None = None
    """The hub's configuration name, for datasets that have several."""
    question_key: str | None = None
    """The column of the question; null takes the first of problem, question, Problem, Question that the row has."""
    answer_key: str | None = None
    """The column of the answer; null takes the first of answer, Answer, final_answer, expected_answer."""
    id_key: str | None = None
    """The column of the row's id; null takes unique_id, id or ID, and numbers rows that have none."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a report is broken down by: name of the label -> column."""

    environment = "math"

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order.

        Raises:
            ConfigurationError: there is no such split, a file is missing, or no row is usable.
        """
        name = self.questions if split == "heldout" else self.train_questions
        if name is None:
            raise ConfigurationError(
                f"{DATASET}: '{self.path}' is for measuring; name what to train on as 'train_questions'"
            )
        tasks: list[MathTask] = []
        skipped: Counter[str] = Counter()
        for number, row in enumerate(self._rows(name)):
            try:
                tasks.append(self._task(row, f"{split}-{number}"))
            except UnusableRowError as reason:
                skipped[str(reason)] += 1
        require_rows(tasks, skipped, f"{DATASET}: '{name}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self, name: str) -> Iterable[Any]:
        if is_hub(self.path):
            return hub_rows(self.path, name, self.subset)
        path = Path(self.path).expanduser()
        if path.suffix in (".json", ".jsonl"):
            file = directory_file(str(path.parent), path.name, DATASET, ORIGIN)
        else:
            name = name if Path(name).suffix in (".json", ".jsonl") else f"{name}.jsonl"
            file = directory_file(self.path, name, DATASET, ORIGIN)
        return json_file(file, DATASET) if file.suffix == ".json" else json_lines(file)

    def _task(self, row: Any, name: str) -> MathTask:
        if not isinstance(row, Mapping):
            raise UnusableRowError("no object")
        question = _first(row, self.question_key, QUESTION_KEYS)
        if not isinstance(question, str) or not question.strip():
            raise UnusableRowError("no question")
        given = _first(row, self.id_key, ID_KEYS)
        return MathTask(
            id=name if given is None else str(given),
            labels={label: str(row[key]) for label, key in self.labels.items() if row.get(key) is not None},
            question=question.strip(),
            gold=_answer(_first(row, self.answer_key, ANSWER_KEYS)),
        )


def _first(row: Mapping[str, Any], key: str | None, known: Sequence[str]) -> Any:
    """What stands under ``key``, or under the first of ``known`` that the row has."""
    return row.get(key) if key is not None else next((row[name] for name in known if row.get(name) is not None), None)


def _answer(value: Any) -> str:
    """The answer as text.

    Raises:
        UnusableRowError: there is none, or several.
    """
    if isinstance(value, list):
        if len(value) > 1:
            raise UnusableRowError("several answers")
        value = value[0] if value else None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise UnusableRowError("no answer")
    text = str(value).strip()
    inner = text.strip("$").strip()
    return inner if text.startswith("$") and text.endswith("$") and "$" not in inner and inner else text
