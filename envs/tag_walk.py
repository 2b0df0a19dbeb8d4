"""One pass over a model's turns by their tags: blocks, and what stands outside of them.

Tags are names in angle brackets, without attributes, and do not nest: inside a block only its own closing tag counts,
so that an answer written inside the reasoning is reasoning. Where a turn has a closing tag of the reasoning before any
opening one, all of the turn up to it is reasoning, other tags included: chat templates may have written the opening
tag, and models think about the tags that they are asked for. Where the prompt is known to end with the opening tag,
the first turn begins in that block, whether it is closed or not. Time is linear in the text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True)
class Mark:
    """A tag in the text."""

    name: str
    is_closing: bool
    start: int
    end: int


@dataclass(frozen=True)
class Block:
    """What a pair of tags encloses."""

    name: str
    text: str
    end: int


@dataclass
class TagWalk:
    """One pass over the turns of a model, as if they were one text; what it has found so far."""

    names: tuple[str, ...]
    reasoning: str | None
    step: str | None
    text: str
    blocks: list[Block] = field(default_factory=list)
    outside: list[tuple[int, int]] = field(default_factory=list)
    """Where the text lies that is in no block, empty stretches included."""
    is_stray: bool = False
    """A closing tag came without its opening one."""
    open: Mark | None = None
    """The tag of a block that was never closed."""
    read_to: int = 0
    settled: int = 0
    """The blocks before this one stay: a second look at them, at each of many stray tags, would take quadratic time."""

    @classmethod
    def over(
        cls,
        turns: Iterable[str],
        *,
        names: tuple[str, ...],
        reasoning: str | None,
        step: str | None,
        begins_in_reasoning: bool = False,
    ) -> "TagWalk":
        """
        Args:
            turns: what the model wrote, turn by turn.
            names: the tags that are looked for.
            reasoning: the one of them that encloses reasoning.
            step: the one of them that encloses what is run at once.
            begins_in_reasoning: the prompt has opened the reasoning (``Transcript.begins_in_reasoning``).
        """
        written = list(turns)
        walk = cls(names=names, reasoning=reasoning, step=step, text="".join(written))
        if begins_in_reasoning and reasoning is not None:
            walk.open = Mark(reasoning, is_closing=False, start=0, end=0)
        begin = 0
        for turn in written:
            walk._turn(turn, begin)
            begin += len(turn)
        if walk.open is None:
            walk.outside.append((walk.read_to, len(walk.text)))
        return walk

    def _turn(self, turn: str, begin: int) -> None:
        marks = list(_marks(turn, self.names, begin))
        first = next((mark for mark in marks if mark.name == self.reasoning), None)
        if self.open is None and first is not None and first.is_closing:
            self.outside.append((self.read_to, begin))
            self._reason(begin, first)
            marks = [mark for mark in marks if mark.start >= first.end]
        for mark in marks:
            self._mark(mark, begin)

    def _mark(self, mark: Mark, begin: int) -> None:
        if self.open is not None:
            if mark.is_closing and mark.name == self.open.name:
                self.blocks.append(Block(mark.name, self.text[self.open.end : mark.start], mark.end))
                self.open, self.read_to = None, mark.end
        elif not mark.is_closing:
            self.outside.append((self.read_to, mark.start))
            self.open = mark
        else:
            self.is_stray = True
            if mark.name == self.reasoning:
                # Whatever was said in this turn was still being thought about; what was run was run.
                kept = (self.step, self.reasoning)
                latest = self.blocks[self.settled :]
                self.blocks[self.settled :] = [block for block in latest if block.end <= begin or block.name in kept]
                self._reason(self.read_to, mark)
                self.settled = len(self.blocks)

    def _reason(self, start: int, mark: Mark) -> None:
        """All from ``start`` up to a closing tag was reasoning."""
        self.blocks.append(Block(mark.name, self.text[start : mark.start], mark.end))
        self.read_to = mark.end


def _marks(turn: str, names: tuple[str, ...], begin: int) -> Iterator[Mark]:
    if "<" in turn:
        for match in _pattern(names).finditer(turn):
            yield Mark(match.group(2), match.group(1) == "/", begin + match.start(), begin + match.end())


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)({'|'.join(map(re.escape, names))})>")
