"""report.html: one file to browse tasks and answers, that needs no network and no other file.

Texts may be hostile. They are data of the page, in JSON that can neither end its element nor open another, and its
script puts them into the page as text alone. A content security policy forbids every script and style but the page's
own, by their hashes, and every address.

Equal texts are stored once: system prompts, and candidates of a search that other decodings found too.
"""

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from decoding.rollout import Ledger
from eval.markdown_text import Table, printable
from eval.measurement import Evaluation
from eval.records import Record, TaskCard

PAGE = Path(__file__).parent / "report_page"
SCRIPTS = ("elements.js", "tables.js", "task.js", "tasks.js", "start.js")
"""Joined in this order."""
# "<" and "&" could end or begin markup, ">" end a comment; the others are line breaks in scripts of old.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

Costs = Mapping[tuple[str, str], Ledger]
"""(decoding, task) -> what all of its answers cost."""


def page(
    evaluation: Evaluation,
    cards: Sequence[TaskCard],
    tables: Sequence[Table],
    pictures: Mapping[str, Path],
    *,
    title: str,
    model: str,
    resolved: str,
    costs: Costs,
) -> str:
    """The page as text that any encoding of Unicode can write.

    Args:
        evaluation: what was measured.
        cards: the tasks in the order in which they are listed; tasks without one come last.
        tables: shown first.
        pictures: caption -> PNG file.
        title: of the page.
        model: how the model was named.
        resolved: the configuration as YAML.
        costs: of each decoding and task; those that are missing are not shown.
    """
    style = _source("page.css")
    script = "\n".join(['"use strict";', "(() => {", *map(_source, SCRIPTS), "})();"])
    data = page_data(evaluation, cards, costs) | {
        "title": title,
        "model": model,
        "configuration": resolved,
        "tables": [asdict(each) for each in tables],
        "pictures": [{"caption": caption, "source": _data_uri(path)} for caption, path in pictures.items()],
    }
    return Template(_source("page.html")).substitute(
        title=html.escape(printable(title)),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=embedded(data),
    )


def embedded(data: Any) -> str:
    """``data`` as JSON in ASCII that is safe within a script element."""
    return json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).translate(ESCAPES)


def page_data(evaluation: Evaluation, cards: Sequence[TaskCard], costs: Costs) -> dict[str, Any]:
    """Tasks and answers as the page's script reads them (see eval/report_page/elements.js)."""
    texts = _Texts()
    decodings = list(evaluation.measurements)
    metrics = list(next(iter(evaluation.measurements.values())).metrics)
    by_task: dict[str, list[Record]] = {card.task: [] for card in cards}
    for record in evaluation.records:
        by_task.setdefault(record.task, []).append(record)
    known = {card.task: card for card in cards}
    tasks = []
    for name, records in by_task.items():
        card = known.get(name)
        labels = card.labels if card else records[0].labels
        own = {index: costs[decoding, name] for index, decoding in enumerate(decodings) if (decoding, name) in costs}
        tasks.append(
            {
                "id": name,
                "labels": dict(labels),
                "messages": [[each["role"], texts.add(each["content"])] for each in (card.messages if card else ())],
                "reference": texts.add(card.reference) if card else None,
                "costs": {index: asdict(cost) for index, cost in own.items()},
                "answers": [_answer(record, decodings, metrics, texts) for record in records],
            }
        )
    return {"decodings": decodings, "metrics": metrics, "tasks": tasks, "texts": texts.all}


def _answer(record: Record, decodings: Sequence[str], metrics: Sequence[str], texts: "_Texts") -> dict[str, Any]:
    return {
        "decoding": decodings.index(record.decoding),
        "sample": record.sample,
        "segments": [[segment.author, texts.add(segment.text)] for segment in record.segments],
        "answer": texts.add(record.answer),
        "values": [record.metrics.get(metric) for metric in metrics],
        "error": record.error,
        "unjudged": record.unjudged,
        "facts": dict(record.facts),
        "finish": record.finish,
        "closed": record.is_closed,
        "grammar_error": record.grammar_error,
        "grammar_lenient": record.grammar_lenient,
        "tokens": record.generated_tokens,
        "timing": dict(record.timing) if record.timing else None,
        "candidates": [
            [texts.add(each.text), each.score, each.digest, each.is_chosen, each.tokens] for each in record.candidates
        ],
    }


class _Texts:
    """Texts by number, equal ones once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    @property
    def all(self) -> list[str]:
        return list(self._places)

    def add(self, text: str | None) -> int | None:
        return None if text is None else self._places.setdefault(text, len(self._places))


def _finite(value: Any) -> Any:
    """``value`` with infinities and NaN, which JSON does not know, as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value


def _source(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
