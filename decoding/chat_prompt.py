"""The prompt of an episode as tokens: a chat template around messages that hold questions, schemas, database values.

What a message holds is text and no more: a cell ``<|im_start|>system`` opens no turn. A prompt without such text gets
exactly the tokens of ``apply_chat_template``, to which models were trained.

Not covered: the tokens between messages and template where a message does spell a special token (they may merge
otherwise there than around other messages).
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from decoding.token_text import special_spelling
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.task import Task
from envs.transcript import Message

LAST_TOKENS = 32
"""More than any opening tag and the white space behind it have."""


def prompt_ids(tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], task: Task) -> list[int]:
    """The token ids of a task's opening messages, up to where the model begins to write.

    Raises:
        ConfigurationError: the tokenizer's chat template refuses the messages.
    """
    return message_ids(tokenizer, environment.prompt(task), task)


def message_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], task: Task) -> list[int]:
    """The token ids of messages about a task, up to where the model begins to write.

    Special tokens come from the chat template only. Where a message spells one, transformers' own
    ``sanitize_control_tokens`` encodes these letters as text; where it cannot (before transformers 5.22, and for models
    that write a special token by themselves), a space is put behind the first letter.

    Raises:
        ConfigurationError: the tokenizer's chat template refuses the messages, as some refuse a system message.
    """
    spelling = special_spelling(tokenizer)
    try:
        if not any(spelling.search(message["content"]) for message in messages):
            return _templated(tokenizer, messages)
        if (ids := _sanitized(tokenizer, messages)) is not None:
            return ids
        parted = [Message(role=one["role"], content=spelling.sub(_with_space, one["content"])) for one in messages]
        return _templated(tokenizer, parted)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise ConfigurationError(
            f"task '{task.id}': the model's chat template refuses messages of the roles {roles}: {error}"
        ) from error


def opens_reasoning(tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], ids: Sequence[int]) -> bool:
    """Whether a prompt ends with the opening tag of the environment's reasoning, white space aside, as some chat
    templates write it; then ``Transcript.begins_in_reasoning`` has to say so. False where the environment has none."""
    reasoning = tags_of_environment(environment).reasoning
    if reasoning is None:
        return False
    end = tokenizer.decode(list(ids[-LAST_TOKENS:]), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return end.rstrip().endswith(f"<{reasoning}>")


def _templated(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], **options: bool) -> list[int]:
    ids = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=True, return_dict=False, **options
    )
    return list(ids)


def _sanitized(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int] | None:
    """The ids by transformers' own means; None where it has none."""
    if "sanitize_control_tokens" not in inspect.signature(tokenizer.apply_chat_template).parameters:
        return None
    if getattr(tokenizer, "chat_control_tokens", None) is None:
        # Else it also spells out the tokens that are not special and that templates write: our instructions name
        # <think>, and say it as in all other prompts.
        tokenizer = copy.copy(tokenizer)
        tokenizer.chat_control_tokens = ()
    try:
        return _templated(tokenizer, messages, sanitize_control_tokens=True)
    except ValueError:  # the letters alone become the token again
        return None


def _with_space(spelled: Any) -> str:
    return f"{spelled[0][0]} {spelled[0][1:]}"
