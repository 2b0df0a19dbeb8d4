"""A model and a language whose texts can all be listed, so that every sampler's target is known exactly."""

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import chisquare

from benchmarks.prefix_engine import PrefixEngine
from envs.grammar import Grammar

VOCABULARY = 6
END = 0
PROMPT = (1,)
Text = tuple[int, ...]


def grammar(texts: Iterable[Text]) -> Grammar:
    """The language of these texts, each without its end."""
    return Grammar(kind="choice", source=json.dumps(sorted(texts)))


def compile_choice(language: Grammar) -> "ListMatcher":
    """A matcher at the start."""
    return ListMatcher(following=_following(language), read=())


@functools.cache
def _following(language: Grammar) -> dict[Text, set[int]]:
    """Of each prefix of a text, the tokens that a text goes on with."""
    following: dict[Text, set[int]] = {}
    for text in ((*text, END) for text in json.loads(language.source)):
        for length, token in enumerate(text):
            following.setdefault(text[:length], set()).add(token)
    return following


@dataclass
class ListMatcher:
    """Allows what some text of a list goes on with."""

    following: dict[Text, set[int]]
    read: Text

    def consume(self, token_ids: Sequence[int]) -> None:
        self.read += tuple(token_ids)

    def rollback(self, count: int) -> None:
        self.read = self.read[: len(self.read) - count]

    def fork(self) -> "ListMatcher":
        return ListMatcher(following=self.following, read=self.read)

    def next_tokens(self) -> set[int]:
        return self.following.get(self.read, set())

    def mask(self) -> np.ndarray:
        return np.array([sum(1 << token for token in self.next_tokens())], dtype=np.int32)

    def forced(self) -> Text:
        ahead = self.fork()
        while len(following := ahead.next_tokens()) == 1:
            ahead.consume(sorted(following))
        return ahead.read[len(self.read) :]

    @property
    def is_accepting(self) -> bool:
        return END in self.next_tokens()

    @property
    def is_over(self) -> bool:
        return self.next_tokens() <= {END}

    @property
    def error(self) -> None:
        return None


@dataclass(frozen=True)
class EnumerableModel:
    """Random logits, a fixed function of the whole prefix."""

    seed: int = 0
    spread: float = 1.5

    @functools.cache  # noqa: B019 - lives as long as the test
    def logits(self, prefix: Text) -> torch.Tensor:
        random = np.random.default_rng([self.seed, *prefix])
        return torch.from_numpy(random.normal(scale=self.spread, size=VOCABULARY))

    def engine(self, **options: Any) -> PrefixEngine:
        return PrefixEngine(self.logits, compile_choice, [END], **options)

    def log_p(self, text: Text, *, prompt: Text = PROMPT, temperature: float = 1.0) -> float:
        """log-probability of the tokens of a text."""
        return sum(
            float((self.logits((*prompt, *text[:place])) / temperature).log_softmax(dim=0)[token])
            for place, token in enumerate(text)
        )

    def masses(self, texts: Iterable[Text], *, prompt: Text = PROMPT, temperature: float = 1.0) -> dict[Text, float]:
        """p of each whole text of a language, its end included; they sum to p(L)."""
        wholes = [(*text, END) for text in sorted(texts)]
        return {whole: math.exp(self.log_p(whole, prompt=prompt, temperature=temperature)) for whole in wholes}

    def masked_probability(self, texts: Iterable[Text], *, prompt: Text = PROMPT) -> dict[Text, float]:
        """q of each whole text under masks alone."""
        language = grammar(texts)
        probabilities = {}
        for whole, mass in self.masses(texts, prompt=prompt).items():
            matcher = compile_choice(language)
            for place, token in enumerate(whole):
                p = self.logits((*prompt, *whole[:place])).softmax(dim=0)
                mass /= float(p[sorted(matcher.next_tokens())].sum())
                matcher.consume([token])
            probabilities[whole] = mass
        return probabilities


def divergence(texts: Sequence[Text], target: dict[Text, float]) -> float:
    """KL(empirical || target), the target normalised."""
    total = sum(target.values())
    return sum(
        count / len(texts) * math.log(count / len(texts) * total / target[text])
        for text, count in Counter(texts).items()
    )


def chi_square_p(texts: Sequence[Text], target: dict[Text, float]) -> float:
    """The probability that texts of the target are at least as far from it (Pearson's test, rare texts as one)."""
    total = sum(target.values())
    counts = Counter(texts)
    assert counts.keys() <= target.keys()
    expected = {text: len(texts) * mass / total for text, mass in target.items()}
    rare = [text for text in target if expected[text] < 5]
    cells = [[text] for text in target if expected[text] >= 5] + [rare] * bool(rare)
    observed = [sum(counts[text] for text in cell) for cell in cells]
    return float(chisquare(observed, [sum(expected[text] for text in cell) for cell in cells]).pvalue)
