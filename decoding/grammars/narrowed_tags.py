"""The narrowing of a tagged text: that of the blocks whose content has one, from their opening to their closing.

Where the text stands may be open for a while: ``<`` can begin a closing tag or be an operator, and where a region may
be left out, its tag or the next block may come. So all places are followed that what was written allows. Text outside
of narrowed blocks is left to the grammar itself: places where it is are given up only where they cannot be.

Not told apart: a closing string within content that is no free text and has no narrowing. Both readings go on from
there, and what follows such a block is narrowed only where the content itself cannot hold it.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from envs.grammar import Block, Expected, Grammar, NarrowedText


class _Between(NamedTuple):
    """After a block: white space, or what else stands between two regions."""

    region: int
    is_taken: bool
    """A block of this region, which may repeat, has been read."""
    seen: bytes


class _Fixed(NamedTuple):
    """Within the opening or the closing of a block."""

    region: int
    block: int
    is_opening: bool
    rest: bytes


class _Free(NamedTuple):
    """In a block that is not narrowed."""

    region: int
    block: int
    tail: bytes
    """As much of the text as could be the beginning of the closing."""


class _Narrowed(NamedTuple):
    """In a block that is narrowed."""

    region: int
    block: int
    content: NarrowedText
    """Never moved: copies are."""


_Place = _Between | _Fixed | _Free | _Narrowed


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
        self._places: tuple[_Place, ...] = ()
        self._places = tuple(self._opened(0, is_taken=False))
        # At the start everything may have been left out.
        if self._is_optional(0):
            self._places += (_Between(len(grammar.regions), False, b""),)

    def advance(self, text: bytes) -> None:
        """Appends text.

        Raises:
            ValueError: it is not allowed here.
        """
        places = self._after(text)
        if not places:
            raise ValueError(f"{text!r} may not follow here")
        self._places = places

    def copy(self) -> "TaggedText":
        """Another text that has read the same."""
        other = object.__new__(TaggedText)
        other._grammar, other._places = self._grammar, self._places
        return other

    def allowed(self, continuations: Sequence[bytes]) -> list[bool]:
        """Which of these may come next; empty asks for the end."""
        verdicts: dict[bytes, bool] = {}
        if len(self._places) == 1 and isinstance(place := self._places[0], _Narrowed) and not self._is_left(place):
            mark = self._closing(place)[:1]
            plain = [each for each in continuations if each and not (mark and mark in each)]
            verdicts = dict(zip(plain, place.content.allowed(plain), strict=True))
        return [
            verdicts[each] if each in verdicts else bool(self._after(each)) if each else self._may_end()
            for each in continuations
        ]

    def expected(self) -> Expected:
        """What is known of all continuations at once."""
        main = [place for place in self._places if not isinstance(place, _Fixed)]
        others = [place.rest[:1] for place in self._places if isinstance(place, _Fixed)]
        if not main:
            return Expected()
        place = main[0]
        if len(main) > 1 or isinstance(place, _Between) or any(mark.isalnum() or mark in b"_ " for mark in others):
            return Expected()
        closing = self._closing(place)
        if isinstance(place, _Free):
            return Expected(pattern=_without(closing[-1:], None))
        if self._is_left(place):
            return Expected()
        known = place.content.expected()
        if known.pattern is None:
            return known
        return known._replace(pattern=_without(closing[:1] + b"".join(others), known.pattern.pattern))

    def ending(self) -> bytes | None:
        """A short text that ends the narrowed block, its closing included; None outside of one."""
        for place in self._places:
            if isinstance(place, _Narrowed):
                end = place.content.ending()
                if end is not None:
                    return end + self._closing(place)
        return None

    def _may_end(self) -> bool:
        for place in self._places:
            if isinstance(place, _Between):
                is_end = not place.seen and self._is_optional(place.region + place.is_taken)
            elif isinstance(place, _Fixed):
                is_end = False
            else:
                is_end = not self._closing(place) and self._is_optional(place.region + 1)
                is_end = is_end and (isinstance(place, _Free) or place.content.allowed([b""])[0])
            if is_end:
                return True
        return False

    def _after(self, text: bytes) -> tuple[_Place, ...]:
        """Where the text may stand after ``text``; empty: nowhere."""
        if len(self._places) == 1 and isinstance(place := self._places[0], _Narrowed) and not self._is_left(place):
            mark = self._closing(place)[:1]
            if not (mark and mark in text):
                return _read(place, text)
        places = self._places
        for start in range(len(text)):
            character = text[start : start + 1]
            places = tuple(dict.fromkeys(after for place in places for after in self._reached(place, character)))
        return places

    def _reached(self, place: _Place, character: bytes) -> Iterator[_Place]:
        if isinstance(place, _Between):
            yield from self._separated(place._replace(seen=place.seen + character))
        elif isinstance(place, _Fixed):
            if place.rest[:1] == character:
                yield from self._fixed(place._replace(rest=place.rest[1:]))
        elif isinstance(place, _Free):
            closing = self._closing(place)
            tail = place.tail + character if closing else b""
            is_content = self._block(place).content is not None
            if not (closing and tail.endswith(closing)) or is_content:
                yield place._replace(tail=tail[-len(closing) :])
            if tail.endswith(closing) and (closing or self._is_left(place)):
                yield from self._closed(place.region)
        else:
            closing = self._closing(place)
            if closing[:1] == character and place.content.allowed([b""])[0]:
                yield from self._fixed(_Fixed(place.region, place.block, False, closing[1:]))
            for after in _read(place, character):
                yield after
                yield from self._ends(after)

    def _fixed(self, place: _Fixed) -> Iterator[_Place]:
        if place.rest:
            yield place
        elif place.is_opening:
            yield from self._begun(place.region, place.block)
        else:
            yield from self._closed(place.region)

    def _begun(self, region: int, block: int) -> Iterator[_Place]:
        """At the beginning of the content of a block."""
        content = self._grammar.regions[region].blocks[block].content
        text = None if content is None else narrowed_text(content)
        place = _Free(region, block, b"") if text is None else _Narrowed(region, block, text)
        yield place
        yield from self._ends(place)

    def _ends(self, place: _Free | _Narrowed) -> Iterator[_Place]:
        """Where a block without a closing may be left."""
        if self._is_left(place) and (isinstance(place, _Free) or place.content.allowed([b""])[0]):
            yield from self._closed(place.region)

    def _closed(self, region: int) -> Iterator[_Place]:
        may_repeat = self._grammar.regions[region].may_repeat
        yield from self._separated(_Between(region if may_repeat else region + 1, may_repeat, b""))

    def _separated(self, place: _Between) -> Iterator[_Place]:
        """A place between blocks, and the blocks that may begin there."""
        is_separator, may_grow = _separates(self._grammar.separator, place.seen)
        if may_grow:
            yield place
        if is_separator:
            yield from self._opened(place.region, is_taken=place.is_taken)

    def _opened(self, region: int, *, is_taken: bool) -> Iterator[_Place]:
        """The beginnings of the blocks that may come next, those of the regions behind what may be left out too."""
        for number in range(region, len(self._grammar.regions)):
            for index, block in enumerate(self._grammar.regions[number].blocks):
                yield from self._fixed(_Fixed(number, index, True, block.opening.encode()))
            if not (self._grammar.regions[number].is_optional or (is_taken and number == region)):
                return

    def _is_optional(self, region: int) -> bool:
        """Nothing need come from this region on."""
        return all(each.is_optional for each in self._grammar.regions[region:])

    def _is_left(self, place: _Free | _Narrowed) -> bool:
        """Another block may follow at once, for nothing closes this one."""
        is_last = place.region == len(self._grammar.regions) - 1
        return not self._closing(place) and not (is_last and not self._grammar.regions[place.region].may_repeat)

    def _block(self, place: _Free | _Narrowed) -> Block:
        return self._grammar.regions[place.region].blocks[place.block]

    def _closing(self, place: _Free | _Narrowed) -> bytes:
        return self._block(place).closing.encode()


def _read(place: _Narrowed, text: bytes) -> tuple[_Narrowed, ...]:
    """The place after ``text`` in the content; empty: it may not stand there."""
    content = place.content.copy()
    try:
        content.advance(text)
    except ValueError:
        return ()
    return (place._replace(content=content),)


_CHARACTERS = tuple(bytes([character]) for character in range(128))


@lru_cache(maxsize=4096)
def _separates(separator: str, seen: bytes) -> tuple[bool, bool]:
    """Whether ``seen`` is a whole separator; and whether it, or what is one character longer, is one."""
    match = re.compile(separator.encode()).fullmatch
    is_whole = match(seen) is not None
    return is_whole, is_whole or any(match(seen + character) is not None for character in _CHARACTERS)


@lru_cache(maxsize=256)
def _without(marks: bytes, pattern: bytes | None) -> re.Pattern[bytes]:
    """Texts that ``pattern`` matches and that have none of some characters."""
    barred = rb"(?![\s\S]*[" + re.escape(bytes(sorted(set(marks)))) + rb"])" if marks else b""
    return re.compile(barred + (rb"[\s\S]+" if pattern is None else rb"(?:" + pattern + rb")"))
