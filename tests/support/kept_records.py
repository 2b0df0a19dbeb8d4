"""Records and journals for tests of what is kept and shown."""

from typing import Any

from decoding.rollout import Ledger
from envs.transcript import Segment
from eval.records import CandidateRecord, Finished, Record


def kept_record(task: str = "task-1", text: str = "{}", **changes: Any) -> Record:
    """A judged answer of the decoding ``free``."""
    fields: dict[str, Any] = {
        "task": task,
        "decoding": "free",
        "sample": 0,
        "labels": {"difficulty": "easy"},
        "segments": (Segment(author="model", text=text),),
        "answer": text,
        "finish": "eos",
        "metrics": {"valid": 1.0, "content": None},
        "error": None,
        "facts": {"is_correct": True},
        "unjudged": None,
        "grammar_error": None,
        "grammar_lenient": None,
        "is_closed": False,
        "generated_tokens": 3,
        "candidates": (CandidateRecord(text=text, score=0.5, digest=None, is_chosen=True, tokens=3),),
    }
    return Record(**{**fields, **changes})


def finished(task: str, text: str = "{}", decoding: str = "free", tokens: int = 3) -> Finished:
    """One answer to a task, and its cost."""
    record = kept_record(task, text, decoding=decoding)
    return Finished(task=task, decoding=decoding, records=(record,), cost=Ledger(generated_tokens=tokens, judged=1))
