"""The narrowing of a tagged text: that of the blocks whose content has one, from their opening to their closing."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from envs.grammar import Block, Expected, Grammar, NarrowedText


def narrowed_text(grammar: Grammar) -> NarrowedText | None:
    """The text of ``grammar`` before its first character; None: nothing of it is narrowed."""
    if grammar.narrowing is not None:
        return grammar.narrowing.start()
    blocks = [block for region in grammar.regions for block in region.blocks]
    if any(block.content is not None and narrowed_text(block.content) is not None for block in blocks):
        return TaggedText(grammar)
    return None


class TaggedText:
    """A tagged text, so far (``envs.grammar.NarrowedText``)."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._region = 0
        self._block: Block | None = None
        self._seen = b""
        """Between blocks and in those that are not narrowed: the text since the last tag."""
        self._content: NarrowedText | None = None
        """In a narrowed block: what it holds, without ``_part``."""
        self._part = b""
        """The beginning of the closing, perhaps."""
        self._longer: NarrowedText | None = None
        """The content with ``_part``; None: that may not stand in it."""
        self._open_at_once()

    def advance(self, text: bytes) -> None:
        """Appends text.

        Raises:
            ValueError: it is not allowed here.
        """
        for start in range(len(text)):
            if not self._advance(text[start : start + 1]):
                raise ValueError(f"{text!r} may not follow here")

    def copy(self) -> "TaggedText":
        """Another text that has read the same."""
        other = object.__new__(TaggedText)
        other.__dict__.update(self.__dict__)
        other._content = None if self._content is None else self._content.copy()
        other._longer = None if self._longer is None else self._longer.copy()
        return other

    def allowed(self, continuations: Sequence[bytes]) -> list[bool]:
        """Which of these may come next; empty asks for the end."""
        mark = self._mark()
        verdicts: dict[bytes, bool] = {}
        if self._content is not None and not self._part:
            plain = [each for each in continuations if not mark or mark not in each]
            verdicts = dict(zip(plain, self._content.allowed(plain), strict=True))
        return [verdicts[each] if each in verdicts else self._may_follow(each) for each in continuations]

    def expected(self) -> Expected:
        """What is known of all continuations at once."""
        mark = self._mark()
        if self._content is None:
            ends = b"".join({tag[-1:] for tag in self._awaited()})
            return Expected(pattern=_without(ends, None))
        if self._part:
            return Expected()
        known = self._content.expected()
        return known._replace(pattern=None if known.pattern is None else _without(mark, known.pattern.pattern))

    def ending(self) -> bytes | None:
        """A short text that ends the narrowed block, its closing included; None outside of one."""
        if self._content is None or self._part or self._block is None:
            return None
        end = self._content.ending()
        return None if end is None else end + self._block.closing.encode()

    def _mark(self) -> bytes:
        """The first byte of the closing of the block."""
        return b"" if self._block is None else self._block.closing.encode()[:1]

    def _may_follow(self, text: bytes) -> bool:
        if not text:
            return self._content is None or (not self._part and self._content.allowed([b""])[0])
        try:
            self.copy().advance(text)
        except ValueError:
            return False
        return True

    def _advance(self, character: bytes) -> bool:
        if self._content is None:
            self._seen += character
            self._read_tag()
            return True
        closing = b"" if self._block is None else self._block.closing.encode()
        if self._longer is None and not self._part:
            self._longer = self._content.copy()
        if self._longer is not None and not self._longer.allowed([character])[0]:
            self._longer = None
        if self._longer is not None:
            self._longer.advance(character)
        self._part += character
        if closing and closing == self._part:
            may_end = self._content.allowed([b""])[0]
            self._close()
            return may_end
        if closing and closing.startswith(self._part):
            return self._longer is not None or self._content.allowed([b""])[0]
        if self._longer is None:
            return False
        self._content, self._longer, self._part = self._longer, None, b""
        return True

    def _awaited(self) -> list[bytes]:
        """The tags that may come next."""
        if self._block is not None:
            return [self._block.closing.encode()] if self._block.closing else []
        return [block.opening.encode() for _, block in self._openable() if block.opening]

    def _openable(self) -> Iterator[tuple[int, Block]]:
        """The blocks that may be opened, with the numbers of their regions."""
        for number in range(self._region, len(self._grammar.regions)):
            region = self._grammar.regions[number]
            for block in region.blocks:
                yield number, block
            if not region.is_optional:
                return

    def _read_tag(self) -> None:
        if self._block is not None:
            closing = self._block.closing.encode()
            if closing and self._seen.endswith(closing):
                self._close()
            return
        for number, block in self._openable():
            if block.opening and self._seen.endswith(block.opening.encode()):
                self._open(number, block)
                return

    def _open_at_once(self) -> None:
        for number, block in self._openable():
            if not block.opening:
                self._open(number, block)
                return

    def _open(self, number: int, block: Block) -> None:
        self._region, self._block, self._seen = number, block, b""
        self._content = None if block.content is None else narrowed_text(block.content)

    def _close(self) -> None:
        if not self._grammar.regions[self._region].may_repeat:
            self._region += 1
        self._block, self._content, self._longer, self._part, self._seen = None, None, None, b"", b""
        self._open_at_once()


@lru_cache(maxsize=256)
def _without(marks: bytes, pattern: bytes | None) -> re.Pattern[bytes]:
    """Texts that ``pattern`` matches and that have none of some characters."""
    barred = rb"(?![\s\S]*[" + re.escape(marks) + rb"])" if marks else b""
    return re.compile(barred + (rb"[\s\S]+" if pattern is None else pattern))
