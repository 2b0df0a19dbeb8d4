r"""Finds the answer in the text where the layout has it: the last box near the end.

A box is ``\boxed{...}``; one inside another belongs to it. Where it stands (a code fence, a verbatim, a comment) makes
no difference, and nothing is defined anew: LaTeX is read, not run. What is reasoning, and which tag holds the answer,
is said by ``envs.layout``.
"""

import re
from dataclasses import dataclass
from typing import Literal

from envs.math.rules import ANSWER_CHARACTERS

ParseError = Literal["no answer", "no box", "too long"]

FINAL_CHARACTERS = 500
"""A box that begins further from the end than this is part of the working, not the answer."""
BOX = re.compile(r"\\boxed(?![A-Za-z])\s*")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was found in a text."""

    answer: str | None = None
    """What the last box holds, white space at its ends removed."""
    error: ParseError | None = None
    boxes: int = 0
    """How many boxes begin in the text, near the end or not; nested ones count."""


def parse(text: str | None, *, may_lack_box: bool = False) -> Parsed:
    """The content of the last box that begins within the last 500 characters, white space at the end aside.

    A last box that is empty or never closed is ``no box``, even when an earlier one is whole; one of more than 200
    characters is ``too long``.

    Args:
        text: where the answer is looked for (``Layout.answer``); None when the layout has none.
        may_lack_box: text without any box is the answer itself, as inside a tag of its own.
    """
    text = "" if text is None else text.strip()
    if not text:
        return Parsed(error="no answer")
    boxes = len(BOX.findall(text))
    if not boxes and may_lack_box:
        return _bounded(text, boxes)
    answer = _last_box(text[-FINAL_CHARACTERS:])
    return _bounded(answer, boxes) if answer else Parsed(error="no box", boxes=boxes)


def _bounded(answer: str, boxes: int) -> Parsed:
    if len(answer) > ANSWER_CHARACTERS:
        return Parsed(error="too long", boxes=boxes)
    return Parsed(answer=answer, boxes=boxes)


def _last_box(text: str) -> str | None:
    """What the last box holds that is in no other; None when it is never closed, or there is none."""
    content, start = None, 0
    while box := BOX.search(text, start):
        end = _closing_brace(text, box.end())
        content = None if end is None else text[box.end() + 1 : end].strip()
        start = box.end() if end is None else end
    while content and (box := BOX.match(content)) and _closing_brace(content, box.end()) == len(content) - 1:
        content = content[box.end() + 1 : -1].strip()
    return content


def _closing_brace(text: str, start: int) -> int | None:
    """Where the brace that opens at ``start`` is closed; None when none opens there, or it is never closed."""
    if not text.startswith("{", start):
        return None
    depth = 0
    for match in BRACE.finditer(text, start):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None
