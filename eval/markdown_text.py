"""Markdown that whatever models and datasets write cannot break out of.

Their text may be anything (Markdown, HTML, control characters, lone surrogates): it stays inside its block or cell, and
what is not printable is replaced.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_ANSWER = 1200


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under a header; as a string it is Markdown."""

    title: str = ""
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A sentence below it."""
    if_empty: str = ""
    """What is said in the place of a table without rows."""

    def __str__(self) -> str:
        written = table(self.header, self.rows) if self.rows or not self.if_empty else self.if_empty
        return f"{written}\n\n{cell(self.note)}" if self.note and self.rows else written


def number(value: float) -> str:
    """Three digits after the point, as all reports print them."""
    return f"{value:.3f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines)


def titled(tables: Sequence[Table]) -> str:
    """Tables under a heading each."""
    return "\n\n".join(f"### {cell(each.title)}\n\n{each}" for each in tables)


def cell(text: str) -> str:
    """``text`` on one line that neither ends a table's cell nor opens an HTML tag."""
    # Entities and not backslashes: a backslash before the pipe would undo the escape.
    return printable(" ".join(text.split())).replace("|", "&#124;").replace("<", "&lt;")


def fenced(text: str, language: str) -> str:
    """A fenced code block, whose fence is longer than any run of backticks in ``text``."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def quoted(text: str) -> str:
    """Model text as an indented code block, cut to a readable length."""
    if not text.strip():
        return f"    ({'white space only' if text else 'empty'})"
    shown = text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER] + " ... (cut)"
    # Split at "\n" alone: every other kind of line break is not printable and is replaced.
    return "\n".join(f"    {printable(line.expandtabs(4))}" for line in shown.split("\n"))


def printable(text: str) -> str:
    """``text`` with every character that is not printable replaced, so that it is valid in any encoding of files."""
    return "".join(character if character.isprintable() else "�" for character in text)
