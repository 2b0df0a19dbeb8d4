"""Evaluations without a model: records with whatever text, and what they sum up to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from decoding.rollout import Ledger
from envs.transcript import Segment
from eval.intervals import estimate
from eval.measurement import Evaluation, Measurement
from eval.records import CandidateRecord, Record, TaskCard

HOSTILE = [
    "```\n# Not a heading\n```",
    "`` ` ``",
    "| a | b |\n|---|---|",
    "a \\| b | c",
    "<script>alert(1)</script>\n\n<!-- -->",
    "</script><script>window.ran = 1</script>",
    "<!--<script>",
    "<img src=x onerror='window.ran = 1'>",
    "]]> &lt; &amp; \" ' ${window.ran = 1} $title",
    "\n\n# Heading\n\n---\n![x](http://example.com/x.png)",
    "\x00\x07\x1b[31mred\x1b[0m\x7f\x85",
    "\u2028# line separator\u2029\x0b\x0c\r# carriage\r\n",
    "\ud800 lone \udfff",
    "\u202ereversed\u200b",
    "\t{\n\t\t1}",
    "__proto__",
    "",
    "\n",
    "x" * 100_000,
    "\n" * 50_000,
]


def record(text: str = "", **changes: Any) -> Record:
    """A judged answer of one segment."""
    fields: dict[str, Any] = {
        "task": "task-1",
        "decoding": "free",
        "sample": 0,
        "labels": {"difficulty": "easy"},
        "segments": (Segment(author="model", text=text),),
        "answer": text,
        "finish": "eos",
        "metrics": {"valid": 1.0, "content": None},
        "error": "not json",
        "facts": {},
        "unjudged": None,
        "grammar_error": None,
        "grammar_lenient": None,
        "is_closed": False,
        "generated_tokens": 3,
    }
    return Record(**(fields | changes))


def hostile_record(text: str, **changes: Any) -> Record:
    """An answer all of whose texts are ``text``."""
    fields = {
        "segments": (Segment(author="model", text=text), Segment(author="environment", text=f"{text} seen")),
        "facts": {"message": text, text: [text, 1.5, None]},
        "error": text[:100],
        "grammar_error": text,
        "grammar_lenient": text,
        "candidates": (
            CandidateRecord(text=text, score=0.25, digest=text, is_chosen=True, tokens=3),
            CandidateRecord(text="another", score=float("-inf"), digest=None, is_chosen=False, tokens=4),
        ),
    }
    return record(text, **(fields | changes))


def card(task: str, text: str = "How many?", labels: Mapping[str, str] | None = None) -> TaskCard:
    """A task whose prompt and reference are ``text``."""
    messages = ({"role": "system", "content": "Answer."}, {"role": "user", "content": text})
    return TaskCard(task=task, labels=labels or {}, messages=messages, reference=text)


def summed_up(*records: Record, ledger: Ledger | None = None, rates: Sequence[str] = ("valid",)) -> Evaluation:
    """The evaluation of some records."""
    decodings = list(dict.fromkeys(record.decoding for record in records))
    ledger = ledger or Ledger(generated_tokens=12, prefilled_tokens=34, generate_seconds=1.0, judged=len(records))
    return Evaluation(
        measurements={
            name: _measured([each for each in records if each.decoding == name], ledger, rates) for name in decodings
        },
        records=records,
    )


def _measured(records: Sequence[Record], ledger: Ledger, rates: Sequence[str]) -> Measurement:
    def estimates(some: Sequence[Record]) -> dict[str, Any]:
        return {
            name: estimate(
                [each.metrics[name] for each in some if each.metrics[name] is not None], is_proportion=name in rates
            )
            for name in records[0].metrics
        }

    labels: dict[str, dict[str, list[Record]]] = {}
    for each in records:
        for label, value in each.labels.items():
            labels.setdefault(label, {}).setdefault(value, []).append(each)
    return Measurement(
        metrics=estimates(records),
        by_label={
            label: {value: estimates(some) for value, some in values.items()} for label, values in labels.items()
        },
        errors=dict(Counter(each.error for each in records if each.error).most_common()),
        answers=len(records),
        unjudged=sum(each.unjudged is not None for each in records),
        without_grammar=sum(each.grammar_error is not None for each in records),
        lenient_grammar=sum(each.grammar_lenient is not None for each in records),
        closed=sum(each.is_closed for each in records),
        ledger=ledger,
    )
