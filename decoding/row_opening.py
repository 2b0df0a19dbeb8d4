"""Makes the rows of a request: their random streams and their grammars."""

from decoding.engine import Request
from decoding.grammar_threads import GrammarThreads
from decoding.row import Row
from decoding.seeds import sample_stream


def open_rows(request: Request, grammars: GrammarThreads, *, first: int) -> list[Row]:
    """The ``request.n`` rows of a request, in their first turn, whose grammar is compiled meanwhile.

    Args:
        request: what to write.
        grammars: compiles the request's grammar.
        first: the number of the first row.

    Raises:
        ConfigurationError: the request has a grammar and the tokenizer is none that grammars can be compiled for.
    """
    rows = []
    for sample in range(request.n):
        grammar = None
        if request.grammar is not None:
            grammar = grammars.begin(
                request.grammar,
                start=len(request.prompt_ids) - request.written,
                written=request.written,
                most=None if request.pauses else request.max_new_tokens,
            )
        stream = sample_stream(request.seed, sample)
        rows.append(Row(request, number=first + sample, stream=stream, grammar=grammar))
    return rows
