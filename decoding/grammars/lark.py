"""Turns every kind of grammar into one Lark text in llguidance's dialect.

The same text goes to llguidance here and to the guidance back end of vLLM, so that masks are the same in both. Not
covered: ``Grammar.narrowing``, which no context-free grammar can say.
"""

import json
import re
from collections.abc import Iterator

from llguidance.gbnf_to_lark import any_to_lark

from decoding.grammars.matcher import GrammarError
from decoding.grammars.schema_style import styled_schema
from decoding.grammars.vocabulary import Vocabulary, is_unicode
from envs.grammar import Block, Grammar

_ANYTHING = "/(?s:.*)/"


def lark_text(grammar: Grammar, vocabulary: Vocabulary, *, lenient: bool = False, captures: bool = False) -> str:
    """The Lark text of a grammar.

    Args:
        grammar: of any kind.
        vocabulary: tells which tags are marks, that is, one token that no text spells.
        lenient: JSON Schemas are widened where llguidance cannot express them.
        captures: the matcher keeps the text of each JSON Schema of a tagged text, named as ``json_schemas`` does.

    Raises:
        GrammarError: the source is not of its kind, or holds what is no Unicode text; a stretch of free text that
            nothing ends is not the last one.
    """
    match grammar.kind:
        case "lark":
            text = grammar.source
        case "ebnf":
            text = _lark_of_ebnf(grammar.source)
        case "tagged":
            text = "".join(_Tagged(vocabulary, lenient=lenient, captures=captures).lines(grammar, "start"))
        case "choice":
            text = "".join(_choice_rules("start", read_choice(grammar.source)))
        case _:
            text = f"start: {_expression(grammar, lenient=lenient)}\n"
    if not is_unicode(text):
        raise GrammarError("the grammar holds a lone surrogate, which no text can hold")
    return text


def json_schemas(grammar: Grammar, name: str = "start") -> Iterator[tuple[str, str, str]]:
    """The JSON Schemas in a grammar: the name of the capture that holds what is written for it, the opening of its
    block, and the schema."""
    if grammar.kind == "json_schema":
        yield name, "", grammar.source
    for number, block in enumerate(block for region in grammar.regions for block in region.blocks):
        if block.content is not None:
            for inner, opening, schema in json_schemas(block.content, f"{name}_b{number}"):
                yield inner, opening or block.opening.strip(), schema


def read_choice(source: str) -> list[str]:
    """The strings to choose from.

    Raises:
        GrammarError: it is no JSON list of strings, or an empty one.
    """
    try:
        choices = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise GrammarError(f"a choice is a JSON list of strings, got no JSON: {error}") from error
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise GrammarError(f"a choice is a JSON list of strings, got {source[:80]}")
    if not choices:
        raise GrammarError("a choice of nothing accepts no text")
    return choices


def _expression(grammar: Grammar, *, lenient: bool) -> str:
    """What stands behind the colon of a rule."""
    match grammar.kind:
        case "json_schema":
            return f"%json {styled_schema(grammar.source, lenient=lenient)}"
        case "regex":
            return _regex(grammar.source)
        case "lark":
            return f"%lark {{\n{grammar.source}\n}}"
        case "ebnf":
            return f"%lark {{\n{_lark_of_ebnf(grammar.source)}\n}}"
        case _:
            raise GrammarError(f"unknown kind of grammar '{grammar.kind}'")


def _regex(source: str) -> str:
    """A regular expression between slashes, on one line."""
    # Two slashes would begin a comment.
    if not source:
        return '""'
    escaped = {"/": r"\/", "\n": r"\n", "\r": r"\r"}
    return "/" + re.sub(r"\\.|[/\n\r]", lambda found: escaped.get(found[0], found[0]), source, flags=re.DOTALL) + "/"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _choice_rules(name: str, choices: list[str], ending: str = "") -> Iterator[str]:
    """Rules for one of several strings, all in one terminal: as rules of their own they would be too many at once, and
    the lexer would not give back one that is the beginning of another."""
    listed = " | ".join(_quoted(choice) for choice in choices if choice or ending)
    terminal = f"{name.upper()}_CHOICE"
    if listed:
        yield f"{terminal}: ({listed}) {ending}\n"
    alternatives = [terminal] if listed else []
    if "" in choices and not ending:
        alternatives.append('""')
    yield f"{name}: {' | '.join(alternatives)}\n"


