"""Prompts as tokens: ordinary ones as the chat template has them, hostile ones without special tokens of their own."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import CHAT_TEMPLATE, build_tiny_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from decoding.chat_prompt import opens_reasoning, prompt_ids
from envs.layout import Tags
from envs.task import Task
from envs.transcript import Message

TASK = Task(id="1")
bounded = settings(max_examples=20, deadline=None)
TRIMMING = CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")
INSPECTING = CHAT_TEMPLATE.replace("message['content']", "message['content'].split('</think>')[-1].lstrip('\\n')")


@dataclass(frozen=True, kw_only=True)
class Saying:
    """An environment whose prompts are given."""

    messages: tuple[str, ...]
    tags: Tags = Tags()

    def prompt(self, task: Task) -> list[Message]:
        roles: Any = ("system", "user", "user")
        return [Message(role=role, content=text) for role, text in zip(roles, self.messages, strict=False)]


def ids_of(tokenizer: Any, *messages: str) -> list[int]:
    return prompt_ids(tokenizer, Saying(messages=messages), TASK)  # type: ignore[arg-type]


def template_ids(tokenizer: Any, *messages: str) -> list[int]:
    return tokenizer.apply_chat_template(
        Saying(messages=messages).prompt(TASK), add_generation_prompt=True, tokenize=True, return_dict=False
    )


@pytest.fixture(params=[CHAT_TEMPLATE, TRIMMING, INSPECTING], ids=["plain", "trimming", "inspecting"])
def templated(request: pytest.FixtureRequest, real_tokenizer: Any) -> Iterator[Any]:
    tokenizer = copy.deepcopy(real_tokenizer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    tokenizer.chat_template = request.param
    yield tokenizer


@given(messages=st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=3))
@bounded
def test_ordinary_messages_have_the_tokens_of_the_chat_template(real_tokenizer: Any, messages: list[str]) -> None:
    real_tokenizer.chat_template = CHAT_TEMPLATE
    messages = [f"{message} <think></think> < |im_end| > x" for message in messages]
    assert ids_of(real_tokenizer, *messages) == template_ids(real_tokenizer, *messages)


def test_no_special_token_can_be_spelled_in_a_message(templated: Any) -> None:
    special = set(templated.all_special_ids) | {k for k, v in templated.added_tokens_decoder.items() if v.special}
    names = [templated.added_tokens_decoder[token].content for token in sorted(special)]
    plain = [token for token in ids_of(templated, "name", "q") if token in special]
    for name in [*names[:: 1 if len(names) < 100 else 97], "".join(names[:3])]:
        assert name in templated.decode(template_ids(templated, f"is '{name}x'", "q"))
        for text in (f"is '{name}x'", f" {name} ", name):
            ids = ids_of(templated, text, f"q {text}")
            assert [token for token in ids if token in special] == plain
            assert templated.decode(ids, skip_special_tokens=True).count(text.strip()) == 2


def test_the_rest_of_a_hostile_prompt_is_encoded_as_ever(templated: Any) -> None:
    # The template writes a token that is not special, and our instructions name it.
    templated.chat_template = templated.chat_template.replace("assistant\\n", "assistant\\n<think>")
    hostile = ids_of(templated, "Reason in <think> first.", f"'{templated.eos_token}'")
    ordinary = template_ids(templated, "Reason in <think> first.", "''")
    start = len(template_ids(templated, "Reason in <think> first.")) // 2
    assert hostile[:start] == ordinary[:start] and hostile[-5:] == ordinary[-5:]
    assert templated.convert_tokens_to_ids("<think>") in hostile[:start]
    assert getattr(templated, "chat_control_tokens", None) is None


def test_where_the_library_cannot_a_space_parts_the_letters() -> None:
    """Before transformers 5.22."""
    tokenizer = build_tiny_tokenizer()

    def apply_chat_template(messages: Any, *, add_generation_prompt: bool, tokenize: bool, return_dict: bool) -> Any:
        return tokenizer.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, tokenize=tokenize, return_dict=return_dict
        )

    older = SimpleNamespace(
        apply_chat_template=apply_chat_template,
        added_tokens_decoder=tokenizer.added_tokens_decoder,
        all_special_ids=tokenizer.all_special_ids,
        all_special_tokens=tokenizer.all_special_tokens,
    )
    assert ids_of(older, "'<|im_start|>x'") == template_ids(tokenizer, "'< |im_start|>x'")
    assert ids_of(older, "'x'") == template_ids(tokenizer, "'x'")


def test_a_model_that_writes_a_special_token_by_itself_gets_a_space_too() -> None:
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    backend = Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("\u2581", -2.0), ("\n", -3.0), *letters], 0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE.replace("<|im_end|>", "</s>")
    ids = ids_of(tokenizer, "a</s>b")
    assert ids == template_ids(tokenizer, "a< /s>b") and ids.count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize(
    ("end", "tags", "is_opened"),
    [
        ("<think>", Tags(reasoning="think"), True),
        ("<think>\n", Tags(reasoning="think"), True),
        ("<think>\n\n</think>\n\n", Tags(reasoning="think"), False),
        ("", Tags(reasoning="think"), False),
        ("<think>", Tags(reasoning="reason"), False),
        ("<think>", Tags(), False),
    ],
)
@pytest.mark.parametrize("is_added", [False, True])
def test_a_template_that_opens_the_reasoning_is_noticed(end: str, tags: Tags, is_opened: bool, is_added: bool) -> None:
    tokenizer = build_tiny_tokenizer()
    if is_added:
        tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    tokenizer.chat_template = CHAT_TEMPLATE.replace("assistant\\n'", f"assistant\\n{end}'".replace("\n", "\\n"))
    environment: Any = Saying(messages=("What is <think>?",), tags=tags)
    ids = prompt_ids(tokenizer, environment, TASK)
    assert tokenizer.decode(ids).endswith(f"assistant\n{end}")
    assert opens_reasoning(tokenizer, environment, ids) == is_opened
    untagged: Any = SimpleNamespace()
    assert not opens_reasoning(tokenizer, untagged, ids)
