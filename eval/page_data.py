"""What report.html embeds of tasks and answers, and what it leaves out to stay small enough for a browser.

Equal texts and facts are stored once: system prompts, errors of grammars, candidates of a search that other decodings
found too. Beyond ``MOST_CHARACTERS`` the page goes without the texts of candidates, then without facts as well, then
without the last tasks as well, and says so; records.jsonl has all.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from decoding.rollout import Ledger
from eval.measurement import Evaluation
from eval.records import Record, TaskCard

MOST_CHARACTERS = 50_000_000
"""Of tasks, answers and their texts, as they are embedded: browsers read so much within seconds."""
SHOWN_DIGEST = 40
"""Characters of what a candidate means."""
# "<" and "&" could end or begin markup, ">" end a comment; the others are line breaks in scripts of old.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

Costs = Mapping[tuple[str, str], Ledger]
"""(decoding, task) -> what all of its answers cost."""


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What of the answers the page has."""

    candidate_texts: bool = True
    facts: bool = True


# The last one may go without tasks, too.
FALLBACKS = (_Parts(), _Parts(candidate_texts=False), _Parts(candidate_texts=False, facts=False))


def embedded(data: Any) -> str:
    """``data`` as JSON in ASCII that is safe within a script element."""
    return json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).translate(ESCAPES)


def page_data(
    evaluation: Evaluation, cards: Sequence[TaskCard], costs: Costs, *, most: int = MOST_CHARACTERS
) -> dict[str, Any]:
    """Tasks and answers as the page's script reads them (see eval/report_page/elements.js).

    Args:
        evaluation: what was measured.
        cards: the tasks in the order in which they are listed; tasks without one come last.
        costs: of each decoding and task; those that are missing are not shown.
        most: characters that they may take.
    """
    answers: dict[str, list[Record]] = {card.task: [] for card in cards}
    for record in evaluation.records:
        answers.setdefault(record.task, []).append(record)
    known = {card.task: card for card in cards}
    decodings = list(evaluation.measurements)
    metrics = list(next(iter(evaluation.measurements.values())).metrics)
    for parts in FALLBACKS:
        data = _Data(decodings=decodings, metrics=metrics, costs=costs, parts=parts, room=most)
        shown = sum(1 for name, records in answers.items() if data.add(name, known.get(name), records))
        if shown == len(answers):
            break
    return {
        "decodings": decodings,
        "metrics": metrics,
        "tasks": data.tasks,
        "texts": data.texts.all,
        "facts": data.facts.all,
        "left_out": _left_out(parts, shown, len(answers), most),
    }


class _Data:
    """Tasks with the texts and facts that they name, while there is room."""

    def __init__(
        self, *, decodings: Sequence[str], metrics: Sequence[str], costs: Costs, parts: _Parts, room: int
    ) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.texts = _Once()
        self.facts = _Once()
        self._decodings = decodings
        self._metrics = metrics
        self._costs = costs
        self._parts = parts
        self._room = room

    def add(self, name: str, card: TaskCard | None, records: Sequence[Record]) -> bool:
        """Adds a task; False where it has no room. None has any after that one."""
        if self._room <= 0:
            return False
        marks = self.texts.mark(), self.facts.mark()
        task = self._task(name, card, records)
        new = [*self.texts.since(marks[0]), *self.facts.since(marks[1])]
        self._room -= len(embedded(task)) + 1 + sum(len(embedded(value)) + 1 for value in new)
        if self._room < 0:
            self.texts.cut(marks[0])
            self.facts.cut(marks[1])
            return False
        self.tasks.append(task)
        return True

    def _task(self, name: str, card: TaskCard | None, records: Sequence[Record]) -> dict[str, Any]:
        texts = self.texts
        ledgers = {index: self._costs.get((decoding, name)) for index, decoding in enumerate(self._decodings)}
        return {
            "id": name,
            "labels": dict(card.labels if card else records[0].labels),
            "messages": [[each["role"], texts.add(each["content"])] for each in (card.messages if card else ())],
            "reference": texts.add(card.reference) if card else None,
            "costs": {
                index: {figure: amount for figure, amount in asdict(ledger).items() if amount}
                for index, ledger in ledgers.items()
                if ledger is not None
            },
            "answers": [self._answer(record) for record in records],
        }

    def _answer(self, record: Record) -> dict[str, Any]:
        texts = self.texts
        return {
            "decoding": self._decodings.index(record.decoding),
            "sample": record.sample,
            "segments": [[segment.author, texts.add(segment.text)] for segment in record.segments],
            "answer": texts.add(record.answer),
            "values": [record.metrics.get(metric) for metric in self._metrics],
            "error": record.error,
            "unjudged": texts.add(record.unjudged),
            "facts": self.facts.add(record.facts) if self._parts.facts else None,
            "finish": record.finish,
            "closed": record.is_closed,
            "grammar_error": texts.add(record.grammar_error),
            "grammar_lenient": texts.add(record.grammar_lenient),
            "tokens": record.generated_tokens,
            "timing": dict(record.timing) if record.timing else None,
            "candidates": [
                [
                    texts.add(each.text) if self._parts.candidate_texts else None,
                    each.score,
                    None if each.digest is None else each.digest[:SHOWN_DIGEST],
                    each.is_chosen,
                    each.tokens,
                ]
                for each in record.candidates
            ],
        }


class _Once:
    """Plain values by number, equal ones once."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._places: dict[str, int] = {}

    def add(self, value: Any) -> int | None:
        """The number of a value; None of None."""
        if value is None:
            return None
        key = value if isinstance(value, str) else embedded(value)
        if key not in self._places:
            self._places[key] = len(self.all)
            self.all.append(value)
        return self._places[key]

    def mark(self) -> int:
        """How many there are."""
        return len(self.all)

    def since(self, mark: int) -> list[Any]:
        """Those that were added since."""
        return self.all[mark:]

    def cut(self, mark: int) -> None:
        """Forgets those that were added since."""
        del self.all[mark:]
        self._places = dict(list(self._places.items())[:mark])


def _left_out(parts: _Parts, shown: int, tasks: int, most: int) -> str:
    """A sentence for the page; empty where it has all."""
    missing = []
    if not parts.candidate_texts:
        missing.append("the texts of the candidates of searches")
    if not parts.facts:
        missing.append("the facts of verdicts")
    if shown < tasks:
        missing.append(f"{tasks - shown} of {tasks} tasks")
    if not missing:
        return ""
    return (
        f"Left out to keep this page below {most / 1e6:g} MB: {', '.join(missing)}. records.jsonl and tasks.jsonl have"
        " all."
    )


def _finite(value: Any) -> Any:
    """``value`` with infinities and NaN, which JSON does not know, as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
