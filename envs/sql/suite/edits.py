"""One edit of a syntax tree: made in place, written out as text, taken back (copying the tree takes twice as long)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlglot import exp


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Sets one argument of one node of a tree."""

    operator: str
    """What kind of mistake it is."""
    node: exp.Expression
    argument: str
    value: Any
    """The argument's new value; None takes it away."""


def replacement(operator: str, node: exp.Expression, new: exp.Expression) -> Iterator[Edit]:
    """The edit that puts ``new`` in the place of ``node``; none where nothing holds it."""
    parent, argument = node.parent, node.arg_key
    if parent is None or argument is None:
        return
    value: Any = new
    if node.index is not None:
        value = list(parent.args[argument])
        value[node.index] = new
    yield Edit(operator=operator, node=parent, argument=argument, value=value)


def edited(root: exp.Expression, edit: Edit, dialect: str) -> str:
    """The text of what ``root`` holds (``ParsedQuery.root``) after ``edit``; the tree is unchanged afterwards."""
    before = edit.node.args.get(edit.argument)
    edit.node.set(edit.argument, edit.value)
    try:
        return str(root.this.sql(dialect=dialect))
    finally:
        edit.node.set(edit.argument, before)
