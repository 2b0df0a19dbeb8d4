"""Grammars for engines outside this process's own loop: the text that vLLM takes, and what of a grammar it leaves out.

vLLM's guidance back end compiles the Lark text that our own masks are compiled from, so that both allow the same
tokens. Not covered: vLLM's other back ends, whose masks are others.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from decoding.closing import require_room
from decoding.engine import Request
from decoding.grammars.compiler import shared_compiler
from decoding.grammars.lark import lark_text
from decoding.grammars.matcher import GrammarError
from envs.grammar import Grammar, Region


@dataclass(frozen=True, kw_only=True)
class AppliedGrammar:
    """What of a request's grammar an engine is asked to mask by. Without ``masks`` it samples freely."""

    masks: Grammar | None = None
    """The request's grammar, or the wider one that can be put in its place."""
    judge: Grammar | None = None
    """What a whole text is held against where ``lenient``."""
    text: str = ""
    """``masks`` in the engine's language."""
    is_ours: bool = True
    """The masks are those of our own matchers, token by token; else only their language is known."""
    error: str | None = None
    """Why there are no masks."""
    lenient: str | None = None
    """What of the request's grammar they do not hold a text to."""


def guidance_grammar(
    grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, most: int | None
) -> AppliedGrammar:
    """A grammar as vLLM's guidance back end takes it.

    Args:
        grammar: of any kind; its narrowing cannot be sent. None: nothing is asked for.
        tokenizer: the model's.
        end_ids: the tokens that end a text. vLLM's masks know the tokenizer's alone: the text spells out the others.
        most: tokens that a text may have; where no sentence is as short, the grammar is not applied. None: the text
            pauses there, and goes on.

    Raises:
        ConfigurationError: the tokenizer is none that llguidance can read.
    """
    if grammar is None:
        return AppliedGrammar()
    masks = context_free(grammar)
    compiler = shared_compiler(tokenizer, end_ids=end_ids)
    try:
        compiler.compile(grammar)
        compiled = compiler.compile(masks)
        if most is not None:
            require_room(compiled, most)
        leniency = compiled.leniency
        text = lark_text(compiled.masked, compiled.vocabulary, lenient=leniency is not None)
    except GrammarError as error:
        return AppliedGrammar(error=str(error))
    if masks != grammar:
        beyond = "what the grammar demands beyond its context-free part cannot be sent: validated afterwards"
        leniency = beyond if leniency is None else f"{leniency}; {beyond}"
    others = sorted(set(end_ids) - {tokenizer.eos_token_id})
    ending = f" <[{','.join(map(str, others))}]>?" if others else ""
    # The first line is what no other back end of vLLM takes: where it may choose, it must choose this one.
    wrapped = f"%llguidance {{}}\nstart: sentence{ending}\nsentence: %lark {{\n{text}\n}}\n"
    return AppliedGrammar(masks=masks, judge=grammar, text=wrapped, lenient=leniency)


def continued_grammar(request: Request) -> AppliedGrammar | None:
    """What is applied to a request that goes on within its grammar's sentence: nothing, for engines of others begin a
    sentence with the first token that they write themselves. None: the request does not go on within one."""
    if request.grammar is None or request.written == 0:
        return None
    return AppliedGrammar(
        error=f"the sentence begins with {request.written} tokens of the prompt, and this engine begins one with what "
        "it writes itself: let the turn not pause, give it a larger budget, or use the transformers engine"
    )


def context_free(grammar: Grammar) -> Grammar:
    """A grammar without any ``narrowing``, in the blocks of a tagged text too; the same where it has none."""
    regions = tuple(_context_free_region(region) for region in grammar.regions)
    return replace(grammar, narrowing=None, regions=regions)


def _context_free_region(region: Region) -> Region:
    blocks = tuple(
        replace(block, content=None if block.content is None else context_free(block.content))
        for block in region.blocks
    )
    return replace(region, blocks=blocks)
