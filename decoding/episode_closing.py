"""Ends the structure of an episode that a budget cuts off between two parts of a turn.

An engine closes what its own budget cuts off (``decoding.closing``), but knows only the part of a turn that it was
asked for last; a search that pauses, or ends where its own budget does, has the whole turn to cut back into.
"""

from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

from decoding.closing import close_text
from decoding.episode import Episode
from decoding.grammars.compiler import shared_compiler
from decoding.grammars.matcher import GrammarError


def close_episode(episode: Episode, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> None:
    """Makes the last turn a sentence of its grammar that is no longer than what was written. Where none is found, the
    text stays as it was, and ``grammar_error`` says so.

    Args:
        episode: is over, or will be.
        tokenizer: the model's.
        end_ids: the tokens that end a text.
    """
    stretch = episode.stretches[-1] if episode.stretches else None
    if stretch is None or stretch.grammar is None or stretch.masked < len(stretch.token_ids) or stretch.closed:
        return
    try:
        compiled = shared_compiler(tokenizer, end_ids=end_ids).compile(stretch.grammar)
    except GrammarError:
        return  # which the episode has noted when its turn began
    closed = close_text(compiled, stretch.token_ids, most=len(stretch.token_ids))
    if closed is None:
        return
    if closed.error is not None:
        episode.grammar_error = episode.grammar_error or closed.error
        return
    episode.close(closed.kept, closed.completion)
    if compiled.validator is not None:
        episode.is_sentence = compiled.validator.is_valid(stretch.token_ids) and episode.is_sentence is not False
