"""A language model so small that all of its strings can be enumerated, and an environment that pays any function of
them: what gradients of expectations are computed over in full."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from envs.examination import Examination
from envs.grammar import Grammar
from envs.layout import Tags
from envs.task import Task
from envs.transcript import END as OVER
from envs.transcript import UNSAID, Message, Observation, Transcript
from envs.verdict import Verdict
from rewards.composite import Score
from rewards.schedule import START, Moment

LETTERS = "abcdefgh"
PAD, END = "<pad>", "<end>"


def letter_tokenizer(letters: str = LETTERS) -> PreTrainedTokenizerFast:
    """Each letter is a token; a prompt is the letters of its messages."""
    vocabulary = {PAD: 0, END: 1, **{letter: place for place, letter in enumerate(letters, start=2)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    wrapped.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return wrapped


def enumerable_model(tokenizer: PreTrainedTokenizerFast, *, scale: float = 0.5, seed: int = 0) -> LlamaForCausalLM:
    """Two layers, with weights so wide that every token before matters."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=random) * scale
    return model


@dataclass(kw_only=True)
class Letters:
    """Answers are letters; the grammar is a regular expression, or one for each task."""

    regex: str | dict[str, str] = "a"
    stops: tuple[str, ...] = ()
    observation: str = ""
    tags: Tags = field(default_factory=Tags)

    name = "letters"
    longest_observation = 4

    def prompt(self, task: Task) -> list[Message]:
        return [Message(role="user", content=task.id)]

    def grammar(self, task: Task, transcript: Transcript = UNSAID) -> Grammar | None:
        regex = self.regex if isinstance(self.regex, str) else self.regex.get(task.id)
        return None if regex is None else Grammar(kind="regex", source=regex)

    def reference(self, task: Task) -> None:
        return None

    def observe(self, task: Task, transcript: Transcript) -> Observation | None:
        turns = sum(segment.author == "model" for segment in transcript.segments)
        return OVER if turns > 1 else Observation(text=self.observation, digest=None)

    def judge(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Verdict]:
        return [Verdict(answer=text.model_text, is_truncated=text.is_truncated) for _, text in episodes]

    def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
        return [Examination(answer=text.model_text, digest=text.model_text, is_valid=True) for _, text in episodes]


@dataclass(kw_only=True)
class Paying:
    """Stands for a composite: pays any function of the model's text."""

    pay: Callable[[str], float]

    names = paying = ("pay",)
    pacing = ()
    is_moving = False

    def weights(self, moment: Moment = START) -> dict[str, float]:
        return {"pay": 1.0}

    def score(self, verdict: Verdict, moment: Moment = START) -> Score:
        value = self.pay(verdict.answer or "")
        return Score(value=value, parts={"pay": value}, paid={"pay": value})


def spread_pay(text: str) -> float:
    """A reward without any structure: another one for each text, in [0, 1]."""
    return (hash_of(text) % 1009) / 1008


def hash_of(text: str) -> int:
    """The same in every process."""
    value = 7
    for letter in text:
        value = (value * 31 + ord(letter)) % 1_000_003
    return value


def strings(letters: Sequence[int], end: int, most: int) -> Iterator[tuple[int, ...]]:
    """All that can be written in at most ``most`` tokens: what the end closes, and what the budget cuts off."""
    for length in range(most):
        for text in itertools.product(letters, repeat=length):
            yield (*text, end)
    yield from itertools.product(letters, repeat=most)


def log_probabilities(
    model: Any, prompt: Sequence[int], texts: Sequence[Sequence[int]], temperature: float
) -> tuple[Tensor, Tensor]:
    """Naively, of padded rows: (N, T, V) log-probabilities at each place of the texts, and (N, T) their tokens, -1 for
    none. Texts that share a length lie in one forward."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*prompt, *text, *[0] * (longest - len(text))] for text in texts])
    logits = model(ids[:, :-1] if longest else ids).logits[:, len(prompt) - 1 :].float() / temperature
    tokens = torch.tensor([[*text, *[-1] * (longest - len(text))] for text in texts])
    return logits.log_softmax(-1), tokens
