"""Tagged texts as xgrammar's structural tags (JSON).

Not covered: blocks whose content is Lark, and closing strings in which text comes before a mark.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from decoding.grammars.matcher import GrammarError
from decoding.grammars.vocabulary import Vocabulary
from envs.grammar import Block, Grammar, Region

Format = dict[str, Any]


class StructuralTags:
    """Writes the structural tag of one tagged grammar."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, ebnf: Callable[[Grammar], str]) -> None:
        """
        Args:
            grammar: is tagged.
            vocabulary: tells which tags are marks.
            ebnf: writes a grammar that is neither tagged nor a regular expression in xgrammar's EBNF.
        """
        self._grammar = grammar
        self._vocabulary = vocabulary
        self._ebnf = ebnf
        ids = {part for bound in _bounds(grammar) for part in vocabulary.parts(bound) if isinstance(part, int)}
        self.marks = frozenset(text for text, token in vocabulary.marks.items() if token in ids)
        """The marks among its opening and closing strings."""

    def text(self) -> str:
        """The structural tag as JSON text.

        Raises:
            GrammarError: xgrammar cannot express it.
        """
        return json.dumps({"type": "structural_tag", "format": self._text(self._grammar)})

    def _text(self, grammar: Grammar) -> Format:
        if not grammar.regions:
            raise GrammarError("a tagged text needs at least one region")
        return self._from(grammar, 0, is_begun=False)

    def _from(self, grammar: Grammar, number: int, *, is_begun: bool) -> Format:
        """The regions from one on; ``is_begun``: another one stands before it."""
        region, is_last = grammar.regions[number], number == len(grammar.regions) - 1
        separator: Format = {"type": "regex", "pattern": grammar.separator}
        taken = [separator] if is_begun else []
        taken.append(self._region(region, is_open_ended=is_last and not region.may_repeat))
        if region.may_repeat:
            again = _sequence([separator, self._region(region, is_open_ended=False)])
            taken.append({"type": "star", "content": again})
        if not is_last:
            taken.append(self._from(grammar, number + 1, is_begun=True))
        whole = _sequence(taken)
        if not region.is_optional:
            return whole
        if is_last:
            return {"type": "optional", "content": whole}
        return {"type": "or", "elements": [whole, self._from(grammar, number + 1, is_begun=is_begun)]}

    def _region(self, region: Region, *, is_open_ended: bool) -> Format:
        blocks = [self._block(block, is_open_ended=is_open_ended) for block in region.blocks]
        return blocks[0] if len(blocks) == 1 else {"type": "or", "elements": blocks}

    def _block(self, block: Block, *, is_open_ended: bool) -> Format:
        opening, closing = self._parts(block.opening), self._parts(block.closing)
        if block.content is not None:
            return _sequence([*opening, self._content(block.content), *closing])
        # The marks of this grammar have a spelling here, so that they must be kept out of free text by name.
        excluded = {*block.without, *self.marks} - {""}
        free: Format = {"type": "any_text", "excludes": sorted(excluded)}
        if not closing:
            if not is_open_ended:
                raise GrammarError(
                    f"the free text after '{block.opening}' needs a closing string: only the last stretch may end "
                    "without"
                )
            return _sequence([*opening, free])
        if closing[0]["type"] == "const_string" and len(closing) > 1:
            raise GrammarError(
                f"xgrammar cannot end free text with '{block.closing}', where text comes before a special token: "
                "use the back end 'llguidance'"
            )
        free["excludes"] = sorted(excluded - {closing[0].get("value")})
        tag: Format = {"type": "tag", "begin": _bound(opening[-1]) if opening else "", "content": free}
        tag["end"] = _bound(closing[0])
        return _sequence([*opening[:-1], tag, *closing[1:]])

    def _content(self, grammar: Grammar) -> Format:
        match grammar.kind:
            case "tagged":
                return self._text(grammar)
            case "regex":
                return {"type": "regex", "pattern": grammar.source}
            case _:
                return {"type": "grammar", "grammar": self._ebnf(grammar)}

    def _parts(self, text: str) -> list[Format]:
        return [
            {"type": "token", "token": part} if isinstance(part, int) else {"type": "const_string", "value": part}
            for part in self._vocabulary.parts(text)
        ]


def _bound(part: Format) -> str | Format:
    """A part as the beginning or the end of a tag."""
    return part if part["type"] == "token" else str(part["value"])


def _sequence(elements: list[Format]) -> Format:
    return elements[0] if len(elements) == 1 else {"type": "sequence", "elements": elements}


def _bounds(grammar: Grammar) -> Iterator[str]:
    for block in [block for region in grammar.regions for block in region.blocks]:
        yield from (block.opening, block.closing)
        if block.content is not None:
            yield from _bounds(block.content)
