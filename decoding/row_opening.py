"""Makes the rows of a request: their random streams and their grammars."""

from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

from decoding.engine import Request
from decoding.grammars import GrammarError, shared_compiler
from decoding.row import Row
from decoding.seeds import sample_stream


def open_rows(
    request: Request, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, first: int
) -> list[Row]:
    """The ``request.n`` rows of a request, in their first turn.

    Args:
        request: what to write.
        tokenizer: compiles the request's grammar.
        end_ids: the tokens that end a text.
        first: the number of the first row.

    Raises:
        ConfigurationError: the request has a grammar and the tokenizer is none that llguidance can read.
    """
    rows = []
    for sample in range(request.n):
        matcher, compile_error = None, None
        if request.grammar is not None:
            try:
                matcher = shared_compiler(tokenizer, end_ids=end_ids).matcher(request.grammar)
            except GrammarError as error:
                compile_error = str(error)
        stream = sample_stream(request.seed, sample)
        rows.append(Row(request, number=first + sample, stream=stream, matcher=matcher, compile_error=compile_error))
    return rows
