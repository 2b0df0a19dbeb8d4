"""Writes the bundled function-call tasks: ``python -m data.bundled.functions.build`` rewrites both files beside it.

Every task is drawn from its own seed, so adding a function or a task leaves most others as they are (offers are drawn
from all functions). A request or a set of calls that came before, in either split, is drawn again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data.bundled.functions import functions_business, functions_life
from data.bundled.functions.function import Function, written
from data.bundled.json.draw import Draw
from data.bundled.split_files import write_splits
from data.reader import Split

FUNCTIONS: tuple[Function, ...] = (*functions_life.FUNCTIONS, *functions_business.FUNCTIONS)
NEW_FUNCTIONS = frozenset({"rent_bicycle", "move_event", "block_card", "create_invoice"})
"""Functions that occur in held-out only."""
TRAIN_TASKS = 8
HELDOUT_TASKS = 2
NEW_FUNCTION_TASKS = 5
"""Tasks of one function: single calls, and as many with a choice of functions."""
PARALLEL_TASKS: dict[Split, int] = {"train": 84, "heldout": 36}

ONE = ("{first}.", "Please {first}.", "Could you {first}?", "I need you to {first}.", "Can you {first}, please?")
TWO = (
    "Please {first}. Also {second}.",
    "Two things: {first}; {second}.",
    "{first}. And {second}, please.",
    "Could you {first}? I also need you to {second}.",
)
THREE = (
    "Three things, please: {first}; {second}; {third}.",
    "Please {first}. Also {second}. And {third}.",
    "{first}. I also need you to {second}. Besides, {third}.",
)

Row = dict[str, Any]
Request = tuple[list[Function], list[Row], str]
"""The functions that are offered, the right calls, the text."""


def rows() -> dict[Split, list[Row]]:
    """All tasks of both splits."""
    made: dict[Split, list[Row]] = {"train": [], "heldout": []}
    seen: set[str] = set()
    for split, split_rows in made.items():
        for function in FUNCTIONS:
            is_new = function.name in NEW_FUNCTIONS
            known = TRAIN_TASKS if split == "train" else HELDOUT_TASKS
            count = (NEW_FUNCTION_TASKS if split == "heldout" else 0) if is_new else known
            for number in range(count):
                for kind, ask in (("single", _single), ("choice", _choice)):
                    row_id = f"functions-{split}-{kind}-{function.name}-{number:02d}"
                    split_rows.append(_row(row_id, kind, split, seen, partial(ask, function=function)))
        for number in range(PARALLEL_TASKS[split]):
            split_rows.append(_row(f"functions-{split}-parallel-{number:02d}", "parallel", split, seen, _parallel))
    return made


def _row(row_id: str, kind: str, split: Split, seen: set[str], ask: Callable[[Draw], Request]) -> Row:
    for attempt in range(100):
        offered, calls, request = ask(Draw(f"{row_id}/{attempt}", split))
        identity = "\n".join(sorted(map(written, calls)))
        if request in seen or identity in seen:
            continue
        seen |= {request, identity}
        domains = {function.domain for function in FUNCTIONS for call in calls if call["name"] == function.name}
        return {
            "id": row_id,
            "request": request,
            "functions": [function.declaration for function in offered],
            "calls": calls,
            "kind": kind,
            "difficulty": {"single": "easy", "choice": "medium", "parallel": "hard"}[kind],
            "domain": domains.pop() if len(domains) == 1 else "mixed",
            "new_function": "yes" if any(call["name"] in NEW_FUNCTIONS for call in calls) else "no",
        }
    raise ValueError(f"{row_id}: no new task after 100 attempts; widen the pools or ranges")


def _single(draw: Draw, function: Function) -> Request:
    clause, call = function.call(draw)
    return [function], [call], _sentence(draw, ONE, [clause])


def _choice(draw: Draw, function: Function) -> Request:
    clause, call = function.call(draw)
    offered = [function, *_others(draw, [function], draw.whole(2, 3))]
    draw.random.shuffle(offered)
    return offered, [call], _sentence(draw, ONE, [clause])


def _parallel(draw: Draw) -> Request:
    """Two or three calls: of one function, of one domain, or of any."""
    known = _offerable(draw)
    first = draw.one_of(*known)
    pool = draw.one_of([first], [function for function in known if function.domain == first.domain], known)
    count = draw.one_of(2, 2, 3)
    called = [first, *(draw.one_of(*pool) for _ in range(count - 1))]
    asked = [function.call(draw) for function in called]
    if len({written(call) for _, call in asked}) < count:
        return _parallel(draw)
    offered = list(dict.fromkeys([*called, *_others(draw, called, draw.whole(0, 2))]))
    draw.random.shuffle(offered)
    return (
        offered,
        [call for _, call in asked],
        _sentence(draw, TWO if count == 2 else THREE, [ask for ask, _ in asked]),
    )


def _offerable(draw: Draw) -> list[Function]:
    return [function for function in FUNCTIONS if draw.split == "heldout" or function.name not in NEW_FUNCTIONS]


def _others(draw: Draw, called: Sequence[Function], count: int) -> list[Function]:
    """Functions that the request does not need: of the same domain first, so that names alone do not decide."""
    others = [function for function in _offerable(draw) if function not in called]
    draw.random.shuffle(others)
    domains = {function.domain for function in called}
    return sorted(others, key=lambda function: function.domain not in domains)[:count]


def _sentence(draw: Draw, forms: Sequence[str], clauses: Sequence[str]) -> str:
    named = dict(zip(("first", "second", "third"), clauses, strict=False))
    text = draw.one_of(*forms).format(**named)
    return text[0].upper() + text[1:]


def write(folder: Path) -> None:
    """Writes ``train.jsonl`` and ``heldout.jsonl`` into ``folder``."""
    write_splits(folder, rows())


if __name__ == "__main__":
    write(Path(__file__).parent)