def _lark_of_ebnf(source: str) -> str:
    try:
        return str(any_to_lark(source))
    # The converter raises plain exceptions of its own, and runs over the ends of hostile text.
    except Exception as error:
        raise GrammarError(f"no EBNF in the dialect of llama.cpp: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Tagged:
    """Writes the rules of tagged texts."""

    def __init__(self, vocabulary: Vocabulary, *, lenient: bool, captures: bool) -> None:
        self._vocabulary = vocabulary
        self._lenient = lenient
        self._captures = captures

    def lines(self, grammar: Grammar, name: str) -> Iterator[str]:
        """The rules of a tagged text: ``name_begun<i>`` is what stands from region i on, after another one."""
        regions = grammar.regions
        if not regions:
            raise GrammarError("a tagged text needs at least one region")
        yield f"{name}: {name}_fresh0\n"
        for number, region in enumerate(regions):
            is_last = number == len(regions) - 1
            rest = "" if is_last else f" {name}_begun{number + 1}"
            again = f" ({name}_separator {name}_r{number})*" if region.may_repeat else ""
            taken = f"{name}_r{number}{again}{rest}"
            fresh = f" | {name}_fresh{number + 1}" if not is_last else ' | ""'
            yield f"{name}_fresh{number}: {taken}{fresh if region.is_optional else ''}\n"
            if number:
                skipped = ' | ""' if is_last else f" | {name}_begun{number + 1}"
                yield f"{name}_begun{number}: {name}_separator {taken}{skipped if region.is_optional else ''}\n"
        yield f"{name}_separator: {_regex(grammar.separator)}\n"
        block_number = 0
        for number, region in enumerate(regions):
            names = [f"{name}_b{block_number + offset}" for offset in range(len(region.blocks))]
            yield f"{name}_r{number}: {' | '.join(f'{block}_whole' for block in names)}\n"
            is_open_ended = number == len(regions) - 1 and not region.may_repeat
            for block_name, block in zip(names, region.blocks, strict=True):
                yield from self._block(block, block_name, is_open_ended=is_open_ended)
            block_number += len(region.blocks)

    def _block(self, block: Block, name: str, *, is_open_ended: bool) -> Iterator[str]:
        opening, closing = self._parts(block.opening), self._parts(block.closing)
        if block.content is not None:
            # As free text below: what the lexer reads of a choice or a pattern includes what ends it.
            is_one_terminal = block.content.kind in ("choice", "regex")
            ending = closing.pop(0) if is_one_terminal and closing and not closing[0].startswith("<") else ""
            yield f"{name}_whole: {' '.join([*opening, name, *closing])}\n"
            yield from self._content(block.content, name, ending)
            return
        if not closing and not is_open_ended:
            raise GrammarError(
                f"the free text after '{block.opening}' needs a closing string: only the last stretch may end without"
            )
        unwanted = [_quoted(text) for text in (block.closing, *block.without) if text]
        limit = f" & ~({_ANYTHING} ({' | '.join(unwanted)}) {_ANYTHING})" if unwanted else ""
        terminal = f"{name.upper()}_TEXT"
        yield f"{terminal}: {_ANYTHING}{limit}\n"
        if not closing:
            yield f"{name}_whole: {' '.join([*opening, terminal])}\n"
            return
        # The lexer never gives back what it has read: text before a mark belongs to the same terminal as what it ends.
        before = "" if closing[0].startswith("<") else f" {closing.pop(0)}"
        yield f"{terminal}_END: {terminal}{before}\n"
        # Where a mark ends the text, it is as long as can be; else it ends with the first occurrence of its closing.
        yield f"{name}_text{'' if closing else '[lazy]'}: {terminal}_END\n"
        yield f"{name}_whole: {' '.join([*opening, f'{name}_text', *closing])}\n"

    def _content(self, grammar: Grammar, name: str, ending: str) -> Iterator[str]:
        if grammar.kind == "tagged":
            yield from self.lines(grammar, name)
        elif grammar.kind == "choice":
            yield from _choice_rules(name, read_choice(grammar.source), ending)
        elif grammar.kind == "regex" and ending:
            # It ends with the first occurrence of its closing that it can end with.
            yield f"{name.upper()}_END: {_regex(grammar.source)} {ending}\n"
            yield f"{name}[lazy]: {name.upper()}_END\n"
        else:
            options = f'[capture="{name}"]' if self._captures and grammar.kind == "json_schema" else ""
            yield f"{name}{options}: {_expression(grammar, lenient=self._lenient)}\n"

    def _parts(self, text: str) -> list[str]:
        """A fixed string as Lark: marks by the number of their token, the text between them in quotes."""
        return [_quoted(part) if isinstance(part, str) else f"<[{part}]>" for part in self._vocabulary.parts(text)]
