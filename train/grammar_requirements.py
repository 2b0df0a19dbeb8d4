"""What can be known of grammars before anything is sampled: that they can be applied at all.

Where a grammar cannot, a rollout is sampled freely and counted. Where none can, a run under grammars would be a free
one that says otherwise. Not covered: grammars of later turns, which depend on what was said.
"""

from collections.abc import Collection, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.closing import require_room
from decoding.grammars.compiler import shared_compiler
from decoding.grammars.matcher import GrammarError
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.task import Task

MOST_TRIED = 256
"""Different grammars that are tried until one can be applied."""


def require_applicable(
    environment: Environment[Any],
    tasks: Sequence[Task],
    tokenizer: PreTrainedTokenizerBase,
    end_ids: Collection[int],
    *,
    most: int,
) -> None:
    """Checks that a grammar of some task can be applied: it compiles, and a sentence fits into the budget.

    Args:
        environment: whose grammars they are.
        tasks: what is trained on.
        tokenizer: the model's.
        end_ids: the tokens that end a text.
        most: tokens of the first turn.

    Raises:
        ConfigurationError: none of those tried can be, with the reason of the first; or the tokenizer cannot be read.
    """
    compiler = shared_compiler(tokenizer, end_ids=frozenset(end_ids))
    tried: set[Grammar] = set()
    first = None
    for task in tasks:
        grammar = environment.grammar(task)
        if grammar is None or grammar in tried:
            continue
        try:
            require_room(compiler.compile(grammar), most)
            return
        except GrammarError as error:
            first = first or f"that of task '{task.id}': {error}"
            tried.add(grammar)
        if len(tried) == MOST_TRIED:
            break
    raise ConfigurationError(
        f"rollout.grammar: of the grammars that environment '{environment.name}' has for the {len(tasks)} tasks,"
        f" {len(tried)} different ones were tried, and none can be applied ({first}); change environment.options,"
        " raise trainer.max_completion_length or rollout.max_turn_tokens, or set rollout.grammar to 'free'"
    )
