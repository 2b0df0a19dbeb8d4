"""Finds the answer in what a model wrote: the last box of the final part, reasoning left out."""

import re
from dataclasses import dataclass
from typing import Literal

ParseError = Literal["no answer", "no box", "too long"]

REASONING_START, REASONING_END = "<think>", "</think>"
FINAL_CHARACTERS = 500
"""A box further from the end than this is part of the working, not the answer."""
ANSWER_CHARACTERS = 200
BOX = "\\boxed"
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was found in a text."""

    answer: str | None = None
    """What the last box holds, white space at its ends removed."""
    error: ParseError | None = None


def parse(text: str) -> Parsed:
    """The content of the last ``\\boxed{...}`` that begins within the last 500 characters.

    What stands before the last ``</think>`` is reasoning and holds no answer; neither does a ``<think>`` that was never
    closed. Braces are matched, escaped ones left aside. A last box that is empty or never closed is ``no box``, even
    when an earlier one is whole; one of more than 200 characters is ``too long``.
    """
    final = text.rpartition(REASONING_END)[2]
    if not final.strip() or REASONING_START in final:
        return Parsed(error="no answer")
    final = final[-FINAL_CHARACTERS:]
    start = final.rfind(BOX)
    if start < 0:
        return Parsed(error="no box")
    answer = _braced(final[start + len(BOX) :].lstrip())
    if not answer:
        return Parsed(error="no box")
    if len(answer) > ANSWER_CHARACTERS:
        return Parsed(error="too long")
    return Parsed(answer=answer)


def _braced(text: str) -> str | None:
    """What the braces at the beginning of a text enclose; None when there are none, or they are never closed."""
    if not text.startswith("{"):
        return None
    depth = 0
    for match in BRACE.finditer(text):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == 0:
                return text[1 : match.start()].strip()
    return None
