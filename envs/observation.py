"""The text that an environment answers to a step: bounded in tokens, and without tags of our own in what it quotes.

    <result>
    12 rows
    name | age
    'Ada' | 30
    ... (11 more rows)
    </result>

Bounds. With ``Frame.text("")`` for the tags around nothing, every observation has

    count(observation) <= budget + count(tags around nothing)

whatever the counter counts: each text that is given has been counted as a whole. Where not even the remark on what was
cut fits, the tags are empty. That as much as fits is shown holds for counters by which longer texts have more tokens.

What a step means, and what came of it, is each environment's subject, not this module's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from envs.layout import Tags
from envs.token_counter import TokenCounter

CHARACTERS_A_TOKEN = 32
"""Texts longer than this for each token of the budget are cut before anything is counted: counting costs time."""
UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters other than line breaks and tabs, and halves of surrogate pairs, which no tokenizer takes."""
CUT = "... (cut)"
LAST = "(No more steps are answered. Give the answer now.)"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came of a step, in plain text: it may hold anything that a model, a schema or a database wrote."""

    text: str
    """What is said first, and kept longest."""
    rows: tuple[str, ...] = ()
    """Lines below it; the last ones are left out first."""
    row_count: int = 0
    """How many rows there are in all."""
    digest: str | None = None
    """As in ``envs.transcript.Observation``."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What an observation is put in."""

    tags: Tags
    """``observation`` is set."""
    budget: int
    """Tokens that the text between the tags may have."""
    count_tokens: TokenCounter

    def text(self, body: str) -> str:
        """The body between its tags, on lines of its own."""
        tag = self.tags.observation
        return f"<{tag}>\n{body}\n</{tag}>\n" if body else f"<{tag}>\n</{tag}>\n"

    def observation(self, finding: Finding, *, is_last: bool) -> str:
        """The finding as far as the budget goes; where ``is_last``, also that no further step is answered."""
        head, rows = self._neutral(finding.text), [self._neutral(row) for row in finding.rows]
        notice = [LAST] if is_last else []
        allowed = self.budget + self.count_tokens(self.text(""))

        def fitting(lines: list[str]) -> str | None:
            text = self.text("\n".join([*lines, *notice]))
            return text if self.count_tokens(text) <= allowed else None

        def with_rows(shown: int) -> str | None:
            hidden = finding.row_count - shown
            remark = [f"... ({hidden} more row{'s' * (hidden != 1)})"] if hidden > 0 else []
            return fitting([head, *rows[:shown], *remark])

        def with_characters(shown: int) -> str | None:
            return fitting([f"{whole[:shown]}{CUT}"])

        longest = CHARACTERS_A_TOKEN * self.budget
        if len(head) + sum(map(len, rows)) <= longest and (text := with_rows(len(rows))):
            return text
        if len(head) <= longest and rows and (text := _largest(with_rows, 1, len(rows) - 1)):
            return text
        whole = "\n".join([head, *rows[:1]])
        text = _largest(with_characters, 0, min(len(whole), longest))
        return text or fitting([]) or self.text("")

    def _neutral(self, text: str) -> str:
        """The text without control characters other than line breaks and tabs, and without tags of ours: a space
        stands behind their first bracket."""
        return tag_pattern(self.tags).sub("< ", UNSHOWABLE.sub("\ufffd", text))


def tag_pattern(tags: Tags) -> re.Pattern[str]:
    """The first bracket of every opening or closing tag that is in use."""
    return re.compile(rf"<(?=/?(?:{'|'.join(map(re.escape, tags.names()))})>)")


def _largest(attempt: Callable[[int], str | None], low: int, high: int) -> str | None:
    """What ``attempt`` gives for the largest number in the range for which it gives anything, by bisection."""
    best = None
    while low <= high:
        middle = (low + high) // 2
        if (text := attempt(middle)) is not None:
            best, low = text, middle + 1
        else:
            high = middle - 1
    return best
