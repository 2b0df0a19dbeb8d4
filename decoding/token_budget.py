"""Lets an environment count its prompts in the tokens of the model that reads them."""

from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from envs.environment import Environment, HasTokenBudget


def counting_tokens(environment: Environment[Any], tokenizer: PreTrainedTokenizerBase) -> Environment[Any]:
    """The environment, its budget of tokens (where it has one) counted by ``tokenizer``."""
    if isinstance(environment, HasTokenBudget):
        return environment.with_token_counter(partial(count_tokens, tokenizer))
    return environment


def count_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """How many tokens ``text`` has, without those that a template adds."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
